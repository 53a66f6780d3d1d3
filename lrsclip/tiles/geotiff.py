"""Tiles cut from georeferenced rasters by windowed reads, so that no scene is ever in memory whole."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.windows import Window

from lrsclip.errors import PictureError, TileSourceError
from lrsclip.io.decode import DECODE_FAULTS, Decoded, decode, opened, orientation, summary_of, unreadable, upright_size
from lrsclip.io.georeference import GeoReference, georeference_of
from lrsclip.io.kinds import head_of, is_raster, kind_of
from lrsclip.io.look import LOOKS, UPRIGHT, Look
from lrsclip.io.picture_parts import check_tags
from lrsclip.io.plain_file import open_plain
from lrsclip.io.raster import read_rgb, starts
from lrsclip.io.raster_file import RASTER_FAULTS, RasterFile, driver_of, open_raster
from lrsclip.tiles.base import Tile, bands_option, unwrapped, whole_option
from lrsclip.tiles.raster_paths import raster_paths

log = logging.getLogger(__name__)
_OPEN_RASTERS, _TOLD_FILES = 8, 5
_OPTIONS = frozenset({"tile_px", "overlap_px", "bands"})


@dataclass(frozen=True)
class _Raster:
    """A file of the pattern; a picture that is decoded whole has no look, and may be turned by its camera's word."""

    path: Path
    name: str
    width: int
    height: int
    look: Look | None
    summary: str
    upright: bool = True


