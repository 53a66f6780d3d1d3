"""The groups of AdamW: which tensors learn, how fast at most, and which of them decay."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import torch

from train.settings import Settings

_TOKEN_TABLES = ("text.token_embedding.table.weight", "text.token_embedding.weight")
_TEXT_PROJECTIONS = ("text.proj.", "text.text_projection")
_PLACES = re.compile(r"positions|positional_embedding|class_embedding|\bcls\b")  # one row each, as vectors are


def parameter_groups(named: Iterable[tuple[str, torch.nn.Parameter]], settings: Settings) -> list[dict[str, Any]]:
    """Sort a model's parameters into groups; those that stay as they are lose their gradient.

    Args:
        named: (name, parameter) of the model.
        settings: the rates, and what is frozen.

    Returns:
        Groups for AdamW with `params`, `weight_decay` and `peak`, the highest learning rate.
    """
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in named:
        peak = peak_rate(name, settings)
        if peak is None:
            parameter.requires_grad_(False)
        elif parameter.requires_grad:
            groups.setdefault((peak, decays(name, parameter)), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": settings.weight_decay if decayed else 0.0, "peak": peak}
        for (peak, decayed), parameters in groups.items()
    ]


def decays(name: str, parameter: torch.Tensor) -> bool:
    """Return whether a tensor decays: matrices do; norms, biases, the scale, positions and class tokens do not."""
    return parameter.ndim >= 2 and _PLACES.search(name) is None


def peak_rate(name: str, settings: Settings) -> float | None:
    """Return the highest learning rate of a tensor, or None where it stays as it is."""
    if name.startswith("visual.trunk."):
        frozen = settings.trunk == "frozen" or trunk_stage(name) <= settings.trunk_frozen_stages
        return None if frozen else settings.trunk_learning_rate
    if settings.text_learning_rate and name.startswith("text.") and not name.startswith(_TEXT_PROJECTIONS):
        # most words stand in no caption: were the others to move, these would be left where they no longer belong
        frozen = name in _TOKEN_TABLES or _text_layer(name) < settings.text_frozen_layers
        return None if frozen else settings.text_learning_rate
    return settings.learning_rate


def _text_layer(name: str) -> int:
    """Return a tensor's layer in the text tower; the embedding counts to the first, a last norm to none."""
    found = re.search(r"\.(?:layers|resblocks)\.(\d+)\.", name)
    return int(found[1]) if found else 10**6 if name.startswith("text.ln_final") else 0


def trunk_stage(name: str) -> int:
    """Return the stage (1 to 3) of a trunk's tensor; the stem counts to the first, the last norm to the third."""
    part = name.removeprefix("visual.trunk.").split(".")[0]
    return {"stage2": 2, "stage3": 3, "final_bn": 3}.get(part, 1)
