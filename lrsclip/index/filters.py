"""Filters of a search: rows of an area, of some sources, or both."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from lrsclip.errors import IndexArgumentError
from lrsclip.index.schema import IndexData
from lrsclip.numbers import decimal_of

_LONGEST_AREA, _MOST_CORNERS = 4000, 100  # characters, and corners of a polygon
_BETWEEN = re.compile(r"[\s,;]+")
_WKT = re.compile(r"POLYGON\s*\(\s*\(([^()]*)\)\s*\)", re.IGNORECASE)
_FORM = "write west, south, east, north in degrees, such as -95.4, 29.7, -95.3, 29.8"
Box = tuple[float, float, float, float]
Corners = tuple[tuple[float, float], ...]
DUPLICATE_COS = 0.99
"""Tiles nearer than this to a better hit show the same."""


@dataclass(frozen=True)
class Area:
    """An area on Earth: a box, a polygon, or nothing, which is everywhere. A tile belongs to it with its center.

    Attributes:
        bbox_lonlat: west, south, east, north in degrees; a box whose west is east of its east crosses the date line.
        polygon_lonlat: its corners as longitude and latitude, three or more; across the date line longitudes go on
            beyond 180 (or -180).

    Raises:
        IndexArgumentError: the box or the polygon is none.
    """

    bbox_lonlat: Box | None = None
    polygon_lonlat: Corners | None = None

    def __post_init__(self) -> None:
        """Refuse an area that is none, or that lies off the map."""
        if self.bbox_lonlat is not None:
            _check_box(self.bbox_lonlat)
        if self.polygon_lonlat is not None:
            _check_polygon(self.polygon_lonlat)

    def __bool__(self) -> bool:
        """Return whether it is less than everywhere."""
        return self.bbox_lonlat is not None or self.polygon_lonlat is not None

    def holds(self, longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which places lie in it, (N,) from (N,) degrees; an unknown place (NaN) lies in no area."""
        inside = np.ones(len(longitude), np.bool_)
        if self.bbox_lonlat is not None:
            west, south, east, north = self.bbox_lonlat
            between = (longitude >= west) & (longitude <= east)
            across = (longitude >= west) | (longitude <= east)
            inside &= (between if west <= east else across) & (latitude >= south) & (latitude <= north)
        if self.polygon_lonlat is not None:
            polygon = _surface(self.polygon_lonlat)
            shapely.prepare(polygon)
            turns = (shapely.contains_xy(polygon, longitude + turn, latitude) for turn in (-360, 0, 360))
            inside &= np.logical_or.reduce(list(turns))
        return inside

    def written(self) -> str:
        """Write it as `parse_area` reads it, to a tenth of a meter; "" for everywhere."""
        if self.polygon_lonlat is not None:
            return ", ".join(f"{_degrees(x)} {_degrees(y)}" for x, y in self.polygon_lonlat)
        return ", ".join(map(_degrees, self.bbox_lonlat)) if self.bbox_lonlat is not None else ""


def _degrees(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _surface(corners: Corners) -> BaseGeometry:
    # A line that crosses itself encloses parts of either turn, which cancel each other out in a plain sum.
    return shapely.make_valid(Polygon(corners))


def _check_box(box: Box) -> None:
    west, south, east, north = box
    if not all(math.isfinite(value) for value in box) or south > north or abs(south) > 90:
        raise IndexArgumentError(f"cannot read {box} as an area; {_FORM}")
    if max(abs(west), abs(east)) > 180 or abs(north) > 90:
        raise IndexArgumentError(
            f"{box} lies off the map: latitudes go from -90 to 90, longitudes from -180 to 180; "
            "is the order west, south, east, north?"
        )


def _check_polygon(corners: Corners) -> None:
    if not 3 <= len(corners) <= _MOST_CORNERS:
        raise IndexArgumentError(f"a polygon has 3 to {_MOST_CORNERS} corners, not {len(corners)}")
    longitudes, latitudes = zip(*corners, strict=True)
    if not all(map(math.isfinite, (*longitudes, *latitudes))) or max(map(abs, latitudes)) > 90:
        raise IndexArgumentError("the polygon lies off the map; write longitude and latitude of each corner in degrees")
    if max(map(abs, longitudes)) > 360 or max(longitudes) - min(longitudes) > 360:
        raise IndexArgumentError("the polygon goes around the Earth; draw a smaller one")
    if _surface(corners).area == 0:
        raise IndexArgumentError("the polygon has no inside; its corners lie on one line")


@dataclass(frozen=True)
class SearchFilter:
    """The limits of a search.

    Attributes:
        area: where tiles must lie; those without a place lie in none.
        source_specs: addresses of sources; None for all.
    """

    area: Area = Area()
    source_specs: tuple[str, ...] | None = None

    def rows_of(self, data: IndexData, middles: NDArray[np.float64]) -> NDArray[np.int64]:
        """List the numbers of the rows that pass, in order, (n,) int64.

        Args:
            data: the index's.
            middles: (N, 2) longitude and latitude, NaN where unknown; see `middles_of`.

        Raises:
            IndexArgumentError: the index has no such source.
        """
        passes = np.ones(len(data.rows), np.bool_)
        if self.source_specs is not None:
            for spec in self.source_specs:
                if spec not in data.source_specs:
                    known = ", ".join(data.source_specs)
                    raise IndexArgumentError(f"the index has no source {spec}; it has {known}")
            passes &= np.array([row.source_spec in self.source_specs for row in data.rows], np.bool_)
        if self.area:
            passes &= self.area.holds(middles[:, 0], middles[:, 1])
        return np.flatnonzero(passes).astype(np.int64)


def parse_area(text: str) -> Area:
    """Parse an area in degrees: a box, or the corners of a polygon.

    Args:
        text: west, south, east, north; or longitude and latitude of three corners or more, also as WKT (POLYGON
            ((...))); with commas, semicolons or spaces between. Everywhere if empty.

    Raises:
        IndexArgumentError: it is neither.
    """
    plain = text[: _LONGEST_AREA + 1].strip()
    wkt = _WKT.fullmatch(plain)
    parts = [part for part in _BETWEEN.split((wkt[1] if wkt else plain).strip()) if part]
    if not parts:
        return Area()
    numbers = [value for part in parts if (value := decimal_of(part)) is not None]
    if len(numbers) != len(parts) or len(plain) > _LONGEST_AREA or (len(parts) != 4 and len(parts) < 6):
        raise IndexArgumentError(f"cannot read {plain[:80]!r} as an area; {_FORM}")
    if len(numbers) == 4:
        west, south, east, north = numbers
        return Area((west, south, east, north))
    if len(numbers) % 2:
        raise IndexArgumentError("the last corner of the polygon has a longitude and no latitude; give both")
    corners = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    return Area(polygon_lonlat=corners[:-1] if corners[0] == corners[-1] else corners)


def centers_of(data: IndexData) -> NDArray[np.float64]:
    """Collect the centers of the tiles, (N, 2) longitude and latitude in degrees, NaN where unknown."""
    return np.array([row.tile.middle_lonlat or (np.nan, np.nan) for row in data.rows], np.float64).reshape(-1, 2)


def distinct(vectors: NDArray[np.float32], most: int) -> list[int]:
    """Drop near-duplicates of an earlier vector (cosine of 0.99 or more); return the numbers of the rest.

    Args:
        vectors: (c, D) of length one, best first.
        most: stop after so many.
    """
    kept: list[int] = []
    for number, vector in enumerate(vectors):
        if len(kept) == most:
            break
        if not kept or float((vectors[kept] @ vector).max()) < DUPLICATE_COS:
            kept.append(number)
    return kept
