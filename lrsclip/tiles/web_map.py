"""A collection as tiles of a web map: squares of 256 px in Web Mercator, drawn from its pictures when asked for.

Each picture is laid between its four corners, so that rasters that are turned, upside down or far from the middle of
their projection lie where they belong. From afar the pictures are taken from a store of very small ones, so that a
square with thousands of pictures takes no longer than one with a few.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

from lrsclip.errors import IndexArgumentError, LRSCLIPError
from lrsclip.tiles.base import Tile, TileSource, preview_of, unwrapped

SQUARE_PX = 256
MAX_ZOOM = 22
MAX_TILES = 200_000
"""With more tiles than this a collection has no map: their corners alone would take hundreds of megabytes."""
_LAST_LATITUDE = math.degrees(math.atan(math.sinh(math.pi)))  # 85.05: where the square map of the web ends
_POINT_DEGREES = 0.0003  # about 33 m: half a side of the square for a tile of which only the center is known
_DEGREE_M = 111_320.0
_STORE_BYTES = 16 * 2**20  # of the very small pictures
_MOST_SMALL_PX = 32
_MAX_DRAWN = 8_192  # pictures in one square; of more a sample is drawn
_MIN_PX = 3  # a side of the smallest picture that is still seen
_RECENT = 16  # pictures that are kept, since the next square needs them too

Corners = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Drawn:
    """A square of the map.

    Attributes:
        picture: RGBA, clear where no tile lies; None where none lies at all.
        complete: whether every picture in it was ready in time.
    """

    picture: Image.Image | None
    complete: bool


def corners_lonlat(tile: Tile) -> tuple[tuple[float, float], ...] | None:
    """Find the corners of a tile's picture in degrees, from the upper left one clockwise; None where no place is known.

    Longitudes run on beyond 180 degrees across the date line. A tile of which only the center is known is taken to be
    north up, and some 66 m a side where its size is not known either.
    """
    if tile.footprint_lonlat:
        outline = unwrapped(tile.footprint_lonlat)
        if len(outline) == 4:
            return tuple(outline)
        east_west, north_south = zip(*outline, strict=True)
        return _north_up(min(east_west), min(north_south), max(east_west), max(north_south))
    if tile.middle_lonlat is None:
        return None
    longitude, latitude = tile.middle_lonlat
    up = _POINT_DEGREES if tile.ground_m is None else tile.ground_m / 2 / _DEGREE_M
    across = up / max(0.1, math.cos(math.radians(latitude)))
    return _north_up(longitude - across, latitude - up, longitude + across, latitude + up)


def _north_up(west: float, south: float, east: float, north: float) -> tuple[tuple[float, float], ...]:
    return (west, north), (east, north), (east, south), (west, south)


class WebMap:
    """The map of a collection; safe between threads.

    Args:
        source: of the pictures.
        tiles: those to be drawn; any without a place are left out, as all are if there are more than `MAX_TILES`.
    """

    def __init__(self, source: TileSource, tiles: Iterable[Tile]) -> None:
        placed = [(tile.tile_id, corners) for tile in tiles if (corners := corners_lonlat(tile)) is not None]
        self.bounds_lonlat, turned = _side_by_side(np.array([one for _, one in placed], np.float64).reshape(-1, 4, 2))
        if len(placed) > MAX_TILES:
            placed, turned = [], turned[:0]
        self._source, self._ids = source, [tile_id for tile_id, _ in placed]
        self._corners = _world(turned)
        low, high = self._corners.min(axis=1, initial=np.inf), self._corners.max(axis=1, initial=-np.inf)
        self._tree = shapely.STRtree(shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1]))
        room = math.isqrt(_STORE_BYTES // (3 * max(1, len(placed))))
        self._small_px = max(1, min(_MOST_SMALL_PX, room))
        self._small = np.zeros((len(placed), self._small_px, self._small_px, 3), np.uint8)
        self._stored = np.zeros(len(placed), np.bool_)
        self._lost = np.zeros(len(placed), np.bool_)
        self._read = lru_cache(_RECENT)(self._read_picture)
        self._filling = Lock()

    def __len__(self) -> int:
        """Count the tiles that are drawn."""
        return len(self._ids)

    def fill(self) -> None:
        """Read all very small pictures ahead of the first look at the map; does nothing while another thread does."""
        if not self._filling.acquire(blocking=False):
            return
        try:
            for number in range(len(self._ids)):
                self._store(number)
        finally:
            self._filling.release()

    def draw(self, zoom: int, x: int, y: int, budget_s: float = math.inf) -> Drawn:
        """Draw a square of the map.

        Args:
            zoom: level, 0 (the world in one square) to `MAX_ZOOM`.
            x: number of the square from the west.
            y: number of the square from the north.
            budget_s: time after which pictures that would have to be read are left out.

        Raises:
            IndexArgumentError: there is no such square.
        """
        if not 0 <= zoom <= MAX_ZOOM or not (0 <= x < 2**zoom and 0 <= y < 2**zoom):
            raise IndexArgumentError(f"the map has no square {zoom}/{x}/{y}; zoom levels go from 0 to {MAX_ZOOM}")
        until_s, complete = time.monotonic() + budget_s, True
        found = self._within(zoom, x, y)
        if not found:
            return Drawn(None, True)
        canvas = np.zeros((SQUARE_PX, SQUARE_PX, 4), np.uint8)
        for number, turn in found:
            quad_px = (self._corners[number] * 2.0**zoom - (x + turn * 2**zoom, y)) * SQUARE_PX
            wide_px, high_px = _sides(quad_px)
            if time.monotonic() > until_s and not self._stored[number]:
                complete = False
                continue
            if max(wide_px, high_px) <= self._small_px or time.monotonic() > until_s:
                complete &= max(wide_px, high_px) <= self._small_px
                pixels = self._store(number)
            else:
                pixels = self._sized(number, wide_px, high_px)
            if pixels is None:
                continue
            if max(wide_px, high_px) < _MIN_PX:
                quad_px = quad_px.mean(axis=0) + _DOT * _MIN_PX / 2
            _lay(canvas, pixels, quad_px)
        return Drawn(Image.fromarray(canvas) if canvas[..., 3].any() else None, complete)

    def _within(self, zoom: int, x: int, y: int) -> list[tuple[int, int]]:
        """List the tiles in a square by number, with the turn around the Earth on which each lies."""
        side = 2.0**-zoom
        margin = _MIN_PX * side / SQUARE_PX  # dots of tiny tiles reach over the edge
        found = []
        for turn in (-1, 0, 1):
            left, top = x * side + turn - margin, y * side - margin
            seen = self._tree.query(shapely.box(left, top, left + side + 2 * margin, top + side + 2 * margin))
            found += [(int(number), turn) for number in np.sort(seen)]
        return found if len(found) <= _MAX_DRAWN else [found[k * len(found) // _MAX_DRAWN] for k in range(_MAX_DRAWN)]

    def _store(self, number: int) -> Pixels | None:
        """Return a very small picture, read if it is not there; None where the file is lost."""
        if not self._stored[number]:
            try:
                picture = preview_of(self._source, self._ids[number], self._small_px)
                side = (self._small_px, self._small_px)
                self._small[number] = np.asarray(picture.resize(side, Image.Resampling.BOX, reducing_gap=1.5))
            except LRSCLIPError:  # a lost file leaves a gap in the map, no more
                self._lost[number] = True
            self._stored[number] = True
        return None if self._lost[number] else self._small[number]

    def _sized(self, number: int, wide_px: float, high_px: float) -> Pixels | None:
        """Return a picture that is as large as it is shown, or smaller if it has no more pixels."""
        try:
            picture = self._read(number, 2 ** math.ceil(math.log2(max(wide_px, high_px, 1))))
        except LRSCLIPError:
            return None
        size = min(picture.width, math.ceil(wide_px)), min(picture.height, math.ceil(high_px))
        if size != picture.size:
            picture = picture.resize(size, Image.Resampling.BOX, reducing_gap=3.0)
        return np.asarray(picture)

    def _read_picture(self, number: int, min_px: int) -> Image.Image:
        return preview_of(self._source, self._ids[number], min_px)


_DOT = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])


def _side_by_side(corners: Corners) -> tuple[tuple[float, float, float, float], Corners]:
    """Bring tiles on both sides of the date line side by side.

    Args:
        corners: (N, 4, 2) in degrees.

    Returns:
        West, south, east and north of all; the corners, on other turns around the Earth if that makes them lie closer.
    """
    if not len(corners):
        return (0.0, 0.0, 0.0, 0.0), corners
    centers = corners[..., 0].mean(axis=1)
    turned = corners.copy()
    turned[..., 0] -= 360 * np.round((centers - centers[0]) / 360)[:, None]
    best = min(corners, turned, key=lambda one: float(np.ptp(one[..., 0])))
    west, south = best.min(axis=(0, 1))
    east, north = best.max(axis=(0, 1))
    return (float(west), float(south), float(east), float(north)), best


def _world(corners: Corners) -> Corners:
    """Convert (N, 4, 2) degrees to places on the square map of the web: 0 to 1 from west to east and north to south."""
    latitude = np.radians(np.clip(corners[..., 1], -_LAST_LATITUDE, _LAST_LATITUDE))
    across = corners[..., 0] / 360 + 0.5
    return np.stack([across, 0.5 - np.arcsinh(np.tan(latitude)) / (2 * np.pi)], axis=-1)


def _sides(quad_px: Corners) -> tuple[float, float]:
    """Average the upper and lower, and the left and right sides of a quadrangle."""
    edges = np.linalg.norm(quad_px - np.roll(quad_px, -1, axis=0), axis=1)
    return float(edges[0] + edges[2]) / 2, float(edges[1] + edges[3]) / 2


def _lay(canvas: Pixels, pixels: Pixels, quad_px: Corners) -> None:
    """Lay a picture between four corners.

    Args:
        canvas: (S, S, 4), which is painted on.
        pixels: (H, W, 3).
        quad_px: (4, 2) places of its corners on the canvas, from the upper left one clockwise.
    """
    left, top = np.maximum(np.floor(quad_px.min(axis=0)), 0).astype(int)
    right, lower = np.minimum(np.ceil(quad_px.max(axis=0)), SQUARE_PX).astype(int)
    if left >= right or top >= lower:
        return
    to_picture = _homography(quad_px, pixels.shape[1], pixels.shape[0])
    if to_picture is None:
        return
    x, y = np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, lower) + 0.5)
    column, row, depth = (line[0] * x + line[1] * y + line[2] for line in to_picture)
    column, row = column / depth, row / depth
    high, wide = pixels.shape[:2]
    inside = (column >= 0) & (column <= wide) & (row >= 0) & (row <= high)
    column, row = np.clip(column[inside] - 0.5, 0, wide - 1), np.clip(row[inside] - 0.5, 0, high - 1)
    first, upper = column.astype(int), row.astype(int)
    second, under = np.minimum(first + 1, wide - 1), np.minimum(upper + 1, high - 1)
    right_share, lower_share = (column - first)[:, None], (row - upper)[:, None]
    above = pixels[upper, first] * (1 - right_share) + pixels[upper, second] * right_share
    below = pixels[under, first] * (1 - right_share) + pixels[under, second] * right_share
    part = canvas[top:lower, left:right]
    part[inside, :3] = np.rint(above * (1 - lower_share) + below * lower_share).astype(np.uint8)
    part[inside, 3] = 255


def _homography(quad_px: Corners, wide: int, high: int) -> Corners | None:
    """Compute the (3, 3) projective map from places on the canvas to those in the picture; None for no quadrangle."""
    origin = quad_px.mean(axis=0)  # far from 0 the equations lose their digits
    scale = max(1e-9, float(np.abs(quad_px - origin).max()))
    equations, values = [], []
    target = ((0, 0), (wide, 0), (wide, high), (0, high))
    for (x, y), (u, v) in zip((quad_px - origin) / scale, target, strict=True):
        equations += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    try:
        solved = np.linalg.solve(np.array(equations), np.array(values, np.float64))
    except np.linalg.LinAlgError:
        return None
    shift = np.array([[1 / scale, 0, -origin[0] / scale], [0, 1 / scale, -origin[1] / scale], [0, 0, 1]])
    return np.append(solved, 1.0).reshape(3, 3) @ shift
