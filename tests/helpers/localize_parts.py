"""A model that counts what it encodes, and scenes of noise, for the tests of localization."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

import lrsclip

Floats = npt.NDArray[np.float32]


@dataclass
class Counting:
    """A real model that counts the pictures it encodes."""

    model: lrsclip.LRSCLIP
    encoded: list[int] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return self.model.sha256

    def encode_text(self, texts: list[str]) -> Floats:
        return self.model.encode_text(texts)

    def encode_image(self, pictures: list[Image.Image]) -> Floats:
        self.encoded.append(len(pictures))
        return self.model.encode_image(pictures)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)
