"""Which tensors learn, how fast, and which decay, on models of every kind."""

from __future__ import annotations

import pytest
import torch

from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import seeded_model
from train.parameter_groups import decays, parameter_groups, peak_rate
from train.settings import Settings

FULL, TEXT, TRUNK = 1e-3, 1e-5, 1e-4


def small(name: str) -> ModelConfig:
    """A configuration of the published shape with few and narrow layers."""
    config = ModelConfig.named(name).with_context(77)
    narrow = {"width": 48, "layers": 2, "heads": 4}
    image = config.image.model_copy(update=narrow | {"image_px": 32})
    return config.model_copy(update={"image": image, "text": config.text.model_copy(update=narrow)})


def settings(model: str, **changes: object) -> Settings:
    base = {
        "model": model,
        "trunk": "trained",
        "stages": [{"context_length": 77, "epochs": 1, "long_weight": 0.5}],
        "batch_size": 4,
        "learning_rate": FULL,
        "trunk_learning_rate": TRUNK,
        "text_learning_rate": TEXT,
        "weight_decay": 0.1,
        "warmup_steps": 0,
        "class_folder_share": 0.0,
    }
    return Settings.model_validate(base | changes)


@pytest.mark.parametrize("name", ["vit-b-16", "tiny", "tiny-causal"])
def test_a_tower_that_knows_words_keeps_its_table_and_learns_slowly(name: str) -> None:
    model = seeded_model(small(name), 0)
    chosen = settings(name)
    rates = {key: peak_rate(key, chosen) for key, _ in model.named_parameters()}
    tables = [key for key in rates if key in ("text.token_embedding.weight", "text.token_embedding.table.weight")]
    assert len(tables) == 1 and rates[tables[0]] is None
    projections = [key for key in rates if key.startswith(("text.proj", "text.text_projection"))]
    assert projections and all(rates[key] == FULL for key in projections)
    inner = [key for key in rates if ".layers." in key or ("text." in key and ".resblocks." in key)]
    assert inner and all(rates[key] == TEXT for key in inner if key.startswith("text."))
    groups = parameter_groups(model.named_parameters(), chosen)
    assert not dict(model.named_parameters())[tables[0]].requires_grad
    assert sum(len(group["params"]) for group in groups) == len(rates) - 1


@pytest.mark.parametrize("name", ["vit-b-16", "tiny", "tiny-causal"])
def test_positions_norms_and_class_tokens_do_not_decay(name: str) -> None:
    model = seeded_model(small(name), 0)
    kept = [key for key, p in model.named_parameters() if not decays(key, p)]
    decayed = [key for key, p in model.named_parameters() if decays(key, p)]
    assert not [key for key in decayed if "posit" in key or "class_embedding" in key or key.endswith(("cls", "bias"))]
    assert [key for key in kept if "posit" in key]
    assert all(".weight" in key or "proj" in key for key in decayed)
    groups = parameter_groups(model.named_parameters(), settings(name))
    assert {group["weight_decay"] for group in groups} == {0.0, 0.1}


def test_frozen_stages_of_the_trunk_have_no_rate() -> None:
    chosen = settings("tiny", trunk_frozen_stages=2)
    assert peak_rate("visual.trunk.stem_conv.weight", chosen) is None
    assert peak_rate("visual.trunk.stage2.0.conv1.weight", chosen) is None
    assert peak_rate("visual.trunk.stage3.0.conv1.weight", chosen) == TRUNK
    assert peak_rate("visual.pool.proj", chosen) == FULL
    frozen = torch.nn.Parameter(torch.zeros(2, 2), requires_grad=False)
    assert parameter_groups([("visual.pool.proj", frozen)], chosen) == []
