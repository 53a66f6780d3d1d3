"""Pictures as another sensor would have taken them: coarser pixels, haze, other colors, blur, noise, another JPEG.

A model that learns a town from half a meter a pixel alone does not know it in a Sentinel-2 picture, and one that saw
each picture once, as it lies on disk, learns its colors by heart. These changes keep what a picture shows and where.
"""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

_COARSE_SHARE, _MIN_SCALE = 0.6, 0.12  # half a meter a pixel becomes four
_BLUR_SHARE, _MAX_BLUR_PX = 0.3, 1.5
_COLOR_SPREAD, _WARMTH_SPREAD = 0.35, 0.12
_HAZE_SHARE, _MAX_HAZE = 0.35, 0.45
_NOISE_SHARE, _MAX_NOISE = 0.4, 10.0
_JPEG_SHARE, _QUALITIES = 0.6, (35, 90)


def degraded(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Change a picture as other sensors, light and encoders would; its size and what it shows stay.

    Args:
        picture: mode RGB.
        random: decides which changes are made, and how far.
    """
    out = picture
    if random.random() < _COARSE_SHARE:
        scale = float(np.exp(random.uniform(np.log(_MIN_SCALE), 0)))
        small = tuple(max(8, round(side * scale)) for side in picture.size)
        out = out.resize((small[0], small[1]), Image.Resampling.BOX).resize(picture.size, Image.Resampling.BICUBIC)
    if random.random() < _BLUR_SHARE:
        out = out.filter(ImageFilter.GaussianBlur(random.uniform(0.3, _MAX_BLUR_PX)))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        out = enhance(out).enhance(random.uniform(1 - _COLOR_SPREAD, 1 + _COLOR_SPREAD))
    values = np.asarray(out, np.float32) * random.uniform(1 - _WARMTH_SPREAD, 1 + _WARMTH_SPREAD, 3).astype(np.float32)
    if random.random() < _HAZE_SHARE:
        share = float(random.uniform(0.05, _MAX_HAZE))
        values = (1 - share) * values + share * random.uniform((190, 195, 200), (235, 240, 250)).astype(np.float32)
    if random.random() < _NOISE_SHARE:
        values = values + random.normal(0, random.uniform(1, _MAX_NOISE), values.shape).astype(np.float32)
    out = Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
    if random.random() < _JPEG_SHARE:
        file = io.BytesIO()
        out.save(file, "JPEG", quality=int(random.integers(*_QUALITIES)))
        out = Image.open(file, formats=("JPEG",)).convert("RGB")
    return out


def seed_of(key: str, view: int) -> int:
    """Return the seed of a picture's view, which depends on nothing but its name and the view's number."""
    return int.from_bytes(hashlib.sha256(f"{key}\0{view}".encode("utf-8", "surrogateescape")).digest()[:8], "big")
