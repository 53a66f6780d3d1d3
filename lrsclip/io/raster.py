"""Rasters to RGB by windows, in the bands and colors of their look; pixels without data are black."""

from __future__ import annotations

from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp, Resampling
from rasterio.windows import Window

from lrsclip.io.look import SIDEWAYS, UPRIGHT, Ends, Look, mask_of, values_of

_PICKED_PER_PX = 4  # values picked along each side of a pixel where the library cannot take their mean
_PICKED_PX = 2048  # and no more than this along a side of the whole, unless more is asked for
_STRIP_ROWS = 512  # of a whole raster read at once: floats of all of it would be gigabytes
_INKS = 4


def stretched(values: NDArray[Any], ends: Ends) -> NDArray[np.uint8]:
    """Stretch (bands, h, w) values of any kind to 0..255 uint8; a non-finite value becomes 0."""
    # Numbers of 32 bits and more may be large and lie close together: single precision would make steps of them.
    exact = values.dtype.itemsize >= 4 and values.dtype != np.float32
    numbers: NDArray[np.floating[Any]] = values.astype(np.float64 if exact else np.float32)
    black, white = np.array(ends, numbers.dtype).T[:, :, None, None]
    with np.errstate(
        invalid="ignore", over="ignore", divide="ignore"
    ):  # in place: a window of floats is large enough once
        numbers -= black
        numbers /= white - black
    if values.dtype.kind == "f":
        numbers[~np.isfinite(values) | np.isnan(numbers)] = 0
    np.clip(numbers, 0, 1, out=numbers)
    numbers *= 255
    shown: NDArray[np.uint8] = np.rint(numbers, out=numbers).astype(np.uint8)
    return shown