class GeoTiffTiles:
    """Tiles of one or many rasters, of any kind that `open_image` reads, by their content.

    A file among several that cannot be read as a raster is left out and listed in `left_out`; the rest goes on. A path
    that is a file is that file, also where its name has signs of a pattern.

    A tile's id is the raster's file name, with the column and row of its upper left pixel. Windows at the right and
    lower edge are moved inwards so that all have one size; a raster smaller than a tile is one tile. Tiles without any
    data are listed as well, since listing must not read pixels, and cannot be read; an index leaves them out.

    Args:
        pattern: path of a raster, or a glob; a leading ~ stands for the home folder.
        tile_px: side of a tile in pixels of the raster.
        overlap_px: how far neighboring tiles overlap.
        bands: numbers (from 1) of the bands for red, green and blue, or one for gray; by default the file's own red,
            green and blue where it names them, else its first three; `summary` says which.

    Raises:
        TileSourceError: nothing fits the pattern, no file is a raster that has these bands, or a size is out of range.
    """

    def __init__(
        self, pattern: str, tile_px: int = 512, overlap_px: int = 0, bands: tuple[int, ...] | None = None
    ) -> None:
        if not 32 <= tile_px <= 8192:
            raise TileSourceError(f"geotiff: tile_px is {tile_px}; choose 32 to 8192 pixels")
        if not 0 <= overlap_px < tile_px:
            raise TileSourceError(f"geotiff: overlap_px is {overlap_px}; choose 0 to less than tile_px ({tile_px})")
        if bands is not None and len(bands) not in (1, 3):
            raise TileSourceError(f"geotiff: bands names {len(bands)} bands; name one, or three as in bands=4,3,2")
        self._pattern = str(Path(pattern).expanduser().absolute())
        self.tile_px, self.overlap_px, self._bands = tile_px, overlap_px, bands
        paths = raster_paths(self._pattern)
        if not paths:
            raise TileSourceError(
                f"no raster fits {pattern!r}; check the path, and quote a pattern with * for the shell"
            )
        self._rasters: dict[str, _Raster] = {}
        self._left_out: dict[str, str] = {}
        for path in paths:
            name = next(name for name in (_printable(path.name), _printable(str(path))) if name not in self._rasters)
            try:
                self._rasters[name] = _look_at(path, name, bands)
            except TileSourceError as error:
                if len(paths) == 1:
                    raise
                self._left_out[name] = str(error)
        if not self._rasters:
            first = next(iter(self._left_out.values()))
            raise TileSourceError(f"none of the {len(paths)} files that fit {pattern!r} is a raster: {first}")
        for told in list(self._left_out.values())[:_TOLD_FILES]:
            log.warning("left out: %s", told)
        if len(self._left_out) > _TOLD_FILES:
            log.warning("left out: %d files of %s in all", len(self._left_out), pattern)
        self._corners = {
            f"{raster.name}@{x},{y}": (raster, x, y)
            for raster in self._rasters.values()
            for y in starts(raster.height, tile_px, overlap_px)
            for x in starts(raster.width, tile_px, overlap_px)
        }
        self._references: dict[Path, GeoReference | None] = {}
        self._lock = threading.Lock()  # none may be closed while it is read
        self._held: OrderedDict[Path, RasterFile] = OrderedDict()
        self._whole: tuple[Path, Decoded] | None = None  # one picture, since it may fill hundreds of megabytes

    @classmethod
    def from_spec(cls, address: str, options: Mapping[str, str], max_tiles: int | None = None) -> GeoTiffTiles:
        """Open `geotiff:GLOB?tile_px=512&overlap_px=64&bands=4,3,2`.

        Visitors cannot open rasters, so `max_tiles` is ignored.

        Raises:
            TileSourceError: as the class, or an option is unknown or no number.
        """
        if not address:
            raise TileSourceError("no path after geotiff:; give one, or a pattern such as geotiff:scenes/*.tif")
        unknown = sorted(set(options) - _OPTIONS)
        if unknown:
            raise TileSourceError(f"geotiff has no option {unknown[0]!r}; it has {', '.join(sorted(_OPTIONS))}")
        bands = bands_option("geotiff", options)
        tile_px = whole_option("geotiff", options, "tile_px", 512)
        return cls(address, tile_px, whole_option("geotiff", options, "overlap_px", 0), bands)

    @property
    def spec(self) -> str:
        """Address that opens the same tiles again."""
        told = [f"tile_px={self.tile_px}"] if self.tile_px != 512 else []
        told += [f"overlap_px={self.overlap_px}"] if self.overlap_px else []
        told += [f"bands={','.join(map(str, self._bands))}"] if self._bands else []
        return f"geotiff:{self._pattern}" + (f"?{'&'.join(told)}" if told else "")

    def __len__(self) -> int:
        """Count the tiles."""
        return len(self._corners)

    @property
    def left_out(self) -> Mapping[str, str]:
        """Names of the files that fit the pattern and cannot be read as rasters, each with the reason."""
        return self._left_out

    def tile_ids(self) -> list[str]:
        """List the ids raster by raster, row by row."""
        return list(self._corners)

    def fingerprint(self, tile_id: str) -> str:
        """Fingerprint a tile by its file's size and modification time, and by how rasters look; "gone" if missing."""
        try:
            facts = self._listed(tile_id)[0].path.stat()
        except OSError:
            return "gone"
        return f"{facts.st_size}-{facts.st_mtime_ns}-{LOOKS}"

    def tile(self, tile_id: str) -> Tile:
        """Look up a tile's facts: outline in degrees and side in meters, where the raster is georeferenced."""
        raster, x, y = self._listed(tile_id)
        wide, high = min(self.tile_px, raster.width), min(self.tile_px, raster.height)
        with self._lock, _naming(tile_id):
            reference = self._reference(raster)
        outline, middle = (None, None) if reference is None else _placed(reference, x, y, wide, high)
        return Tile(tile_id, wide, high, _side_m(outline), outline, attribution=None, center_lonlat=middle)

    def picture(self, tile_id: str) -> Image.Image:
        """Read a tile, RGB; pixels without data are black.

        Raises:
            TileSourceError: there is no such tile.
            PictureError: the file is gone or damaged, or the window holds no data at all.
        """
        raster, x, y = self._listed(tile_id)
        window = Window(x, y, min(self.tile_px, raster.width), min(self.tile_px, raster.height))
        with self._lock, _naming(tile_id):
            if (look := raster.look) is None:
                return self._cut(raster, window, tile_id)
            rgb, there = self._open(raster.path).use(lambda data: read_rgb(data, look, window))
        if not there.any():
            raise PictureError(f"{tile_id} holds no data: it lies outside what the raster shows")
        return Image.fromarray(rgb)

    def summary(self, tile_id: str) -> str:
        """Say which bands a tile shows, and how: "bands 4, 3, 2; stretched 2-98 %".

        Raises:
            TileSourceError: there is no such tile.
        """
        return self._listed(tile_id)[0].summary

    def _cut(self, raster: _Raster, window: Window, tile_id: str) -> Image.Image:
        """Cut a tile out of a picture that is decoded whole."""
        if self._whole is None or self._whole[0] != raster.path:
            self._whole = None
            self._whole = raster.path, decode(raster.path, name=raster.name, bands=self._bands, mask=True)
        decoded = self._whole[1]
        left, top = int(window.col_off), int(window.row_off)
        right, bottom = left + int(window.width), top + int(window.height)
        if decoded.image.width < right or decoded.image.height < bottom:
            raise PictureError(f"cannot read {tile_id}: the picture is smaller than when it was listed; open it again")
        if decoded.there is not None and not decoded.there[top:bottom, left:right].any():
            raise PictureError(f"{tile_id} holds no data: it lies outside what the raster shows")
        return decoded.image.crop((left, top, right, bottom))

    def _reference(self, raster: _Raster) -> GeoReference | None:
        """Read where a raster lies, once; None where that is not known, or where its pixels were turned since."""
        if raster.path not in self._references:
            found: GeoReference | None = None
            # A picture that rasterio does not read has no place, and a world file knows nothing of a camera's turn.
            if raster.look is not None or (raster.upright and driver_of(raster.path) is not None):
                try:
                    found, _ = self._open(raster.path).use(partial(georeference_of, sidecar_crs=True))
                except PictureError as error:
                    log.warning("%s has no place: %s", raster.name, error)
            if found is not None and raster.look is not None and raster.look.orientation != UPRIGHT:
                found = None
            self._references[raster.path] = found
        return self._references[raster.path]

    def _listed(self, tile_id: str) -> tuple[_Raster, int, int]:
        if tile_id not in self._corners:
            raise TileSourceError(
                f"no tile {tile_id!r} in {self._pattern}; ids look like {next(iter(self._corners))!r}"
            )
        return self._corners[tile_id]

    def _open(self, path: Path) -> RasterFile:
        """Open the raster or take the open one; close the least recently read one to make room."""
        if path not in self._held:
            if len(self._held) == _OPEN_RASTERS:
                self._held.popitem(last=False)[1].close()
            self._held[path] = open_raster(path)
        self._held.move_to_end(path)
        return self._held[path]


