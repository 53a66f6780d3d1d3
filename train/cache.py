"""Pictures prepared once and kept on disk: trunk features for training on a CPU, pixels for training on a GPU.

One `.npy` per kind, read through a memory map, so that memory stays small whatever the corpus. A cache is named after
all that went into it; a build that was killed goes on where it stopped.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from PIL import Image, ImageEnhance
from torch import Tensor
from tqdm import tqdm

from lrsclip.decode import read_picture
from lrsclip.errors import DataError, PictureError
from lrsclip.files import write_json
from lrsclip.model import DualEncoder
from lrsclip.pictures import build_preprocess, to_batch
from lrsclip.precision import fast_bf16
from lrsclip.vision import TRUNK_CHANNELS, TRUNK_STRIDE, is_above
from train.readers import Record
from train.settings import Settings, Zoom

BATCH = 16  # a CPU is a quarter faster where the trunk's maps stay in its cache
FLUSH_EVERY = 80  # batches between two marks of progress on disk
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Prepared:
    """What the image tower reads in training, one row a record.

    Attributes:
        rows: (N, G * G, 1024) float16 features, or (N, 3, P, P) uint8 pixels; a memory map.
        is_features: which of the two.
        top_blocks: blocks of the trunk that such features have not been through; above 0 they are maps of S * S places.
    """

    rows: Array
    is_features: bool
    top_blocks: int = 0


@dataclass(frozen=True)
class View:
    """What one row shows: a record's whole picture, or a closer look that follows from its key alone."""

    record: Record
    zoom: Zoom | None = None

    @property
    def key(self) -> str:
        """Name that is unique among all rows."""
        return self.record.key if self.zoom is None else f"{self.record.key} closer"

    def open(self) -> Image.Image:
        """The picture as RGB.

        Raises:
            DataError: it cannot be read; the message names the file.
        """
        picture = open_picture(self.record.path)
        if self.zoom is None:
            return picture
        random = np.random.default_rng(list(hashlib.sha256(self.key.encode()).digest()))
        return closer_look(picture, self.zoom, random)


def closer_look(picture: Image.Image, zoom: Zoom, random: np.random.Generator) -> Image.Image:
    """Cut a part out of a picture, with the picture's own proportions, and recolour it."""
    side = random.uniform(zoom.scale_min, zoom.scale_max) ** 0.5
    width, height = (max(1, round(side * length)) for length in picture.size)
    left = int(random.integers(0, picture.width - width, endpoint=True))
    top = int(random.integers(0, picture.height - height, endpoint=True))
    out = picture.crop((left, top, left + width, top + height))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        out = enhance(out).enhance(random.uniform(1 - zoom.colour_jitter, 1 + zoom.colour_jitter))
    return out


def open_picture(path: Path) -> Image.Image:
    """Read a training picture as RGB.

    Raises:
        DataError: it cannot be read; the message names the file.
    """
    try:
        return read_picture(path)
    except PictureError as error:
        raise DataError(str(error)) from error


def prepare(views: list[View], model: DualEncoder, cache: Path, settings: Settings) -> Prepared:
    """What the settings' image tower reads: kept features for a frozen trunk, pixels for one that learns."""
    if settings.trunk == "frozen":
        return prepare_features(views, model, cache, settings.trunk_top_blocks)
    return prepare_pixels(views, model, cache)


def prepare_features(views: list[View], model: DualEncoder, cache: Path, top_blocks: int = 0) -> Prepared:
    """Run the frozen trunk once over every view: (N, G * G, 1024) float16.

    With `top_blocks` it ends below the trunk's last blocks: (N, S * S, 1024), S = picture side / 16.
    """
    config = model.config
    preprocess = build_preprocess(config)
    dtype = torch.bfloat16 if fast_bf16(torch.device("cpu")) else torch.float32
    tower = copy.deepcopy(model.convolutional).eval().to(dtype=dtype)  # a copy: the model keeps its exact weights
    tower.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(batch: list[Image.Image]) -> Array:
        pixels = to_batch(batch, preprocess).to(dtype).contiguous(memory_format=torch.channels_last)
        seen = tower.maps(pixels, top_blocks) if top_blocks else tower.features(pixels)
        out: Array = seen.to(torch.float16).numpy()
        return out

    digest = hashlib.sha256()
    digest.update(config.preprocess.model_dump_json().encode())
    for name, tensor in sorted(model.convolutional.trunk.state_dict().items()):
        if not is_above(name, top_blocks):
            digest.update(name.encode() + tensor.detach().float().numpy().tobytes())
    side = config.image.image_px // TRUNK_STRIDE if top_blocks else config.image.grid
    number = str(dtype).removeprefix("torch.")
    kind = f"features-{config.image.image_px}-{side}x{side}-{digest.hexdigest()[:12]}-{number}"
    if top_blocks:
        kind += f"-below{top_blocks}"
    rows = _filled(views, cache, kind, (side**2, TRUNK_CHANNELS), np.float16, run)
    return Prepared(rows, is_features=True, top_blocks=top_blocks)


