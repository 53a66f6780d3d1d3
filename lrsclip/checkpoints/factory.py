"""`load`: one call from a name, a folder, a published file or a Hub address to a model that is ready to use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from lrsclip.checkpoints import hub
from lrsclip.checkpoints.choice import Choice
from lrsclip.checkpoints.facts import Told
from lrsclip.checkpoints.native import MANIFEST, read_checkpoint
from lrsclip.checkpoints.published import Published, find_published, model_identity, read_published
from lrsclip.clip import LRSCLIP
from lrsclip.errors import CheckpointError, UnknownModelError
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
            published CLIP ViT (OpenAI's, LAION's, GeoRSCLIP, RemoteCLIP, Long-CLIP, LRSCLIP, ...) as a file of weights
            or as a folder that open_clip or Hugging Face wrote; or `owner/name` on the Hugging Face Hub (for instance
            `cwz14/LRSCLIP_ViT-B-16`). What such a file does not say is said behind its name: `?activation=gelu` or
            `quick_gelu`, `image_heads=16`, `text_heads=12`, `normalization=openai`, `imagenet` or `inception`, and
            `file=PATH` where there are several, joined with `&`.
        device: `cpu`, `cuda`, or None for a GPU if there is one.
        precision: `fp32`, `bf16`, or `auto`: bf16 where the hardware is fast at it.

    Returns:
        Model, tokenizer and preprocessing in one object.

    Raises:
        UnknownModelError: nothing goes by that name.
        CheckpointError: the checkpoint is damaged, holds values that are not finite or pickled code, does not fit its
            manifest, is of no known layout, or does not say all that is needed to compute with it.
        LRSCLIPError: no such device or precision.
    """
    target = pick_device(device)
    dtype = pick_dtype(precision, target)
    place, told = find(os.fspath(name_or_path))
    with _one_thread():
        return _read(place, told, target, dtype)


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


def _read(place: Published, told: Told, target: torch.device, dtype: torch.dtype) -> LRSCLIP:
    if place.choice.kind == "own":
        model, manifest = read_checkpoint(place.root)
        return LRSCLIP.assemble(
            model,
            name=str(manifest["name"]),
            sha256=str(manifest["sha256"]),
            device=target,
            dtype=dtype,
            vocabulary=manifest.get("vocabulary"),
            manifest=manifest,
        )
    model = read_published(place, told)
    sha256 = model_identity(place, model.config)
    return LRSCLIP.assemble(model, name=place.name, sha256=sha256, device=target, dtype=dtype)


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
        CheckpointError: a folder or repository holds no checkpoint, or several.
    """
    return find(name)[0].path


def find(name: str) -> tuple[Published, Told]:
    """Find a checkpoint's files, with what is said behind its name.

    Args:
        name: as `load` takes it.

    Returns:
        The files, fetched if they are on the Hub, and what the user says of them.

    Raises:
        UnknownModelError: nothing goes by that name.
        CheckpointError: an option is unknown, or a folder or repository holds no checkpoint, or several.
    """
    if os.path.exists(place := _here(name)):
        return _at(place, Told()), Told()  # the name of a file may hold a question mark
    base, options = name.rsplit("?", 1) if "?" in name else (name, "")
    told = Told.parse(options, name=base)
    if os.path.exists(place := _here(base)):
        return _unasked(_at(place, told), options, base), told
    if hub.is_hub_address(base) and not base.startswith("."):
        try:
            return _unasked(hub.fetch(base, told), options, base), told
        except UnknownModelError as error:
            raise UnknownModelError(f"{error}; nor is there a folder or file {base} here") from error
    known = ", ".join(embedded_names()) or "none"
    raise UnknownModelError(
        f"there is no checkpoint {base!r}: not an embedded one ({known}), not a path here, not owner/name on the Hub"
    )


def _unasked(found: Published, options: str, base: str) -> Published:
    """Refuse options for a checkpoint that leaves nothing open."""
    if found.choice.kind == "own" and options:
        raise CheckpointError(f"{base} says all of itself in its {MANIFEST}; leave ?{options} away")
    return found


def _here(name: str) -> Path:
    """Tell where a name would lie on this machine."""
    return EMBEDDED / name if name in embedded_names() else Path(name).expanduser()


def _at(path: Path, told: Told) -> Published:
    if path.is_dir() and (path / MANIFEST).is_file() and told.file is None:
        return Published(path, Choice("own", path.name, (), (MANIFEST,)))
    return find_published(path, told)
