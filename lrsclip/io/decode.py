"""Picture and raster files to upright RGB pictures: nothing lost in silence, no decoder run but those named here."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from rasterio.windows import Window

from lrsclip.errors import PictureError, TileSourceError
from lrsclip.io.kinds import head_of, is_raster, refusal_of
from lrsclip.io.picture_parts import check_parts, orientation_in
from lrsclip.io.plain_file import open_plain
from lrsclip.io.raster import read_rgb, read_whole
from lrsclip.io.raster_file import RASTER_FAULTS, RasterFile, open_raster, open_raster_bytes, plain_reason
from lrsclip.io.raster_limits import check_total
from lrsclip.io.tiff_tags import hides_its_size

# Only these decoders of Pillow may run on the files of a folder, whatever a file's name says. It reads no TIFF: of
# deep ones it drops the low half, and it knows nothing of no-data values, masks and names of bands.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "AVIF")
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


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture as it is shown, with what is known of how.

    Attributes:
        image: mode RGB, upright, without metadata.
        summary: which bands are shown, and how: "bands 4, 3, 2; stretched 2-98 %".
        there: (H, W) bool, True where there is data; None where there is all over, or where it was not asked for.
    """

    image: Image.Image
    summary: str
    there: NDArray[np.bool_] | None = None


def open_image(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    name: str | None = None,
    min_px: int | None = None,
    bands: tuple[int, ...] | None = None,
) -> Image.Image:
    """Read a picture or raster file as an upright RGB picture without metadata.

    TIFF, JPEG 2000 and 16-bit PNG are read as rasters: red, green and blue are the bands that the file calls so, else
    its first three; more than 8 bits are stretched from the 2nd to the 98th percentile of the data; what is no data,
    masked or transparent becomes black. JPEG, PNG, WebP, BMP, GIF and AVIF are read as pictures, transparent parts
    black; of several frames the first is taken. `open_scene` reads the same pixels by windows.

    Args:
        path: where the file lies, or the open file.
        name: name of the file in an error; its path if not given.
        min_px: sides that are enough: a JPEG is then decoded at a half, a quarter or an eighth, and a raster read at a
            fraction, which takes as much less time. None for the full size.
        bands: numbers (from 1) of the bands for red, green and blue, or of one for gray; None for the usual ones.

    Returns:
        The picture, mode RGB.

    Raises:
        PictureError: the file is missing, broken, of a kind that is not read, or over Pillow's limit on pixels; or a
            band is not there.
    """
    return decode(path, name=name, min_px=min_px, bands=bands).image


def decode(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    name: str | None = None,
    min_px: int | None = None,
    bands: tuple[int, ...] | None = None,
    mask: bool = False,
) -> Decoded:
    """Read a file as `open_image` does, and say how it is shown.

    Args:
        path: as of `open_image`, and so are the others.
        name: of the file in an error.
        min_px: sides that are enough.
        bands: numbers of the bands.
        mask: whether it is to be told where there is data.

    Raises:
        PictureError: as of `open_image`.
    """
    called = name or (str(path) if isinstance(path, str | os.PathLike) else "the file")
    if bands is not None and len(bands) not in (1, 3):
        raise PictureError(f"bands names {len(bands)} bands; name one, or three as in (4, 3, 2)")
    try:
        with _opened_file(path) as content:
            if is_raster(head_of(content)):
                check_parts(content)
                return _raster(path, content, called, min_px, bands)
        with opened(path) as stored:
            if min_px is not None:
                stored.draft("RGB", (min_px, min_px))  # of other formats it does nothing
            stored.load()
            turned = upright(stored)
            picture = as_rgb(turned)
            if bands is not None:
                picture = with_bands(picture, len(turned.getbands()), bands, called)
            summary = summary_of(turned, bands)
            there = data_in(turned) if mask else None
    except DECODE_FAULTS as error:
        raise unreadable(called, error) from error
    # Position, camera and profile must not travel on with a picture that may be shown or saved elsewhere.
    picture.info.clear()
    return Decoded(picture, summary, there)


def image_size(path: str | os.PathLike[str] | BinaryIO) -> tuple[int, int]:
    """Read width and height in px as `open_image` will show them, from the head of a file.

    Args:
        path: where the file lies, or the open file, which may stand anywhere afterwards.

    Raises:
        OSError, PictureError: it is gone or no picture; and others of `DECODE_FAULTS`.
    """
    with _opened_file(path) as content:
        if is_raster(head_of(content)):
            with closing(_raster_file(path, content, "the file")) as file:
                return file.upright_size_px
    with opened(path) as picture:
        return upright_size(picture)


@contextmanager
def opened(path: str | os.PathLike[str] | BinaryIO, formats: tuple[str, ...] = FORMATS) -> Iterator[Image.Image]:
    """Open a picture file without reading its pixels, by none but the decoders of FORMATS.

    Args:
        path: where the file lies, or the open file.
        formats: others, to read metadata alone.

    Raises:
        OSError: it is gone, no regular file, or no picture of these formats; and others of `DECODE_FAULTS`.
        PictureError: it is in far too many parts, or of a kind that is not read.
    """
    with _opened_file(path) as content:
        head = head_of(content)
        check_parts(content)
        try:
            with Image.open(content, formats=formats) as stored:
                yield stored
        except UnidentifiedImageError as error:
            raise _NotReadError(refusal_of(head)) from error


class _NotReadError(OSError):
    """An error for a file that no decoder takes; its text says what it is, and what to do."""


