"""`load`: one call from a name, a folder, a published file or a Hub address to a model that is ready to use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from lrsclip.checkpoints import hub
from lrsclip.checkpoints.native import read_checkpoint
from lrsclip.checkpoints.published import read_published
from lrsclip.clip import LRSCLIP
from lrsclip.errors import UnknownModelError
from lrsclip.io.atomic import file_sha256
from lrsclip.models.config import ImageConfig, ModelConfig, PreprocessConfig, TextConfig
from lrsclip.models.dual_encoder import seeded_model
from lrsclip.models.precision import pick_device, pick_dtype

EMBEDDED = Path(__file__).resolve().parent


def load(
    name_or_path: str | os.PathLike[str] = "tiny", *, device: str | torch.device | None = None, precision: str = "auto"
) -> LRSCLIP:
    """Load a checkpoint.

    Args:
        name_or_path: an embedded checkpoint's name (`tiny`); a folder with `model.safetensors` and `manifest.json`; a
            published LRSCLIP, DGTRS-CLIP, Long-CLIP or CLIP ViT `.pt` state dict; or `owner/name` on the Hugging Face
            Hub (for instance `cwz14/LRSCLIP_ViT-B-16`).
        device: `cpu`, `cuda`, or None for a GPU if there is one.
        precision: `fp32`, `bf16`, or `auto`: bf16 where the hardware is fast at it.

    Returns:
        Model, tokenizer and preprocessing in one object.

    Raises:
        UnknownModelError: nothing goes by that name.
        CheckpointError: the checkpoint is damaged, does not fit its manifest, or is of no known layout.
        LRSCLIPError: no such device or precision.
    """
    target = pick_device(device)
    dtype = pick_dtype(precision, target)
    path = locate(os.fspath(name_or_path))
    with _one_thread():
        return _read(path, target, dtype)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch work on one thread: at each of some hundred small tensors several would wait for each other.

    On two busy cores loading took 5 to 13 s with two threads, and 0.7 s with one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _read(path: Path, target: torch.device, dtype: torch.dtype) -> LRSCLIP:
    if path.is_dir():
        model, manifest = read_checkpoint(path)
        return LRSCLIP.assemble(
            model,
            name=str(manifest["name"]),
            sha256=str(manifest["sha256"]),
            device=target,
            dtype=dtype,
            vocabulary=manifest.get("vocabulary"),
            manifest=manifest,
        )
    return LRSCLIP.assemble(read_published(path), name=path.stem, sha256=file_sha256(path), device=target, dtype=dtype)


def embedded_names() -> list[str]:
    """List the names of the checkpoints that came with this copy of the project."""
    return sorted(p.name for p in EMBEDDED.glob("*") if (p / "manifest.json").is_file())


def random_model(seed: int = 0) -> LRSCLIP:
    """Build a very small model with random weights (D = 32), for tests and for trying out code without a checkpoint."""
    config = ModelConfig(
        embed_dim=32,
        image=ImageConfig(kind="vit", image_px=224, width=64, layers=1, heads=1, patch_px=32),
        text=TextConfig(width=64, layers=1, heads=1, embed_rank=16),
        preprocess=PreprocessConfig(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
    )
    model = seeded_model(config, seed)
    return LRSCLIP.assemble(
        model, name=f"random-{seed}", sha256=f"random-{seed}", device=torch.device("cpu"), dtype=torch.float32
    )


def locate(name: str) -> Path:
    """Find the folder or file that `load` reads for a name; fetch it if it is an address on the Hub.

    Raises:
        UnknownModelError: nothing goes by that name.
    """
    for path in (EMBEDDED / name if name in embedded_names() else None, Path(name).expanduser()):
        if path is not None and path.exists():
            return path
    if hub.is_hub_address(name) and not name.startswith("."):
        try:
            return hub.fetch(name)
        except UnknownModelError as error:
            raise UnknownModelError(f"{error}; nor is there a folder or file {name} here") from error
    known = ", ".join(embedded_names()) or "none"
    raise UnknownModelError(
        f"there is no checkpoint {name!r}: not an embedded one ({known}), not a path here, not owner/name on the Hub"
    )
