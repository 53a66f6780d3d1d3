"""What the index tests share: pictures, a model that counts, and short ways to look at an index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import lrsclip
from lrsclip.index import TileIndex

REPOSITORY = Path(lrsclip.__file__).resolve().parent.parent


class Recorder:
    """A real model that counts the pictures it encodes and can be told to do something before each batch."""

    def __init__(self, model: lrsclip.LRSCLIP, before: Callable[[int], None] = lambda _encoded: None) -> None:
        self.model, self.before, self.encoded, self.sizes = model, before, 0, set[tuple[int, int]]()
        self.name, self.sha256 = model.name, model.sha256
        self.embed_dim, self.image_px = model.embed_dim, model.image_px

    def encode_image(self, pictures: list[Image.Image]) -> NDArray[np.float32]:
        self.before(self.encoded)
        vectors = self.model.encode_image(pictures)
        self.encoded += len(pictures)
        self.sizes |= {picture.size for picture in pictures}
        return vectors


def paint(folder: Path, numbers: range, prefix: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48), Image.Resampling.NEAREST).save(folder / f"{prefix}{number}.png")
    return folder


def names(numbers: range) -> list[str]:
    return [f"{number}.png" for number in numbers]


def vectors_of(index: TileIndex) -> NDArray[np.float32]:
    return np.stack([index.vector(tile_id) for tile_id in index.tile_ids()])


def contents(directory: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in directory.iterdir())
