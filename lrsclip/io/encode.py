"""Pictures as bytes of a file format."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image


def encoded(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    """Encode a picture in memory.

    Written to a file straight away, a picture loses its end without an error where the disk fills up within it: Pillow
    does not look at the number of bytes that the system has taken.

    Args:
        picture: the picture.
        file_format: `JPEG`, `PNG` or another that Pillow writes.
        options: as of `PIL.Image.Image.save`.
    """
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()