def read_rgb(
    data: rasterio.DatasetReader, look: Look, window: Window, size_px: tuple[int, int] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read part of a raster in color.

    Args:
        data: the raster.
        look: its bands and stretch, from `look_at`.
        window: the part, in whole pixels and inside the upright raster.
        size_px: width and height to resample to, smoothed where that is smaller; None for the raster's own pixels.

    Returns:
        (h, w, 3) RGB, black where there is no data, and (h, w) bool, True where there is some.

    Raises:
        RasterioError: the file is gone or damaged.
    """
    own = int(window.width), int(window.height)
    size = size_px or own
    if size == own or not _needs_picking(data, look):
        return _shown(data, look, window, size, Resampling.cubic)
    # GDAL smooths numbers of colors as if they were colors, one NaN makes NaN of all around it, and of a transparency
    # it takes its own view. So values are picked, several for each pixel, and their colors are smoothed.
    picked = [min(px, max(asked, min(asked * _PICKED_PER_PX, _PICKED_PX))) for px, asked in zip(own, size, strict=True)]
    return resized(*_shown(data, look, window, (picked[0], picked[1]), Resampling.nearest), size)


def read_whole(data: rasterio.DatasetReader, look: Look) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read all of a raster in color, in strips, as `read_rgb` would at once.

    Raises:
        RasterioError: the file is gone or damaged.
    """
    rgb = np.empty((data.height, data.width, 3), np.uint8)
    there = np.empty((data.height, data.width), np.bool_)
    # In whole blocks, so that none is decoded twice.
    block = max(shape[0] for shape in data.block_shapes)
    rows = max(block, _STRIP_ROWS // block * block)
    for top in range(0, data.height, rows):
        strip = Window(0, top, data.width, min(rows, data.height - top))
        shape = int(strip.height), int(strip.width)
        rgb[top : top + rows], there[top : top + rows] = _stored(data, look, strip, shape, Resampling.nearest)
    return _turned(rgb, look.orientation), _turned(there, look.orientation)


def resized(
    rgb: NDArray[np.uint8], there: NDArray[np.bool_], size_px: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Resample colors to another size, smoothed; pixels without data lend no color to those with data.

    Args:
        rgb: (h, w, 3) colors.
        there: (h, w) bool, True where there is data.
        size_px: width and height wanted.

    Returns:
        (height, width, 3) RGB, black where there is no data, and (height, width) bool: data on half of a pixel is data.
    """
    if there.all():
        smoothed = np.array(Image.fromarray(rgb).resize(size_px, Image.Resampling.BICUBIC))
        return smoothed, np.ones(smoothed.shape[:2], np.bool_)
    # A filter without negative weights, so that the share of data in a pixel is one.
    alpha = Image.fromarray(there.astype(np.uint8) * 255).resize(size_px, Image.Resampling.BILINEAR)
    share = np.asarray(alpha, np.float32)[:, :, None] / 255
    black = Image.fromarray(np.where(there[:, :, None], rgb, 0)).resize(size_px, Image.Resampling.BILINEAR)
    kept = share[:, :, 0] >= 0.5
    colors = np.asarray(black, np.float32) / np.maximum(share, 0.5)
    return np.where(kept[:, :, None], np.rint(colors.clip(0, 255)), 0).astype(np.uint8), kept


def data_mask(data: rasterio.DatasetReader, look: Look, window: Window, size_px: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask the pixels where at least one of the shown bands holds data; (h, w) bool at `size_px` (width, height)."""
    stored, shape = _as_stored(look, window, size_px)
    there = _mask(data, look, stored, shape)
    if _is_float(data, look):
        there &= np.isfinite(values_of(data, look.bands, stored, shape)).any(axis=0)
    if look.palette is not None and _clear_colors(look):
        there &= look.palette[values_of(data, look.bands, stored, shape)[0]][:, :, 3] > 0
    return _turned(there, look.orientation)


def may_have_gaps(data: rasterio.DatasetReader, look: Look) -> bool:
    """Tell from the head alone whether some pixels may hold no data: a mask, transparency, or floats."""
    return look.file_mask or look.transparency is not None or _clear_colors(look) or _is_float(data, look)


def _shown(
    data: rasterio.DatasetReader, look: Look, window: Window, size_px: tuple[int, int], resampling: Resampling
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    stored, shape = _as_stored(look, window, size_px)
    rgb, there = _stored(data, look, stored, shape, resampling)
    return _turned(rgb, look.orientation), _turned(there, look.orientation)


def _stored(
    data: rasterio.DatasetReader, look: Look, window: Window, shape: tuple[int, int], resampling: Resampling
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read part of a raster in color as it lies in the file."""
    values = values_of(data, look.bands, window, shape, resampling)
    there = _mask(data, look, window, shape)
    if values.dtype.kind == "f":
        there &= np.isfinite(values).any(axis=0)
    if look.palette is not None:
        colors = look.palette[values[0]]
        rgb = _over_black(colors[:, :, :3], colors[:, :, 3] / 255)
        there &= colors[:, :, 3] > 0
    elif len(look.bands) == _INKS:
        rgb = _printed(values)
    else:
        bands = values if look.stretch is None else stretched(values, look.stretch)
        rgb = np.array(np.broadcast_to(bands, (3, *shape)).transpose(1, 2, 0), order="C")
    if look.transparency is not None and not look.transparency.premultiplied:
        opacity = values_of(data, (look.transparency.band,), window, shape, resampling)[0]
        rgb = _over_black(rgb, opacity.astype(np.float32) / look.transparency.full)
    rgb[~there] = 0
    return rgb, there


def _over_black(rgb: NDArray[np.uint8], opacity: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Lay (h, w, 3) colors over black, by their (h, w) opacity from 0 to 1."""
    if (opacity >= 1).all():
        return np.array(rgb)
    shares = np.clip(np.nan_to_num(opacity), 0, 1).astype(np.float32)[:, :, None]
    laid: NDArray[np.uint8] = np.rint(rgb * shares).astype(np.uint8)
    return laid


def _printed(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert (4, h, w) cyan, magenta, yellow and black to (h, w, 3) RGB, as screens show them without a profile."""
    shares = 1 - values.astype(np.float32) / np.iinfo(values.dtype).max
    rgb: NDArray[np.uint8] = np.rint(shares[:3] * shares[3] * 255).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(rgb)


def _mask(data: rasterio.DatasetReader, look: Look, window: Window, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask the pixels that hold data by the file's own words, (h, w) bool."""
    there = mask_of(data, look.bands, window, shape) if look.file_mask else np.ones(shape, np.bool_)
    if look.transparency is not None:
        there &= values_of(data, (look.transparency.band,), window, shape)[0] > 0
    return there


def _clear_colors(look: Look) -> bool:
    return look.palette is not None and bool((look.palette[:, 3] == 0).any())


def _is_float(data: rasterio.DatasetReader, look: Look) -> bool:
    return any(data.dtypes[band - 1].startswith("float") for band in look.bands)


def _needs_picking(data: rasterio.DatasetReader, look: Look) -> bool:
    flagged = any(kind == ColorInterp.alpha for kind in data.colorinterp)
    numbers = look.palette is not None or len(look.bands) == _INKS
    return numbers or look.transparency is not None or flagged or _is_float(data, look)


def _as_stored(look: Look, window: Window, size_px: tuple[int, int]) -> tuple[Window, tuple[int, int]]:
    """Find the part of the file that a window of the upright raster shows, with the rows and columns to read."""
    wide, high = size_px
    if look.orientation == UPRIGHT:
        return window, (high, wide)
    left, top = int(window.col_off), int(window.row_off)
    right, bottom = left + int(window.width), top + int(window.height)
    full_wide, full_high = look.size_px
    from_right, from_bottom = full_wide - right, full_high - bottom
    # Column and row where it begins in the file, by orientation.
    begin = {
        2: (from_right, top),
        3: (from_right, from_bottom),
        4: (left, from_bottom),
        5: (top, left),
        6: (top, from_right),
        7: (from_bottom, from_right),
        8: (from_bottom, left),
    }[look.orientation]
    if look.orientation in SIDEWAYS:
        return Window(*begin, bottom - top, right - left), (wide, high)
    return Window(*begin, right - left, bottom - top), (high, wide)


def _turned(stored: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn pixels, (h, w, ...), upright."""
    if orientation == UPRIGHT:
        return stored
    if orientation in SIDEWAYS:
        stored = stored.swapaxes(0, 1)
    down = -1 if orientation in (3, 4, 7, 8) else 1
    right = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(stored[::down, ::right])


def starts(length_px: int, tile_px: int, overlap_px: int) -> list[int]:
    """Place equal windows along one side: first pixels that cover it whole, the last one moved inwards."""
    if length_px <= tile_px:
        return [0]
    step = tile_px - overlap_px
    inner = list(range(0, length_px - tile_px, step))
    return [*inner, length_px - tile_px]