def with_bands(rgb: Image.Image, count: int, bands: tuple[int, ...], name: str) -> Image.Image:
    """Show other bands of a picture as red, green and blue.

    Args:
        rgb: the picture, mode RGB.
        count: bands that its file has; the colors of up to four are those of `rgb`.
        bands: numbers from 1, three or one.
        name: for the error.

    Raises:
        PictureError: a band is not there.
    """
    most = 1 if count <= 2 else 3
    if (absent := max(bands)) > most or (absent := min(bands)) < 1:
        raise PictureError(f"{name} has {most} bands, so there is no band {absent}; choose others")
    layers = rgb.split()
    return Image.merge("RGB", [layers[band - 1] for band in (bands * 3 if len(bands) == 1 else bands)])


def summary_of(picture: Image.Image, bands: tuple[int, ...] | None = None) -> str:
    """Say which bands of a picture are shown, and how, as `Look.summary` does of a raster."""
    deep = picture.mode == "F" or picture.mode.startswith("I")
    usual = (1,) if len(picture.getbands()) <= 2 else (1, 2, 3)
    taken = ", ".join(str(band) for band in bands or usual)
    how = "stretched 2-98 %" if deep else "colors of its palette" if picture.mode in ("P", "PA") else "shown as stored"
    clear = "; transparent parts black" if picture.has_transparency_data else ""
    return f"{'band' if len(bands or usual) == 1 else 'bands'} {taken}; {how}{clear}"


def _opened_file(path: str | os.PathLike[str] | BinaryIO) -> AbstractContextManager[BinaryIO]:
    return open_plain(path) if isinstance(path, str | os.PathLike) else nullcontext(path)


def _raster_file(path: str | os.PathLike[str] | BinaryIO, content: BinaryIO, name: str) -> RasterFile:
    """Open a raster by its path, so that a mask beside it counts; one in memory under the limits of strangers' files.

    Raises:
        PictureError: it is damaged, names other files, or takes far more memory than it seems to.
    """
    if not isinstance(path, str | os.PathLike):
        whole = content.read()
        file = open_raster_bytes(whole, name)
        try:
            file.use(lambda data: check_total(io.BytesIO(whole), name, len(whole), data))
            _check_blocks(io.BytesIO(whole), name)
        except BaseException:
            file.close()
            raise
        return file
    local = Path(path)
    _check_blocks(local, name)
    return open_raster(local)


def _check_blocks(source: Path | BinaryIO, name: str) -> None:
    if hides_its_size(source):
        raise PictureError(f"cannot read {name}: its tiles are far larger than itself; save it in tiles of 256 px")


def _raster(
    path: str | os.PathLike[str] | BinaryIO,
    content: BinaryIO,
    name: str,
    min_px: int | None,
    bands: tuple[int, ...] | None,
) -> Decoded:
    """Read a raster whole, or at a fraction of its size."""
    try:
        with closing(_raster_file(path, content, name)) as file:
            _check_pixels(file.use(lambda data: data.width * data.height), name)
            look = file.look(bands)
            size = _reduced(look.size_px, min_px)
            if size == look.size_px:
                rgb, there = file.use(lambda data: read_whole(data, look))
            else:
                rgb, there = file.use(lambda data: read_rgb(data, look, Window(0, 0, *look.size_px), size))
            return Decoded(Image.fromarray(rgb), look.summary, None if there.all() else there)
    except (TileSourceError, PictureError) as error:
        told = str(error)
        if isinstance(path, str | os.PathLike):  # its name here may be all that a user should read
            told = told.replace(os.path.abspath(path), name)
        raise PictureError(told) from error
    except RASTER_FAULTS as error:
        raise unreadable(name, error) from error


def _check_pixels(pixels: int, name: str) -> None:
    """Refuse what Pillow would: a whole picture in memory has the same cost, with any decoder."""
    if Image.MAX_IMAGE_PIXELS is not None and pixels > 2 * Image.MAX_IMAGE_PIXELS:
        raise PictureError(f"cannot read {name}: it has too many pixels; cut it into tiles")


def _reduced(size_px: tuple[int, int], min_px: int | None) -> tuple[int, int]:
    """Compute a size at which no side that was longer is shorter than `min_px`."""
    share = 1 if min_px is None else max(1, min(size_px) // max(1, min_px))
    wide, high = (-(-px // share) for px in size_px)
    return wide, high


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


def data_in(picture: Image.Image) -> NDArray[np.bool_] | None:
    """Mask the pixels where a picture holds data, (H, W) bool; None where it does all over."""
    clear = picture.info.get("transparency")
    if picture.mode == "F" or picture.mode.startswith("I"):
        values = np.asarray(picture)
        there = np.isfinite(values) & (values != clear if isinstance(clear, int | float) else True)
    elif picture.has_transparency_data:
        there = np.empty((picture.height, picture.width), np.bool_)
        for top in range(0, picture.height, _STRIP_PX):
            strip = picture.crop((0, top, picture.width, min(top + _STRIP_PX, picture.height)))
            there[top : top + _STRIP_PX] = np.asarray(strip.convert("RGBA").getchannel("A")) > 0
    else:
        return None
    return None if there.all() else there


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
    if isinstance(error, PictureError):
        return error
    if isinstance(error, _NotReadError):
        return PictureError(f"cannot read {name}: {error}")
    if isinstance(error, Image.DecompressionBombError):
        return PictureError(f"cannot read {name}: it has too many pixels; cut it into tiles")
    reason = "the file is gone" if isinstance(error, FileNotFoundError) else plain_reason(error)
    return PictureError(f"cannot read {name}: {reason}; replace or remove the file")