def prepare_pixels(views: list[View], model: DualEncoder, cache: Path) -> Prepared:
    """Decode and resize every view once, (N, 3, P, P) uint8."""
    px = model.config.image.image_px

    def run(batch: list[Image.Image]) -> Array:
        squares = [np.asarray(p.resize((px, px), Image.Resampling.BICUBIC)).transpose(2, 0, 1) for p in batch]
        return np.stack(squares)

    return Prepared(_filled(views, cache, f"pixels-{px}", (3, px, px), np.uint8, run), is_features=False)


def to_pixels(rows: Tensor, model: DualEncoder) -> Tensor:
    """(N, 3, P, P) uint8 to normalised floats, on the rows' own device."""
    p = model.config.preprocess
    mean = torch.tensor(p.mean, device=rows.device)[:, None, None]
    std = torch.tensor(p.std, device=rows.device)[:, None, None]
    return (rows.float() / 255 - mean) / std


def _filled(
    views: list[View],
    cache: Path,
    kind: str,
    shape: tuple[int, ...],
    dtype: type,
    run: Callable[[list[Image.Image]], Array],
) -> Array:
    """The memory map of one kind, built as far as it is not there yet."""
    sizes = "\n".join(f"{v.key} {v.record.path.stat().st_size}{_json(v.zoom)}" for v in views)
    files = hashlib.sha256(sizes.encode()).hexdigest()
    cache.mkdir(parents=True, exist_ok=True)
    final = cache / f"{kind}-{files[:12]}.npy"
    with FileLock(final.with_suffix(".lock")):  # two runs that share a cache must not write one file
        if not final.is_file():
            _fill(views, final, shape, dtype, run)
    out: Array = np.load(final, mmap_mode="r")
    return out


def _fill(
    views: list[View], final: Path, shape: tuple[int, ...], dtype: type, run: Callable[[list[Image.Image]], Array]
) -> None:
    """Build one file, going on where an earlier build was killed."""
    part, marker = final.with_suffix(".part"), final.with_suffix(".json")
    done = json.loads(marker.read_text())["done"] if part.is_file() and marker.is_file() else 0
    mode = "r+" if done else "w+"
    rows = np.lib.format.open_memmap(part, mode=mode, dtype=dtype, shape=(len(views), *shape))
    if hasattr(os, "posix_fallocate"):  # a map of a file with holes kills the process where the disk is full
        with part.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, part.stat().st_size)
    with tqdm(total=len(views), initial=done, desc=f"preparing {final.name.split('-')[0]}", unit="picture") as bar:
        for start, batch in _decoded(views, done):
            rows[start : start + len(batch)] = run(batch)
            bar.update(len(batch))
            if (start // BATCH) % FLUSH_EVERY == FLUSH_EVERY - 1:
                rows.flush()
                write_json(marker, {"done": start + len(batch)})
    rows.flush()
    os.replace(part, final)
    marker.unlink(missing_ok=True)


def _json(zoom: Zoom | None) -> str:
    return "" if zoom is None else " " + zoom.model_dump_json(exclude={"share"})


def _decoded(views: list[View], done: int) -> Iterator[tuple[int, list[Image.Image]]]:
    """Batches of decoded pictures, one batch read ahead so that the trunk does not wait."""
    starts = range(done, len(views), BATCH)

    def read(start: int) -> list[Image.Image]:
        return [view.open() for view in views[start : start + BATCH]]

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(read, done) if starts else None
        for start in starts:
            assert ahead is not None
            batch = ahead.result()
            ahead = pool.submit(read, start + BATCH)
            yield start, batch
