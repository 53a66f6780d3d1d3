"""Between two checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lrsclip.checkpoints.native import read_checkpoint, write_checkpoint
from lrsclip.errors import CheckpointError, TrainingError
from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import seeded_model
from train.init.average_checkpoints import blend

pytestmark = pytest.mark.slow


def _written(folder: Path, model: str, seed: int, words: dict[str, int]) -> Path:
    made = seeded_model(ModelConfig.named(model), seed=seed)
    write_checkpoint(folder, made, name="x", vocabulary=words, training={"seed": seed}, metrics={"a": {"b": 1.0}})
    return folder


def test_the_ends_are_the_two_and_the_middle_lies_between(tmp_path: Path) -> None:
    old = _written(tmp_path / "a", "tiny-causal", 1, {"quay": 2})
    new = _written(tmp_path / "b", "tiny-causal", 2, {"pier": 3})
    weights = {}
    for share in (0.0, 0.5, 1.0):
        blend(old, new, share, tmp_path / f"{share}")
        model, manifest = read_checkpoint(tmp_path / f"{share}")
        weights[share] = model.state_dict()
        assert manifest["training"]["blended_with"]["share_of_new"] == share
        assert set(manifest["vocabulary"]) == {"quay", "pier"}
        assert manifest["metrics"] == {}, "what was measured on one of the two does not hold of their mean"
    for name, value in weights[0.5].items():
        if value.is_floating_point():
            mean = (weights[0.0][name] + weights[1.0][name]) / 2
            assert torch.allclose(value, mean, atol=2e-2 * float(mean.abs().max() + 0.01)), name
    assert any(not torch.equal(weights[0.0][name], weights[1.0][name]) for name in weights[0.0])


def test_what_does_not_blend_is_refused(tmp_path: Path) -> None:
    old = _written(tmp_path / "a", "tiny-causal", 1, {})
    with pytest.raises(TrainingError, match="from 0"):
        blend(old, old, 1.5, tmp_path / "out")
    with pytest.raises(CheckpointError):
        blend(old, tmp_path / "nothing", 0.5, tmp_path / "out")
    assert not (tmp_path / "out").exists()
