"""An encoder whose answers can be worked out by hand: it sees colors, and hears what it is told to hear."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from lrsclip.vectors import Floats

COLORS = {"forest": (30, 90, 40), "desert": (200, 180, 120), "airport": (130, 130, 130)}


class Knowing:
    """An encoder with an axis a class, which it sees by the color of a picture and hears by the wordings given."""

    logit_scale = 1.0

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts
        self.manifest: dict[str, Any] = {}

    def encode_image(self, pictures: list[Image.Image]) -> Floats:
        means = np.array([np.asarray(picture).mean(axis=(0, 1)) for picture in pictures])
        far = np.linalg.norm(means[:, None] - np.array(list(COLORS.values()))[None], axis=2)
        return np.eye(len(COLORS), dtype=np.float32)[far.argmin(axis=1)]

    def encode_text(self, texts: list[str], *, normalize: bool = True) -> Floats:
        names = list(COLORS)
        return np.stack(
            [np.eye(len(names), dtype=np.float32)[names.index(self.texts.get(text, names[0]))] for text in texts]
        )
