"""Checkpoints that others published: LRSCLIP, DGTRS-CLIP, Long-CLIP and OpenAI-CLIP state dicts.

All four share OpenAI CLIP's names. LRSCLIP and Long-CLIP hold two position tables, `positional_embedding` (used for
the rows that KPS keeps) and `positional_embedding_res` (used for the rest); here they are merged into the table that
the model really uses. Depth, width, patch and context are read from the tensors' shapes; heads are width / 64, as in
every CLIP.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lrsclip.errors import CheckpointError
from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import DualEncoder, seeded_model
from lrsclip.models.kps import KEPT

HEAD_WIDTH = 64
_CLIP_PREPROCESS = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
}
_NEEDED = {  # tensors that define the model, and the number of axes of each
    "visual.conv1.weight": 4,
    "visual.positional_embedding": 2,
    "visual.proj": 2,
    "positional_embedding": 2,
    "token_embedding.weight": 2,
    "ln_final.weight": 1,
    "text_projection": 2,
    "logit_scale": 0,
}
_IGNORED = ("input_resolution", "context_length", "vocab_size", "mask1", "mask2")  # numbers some savers keep as tensors


def read_published(path: str | os.PathLike[str]) -> DualEncoder:
    """Read a published `.pt` state dict.

    Args:
        path: a file that `torch.load(weights_only=True)` can read: a state dict, or one under `state_dict` or `model`.

    Returns:
        The model with those weights, in float32.

    Raises:
        CheckpointError: unreadable, not of the CLIP layout, or tensors of shapes that do not fit together.
    """
    path = Path(path)
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path.name} is not a plain file of weights ({reason}); only state dicts are read, never pickled code: "
            "download it again, or save it with torch.save(model.state_dict())"
        ) from error
    return from_state_dict(_unwrap(raw, path.name), origin=path.name)


def from_state_dict(state: dict[str, Tensor], *, origin: str) -> DualEncoder:
    """Build the model that a state dict of the published layout describes.

    Raises:
        CheckpointError: names are missing or left over, or shapes do not fit.
    """
    missing = [name for name in _NEEDED if name not in state]
    if missing:
        raise CheckpointError(f"{origin} is not an LRSCLIP, Long-CLIP or CLIP ViT state dict: it lacks {missing[0]}")
    for name, axes in _NEEDED.items():
        if state[name].ndim != axes:
            raise CheckpointError(f"{origin}: tensor {name} is {tuple(state[name].shape)}, not of {axes} axes")
    state = {k: v.float() for k, v in state.items() if k not in _IGNORED}
    config = infer_config(state, origin=origin)
    frozen, trained = state.pop("positional_embedding"), state.pop("positional_embedding_res", None)
    if trained is not None and trained.shape != frozen.shape:
        shapes = f"{tuple(frozen.shape)} and {tuple(trained.shape)}"
        raise CheckpointError(f"{origin}: the two position tables are {shapes}; they must be alike")
    table = merge_positions(frozen, trained)
    model = seeded_model(config, seed=0)
    model.text.positions.load_table(table)
    ours = {_rename(name): tensor for name, tensor in state.items()}
    try:
        left = model.load_state_dict(ours, strict=False)
    except RuntimeError as error:
        raise CheckpointError(
            f"{origin}: {str(error).splitlines()[1].strip()}; the file is damaged or mixed"
        ) from error
    absent = [k for k in left.missing_keys if not k.startswith("text.positions")]
    if absent or left.unexpected_keys:
        odd = (absent + left.unexpected_keys)[0]
        raise CheckpointError(f"{origin}: tensor {odd} is {'missing' if absent else 'unknown'}; is it a CLIP ViT?")
    return model


def merge_positions(frozen: Tensor, trained: Tensor | None, kept: int = KEPT) -> Tensor:
    """Join rows 0 to `kept` of the frozen table with the trained rest: the mask of the published forward pass."""
    return frozen if trained is None else torch.cat([frozen[:kept], trained[kept:]])


def infer_config(state: dict[str, Tensor], *, origin: str) -> ModelConfig:
    """Read depth, width, patch, picture size and context from the shapes.

    Raises:
        CheckpointError: a shape that no CLIP ViT has.
    """
    width, _, patch_px, _ = state["visual.conv1.weight"].shape
    grid = round((len(state["visual.positional_embedding"]) - 1) ** 0.5)
    context, text_width = state["positional_embedding"].shape
    for name, value in (("image", width), ("text", text_width)):
        if value % HEAD_WIDTH:
            raise CheckpointError(f"{origin}: {name} width {value} is no multiple of {HEAD_WIDTH}; not a CLIP ViT")
    fields = {
        "embed_dim": state["text_projection"].shape[1],
        "image": {
            "kind": "vit",
            "image_px": grid * patch_px,
            "width": width,
            "layers": _depth(state, "visual.transformer.resblocks."),
            "heads": width // HEAD_WIDTH,
            "mlp_ratio": _mlp_ratio(state, "visual.transformer."),
            "patch_px": patch_px,
        },
        "text": {
            "context_length": context,
            "kept_positions": KEPT,
            "vocab_size": len(state["token_embedding.weight"]),
            "width": text_width,
            "layers": _depth(state, "transformer.resblocks."),
            "heads": text_width // HEAD_WIDTH,
            "mlp_ratio": _mlp_ratio(state, "transformer."),
        },
        "preprocess": _CLIP_PREPROCESS,
        "quick_gelu": True,
    }
    return ModelConfig.parse(fields, origin=origin)


def _mlp_ratio(state: dict[str, Tensor], prefix: str) -> float:
    weight = state.get(f"{prefix}resblocks.0.mlp.c_fc.weight")
    return 4.0 if weight is None else weight.shape[0] / weight.shape[1]


def _depth(state: dict[str, Tensor], prefix: str) -> int:
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})


def _rename(name: str) -> str:
    return name if name.startswith("visual.") or name == "logit_scale" else f"text.{name}"


def _unwrap(raw: Any, origin: str) -> dict[str, Tensor]:
    for key in ("state_dict", "model"):
        if isinstance(raw, dict) and isinstance(raw.get(key), dict):
            raw = raw[key]
    if not isinstance(raw, dict) or not all(isinstance(v, Tensor) for v in raw.values()):
        raise CheckpointError(f"{origin} holds no state dict (names with tensors); pass the file of weights itself")
    return {name.removeprefix("module."): tensor for name, tensor in raw.items()}
