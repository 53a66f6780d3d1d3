"""Pictures to tensors, as the checkpoint's manifest says."""

from __future__ import annotations

from collections.abc import Callable

import torch
from open_clip import image_transform
from PIL import Image
from torch import Tensor

from lrsclip.errors import PictureError
from lrsclip.io.decode import DECODE_FAULTS, as_rgb
from lrsclip.models.config import ModelConfig

Preprocess = Callable[[Image.Image], Tensor]
MAX_ASPECT = 500  # a 1 x 50,000 px strip would be resized to a picture of gigabytes


def build_preprocess(config: ModelConfig) -> Preprocess:
    """One RGB picture to a (3, image_px, image_px) float tensor: shorter side resized, centre crop, normalise."""
    p = config.preprocess
    transform: Preprocess = image_transform(
        config.image.image_px,
        is_train=False,
        mean=p.mean,
        std=p.std,
        interpolation=p.interpolation,
        resize_mode="shortest",
    )
    return transform


def to_batch(pictures: list[Image.Image], preprocess: Preprocess, first: int = 0) -> Tensor:
    """Pictures to (N, 3, H, W); in errors they are numbered from `first`.

    Raises:
        PictureError: an entry is no picture, has no pixels, is a mere strip, or cannot be decoded.
    """
    return torch.stack([_one(picture, number, preprocess) for number, picture in enumerate(pictures, first)])


def _one(picture: Image.Image, number: int, preprocess: Preprocess) -> Tensor:
    if not isinstance(picture, Image.Image):
        raise PictureError(f"picture {number} is {type(picture).__name__}; pass PIL images")
    width, height = picture.size
    if min(width, height) < 1:
        raise PictureError(f"picture {number} has no pixels ({width} x {height}); check the file it came from")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise PictureError(f"picture {number} is a strip of {width} x {height} px; cut it into squarer pieces")
    try:
        return preprocess(as_rgb(picture))
    except DECODE_FAULTS as error:  # a damaged file shows itself only when its pixels are asked for
        raise PictureError(f"picture {number} cannot be decoded ({error}); the file is damaged") from error
