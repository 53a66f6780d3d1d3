"""Rasters to RGB: choice of bands, stretch of deep values, and mask of pixels without data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.windows import Window

from lrsclip.errors import TileSourceError

Ends = tuple[tuple[float, float], ...]  # for each band the values that become black and white

_SAMPLE_PX = 1024  # side of the decimated read that the stretch is taken from
_SAMPLED_WHOLE_PX = 25_000_000  # a larger raster without overviews is sampled in pieces
_PIECES_A_SIDE, _PIECE_PX, _ENOUGH_VALUES = 8, 128, 100_000
_PERCENTILES = (2.0, 98.0)
_PICKED_PER_PX = 4  # values picked along each side of a pixel where the library cannot take their mean
_PICKED_PX = 2048  # and no more than this along a side of the whole, unless more is asked for


@dataclass(frozen=True, eq=False)
class Look:
    """The bands and colors in which one raster is shown.

    Attributes:
        bands: numbers (from 1) of the bands for red, green and blue, or of one for gray.
        stretch: for each band the values that become black and white; None where 8 bits are shown as they are.
        palette: (256 or 65536, 3) uint8 where the one band numbers colors.
    """

    bands: tuple[int, ...]
    stretch: Ends | None
    palette: NDArray[np.uint8] | None


def look_at(data: rasterio.DatasetReader, wanted: tuple[int, ...] | None = None) -> Look:
    """Choose bands, stretch and palette of a raster, from its head and, where it is deep, one decimated read.

    Args:
        data: the raster.
        wanted: numbers (from 1) of three bands or one; by default the file's own red, green and blue where it names
            them, else its first three.

    Raises:
        TileSourceError: a band is not there, or the bands hold complex numbers.
        RasterioError: the file is damaged.
    """
    if data.count == 0:
        raise TileSourceError(f"{data.name} has no bands that can be shown; name one of the rasters inside it")
    bands = wanted or usual_bands(data)
    if max(bands) > data.count or min(bands) < 1:
        absent = max(bands) if max(bands) > data.count else min(bands)
        raise TileSourceError(f"{data.name} has {data.count} bands, so there is no band {absent}; choose others")
    kinds = {data.dtypes[band - 1] for band in bands}
    if any(kind.startswith("complex") for kind in kinds):
        raise TileSourceError(f"{data.name} holds complex numbers; save their amplitude and give that")
    if bands == (1,) and data.colorinterp[0] == ColorInterp.palette and kinds <= {"uint8", "uint16"}:
        return Look(bands, None, palette_of(data.colormap(1), 256 if kinds == {"uint8"} else 65536))
    ends = None if kinds == {"uint8"} else stretch_ends(_sample(data, bands))
    depths = [int(data.tags(band, ns="IMAGE_STRUCTURE").get("NBITS", 8)) for band in bands]
    if ends is None and min(depths) < 8:  # four bits fill 0 to 15 only
        ends = tuple((0.0, 2.0**depth - 1) for depth in depths)
    if data.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES":  # as scanned paper: the lowest value is white
        ends = tuple((white, black) for black, white in ends or ((0.0, 255.0),) * len(bands))
    return Look(bands, ends, None)


def usual_bands(data: rasterio.DatasetReader) -> tuple[int, ...]:
    """Choose the file's own red, green and blue where it names them, else its first three or one; never its alpha."""
    named = {interpretation: number for number, interpretation in enumerate(data.colorinterp, 1)}
    rgb = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if all(band in named for band in rgb):
        return tuple(named[band] for band in rgb)
    shown = [number for number, kind in enumerate(data.colorinterp, 1) if kind != ColorInterp.alpha] or [1]
    return tuple(shown[:3]) if len(shown) >= 3 else (shown[0],)


def palette_of(colors: Mapping[int, tuple[int, ...]], size: int = 256) -> NDArray[np.uint8]:
    """Build the color table of numbered colors, (size, 3) uint8."""
    table = np.zeros((size, 3), np.uint8)
    for number, color in colors.items():
        if 0 <= number < size:
            table[number] = color[:3]
    return table


def stretch_ends(sample: NDArray[Any]) -> Ends:
    """Compute the values that become black and white in each band: the 2nd and the 98th percentile.

    Args:
        sample: (bands, ...) values of any kind; masked or non-finite ones do not count.
    """
    ends = []
    for band in sample:
        values = np.ma.compressed(band).astype(np.float64)
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, _PERCENTILES).tolist() if values.size else (0.0, 1.0)
        if high <= low and values.size:  # nearly all pixels alike: keep the little contrast there is
            low, high = values.min().item(), values.max().item()
        ends.append((low, high if high > low else low + 1))
    return tuple(ends)


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
        window: the part, in whole pixels and inside the raster.
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
    # GDAL smooths numbers of colors as if they were colors, and one NaN makes NaN of all around it. So values are
    # picked, several for each pixel, and their colors are smoothed.
    picked = [min(px, max(asked, min(asked * _PICKED_PER_PX, _PICKED_PX))) for px, asked in zip(own, size, strict=True)]
    return resized(*_shown(data, look, window, (picked[0], picked[1]), Resampling.nearest), size)


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
    shape = size_px[1], size_px[0]
    there = _mask(data, look, window, shape)
    if _is_float(data, look):
        there &= np.isfinite(_values(data, look, window, shape, Resampling.nearest)).any(axis=0)
    return there


