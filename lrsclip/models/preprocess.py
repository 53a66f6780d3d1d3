"""Pictures to tensors, as the checkpoint's manifest says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lrsclip.errors import PictureError
from lrsclip.io.decode import DECODE_FAULTS, as_rgb
from lrsclip.models.config import ModelConfig

Preprocess = Callable[[Image.Image], Tensor]
MAX_ASPECT = 500  # a 1 x 50,000 px strip would be resized to a picture of gigabytes


def build_preprocess(config: ModelConfig) -> Preprocess:
    """Build the transform of one RGB picture to (3, image_px, image_px) float32: resize, center crop, normalize.

    The shorter side is resized. The same as open_clip's transform for evaluation, to the last bit.
    """
    facts, square = config.preprocess, build_square(config)
    mean, std = (torch.tensor(values)[:, None, None] for values in (facts.mean, facts.std))

    def transform(picture: Image.Image) -> Tensor:
        values = torch.from_numpy(np.array(square(picture))).permute(2, 0, 1).contiguous()
        return (values.to(torch.float32) / 255 - mean) / std

    return transform


def build_square(config: ModelConfig) -> Callable[[Image.Image], Image.Image]:
    """Build the part of the transform that training on pixels shares: an RGB square of image_px, not normalized."""
    side_px, filter_ = config.image.image_px, Image.Resampling[config.preprocess.interpolation.upper()]
    return lambda picture: _shorter_side(picture.convert("RGB"), side_px, filter_)


def _shorter_side(picture: Image.Image, side_px: int, filter_: Image.Resampling) -> Image.Image:
    """Resize the shorter side of a picture to `side_px` and crop a square from the center."""
    width, height = picture.size
    short, long = min(width, height), int(side_px * max(width, height) / min(width, height))
    if short != side_px:
        picture = picture.resize((side_px, long) if width <= height else (long, side_px), filter_)
    left, top = (round((length - side_px) / 2) for length in picture.size)
    return picture.crop((left, top, left + side_px, top + side_px))


def to_batch(pictures: list[Image.Image], preprocess: Preprocess, first: int = 0) -> Tensor:
    """Stack preprocessed pictures to (N, 3, H, W) float32; errors number them from `first`.

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
