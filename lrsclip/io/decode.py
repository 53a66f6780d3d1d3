"""Picture files to upright RGB pictures, with nothing lost in silence and no decoder run but those of FORMATS."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lrsclip.errors import PictureError
from lrsclip.io.picture_parts import check_parts, orientation_in
from lrsclip.io.plain_file import open_plain

# Only these decoders may run on the files of a folder, whatever a file's name says.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
# Pillow raises all of these on broken files: its own errors, and those of parsers deep in the formats.
DECODE_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    MemoryError,
    NotImplementedError,
    struct.error,
    Image.DecompressionBombError,
)
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MAX_TEXT = 2**18
_SIDEWAYS = frozenset({5, 6, 7, 8})
_STRETCH_PERCENTILES = (2.0, 98.0)
_STRETCH_SAMPLE = 1_000_000
_STRIP_PX = 512


def open_image(
    path: str | os.PathLike[str] | BinaryIO, *, name: str | None = None, min_px: int | None = None
) -> Image.Image:
    """Read a JPEG, PNG, WebP or TIFF file as an upright RGB picture without metadata.

    Transparent parts become black, as missing data is in most rasters. One band of more than 8 bits is stretched
    linearly between its 2nd and 98th percentile, since such data seldom fills its range. Of several frames the first
    is taken.

    Args:
        path: where the file lies, or the open file.
        name: name of the file in an error; its path if not given.
        min_px: sides that are enough: a JPEG is then decoded at a half, a quarter or an eighth, which takes as much
            less time. None for the full size.

    Returns:
        The picture, mode RGB.

    Raises:
        PictureError: the file is missing, broken, or over Pillow's limit on pixels.
    """
    try:
        with opened(path) as stored:
            if min_px is not None:
                stored.draft("RGB", (min_px, min_px))  # of other formats it does nothing
            stored.load()
            picture = as_rgb(upright(stored))
    except DECODE_FAULTS as error:
        raise unreadable(name or str(path), error) from error
    # Position, camera and profile must not travel on with a picture that may be shown or saved elsewhere.
    picture.info.clear()
    return picture


@contextmanager
def opened(path: str | os.PathLike[str] | BinaryIO, formats: tuple[str, ...] = FORMATS) -> Iterator[Image.Image]:
    """Open a picture file without reading its pixels, by none but the decoders of FORMATS.

    Args:
        path: where the file lies, or the open file.
        formats: fewer of them.

    Raises:
        OSError: it is gone, no regular file, or no JPEG, PNG, WebP or TIFF picture; and others of `DECODE_FAULTS`.
        PictureError: it is a TIFF in far too many parts.
    """
    source = open_plain(path) if isinstance(path, str | os.PathLike) else nullcontext(path)
    with source as content:
        check_parts(content)
        with Image.open(content, formats=formats) as stored:
            yield stored


def orientation(picture: Image.Image) -> int:
    """Read the EXIF orientation, 1 to 8, that is still to be applied."""
    if picture.format == "TIFF":  # Pillow turns these itself
        return 1
    if isinstance(exif := picture.info.get("exif"), bytes):
        return orientation_in(exif)
    if any(len(text) > _MAX_TEXT for text in picture.info.values() if isinstance(text, str | bytes)):
        return 1
    try:
        asked = picture.getexif().get(_ORIENTATION_TAG, 1)  # from a text of the file
    except DECODE_FAULTS:  # garbled metadata are common, and no reason to lose the picture
        return 1
    return asked if isinstance(asked, int) else 1


def upright(picture: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF orientation asks; return the same object where it asks for nothing.

    The turned picture may still carry the tag: do not turn it twice.
    """
    turn = _TURNS.get(orientation(picture))
    return picture if turn is None else picture.transpose(turn)


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Read width and height in px as `open_image` will show them."""
    width, height = picture.size
    return (height, width) if orientation(picture) in _SIDEWAYS else (width, height)


def as_rgb(picture: Image.Image) -> Image.Image:
    """Copy a picture to mode RGB: transparent parts black, one deep band stretched instead of cut off at 255."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return _stretched(picture)
    if picture.has_transparency_data:
        solid = Image.new("RGB", picture.size)
        for top in range(0, picture.height, _STRIP_PX):  # whole copies of a large picture would be gigabytes
            layer = picture.crop((0, top, picture.width, min(top + _STRIP_PX, picture.height))).convert("RGBA")
            ground = Image.new("RGBA", layer.size, (0, 0, 0, 255))
            solid.paste(Image.alpha_composite(ground, layer).convert("RGB"), (0, top))
        return solid
    # A copy even where the mode fits, so that nothing holds on to the open file.
    return picture.convert("RGB") if picture.mode != "RGB" else picture.copy()


def _stretched(picture: Image.Image) -> Image.Image:
    """Stretch one deep band to gray; in strips, because float copies of a large picture would be gigabytes."""
    step = max(1, picture.width * picture.height // _STRETCH_SAMPLE)
    parts = [strip.ravel()[_first(top, picture.width, step) :: step] for top, strip in _strips(picture)]
    sample = np.concatenate(parts)
    finite = sample[np.isfinite(sample)]
    low, high = np.percentile(finite, _STRETCH_PERCENTILES) if finite.size else (0.0, 0.0)
    if high <= low:  # nearly all pixels alike: keep the little contrast there is
        ends = [(part.min(), part.max()) for _, strip in _strips(picture) if (part := strip[np.isfinite(strip)]).size]
        if not ends:
            raise ValueError("no pixel holds a finite number")
        low, high = min(least for least, _ in ends), max(most for _, most in ends)
    gray = Image.new("L", picture.size)
    if high > low:
        for top, strip in _strips(picture):
            shares = np.nan_to_num((strip - low) / (high - low), nan=0.0)
            gray.paste(Image.fromarray(np.rint(np.clip(shares, 0.0, 1.0) * 255.0).astype(np.uint8)), (0, top))
    return gray.convert("RGB")


def _strips(picture: Image.Image) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the rows of a picture from top to bottom, a few hundred at once: (row, (h, W) float32 values)."""
    for top in range(0, picture.height, _STRIP_PX):
        strip = picture.crop((0, top, picture.width, min(top + _STRIP_PX, picture.height)))
        yield top, np.asarray(strip, dtype=np.float32)


def _first(top: int, width: int, step: int) -> int:
    """Compute the offset in a strip at which the next of every `step` pixels lies."""
    return -(top * width) % step


def unreadable(name: str, error: Exception) -> PictureError:
    """Turn a decoding fault into an error that names the file and the mend."""
    if isinstance(error, UnidentifiedImageError):
        reason = "not a JPEG, PNG, WebP or TIFF picture"
    elif isinstance(error, Image.DecompressionBombError):
        return PictureError(f"cannot read {name}: it has too many pixels; cut it into tiles")
    elif isinstance(error, FileNotFoundError):
        reason = "the file is gone"
    else:
        reason = " ".join(str(error).split()) or type(error).__name__
    return PictureError(f"cannot read {name}: {reason}; replace or remove the file")
