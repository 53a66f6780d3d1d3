"""A picture of a stranger decoded and reduced to what a model looks at; here, or in a process of its own."""

from __future__ import annotations

import io
import math
from typing import Any, BinaryIO

from lrsclip.io.decode import Decoded, decode

KEPT_PX = 1024
"""Of the shorter side at least: far more than any model here looks at."""
_MAX_KEPT_PX = 8 * KEPT_PX**2  # in all, 24 MB: a strip eight times as long as high is kept as it is


def decoded_small(file: BinaryIO, bands: tuple[int, ...] | None = None) -> Decoded:
    """Decode a picture and reduce it: it waits for the model, and others with it.

    Args:
        file: the open file.
        bands: numbers (from 1) of the bands to show; None for the usual ones.

    Raises:
        PictureError: it is none.
    """
    decoded = decode(file, name="the upload", bands=bands)
    picture = decoded.image
    # Of a long strip the middle alone is looked at, so that is reduced as well.
    long_px = math.isqrt(picture.width * picture.height // _MAX_KEPT_PX)
    return Decoded(picture.reduce(max(1, min(picture.size) // KEPT_PX, long_px)), decoded.summary)


def decode_task(request: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """Do `decoded_small`, or `decode` where the whole picture is wanted, in a process of its own; see `Confined`."""
    bands = tuple(int(band) for band in request.get("bands") or ()) or None
    if request.get("whole"):
        decoded = decode(io.BytesIO(content), name=str(request["name"]), bands=bands)
    else:
        decoded = decoded_small(io.BytesIO(content), bands)
    picture = decoded.image
    facts = {"width": picture.width, "height": picture.height, "summary": decoded.summary}
    return facts, picture.tobytes()
