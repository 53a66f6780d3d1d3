"""Our own checkpoint folder: `model.safetensors` and `manifest.json`, each written whole or not at all.

A kill between the two leaves a folder whose manifest does not fit, and such a folder is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lrsclip.errors import CheckpointError
from lrsclip.io.atomic import file_sha256, write_atomically, write_json
from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import DualEncoder, seeded_model

WEIGHTS = "model.safetensors"
MANIFEST = "manifest.json"
FORMAT = 1
_TOKEN_TABLE = "text.token_embedding.table.weight"  # of a factorized table: large, and the least delicate part
_ROW_SCALE = ".row_scale"
_LARGE = 2**14  # elements; below, a scale for each row costs more than it saves


def write_checkpoint(
    folder: str | os.PathLike[str],
    model: DualEncoder,
    *,
    name: str,
    vocabulary: Mapping[str, int],
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> str:
    """Write a checkpoint that `lrsclip.load` reads.

    Weights are stored as float16; a factorized token table, and all large matrices where the configuration says
    `"stored": "int8"`, as int8 with a scale for each row.

    Args:
        folder: made if absent.
        model: any number type; its configuration goes into the manifest.
        name: name of the checkpoint.
        vocabulary: words of the training texts with counts.
        training: data and settings it was trained with.
        metrics: figures measured on it.

    Returns:
        SHA-256 of the weights file.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = save(_packed(model))  # the library's own writer of files has its own error for a full disk
    sha = hashlib.sha256(weights).hexdigest()
    config = model.config.model_dump(mode="json")
    manifest = {
        "format": FORMAT,
        "name": name,
        "sha256": sha,
        "config": config,
        "preprocessing": _preprocessing(model.config),
        "training": dict(training),
        "metrics": dict(metrics),
        "vocabulary": dict(sorted(vocabulary.items(), key=lambda item: (-item[1], item[0]))),
    }
    write_atomically(folder / WEIGHTS, weights)
    write_json(folder / MANIFEST, manifest)  # last: a folder without a fitting manifest is refused
    return sha


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check the manifest.

    Raises:
        CheckpointError: missing, not JSON, of a later format, or without a needed field.
    """
    path = Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} has no {MANIFEST}; a checkpoint is {WEIGHTS} and {MANIFEST}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not JSON ({error}); fetch the checkpoint again") from error
    if not isinstance(manifest, dict):
        raise CheckpointError(f"{path} is not a JSON object; fetch the checkpoint again")
    for field in ("format", "name", "sha256", "config"):
        if field not in manifest:
            raise CheckpointError(f"{path} lacks {field!r}; fetch the checkpoint again")
    if manifest["format"] != FORMAT:
        raise CheckpointError(f"{path} is of format {manifest['format']}, this version reads {FORMAT}; update lrsclip")
    return manifest


def read_checkpoint(folder: str | os.PathLike[str]) -> tuple[DualEncoder, dict[str, Any]]:
    """Read a checkpoint folder: the model in float32, and its manifest.

    Raises:
        CheckpointError: a file is missing or damaged, the weights are not those of the manifest, or do not fit it.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{folder} has no {WEIGHTS}; fetch the checkpoint again")
    found = file_sha256(path)
    if found != manifest["sha256"]:
        raise CheckpointError(
            f"{path} has sha256 {found[:12]}…, its manifest says {str(manifest['sha256'])[:12]}…; "
            "one of the two is damaged or of another checkpoint: fetch both again"
        )
    config = ModelConfig.parse(manifest["config"], origin=str(folder / MANIFEST))
    if manifest.get("preprocessing", _preprocessing(config)) != _preprocessing(config):
        raise CheckpointError(f"{folder / MANIFEST}: preprocessing contradicts config; fetch the checkpoint again")
    model = seeded_model(config, seed=0)  # on torch's meta device no numbers are drawn, but it imports for two seconds
    load_tensors(model, _unpacked(read_tensors(path)), origin=str(path))
    return model, manifest


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file.

    Raises:
        CheckpointError: it is none.
    """
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a safetensors file ({error}); fetch it again") from error


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], *, origin: str) -> None:
    """Fill a model, every tensor accounted for.

    Args:
        model: the model to fill.
        tensors: by name.
        origin: their source, for the message.

    Raises:
        CheckpointError: a tensor is missing, unknown, of another shape or not finite; the message names the first.
    """
    own = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    for name in sorted(own.keys() | tensors.keys()):
        if name not in tensors or name not in own:
            state = "is missing" if name not in tensors else "is not part of this configuration"
            raise CheckpointError(f"{origin}: tensor {name} {state}; weights and configuration do not belong together")
        if own[name].shape != tensors[name].shape:
            raise CheckpointError(
                f"{origin}: tensor {name} is {tuple(tensors[name].shape)}, "
                f"the configuration asks for {tuple(own[name].shape)}; they do not belong together"
            )
        if not tensors[name].float().isfinite().all():
            raise CheckpointError(f"{origin}: tensor {name} holds values that are not finite; fetch or train it again")
    model.load_state_dict({k: v.float() for k, v in tensors.items()}, strict=False)


def _preprocessing(config: ModelConfig) -> dict[str, Any]:
    """Collect the preprocessing in one place, since readers of the manifest look for it first."""
    return {"image_px": config.image.image_px, **config.preprocess.model_dump(mode="json")}


def _packed(model: DualEncoder) -> dict[str, Tensor]:
    tensors = {k: _half(v) for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    for name, tensor in list(tensors.items()):
        if name == _TOKEN_TABLE or (model.config.stored == "int8" and _is_matrix(name, tensor)):
            rows = tensor.float()
            over = tuple(range(1, rows.ndim))
            scale = (rows.abs().amax(dim=over, keepdim=True) / 127).clamp(min=1e-6).half()
            tensors[name] = (rows / scale.float()).round().clamp(-127, 127).to(torch.int8)
            tensors[name + _ROW_SCALE] = scale
    return tensors


def _is_matrix(name: str, tensor: Tensor) -> bool:
    """Tell whether int8 serves a tensor: the norms, biases and positions are small, and finer than it."""
    return tensor.ndim >= 2 and tensor.numel() >= _LARGE and "positions" not in name


def _unpacked(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    scales = [name for name in tensors if name.endswith(_ROW_SCALE)]
    for name in scales:
        scale = tensors.pop(name).float()
        if (rows := tensors.get(name.removesuffix(_ROW_SCALE))) is not None:
            tensors[name.removesuffix(_ROW_SCALE)] = rows.float() * scale
    return tensors


def _half(tensor: Tensor) -> Tensor:
    small = tensor.detach().cpu()
    return (small.half() if small.is_floating_point() else small).contiguous().clone()