def may_have_gaps(data: rasterio.DatasetReader, look: Look) -> bool:
    """Tell from the head alone whether some pixels may hold no data: a mask, a no-data value, or floats."""
    return _is_float(data, look) or not _all_valid(data, look)


def _shown(
    data: rasterio.DatasetReader, look: Look, window: Window, size_px: tuple[int, int], resampling: Resampling
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    shape = size_px[1], size_px[0]
    values = _values(data, look, window, shape, resampling)
    there = _mask(data, look, window, shape)
    if values.dtype.kind == "f":
        there &= np.isfinite(values).any(axis=0)
    if look.palette is not None:
        rgb = look.palette[values[0]]
    else:
        bands = values if look.stretch is None else stretched(values, look.stretch)
        rgb = np.array(np.broadcast_to(bands, (3, *shape)).transpose(1, 2, 0), order="C")
    rgb[~there] = 0
    return rgb, there


def _values(
    data: rasterio.DatasetReader, look: Look, window: Window, shape: tuple[int, int], resampling: Resampling
) -> NDArray[Any]:
    """Read the values as stored, (bands, h, w)."""
    values: NDArray[Any] = data.read(
        look.bands,
        window=window,
        out_shape=(len(look.bands), *shape),
        resampling=resampling,
        out_dtype=_common_dtype(data, look.bands),
    )
    return values


def _mask(data: rasterio.DatasetReader, look: Look, window: Window, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Read the file's own mask of data, (h, w) bool: from a no-data value, an alpha band, or a mask."""
    if _all_valid(data, look):
        return np.ones(shape, np.bool_)
    shared = MaskFlags.per_dataset in data.mask_flag_enums[look.bands[0] - 1]
    bands = list(look.bands[:1] if shared else look.bands)
    masks: NDArray[np.uint8] = data.read_masks(bands, window=window, out_shape=(len(bands), *shape))
    return np.asarray((masks > 0).any(axis=0))


def _sample(data: rasterio.DatasetReader, bands: tuple[int, ...]) -> NDArray[Any]:
    """Read the whole raster at no more than 1024 px a side, (bands, ...); pixels without data are masked."""
    if data.width * data.height > _SAMPLED_WHOLE_PX and not data.overviews(bands[0]):
        pieces = _sampled_pieces(data, bands)
        # The pieces may miss nearly all data of a narrow swath in a wide frame.
        if min(_finite_count(band) for band in pieces) >= _ENOUGH_VALUES:
            return pieces
    share = min(1.0, _SAMPLE_PX / max(data.width, data.height))
    size = len(bands), max(1, round(data.height * share)), max(1, round(data.width * share))
    sample: NDArray[Any] = data.read(bands, out_shape=size, masked=True, out_dtype=_common_dtype(data, bands))
    return sample


def _finite_count(band: NDArray[Any]) -> int:
    return int(np.isfinite(np.ma.compressed(band)).sum())


def _sampled_pieces(data: rasterio.DatasetReader, bands: tuple[int, ...]) -> NDArray[Any]:
    """Read pieces spread over a large raster, (bands, n): a decimated read would decode all of it."""
    rows, columns = (
        np.linspace(0, length - _PIECE_PX, _PIECES_A_SIDE).round().astype(int).tolist()
        for length in (max(data.height, _PIECE_PX), max(data.width, _PIECE_PX))
    )
    pieces = [
        data.read(
            bands,
            window=Window(left, top, min(_PIECE_PX, data.width), min(_PIECE_PX, data.height)),
            masked=True,
            out_dtype=_common_dtype(data, bands),
        ).reshape(len(bands), -1)
        for top in rows
        for left in columns
    ]
    whole: NDArray[Any] = np.ma.concatenate(pieces, axis=1)  # type: ignore[no-untyped-call]
    return whole


def _common_dtype(data: rasterio.DatasetReader, bands: tuple[int, ...]) -> np.dtype[Any]:
    """Find one type that holds the values of all these bands; they may differ in a virtual raster."""
    return np.result_type(*(np.dtype(data.dtypes[band - 1]) for band in bands))


def _all_valid(data: rasterio.DatasetReader, look: Look) -> bool:
    return all(MaskFlags.all_valid in data.mask_flag_enums[band - 1] for band in look.bands)


def _is_float(data: rasterio.DatasetReader, look: Look) -> bool:
    return any(data.dtypes[band - 1].startswith("float") for band in look.bands)


def _needs_picking(data: rasterio.DatasetReader, look: Look) -> bool:
    return look.palette is not None or _is_float(data, look)


def starts(length_px: int, tile_px: int, overlap_px: int) -> list[int]:
    """Place equal windows along one side: first pixels that cover it whole, the last one moved inwards."""
    if length_px <= tile_px:
        return [0]
    step = tile_px - overlap_px
    inner = list(range(0, length_px - tile_px, step))
    return [*inner, length_px - tile_px]
