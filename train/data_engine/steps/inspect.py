"""Second step: every picture is read once, for its faults, its size in px and its fingerprint."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lrsclip.errors import DataError, PictureError
from lrsclip.io.atomic import write_atomically
from lrsclip.models.preprocess import MAX_ASPECT
from train.data.faults import Faults
from train.data.pictures import open_ref
from train.data.records import SourceRecord, read_lines
from train.data_engine.dedup.fingerprints import Encoder, encoder_of, fingerprint
from train.data_engine.run import Run

_BATCH = 64


@dataclass(frozen=True)
class Looks:
    """Sizes and fingerprints of a chunk's pictures.

    Attributes:
        usable: (N,) bool, whether the picture can be read (or there is none to read).
        seen: (N,) bool, whether a picture was read.
        size_px: (N, 2) int32 width and height; 0 where not seen.
        hashes: (N,) uint64 perceptual hashes; 0 where not seen.
        vectors: (N, D) float16 embeddings; D is 0 without an encoder.
        faults: of the pictures that cannot be read.
    """

    usable: npt.NDArray[np.bool_]
    seen: npt.NDArray[np.bool_]
    size_px: npt.NDArray[np.int32]
    hashes: npt.NDArray[np.uint64]
    vectors: npt.NDArray[np.float16]
    faults: dict[str, Any]


def look(run: Run, chunk: str) -> None:
    """Inspect a chunk's pictures, unless that was done before."""
    path = run.looks(chunk)
    if path.is_file():
        return
    records = list(read_lines(run.records(chunk)))
    faults, sizes = Faults(), np.zeros((len(records), 2), np.int32)
    usable = np.array([r.picture is None for r in records])
    hashes = np.zeros(len(records), np.uint64)
    encoder = _encoder(run.settings.checkpoint) if run.settings.duplicates == "embedding" else None
    vectors = np.zeros((len(records), 0), np.float16)
    for at, pictures in _read(records, faults):
        for number, picture in zip(at, pictures, strict=True):
            usable[number], sizes[number] = True, picture.size
        if run.settings.duplicates == "keep":
            continue
        prints = fingerprint(pictures, encoder)
        if prints.vectors.shape[1] > vectors.shape[1]:
            vectors = np.zeros((len(records), prints.vectors.shape[1]), np.float16)
        hashes[at], vectors[at] = prints.hashes, prints.vectors
    buffer = io.BytesIO()
    arrays = {"usable": usable, "seen": sizes[:, 0] > 0, "size_px": sizes, "hashes": hashes, "vectors": vectors}
    np.savez(buffer, faults=np.array(json.dumps(faults.as_dict())), **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getbuffer())


def read_looks(path: Path) -> Looks:
    """Read a chunk's inspected pictures.

    Raises:
        DataError: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ("usable", "seen", "size_px", "hashes", "vectors")}
            return Looks(**arrays, faults=json.loads(str(stored["faults"])))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"{path} is damaged ({error}); remove it and run again") from error


@lru_cache(maxsize=1)
def _encoder(checkpoint: str) -> Encoder:
    return encoder_of(checkpoint)


def _read(records: list[SourceRecord], faults: Faults) -> Iterator[tuple[list[int], list[Image.Image]]]:
    """Yield pictures in batches, with their numbers; those that cannot be read are counted and left out."""
    at: list[int] = []
    pictures: list[Image.Image] = []
    for number, record in enumerate(records):
        if record.picture is None:
            continue
        try:
            picture = open_ref(record.picture)
        except PictureError as error:
            faults.add("unreadable picture", f"{record.key}: {error}")
            continue
        if max(picture.size) > MAX_ASPECT * min(picture.size):
            faults.add(
                "picture is a strip", f"{record.key} is {picture.width} x {picture.height} px; cut it into tiles"
            )
            continue
        at.append(number)
        pictures.append(picture)
        if len(pictures) == _BATCH:
            yield at, pictures
            at, pictures = [], []
    if pictures:
        yield at, pictures
