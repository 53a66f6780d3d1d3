"""How one raster is shown: which bands, stretched between which values, and what in it is no data.

Every door to a picture takes its look from here, so that one file looks the same in all of them: a thumbnail as a
tile, a folder as a scene. A look also says in words what was taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import CRSError, RasterioError
from rasterio.windows import Window

from lrsclip.errors import TileSourceError
from lrsclip.io.bands import band_names, inks, is_transparency_by_name, named_colors

Ends = tuple[tuple[float, float], ...]  # for each band the values that become black and white

LOOKS = "look 2"
"""To be counted up when files come to look otherwise: what was encoded of them before does not count any more."""
UPRIGHT = 1
SIDEWAYS = frozenset({5, 6, 7, 8})
"""Orientations in which width and height are exchanged."""
_SAMPLE_PX = 1024  # side of the decimated read that the stretch is taken from
_SAMPLED_WHOLE_PX = 25_000_000  # a larger raster without overviews is sampled in pieces
_PIECES_A_SIDE, _PIECE_PX, _ENOUGH_VALUES = 8, 128, 100_000
_PERCENTILES = (2.0, 98.0)
_MOSTLY_FULL = 0.5  # of the pixels that are not clear: a transparency has soft edges at most
_FULL_BY_HABIT = (1, 255, 65535)  # written into deeper types by programs that keep their old range


@dataclass(frozen=True)
class Facts:
    """Facts of a raster's file that GDAL does not tell.

    Attributes:
        orientation: of the pixels, 1 (upright) to 8, as cameras write it.
        premultiplied: whether the colors are multiplied by the transparency already.
    """

    orientation: int = UPRIGHT
    premultiplied: bool = False


@dataclass(frozen=True)
class Transparency:
    """The band that says how much of a pixel shows.

    Attributes:
        band: its number, from 1.
        full: value of a pixel that shows whole.
        premultiplied: whether the colors are multiplied by it already.
    """

    band: int
    full: float
    premultiplied: bool = False


@dataclass(frozen=True, eq=False)
class Look:
    """The bands and colors in which one raster is shown.

    Attributes:
        bands: numbers (from 1) of the bands for red, green and blue, or of one for gray; of four for inks.
        stretch: for each band the values that become black and white; None where 8 bits are shown as they are.
        palette: (256 or 65536, 4) uint8 RGBA where the one band numbers colors.
        transparency: the band of it, if there is one.
        file_mask: whether GDAL's mask counts: a no-data value, or a mask in the file or beside it.
        orientation: 1 to 8; windows and sizes are those of the upright picture.
        size_px: width and height, upright.
        stretched_by_values: whether `stretch` comes from the values that the raster holds.
        notes: what was found out on the way, each a part of a sentence.
    """

    bands: tuple[int, ...]
    stretch: Ends | None
    palette: NDArray[np.uint8] | None
    transparency: Transparency | None = None
    file_mask: bool = True
    orientation: int = UPRIGHT
    size_px: tuple[int, int] = (0, 0)
    stretched_by_values: bool = False
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What was taken, for people: "bands 4, 3, 2; stretched 2-98 %"."""
        numbers = ", ".join(str(band) for band in self.bands)
        taken = f"band {numbers}" if len(self.bands) == 1 else f"bands {numbers}"
        if self.palette is not None:
            how = "colors of its palette"
        else:
            how = "stretched 2-98 %" if self.stretched_by_values else "shown as stored"
        return "; ".join((taken, how, *self.notes))


def is_plain(summary: str) -> bool:
    """Tell whether a summary says nothing that a user would not expect of any picture."""
    return summary in ("bands 1, 2, 3; shown as stored", "band 1; shown as stored")


