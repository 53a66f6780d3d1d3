"""A picture of a stranger decoded and reduced to what a model looks at; here, or in a process of its own."""

from __future__ import annotations

import io
import math
from typing import Any, BinaryIO

from PIL import Image

from lrsclip.io.decode import open_image

KEPT_PX = 1024
"""Of the shorter side at least: far more than any model here looks at."""
_MAX_KEPT_PX = 8 * KEPT_PX**2  # in all, 24 MB: a strip eight times as long as high is kept as it is


def decoded_small(file: BinaryIO) -> Image.Image:
    """Decode a picture and reduce it: it waits for the model, and others with it.

    Raises:
        PictureError: it is none.
    """
    picture = open_image(file, name="the upload")
    # Of a long strip the middle alone is looked at, so that is reduced as well.
    long_px = math.isqrt(picture.width * picture.height // _MAX_KEPT_PX)
    return picture.reduce(max(1, min(picture.size) // KEPT_PX, long_px))


def decode_task(_request: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """Do `decoded_small` in a process of its own; see `lrsclip.io.confined`."""
    picture = decoded_small(io.BytesIO(content))
    return {"width": picture.width, "height": picture.height}, picture.tobytes()
