"""Pictures prepared once and kept on disk: trunk features for training on a CPU, pixels for training on a GPU.

One `.npy` per kind, read through a memory map, so that memory stays small whatever the corpus. A cache is named after
all that went into it; a build that was killed goes on where it stopped.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from lrsclip.errors import DataError, PictureError
from lrsclip.io.atomic import write_json
from lrsclip.io.decode import open_image
from lrsclip.models.dual_encoder import DualEncoder
from lrsclip.models.image_tower import TRUNK_CHANNELS
from lrsclip.models.precision import fast_bf16
from lrsclip.models.preprocess import MAX_ASPECT, build_preprocess, build_square, to_batch
from train.data.degrade import degraded, seed_of
from train.data.records import Record
from train.settings import Settings

BATCH = 16  # a CPU is a quarter faster where the trunk's maps stay in its cache
FLUSH_EVERY = 80  # batches between two marks of progress on disk
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Prepared:
    """What the image tower reads in training, one row a record.

    Attributes:
        rows: (N, G * G, 1024) float16 features, or (N, 3, P, P) uint8 pixels; a memory map.
        is_features: which of the two.
    """

    rows: Array | Joined
    is_features: bool


class Joined:
    """Several arrays read as one, without a copy in memory.

    Args:
        parts: arrays that differ in their first side alone.
    """

    def __init__(self, parts: Sequence[Array | Joined]) -> None:
        self._parts, self._starts = parts, np.cumsum([0, *(len(part) for part in parts)])
        self.shape: tuple[int, ...] = (int(self._starts[-1]), *parts[0].shape[1:])
        self.itemsize: int = parts[0].itemsize

    def __len__(self) -> int:
        """Return the number of rows of all parts."""
        return int(self.shape[0])

    def __getitem__(self, rows: int | list[int] | Array) -> Array:
        if np.ndim(rows) == 0:
            part = int(np.searchsorted(self._starts, rows, side="right")) - 1
            one: Array = self._parts[part][rows - self._starts[part]]
            return one
        return np.stack([self[int(row)] for row in np.asarray(rows)])


def joined(parts: list[Prepared]) -> Prepared:
    """Return several kept sets as one, in this order."""
    if len(parts) == 1:
        return parts[0]
    return Prepared(Joined([part.rows for part in parts]), parts[0].is_features)


def open_picture(path: Path, span: tuple[int, int] | None = None) -> Image.Image:
    """Read a training picture as RGB.

    Args:
        path: its file.
        span: offset and size in bytes, where the file holds others too.

    Raises:
        DataError: it cannot be read; the message names the file.
    """
    try:
        if span is None:
            return open_image(path)
        with path.open("rb") as file:
            file.seek(span[0])
            content = io.BytesIO(file.read(span[1]))
        return open_image(content, name=f"the picture at byte {span[0]} of {path}")
    except PictureError as error:
        raise DataError(str(error)) from error


def _opened(record: Record) -> Image.Image:
    picture = open_picture(record.path, record.span)
    if max(picture.size) > MAX_ASPECT * min(picture.size):
        raise DataError(f"{record.key} is a strip of {picture.width} x {picture.height} px; take it out, or cut it up")
    return picture


def _seen(picture: Image.Image, record: Record, view: int) -> Image.Image:
    return degraded(picture, np.random.default_rng(seed_of(record.key, view))) if view else picture


def prepare(records: list[Record], model: DualEncoder, cache: Path, settings: Settings, view: int = 0) -> Prepared:
    """Prepare what the settings' image tower reads: kept features for a frozen trunk, pixels for one that learns.

    Args:
        records: the pictures.
        model: prepares them.
        cache: the folder of prepared pictures.
        settings: say which of the two.
        view: 0 for the pictures as they are, any other number for them as another sensor would have taken them.
    """
    if settings.trunk == "frozen":
        return prepare_features(records, model, cache, view)
    return prepare_pixels(records, model, cache, view)


def prepare_features(records: list[Record], model: DualEncoder, cache: Path, view: int = 0) -> Prepared:
    """Run the frozen trunk once over every record, (N, G * G, 1024) float16; see `prepare` for views."""
    config = model.config
    preprocess = build_preprocess(config)
    dtype = torch.bfloat16 if fast_bf16(torch.device("cpu")) else torch.float32
    tower = copy.deepcopy(model.convolutional).eval().to(dtype=dtype)  # a copy: the model keeps its exact weights
    tower.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(batch: list[Image.Image]) -> Array:
        pixels = to_batch(batch, preprocess).to(dtype).contiguous(memory_format=torch.channels_last)
        out: Array = tower.features(pixels).to(torch.float16).numpy()
        return out

    digest = hashlib.sha256()
    digest.update(config.preprocess.model_dump_json().encode())
    for name, tensor in sorted(model.convolutional.trunk.state_dict().items()):
        # + 0.0: an average of zeros may turn -0.0 into 0.0, and the features are the same
        digest.update(name.encode() + (tensor.detach().float() + 0.0).numpy().tobytes())
    side = config.image.grid
    number = str(dtype).removeprefix("torch.")
    kind = f"features-{config.image.image_px}-{side}x{side}-{digest.hexdigest()[:12]}-{number}{_named(view)}"
    rows = _filled(records, cache, kind, (side**2, TRUNK_CHANNELS), np.float16, run, view)
    return Prepared(rows, is_features=True)


def prepare_pixels(records: list[Record], model: DualEncoder, cache: Path, view: int = 0) -> Prepared:
    """Decode every record once and bring it to the square that the model sees in use, (N, 3, P, P) uint8.

    See `prepare` for views.
    """
    px, square = model.config.image.image_px, build_square(model.config)

    def run(batch: list[Image.Image]) -> Array:
        return np.stack([np.asarray(square(picture)).transpose(2, 0, 1) for picture in batch])

    kind = f"pixels-{px}-cropped{_named(view)}"
    return Prepared(_filled(records, cache, kind, (3, px, px), np.uint8, run, view), is_features=False)


def _named(view: int) -> str:
    return f"-view{view}" if view else ""


def to_pixels(rows: Tensor, model: DualEncoder) -> Tensor:
    """Normalize (N, 3, P, P) uint8 to floats, on the rows' own device.

    Channels lie last in memory: a trunk's step on a CPU with bfloat16 is a quarter faster so (21.3 pictures/s against
    17.0; AMD EPYC, 2 cores, 2026-12-01).
    """
    p = model.config.preprocess
    mean = torch.tensor(p.mean, device=rows.device)[:, None, None]
    std = torch.tensor(p.std, device=rows.device)[:, None, None]
    return ((rows.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def _filled(
    records: list[Record],
    cache: Path,
    kind: str,
    shape: tuple[int, ...],
    dtype: type,
    run: Callable[[list[Image.Image]], Array],
    view: int,
) -> Array:
    """Return the memory map of one kind, built as far as it is not there yet."""
    sizes = "\n".join(f"{r.key} {r.size_bytes}" for r in records)
    files = hashlib.sha256(os.fsencode(sizes)).hexdigest()
    cache.mkdir(parents=True, exist_ok=True)
    final = cache / f"{kind}-{files[:12]}.npy"
    with FileLock(final.with_suffix(".lock")):  # two runs that share a cache must not write one file
        if not final.is_file():
            _fill(records, final, shape, dtype, run, view)
    try:
        out: Array = np.load(final, mmap_mode="r")
    except (ValueError, EOFError) as error:
        raise DataError(f"{final} is damaged ({error}); remove it, and it is made anew") from error
    return out


def _fill(
    records: list[Record],
    final: Path,
    shape: tuple[int, ...],
    dtype: type,
    run: Callable[[list[Image.Image]], Array],
    view: int,
) -> None:
    """Build one file, going on where an earlier build was killed."""
    part, marker = final.with_suffix(".part"), final.with_suffix(".json")
    done = _done(marker, len(records)) if part.is_file() and part.stat().st_size else 0
    mode = "r+" if done else "w+"
    rows = np.lib.format.open_memmap(part, mode=mode, dtype=dtype, shape=(len(records), *shape))
    if hasattr(os, "posix_fallocate"):  # a map of a file with holes kills the process where the disk is full
        with part.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, part.stat().st_size)
    with tqdm(total=len(records), initial=done, desc=f"preparing {final.name.split('-')[0]}", unit="picture") as bar:
        for start, batch in _decoded(records, done, view):
            rows[start : start + len(batch)] = run(batch)
            bar.update(len(batch))
            if (start // BATCH) % FLUSH_EVERY == FLUSH_EVERY - 1:
                rows.flush()
                write_json(marker, {"done": start + len(batch)})
    rows.flush()
    os.replace(part, final)
    marker.unlink(missing_ok=True)


def _done(marker: Path, most: int) -> int:
    """Return how many rows an earlier build has finished; 0 where its mark cannot be read."""
    try:
        done = int(json.loads(marker.read_text())["done"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return done if 0 <= done <= most else 0


def _decoded(records: list[Record], done: int, view: int) -> Iterator[tuple[int, list[Image.Image]]]:
    """Yield batches of decoded pictures, one batch read ahead so that the trunk does not wait."""
    starts = range(done, len(records), BATCH)

    def read(start: int) -> list[Image.Image]:
        return [_seen(_opened(r), r, view) for r in records[start : start + BATCH]]

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(read, done) if starts else None
        for start in starts:
            assert ahead is not None
            batch = ahead.result()
            ahead = pool.submit(read, start + BATCH)
            yield start, batch