def look_at(data: rasterio.DatasetReader, wanted: tuple[int, ...] | None = None, facts: Facts | None = None) -> Look:
    """Choose bands, stretch, palette and mask of a raster, from its head and decimated reads.

    Args:
        data: the raster.
        wanted: numbers (from 1) of three bands or one; by default the file's own red, green and blue where it names
            them, else its first three.
        facts: what GDAL does not tell; by default nothing of the kind.

    Raises:
        TileSourceError: a band is not there, or the bands hold complex numbers.
        RasterioError: the file is damaged.
    """
    if data.count == 0:
        raise TileSourceError(f"{data.name} has no bands that can be shown; name one of the rasters inside it")
    facts = facts or Facts()
    transparency, notes = _transparency(data, facts)
    bands = wanted or _usual_bands(data, transparency)
    if max(bands) > data.count or min(bands) < 1:
        absent = max(bands) if max(bands) > data.count else min(bands)
        raise TileSourceError(f"{data.name} has {data.count} bands, so there is no band {absent}; choose others")
    kinds = {data.dtypes[band - 1] for band in bands}
    if any(kind.startswith("complex") for kind in kinds):
        raise TileSourceError(f"{data.name} holds complex numbers; save their amplitude and give that")
    if transparency is not None and transparency.band in bands:  # somebody wants to see it itself
        transparency, notes = None, ()
    masked = _counts(data, bands)
    if masked:
        value = data.nodatavals[bands[0] - 1]
        notes = (*notes, "masked pixels black" if value is None else f"no-data value {value:g} black")
    palette, no_table = _palette(data, bands, kinds)
    if no_table:
        notes = ("a palette without its table of colors", *notes)
    # Numbers of colors without their table are few, and would be all but black.
    by_values = palette is None and len(bands) != 4 and (kinds != {"uint8"} or no_table)
    ends = stretch_ends(_sample(data, bands, transparency, masked)) if by_values else None
    if palette is None and ends is None:
        ends = _ends_of_few_bits(data, bands)
    if data.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES":  # as scanned paper: the lowest value is white
        ends = tuple((white, black) for black, white in ends or ((0.0, 255.0),) * len(bands))
    turn, size_px = _orientation(data, facts), upright_size_px(data, facts)
    return Look(bands, ends, palette, transparency, masked, turn, size_px, by_values, notes)


def upright_size_px(data: rasterio.DatasetReader, facts: Facts) -> tuple[int, int]:
    """Compute width and height of a raster as it is shown."""
    sideways = _orientation(data, facts) in SIDEWAYS
    return (data.height, data.width) if sideways else (data.width, data.height)


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


def values_of(
    data: rasterio.DatasetReader,
    bands: tuple[int, ...],
    window: Window | None,
    shape: tuple[int, int],
    resampling: Resampling = Resampling.nearest,
) -> NDArray[Any]:
    """Read the values as stored, (bands, h, w), in one type that holds them all.

    Args:
        data: the raster.
        bands: numbers from 1.
        window: the part as it is stored; None for the whole.
        shape: rows and columns wanted.
        resampling: how values between pixels are found.
    """
    values: NDArray[Any] = data.read(
        bands,
        window=window,
        out_shape=(len(bands), *shape),
        resampling=resampling,
        # They may differ from band to band.
        out_dtype=np.result_type(*(np.dtype(data.dtypes[band - 1]) for band in bands)),
    )
    return values


