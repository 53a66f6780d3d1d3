"""Whether a search found anything good: the judgement, its calibration, and what the shipped checkpoint says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import lrsclip
from lrsclip.errors import CheckpointError
from lrsclip.match import MANIFEST_KEY, MOST_LOOKED_AT, evidence, match_of, sample_of
from train.calibrate import fitted
from train.calibrate_match import Gallery, measured

ENTRY = {"weights": [10.0, 0.5, 0.0], "bias": -5.0, "false_alarm_rate": 0.1, "miss_rate": 0.2}
SCORES = np.array([0.1, 0.2, 0.3], np.float32)
KINDS, EACH, WIDE = 6, 40, 32


def told(entry: object) -> lrsclip.LRSCLIP:
    """A small model whose manifest says something of matches."""
    return dataclasses.replace(lrsclip.random_model(), manifest={} if entry is None else {MANIFEST_KEY: entry})


def test_evidence_is_the_best_score_its_lead_in_deviations_and_the_size() -> None:
    best, lead, size = evidence(0.5, SCORES, 100)
    assert best == 0.5
    assert lead == pytest.approx((0.5 - 0.2) / SCORES.std(), rel=1e-5)
    assert size == pytest.approx(np.log(100))
    assert np.isfinite(evidence(0.5, np.full(4, 0.3, np.float32), 4)).all()  # all tiles alike


def test_a_judgement_follows_the_weights_and_keeps_its_rates() -> None:
    match = match_of(told(ENTRY), 0.5, SCORES, 3)
    assert match is not None
    logit = 10 * 0.5 + 0.5 * (0.5 - 0.2) / SCORES.std() - 5
    assert match.probability == pytest.approx(1 / (1 + np.exp(-logit)))
    assert match.good and (match.false_alarm_rate, match.miss_rate) == (0.1, 0.2)
    low = match_of(told(ENTRY), 0.3, SCORES, 3)
    assert low is not None and not low.good


def test_without_calibration_nothing_is_claimed() -> None:
    assert match_of(told(None), 0.9, SCORES, 3) is None
    assert match_of(told(ENTRY), 0.9, SCORES[:1], 1) is None
    with pytest.raises(CheckpointError, match=r"broken 'match' entry .* train\.calibrate_match"):
        match_of(told({"weights": [1]}), 0.9, SCORES, 3)


def test_the_sample_is_spread_over_all_tiles_and_of_length_one() -> None:
    vectors = np.arange(1, 3 * MOST_LOOKED_AT + 1, dtype=np.float16)[:, None] % 64 + np.ones((1, 2), np.float16)
    sample = sample_of(vectors)
    assert len(sample) == MOST_LOOKED_AT
    np.testing.assert_allclose(np.linalg.norm(sample, axis=1), 1, atol=1e-5)
    assert len(sample_of(vectors[:5])) == 5


def made_gallery(seed: int) -> Gallery:
    """Tiles in clumps by kind, with texts near their tile."""
    rng = np.random.default_rng(seed)

    def unit(rows: np.ndarray) -> np.ndarray:
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    kind = np.repeat(np.arange(KINDS), EACH)
    vectors = unit(unit(rng.normal(size=(KINDS, WIDE)))[kind] * 2 + rng.normal(size=(len(kind), WIDE)) / 5)
    texts = {name: unit(vectors + rng.normal(size=vectors.shape) / 8) for name in ("short", "long", "name")}
    return Gallery(vectors, kind, np.eye(KINDS, dtype=np.bool_)[kind], texts)


def test_calibration_learns_to_tell_what_is_there_from_what_was_taken_out() -> None:
    rows, there = measured(made_gallery(1), range(KINDS), 2)
    assert there.mean() == 0.5
    weights, bias = fitted(rows, there)
    rows, there = measured(made_gallery(3), range(KINDS), 4)
    says = rows @ weights + bias >= 0
    assert says[there].mean() > 0.95
    assert says[~there].mean() < 0.05


def test_the_shipped_checkpoint_is_calibrated() -> None:
    manifest = lrsclip.load("tiny").manifest
    assert manifest[MANIFEST_KEY]["miss_rate"] < 0.2
    assert manifest[MANIFEST_KEY]["false_alarm_rate"] < 0.25
