"""Whether something is there at all: calibrated, and told only by a calibrated checkpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lrsclip
from lrsclip.checkpoints.native import read_manifest, write_checkpoint
from lrsclip.errors import CheckpointError
from lrsclip.localize import WindowMemory, localize, localize_all
from lrsclip.protocols import METHODS
from tests.helpers.corpora import write_picture
from train.calibration import presence as calibrate
from train.data.names import class_words


def test_a_regression_finds_what_decides() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4000, 3)) * (0.02, 0.5, 3) + (0.3, -1, 40)
    chance = 1 / (1 + np.exp(-(150 * (rows[:, 0] - 0.3) - 2 * (rows[:, 1] + 1))))
    weights, bias = calibrate.fitted(rows, rng.random(4000) < chance)
    assert weights == pytest.approx([150, -2, 0], rel=0.15, abs=0.05)
    logits = rows @ weights + bias
    for low, high in ((0.1, 0.3), (0.4, 0.6), (0.7, 0.9)):  # said so often, true so often
        some = (1 / (1 + np.exp(-logits)) > low) & (1 / (1 + np.exp(-logits)) < high)
        assert chance[some].mean() == pytest.approx((low + high) / 2, abs=0.06)


@pytest.mark.slow
def test_only_a_calibrated_checkpoint_says_it() -> None:
    scene = Image.effect_mandelbrot((128, 128), (-2, -1, 1, 1), 50).convert("RGB")
    assert localize(lrsclip.random_model(), scene, "a port", memory=WindowMemory()).presence is None
    shipped = lrsclip.load("tiny")
    for method in METHODS:
        presence = localize(shipped, scene, "a port", method=method, memory=WindowMemory()).presence
        assert presence is not None
        assert presence.present == (presence.verdict == "yes")
        assert 0 < presence.false_alarm_rate < 0.5 and 0 < presence.miss_rate < 0.5 and presence.unsure_rate < 0.5
    bare = replace(shipped, manifest={})
    assert localize(bare, scene, "a port", memory=WindowMemory()).presence is None


def test_a_plain_scene_is_told_from_what_is_not_in_it() -> None:
    water = Image.new("RGB", (256, 256), (28, 60, 92))
    there, absent = localize_all(
        lrsclip.load("tiny"), water, ["the open sea, dark blue water", "a stadium with a running track"], method="dense"
    )
    assert there.presence is not None and absent.presence is not None
    assert there.presence.probability > absent.presence.probability
    assert not absent.presence.present


def test_calibration_goes_into_the_manifest(tmp_path: Path) -> None:
    data = tmp_path / "data/RSICD"
    names = list(class_words("rsicd30"))
    images = []
    for first, split in ((0, "val"), (100, "test")):
        for number, name in enumerate(names):
            file = f"{name}_{first + number}.jpg"
            write_picture(data / "RSICD_images" / file, (7 * number, 255 - 9 * number, 90), number)
            images.append({"filename": file, "split": split, "sentences": [{"raw": f"this is {name} ."}] * 2})
    (data / "dataset_rsicd.json").write_text(json.dumps({"images": images}))
    model = lrsclip.random_model()
    folder = tmp_path / "ours"
    write_checkpoint(folder, model.model, name="ours", vocabulary={}, training={}, metrics={})
    before = read_manifest(folder)
    assert calibrate.main(["--checkpoint", str(folder), "--data", str(tmp_path / "data"), "--scenes", "3"]) == 0
    after = read_manifest(folder)
    entry = after.pop("presence")
    assert after == before
    assert set(METHODS) <= entry.keys()
    assert len(entry["dense"]["weights"]) == 3
    assert localize(lrsclip.load(str(folder)), Image.new("RGB", (64, 64)), "x", memory=WindowMemory()).presence
    assert calibrate.main(["--checkpoint", str(folder), "--data", str(tmp_path / "nowhere")]) == 2


def test_a_broken_calibration_is_named() -> None:
    broken = replace(lrsclip.random_model(), manifest={"presence": {"windows": {"weights": [1, 2]}}})
    with pytest.raises(CheckpointError, match=r"train\.calibration\.presence"):
        localize(broken, Image.new("RGB", (64, 64)), "a port", memory=WindowMemory())
