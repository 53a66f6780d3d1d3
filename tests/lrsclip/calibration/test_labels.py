"""Calibrated labels: the fit finds what made the data, and only a calibrated checkpoint speaks of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lrsclip
from lrsclip.calibration.labels import MANIFEST_KEY, evidence, judge, log_factors
from lrsclip.checkpoints.native import read_manifest, write_checkpoint
from lrsclip.errors import CheckpointError
from lrsclip.zero_shot.classifier import class_prototypes, ranked
from tests.helpers.app_parts import draw_tile
from tests.helpers.corpora import make_class_folders
from train.calibration import labels as calibrate_labels
from train.calibration.labels import (
    OTHER_WORDS,
    Sample,
    calibration_error,
    fitted_hint,
    fitted_scale,
    other_wordings,
)
from train.evaluation.wording import wordings_of

PICTURES = [draw_tile("tanks", 1), draw_tile("harbour", 2)]


def made_up(rows: int, classes: int, scale: tuple[float, float], seed: int = 0) -> Sample:
    """Cosines whose truth is drawn from the softmax with a factor of `scale`."""
    rng = np.random.default_rng(seed)
    cosines = rng.uniform(0.1, 0.3, (rows, classes)) + rng.uniform(0, 0.4, (rows, 1))
    logits = cosines * np.exp(log_factors(cosines, scale))[:, None]
    return Sample(cosines, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1))


def test_the_fit_finds_the_factor_that_made_the_data() -> None:
    scale = (2.5, 2.0)
    given = {"a": made_up(8000, 8, scale), "b": made_up(8000, 20, scale, seed=1)}
    assert fitted_scale(given, start=3.0) == pytest.approx(scale, abs=0.25)
    held_out = made_up(8000, 12, scale, seed=2)
    factors = np.exp(log_factors(held_out.cosines, fitted_scale(given, start=3.0)))
    assert calibration_error(held_out, factors) < 0.03
    assert calibration_error(held_out, 4 * factors) > 0.15


def test_leaving_the_truth_out_leaves_the_others_in_order() -> None:
    sample = Sample(np.array([[0.1, 0.2, 0.3], [0.6, 0.5, 0.4]]), np.array([1, 0]))
    assert sample.without_truth().tolist() == [[0.1, 0.3], [0.5, 0.4]]
    np.testing.assert_allclose(evidence(sample.cosines), [[0.3, 0.1], [0.6, 0.1]])


def test_the_hint_keeps_to_its_false_alarms_and_tells_a_missing_label() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, 2000)
    cosines = rng.normal(0.2, 0.05, (2000, 10))
    cosines[np.arange(2000), truth] += rng.normal(0.25, 0.08, 2000)
    sample = Sample(cosines, truth)
    weights, bias, threshold = fitted_hint({"a": sample})

    def says(rows: np.ndarray) -> float:
        return float((1 / (1 + np.exp(-(evidence(rows) @ weights + bias))) < threshold).mean())

    assert says(cosines) <= calibrate_labels.FALSE_ALARMS
    assert says(sample.without_truth()) > 0.5


def test_an_uncalibrated_checkpoint_gives_its_own_softmax_and_no_hint() -> None:
    bundle = lrsclip.random_model()
    prototypes = class_prototypes(bundle, ["a road", "a harbour", "tanks"])
    cosines = bundle.encode_image(PICTURES) @ prototypes.vectors.T
    for said, own in zip(judge(bundle, PICTURES, prototypes), cosines, strict=True):
        plain = ranked(own, prototypes.labels, bundle.logit_scale)
        assert list(said.scores) == plain
        assert said.calibration is None and said.fits is None


def test_a_calibration_changes_how_sure_but_never_which() -> None:
    rates = {"false_alarm_rate": 0.1, "miss_rate": 0.4, "error_rate": 0.05}
    entry = {"scale": [0.5, 1.0], "weights": [10.0, 0.0], "bias": 0.0, "threshold": 0.4, **rates}
    bundle = replace(lrsclip.random_model(), manifest={MANIFEST_KEY: entry})
    prototypes = class_prototypes(bundle, ["a road", "a harbour", "tanks"])
    cosines = bundle.encode_image(PICTURES) @ prototypes.vectors.T
    for said, own in zip(judge(bundle, PICTURES, prototypes), cosines, strict=True):
        plain = ranked(own, prototypes.labels, bundle.logit_scale)
        assert [s.label for s in said.scores] == [s.label for s in plain]
        best = said.scores[0].score_cos
        logits = np.array([s.score_cos for s in said.scores]) * np.exp(0.5 + best)
        np.testing.assert_allclose(
            [s.probability for s in said.scores], np.exp(logits) / np.exp(logits).sum(), rtol=1e-4
        )
        assert said.fit_probability is not None
        assert said.fit_probability == pytest.approx(1 / (1 + np.exp(-10 * best)), rel=1e-4)
        assert said.fits == (said.fit_probability >= 0.4)
    assert judge(bundle, PICTURES[:1], class_prototypes(bundle, ["a road"]))[0].fits is None
    with pytest.raises(CheckpointError, match=r"train\.calibration\.labels"):
        judge(replace(bundle, manifest={MANIFEST_KEY: {"scale": [1]}}), PICTURES, prototypes)


def test_the_shipped_checkpoint_says_of_noise_that_nothing_fits() -> None:
    bundle = lrsclip.load("tiny")
    prototypes = class_prototypes(bundle, ["airport", "forest", "harbor", "farmland"])
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8))
    (said,) = judge(bundle, [noise], prototypes)
    assert said.calibration is not None and said.fits is False
    assert 0 < said.calibration.error_rate < 0.15


def test_what_is_told_is_how_strangers_meet_it(monkeypatch: pytest.MonkeyPatch) -> None:
    easy, hard = made_up(900, 6, (2.5, 2.0)), made_up(900, 6, (0.5, 0.0), seed=1)
    monkeypatch.setattr(calibrate_labels, "samples", lambda *_, **__: {"a": easy, "a" + OTHER_WORDS: hard})
    entry = calibrate_labels.calibrated(lrsclip.random_model(), Path())
    assert entry["error_rate"] == entry["sets"]["a" + OTHER_WORDS]["error_rate"]
    assert entry["sets"]["a"]["error_rate"] != entry["error_rate"]


def test_strangers_words_are_not_those_that_are_fitted_on() -> None:
    for name in ("eurosat", "ucm", "rsicd30", "resisc45"):
        classes = sorted(next(iter(wordings_of(name).values())))
        fitted_on, measured = (other_wordings(name, classes, fitting=fitting) for fitting in (True, False))
        assert len(fitted_on) == 2 and len(measured) == 6
        seen = {text.lower() for texts in fitted_on for text in texts}
        assert not seen & {text.lower() for texts in measured for text in texts}


def test_calibration_goes_into_the_manifest(tmp_path: Path) -> None:
    for name in ("EuroSAT_RGB", "RSSCN7"):
        make_class_folders(tmp_path / "data" / name, per_class=30)
    folder = tmp_path / "ours"
    write_checkpoint(folder, lrsclip.random_model().model, name="ours", vocabulary={}, training={}, metrics={})
    before = read_manifest(folder)
    assert calibrate_labels.main(["--checkpoint", str(folder), "--data", str(tmp_path / "data")]) == 0
    after = read_manifest(folder)
    entry = after.pop(MANIFEST_KEY)
    assert after == before
    assert entry["sets"]["eurosat"]["fitted_on"] > 0
    assert (entry["sets"]["rsscn7"]["pictures"], entry["sets"]["rsscn7"]["fitted_on"]) == (30 * 4, 0)
    bundle = lrsclip.load(str(folder))
    assert judge(bundle, PICTURES, class_prototypes(bundle, ["a", "b"]))[0].calibration is not None
    assert calibrate_labels.main(["--checkpoint", str(folder), "--data", str(tmp_path / "nowhere")]) == 2