class _naming:
    """A context that turns rasterio's errors into one that names the tile."""

    def __init__(self, tile_id: str) -> None:
        self._tile_id = tile_id

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, RASTER_FAULTS):
            reason = " ".join(str(error).split())
            raise PictureError(f"cannot read {self._tile_id}: {reason}; replace the raster or leave it out") from error


def _look_at(path: Path, name: str, wanted: tuple[int, ...] | None) -> _Raster:
    """Read the size, bands and stretch of a raster, from its head and decimated reads."""
    try:
        with open_plain(path) as content:
            head = head_of(content)
            check_tags(content)
        if not head:
            raise PictureError(f"{path} is empty; fetch it again")
        if kind_of(head) and not is_raster(head) and (found := _picture_at(path, name, wanted)):
            return found
        with closing(open_raster(path)) as file:
            if file.use(_is_cut_off):
                raise PictureError(f"{path} is cut off before its last pixels; fetch it again")
            look = file.look(wanted)
        return _Raster(path, name, *look.size_px, look, look.summary)
    except PictureError as error:
        raise TileSourceError(f"{path} cannot be read as a raster: {error}; or leave it out of the pattern") from error
    except (*RASTER_FAULTS, UnicodeError) as error:  # UnicodeError: a name that is not UTF-8
        raise TileSourceError(
            f"{_printable(str(path))} cannot be read as a raster ({error}); leave it out of the pattern"
        ) from error


def _is_cut_off(data: rasterio.DatasetReader) -> bool:
    """Tell whether a TIFF ends before its last block of pixels; False for other formats."""
    if data.driver != "GTiff":
        return False
    high, wide = data.block_shapes[-1]
    last = f"{(data.width - 1) // wide}_{(data.height - 1) // high}"
    place = [data.get_tag_item(f"BLOCK_{fact}_{last}", "TIFF", bidx=data.count) for fact in ("OFFSET", "SIZE")]
    # A sparse file has blocks of no place; they hold no data.
    return None not in place and sum(map(int, place)) > os.path.getsize(data.name)


def _printable(name: str) -> str:
    """Return a name of a file as text; bytes of it that are not UTF-8 become backslash escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _picture_at(path: Path, name: str, wanted: tuple[int, ...] | None) -> _Raster | None:
    """Look at a picture that is decoded whole, as every other door does; None for one that is too large for that."""
    try:
        with opened(path) as picture:
            upright = orientation(picture) == 1
            return _Raster(path, name, *upright_size(picture), None, summary_of(picture, wanted), upright)
    except Image.DecompressionBombError:
        return None
    except DECODE_FAULTS as error:
        raise unreadable(str(path), error) from error


def _placed(
    reference: GeoReference, x: int, y: int, wide: int, high: int
) -> tuple[tuple[tuple[float, float], ...] | None, tuple[float, float] | None]:
    """Compute outline and middle of a window in degrees; the middle is that of its pixels, at a pole too."""
    columns, rows = np.array([x, x + wide, x + wide, x]), np.array([y, y, y + high, y + high])
    corners = np.stack(reference.outline_lonlat(columns, rows), axis=1)
    middle = np.stack(reference.lonlat(x + wide / 2, y + high / 2))
    outline = tuple((float(lon), float(lat)) for lon, lat in corners) if np.isfinite(corners).all() else None
    return outline, (float(middle[0]), float(middle[1])) if np.isfinite(middle).all() else None


def _side_m(outline: tuple[tuple[float, float], ...] | None) -> float | None:
    """Average the upper and the left side of an outline on the ground, meters; good to half a percent."""
    if outline is None:
        return None
    (west, north), (east, east_north), _, (left, south) = unwrapped(outline)
    per_degree = 111_320.0
    shorter = math.cos(math.radians((north + south) / 2))
    upper = math.hypot((east - west) * shorter, east_north - north) * per_degree
    side = math.hypot((left - west) * shorter, south - north) * per_degree
    return (upper + side) / 2
