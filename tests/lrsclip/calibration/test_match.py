"""Whether a search found anything good: the judgment, its calibration, and what the shipped checkpoint says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import lrsclip
from lrsclip.calibration.match import BEST, MANIFEST_KEY, MOST_LOOKED_AT, centroid, evidence, match_of
from lrsclip.errors import CheckpointError
from train.calibration.match import TEXTS, Gallery, measured
from train.calibration.presence import fitted

ENTRY = {"weights": [10.0, 0.0, 0.0, 0.0], "bias": -5.0, "false_alarm_rate": 0.1, "miss_rate": 0.2}
KINDS, EACH, WIDE = 6, 40, 32


def told(entry: object) -> lrsclip.LRSCLIP:
    """A small model whose manifest says something of matches."""
    return dataclasses.replace(lrsclip.random_model(), manifest={} if entry is None else {MANIFEST_KEY: entry})


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def at_cos(text: np.ndarray, cosine: float, seed: int) -> np.ndarray:
    """`BEST` tiles at a cosine from a text, each in its own direction."""
    away = np.random.default_rng(seed).normal(size=(BEST, len(text)))
    away = unit(away - (away @ text)[:, None] * text)
    return (cosine * text + np.sqrt(1 - cosine**2) * away).astype(np.float32)


def test_evidence_is_score_agreement_likeness_and_size() -> None:
    text, references = np.eye(WIDE, dtype=np.float32)[0], np.eye(WIDE, dtype=np.float32)[:4]
    middle = np.zeros(WIDE, np.float32)
    alike, medley = np.tile(at_cos(text, 0.5, 1)[:1], (BEST, 1)), at_cos(text, 0.5, 1)
    score, agreement, likeness, size = evidence(text, alike, middle, references, 100)
    assert (score, likeness, size) == (pytest.approx(0.5), pytest.approx(1, abs=1e-5), pytest.approx(np.log(100)))
    assert agreement > 0.9  # both show what the first reference says
    assert evidence(text, medley, middle, references, 100)[2] < 0.6
    other = np.tile(references[2], (BEST, 1))
    assert evidence(text, other, middle, references, 100)[1] < 0.1


def test_a_judgment_follows_the_weights_and_keeps_its_rates() -> None:
    bundle = told(ENTRY)
    text, middle = unit(np.ones(bundle.embed_dim)), np.zeros(bundle.embed_dim, np.float32)
    match = match_of(bundle, text, at_cos(text, 0.7, 1), middle, 30)
    assert match is not None
    assert match.probability == pytest.approx(1 / (1 + np.exp(-(10 * 0.7 - 5))), rel=1e-4)
    assert match.good and (match.false_alarm_rate, match.miss_rate) == (0.1, 0.2)
    low = match_of(bundle, text, at_cos(text, 0.3, 1), middle, 30)
    assert low is not None and not low.good


def test_without_calibration_nothing_is_claimed() -> None:
    bundle = told(ENTRY)
    text, middle = unit(np.ones(bundle.embed_dim)), np.zeros(bundle.embed_dim, np.float32)
    best = at_cos(text, 0.7, 1)
    assert match_of(told(None), text, best, middle, 30) is None
    assert match_of(bundle, text, best[: BEST - 1], middle, BEST - 1) is None
    with pytest.raises(CheckpointError, match=r"broken 'match' entry .* train\.calibration\.match"):
        match_of(told({"weights": [1]}), text, best, middle, 30)


def test_the_middle_is_of_tiles_spread_over_all() -> None:
    vectors = np.zeros((3 * MOST_LOOKED_AT, 2), np.float16)
    vectors[: len(vectors) // 2, 0], vectors[len(vectors) // 2 :, 1] = 3, 5
    np.testing.assert_allclose(centroid(vectors), [0.5, 0.5], atol=1e-3)
    np.testing.assert_allclose(centroid(vectors[:3]), [1, 0])


def made_gallery(seed: int) -> Gallery:
    """Tiles in clumps by kind, with texts near their tile."""
    rng = np.random.default_rng(seed)

    kind = np.repeat(np.arange(KINDS), EACH)
    vectors = unit(unit(rng.normal(size=(KINDS, WIDE)))[kind] * 2 + rng.normal(size=(len(kind), WIDE)) / 5)
    texts = {name: unit(vectors + rng.normal(size=vectors.shape) / 8) for name in TEXTS}
    return Gallery(vectors, kind, np.eye(KINDS, dtype=np.bool_)[kind], texts)


def test_calibration_learns_to_tell_what_is_there_from_what_was_taken_out() -> None:
    references = unit(np.random.default_rng(0).normal(size=(8, WIDE)))
    rows, there = measured(made_gallery(1), references, range(KINDS), 2)
    assert there.mean() == 0.5
    weights, bias = fitted(rows, there)
    rows, there = measured(made_gallery(3), references, range(KINDS), 4)
    says = rows @ weights + bias >= 0
    assert says[there].mean() > 0.95
    assert says[~there].mean() < 0.05


def test_the_shipped_checkpoint_is_calibrated() -> None:
    manifest = lrsclip.load("tiny").manifest
    assert manifest[MANIFEST_KEY]["miss_rate"] < 0.2
    assert manifest[MANIFEST_KEY]["false_alarm_rate"] < 0.25