def mask_of(
    data: rasterio.DatasetReader, bands: tuple[int, ...], window: Window | None, shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Read the file's own mask of data, (h, w) bool: from a no-data value or a mask; True where one band holds some."""
    shared = MaskFlags.per_dataset in data.mask_flag_enums[bands[0] - 1]
    asked = list(bands[:1] if shared else bands)
    masks: NDArray[np.uint8] = data.read_masks(asked, window=window, out_shape=(len(asked), *shape))
    return np.asarray((masks > 0).any(axis=0))


def _usual_bands(data: rasterio.DatasetReader, transparency: Transparency | None) -> tuple[int, ...]:
    """Choose the file's own red, green and blue where it names them, else its first three or one; no transparency."""
    if found := named_colors(data):
        return found
    if (found := inks(data)) and {data.dtypes[band - 1] for band in found} <= {"uint8", "uint16"}:
        return found
    hidden = transparency.band if transparency is not None else 0
    shown = [number for number in range(1, data.count + 1) if number != hidden]
    return tuple(shown[:3]) if len(shown) >= 3 else (shown[0],)


def _palette(
    data: rasterio.DatasetReader, bands: tuple[int, ...], kinds: set[str]
) -> tuple[NDArray[np.uint8] | None, bool]:
    """Read the color table of a band that numbers colors; None and whether the file lacks the one that it claims."""
    if len(bands) != 1 or data.colorinterp[bands[0] - 1] != ColorInterp.palette or not kinds <= {"uint8", "uint16"}:
        return None, False
    try:
        colors = data.colormap(bands[0])
    except ValueError:  # rasterio's word for "none"
        return None, True
    return _table(colors, 256 if kinds == {"uint8"} else 65536), False


def _table(colors: Mapping[int, tuple[int, ...]], size: int) -> NDArray[np.uint8]:
    """Build the table of numbered colors, (size, 4) uint8 RGBA; a number without color is black."""
    table = np.zeros((size, 4), np.uint8)
    table[:, 3] = 255
    for number, color in colors.items():
        if 0 <= number < size:
            table[number, : len(color)] = color
    return table


def _ends_of_few_bits(data: rasterio.DatasetReader, bands: tuple[int, ...]) -> Ends | None:
    depths = [int(data.tags(band, ns="IMAGE_STRUCTURE").get("NBITS", 8)) for band in bands]
    return tuple((0.0, 2.0**depth - 1) for depth in depths) if min(depths) < 8 else None  # four bits fill 0 to 15 only


def _orientation(data: rasterio.DatasetReader, facts: Facts) -> int:
    """Find the turn of a raster: GDAL leaves it lying on its side, and one with a place on Earth lies right so."""
    return facts.orientation if facts.orientation != UPRIGHT and not _is_placed(data) else UPRIGHT


def _is_placed(data: rasterio.DatasetReader) -> bool:
    try:
        return (data.crs is not None and not data.transform.is_identity) or bool(data.gcps[0]) or data.rpcs is not None
    except (RasterioError, CRSError, UnicodeError):  # a system that nobody can read places nothing
        return False


def _counts(data: rasterio.DatasetReader, bands: tuple[int, ...]) -> bool:
    """Tell whether GDAL's mask of these bands tells anything; its view of transparency is not asked."""
    flags = [data.mask_flag_enums[band - 1] for band in bands]
    return not all(MaskFlags.all_valid in of or MaskFlags.alpha in of for of in flags)


def _transparency(data: rasterio.DatasetReader, facts: Facts) -> tuple[Transparency | None, tuple[str, ...]]:
    """Find the band of transparency, and say what was taken for what.

    GDAL and rasterio flag the fourth of four bands as transparency whenever nobody says otherwise, so that public
    aerial pictures in red, green, blue and near-infrared carry the flag. A transparency holds "clear" and "full", and
    little between them.
    """
    flagged = [number for number, kind in enumerate(data.colorinterp, 1) if kind == ColorInterp.alpha]
    names = band_names(data)
    named = [number for number, name in enumerate(names, 1) if is_transparency_by_name(name)]
    for number in dict.fromkeys((*named, *flagged)):
        if data.count == 1:
            break
        by_library = "SOURCE_COLOR_SPACE" in data.tags(ns="IMAGE_STRUCTURE")  # which adds it to every CMYK
        by_format = data.driver != "GTiff" or by_library
        sure = number in named or (by_format and number in flagged)
        if is_transparency_by_name(names[number - 1]) is False and not by_format:
            continue
        full, mostly = _fullness(data, number)
        if by_library and full is not None and _holds_only(data, number, {full}):
            return None, ()
        if full is not None and (sure or mostly or facts.premultiplied):
            noted = f"band {number} is transparency"
            return Transparency(number, full, facts.premultiplied and number in flagged), (noted,)
    if not flagged:
        return None, ()
    noted = f"band {flagged[0]} is flagged as transparency, and taken for near-infrared by what it holds"
    # rasterio flags the first band behind the colors, and the transparency may stand behind it.
    last = data.count
    if last not in flagged and not names[last - 1] and last > 2:
        full, _ = _fullness(data, last)
        if full is not None and _holds_only(data, last, {0, full}):
            return Transparency(last, full), (noted, f"band {last} is transparency")
    return None, (noted,)


def _fullness(data: rasterio.DatasetReader, band: int) -> tuple[float | None, bool]:
    """Find the value of a transparency's band that shows whole, and whether most of what shows at all has it."""
    kind = np.dtype(data.dtypes[band - 1])
    if kind.kind == "c":
        return None, False
    values = np.ma.compressed(_sample(data, (band,), None, False))
    values = values[np.isfinite(values)] if kind.kind == "f" else values
    most = float(values.max()) if values.size else 0.0
    bits = int(data.tags(band, ns="IMAGE_STRUCTURE").get("NBITS", 8 * kind.itemsize))
    usual = 1.0 if kind.kind == "f" else float(min(np.iinfo(kind).max, 2**bits - 1))
    if most <= 0:
        return usual, True  # clear all over
    full = most if most in (*_FULL_BY_HABIT, usual) else usual
    seen = values[values > 0]
    return full, bool(most == full and (seen >= full).mean() >= _MOSTLY_FULL)


def _holds_only(data: rasterio.DatasetReader, band: int, numbers: set[float]) -> bool:
    """Tell whether a band holds these numbers, all of them, and nothing else."""
    return set(np.unique(np.ma.compressed(_sample(data, (band,), None, False))).tolist()) == numbers


def _sample(
    data: rasterio.DatasetReader, bands: tuple[int, ...], transparency: Transparency | None, masked: bool
) -> NDArray[Any]:
    """Read the whole raster at no more than 1024 px a side, (bands, ...); pixels without data are masked."""
    if data.width * data.height > _SAMPLED_WHOLE_PX and not data.overviews(bands[0]):
        pieces = _sampled_pieces(data, bands, transparency, masked)
        # The pieces may miss nearly all data of a narrow swath in a wide frame.
        if min(_finite_count(band) for band in pieces) >= _ENOUGH_VALUES:
            return pieces
    share = min(1.0, _SAMPLE_PX / max(data.width, data.height))
    shape = max(1, round(data.height * share)), max(1, round(data.width * share))
    return _masked(data, bands, transparency, masked, None, shape)


def _masked(
    data: rasterio.DatasetReader,
    bands: tuple[int, ...],
    transparency: Transparency | None,
    masked: bool,
    window: Window | None,
    shape: tuple[int, int],
) -> NDArray[Any]:
    """Read values as a masked array, (bands, h, w); each band's own gaps are masked in it alone."""
    if masked:
        values = data.read(
            bands,
            window=window,
            out_shape=(len(bands), *shape),
            masked=True,
            out_dtype=np.result_type(*(np.dtype(data.dtypes[band - 1]) for band in bands)),
        )
    else:
        values = np.ma.asarray(values_of(data, bands, window, shape))
    if transparency is not None:
        clear = values_of(data, (transparency.band,), window, shape)[0] <= 0
        values = np.ma.masked_where(np.broadcast_to(clear, values.shape), values)
    found: NDArray[Any] = values
    return found


def _finite_count(band: NDArray[Any]) -> int:
    return int(np.isfinite(np.ma.compressed(band)).sum())


def _sampled_pieces(
    data: rasterio.DatasetReader, bands: tuple[int, ...], transparency: Transparency | None, masked: bool
) -> NDArray[Any]:
    """Read pieces spread over a large raster, (bands, n): a decimated read would decode all of it."""
    rows, columns = (
        np.linspace(0, length - _PIECE_PX, _PIECES_A_SIDE).round().astype(int).tolist()
        for length in (max(data.height, _PIECE_PX), max(data.width, _PIECE_PX))
    )
    wide, high = min(_PIECE_PX, data.width), min(_PIECE_PX, data.height)
    pieces = [
        _masked(data, bands, transparency, masked, Window(left, top, wide, high), (high, wide)).reshape(len(bands), -1)
        for top in rows
        for left in columns
    ]
    whole: NDArray[Any] = np.ma.concatenate(pieces, axis=1)  # type: ignore[no-untyped-call]
    return whole
