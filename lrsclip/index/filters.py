"""Filters of a search: rows of an area, of some sources, or both."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrsclip.errors import IndexArgumentError
from lrsclip.index.schema import IndexData
from lrsclip.numbers import decimal_of

_LONGEST_BBOX = 200  # characters
_BETWEEN = re.compile(r"[\s,;]+")
DUPLICATE_COS = 0.99
"""Tiles nearer than this to a better hit show the same."""


@dataclass(frozen=True)
class SearchFilter:
    """The limits of a search.

    Attributes:
        bbox_lonlat: west, south, east, north in degrees; a box whose west is east of its east crosses the date line.
            A tile belongs to it with its middle; tiles without a place belong to none.
        source_specs: addresses of sources; None for all.

    Raises:
        IndexArgumentError: the box is none.
    """

    bbox_lonlat: tuple[float, float, float, float] | None = None
    source_specs: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse a box that is none, or that lies off the map."""
        if self.bbox_lonlat is None:
            return
        west, south, east, north = self.bbox_lonlat
        if not all(math.isfinite(value) for value in self.bbox_lonlat) or south > north or abs(south) > 90:
            raise IndexArgumentError(
                f"{self.bbox_lonlat} is no box; give west, south, east, north in degrees, such as -95.4,29.7,-95.3,29.8"
            )
        if max(abs(west), abs(east)) > 180 or abs(north) > 90:
            raise IndexArgumentError(f"{self.bbox_lonlat} lies off the map; degrees go to 180 east and 90 north")

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
        if self.bbox_lonlat is not None:
            west, south, east, north = self.bbox_lonlat
            longitude, latitude = middles[:, 0], middles[:, 1]
            between = (longitude >= west) & (longitude <= east)
            across = (longitude >= west) | (longitude <= east)
            passes &= (between if west <= east else across) & (latitude >= south) & (latitude <= north)
        return np.flatnonzero(passes).astype(np.int64)


def parse_bbox(text: str) -> tuple[float, float, float, float] | None:
    """Parse west, south, east, north in degrees, with commas, semicolons or spaces between; None for an empty text.

    Raises:
        IndexArgumentError: it is no box.
    """
    parts = [part for part in _BETWEEN.split(text[:_LONGEST_BBOX].strip()) if part]
    if not parts:
        return None
    numbers = [value for part in parts if (value := decimal_of(part)) is not None]
    if len(parts) != 4 or len(numbers) != 4 or len(text.strip()) > _LONGEST_BBOX:
        raise IndexArgumentError(
            f"the area {text[:_LONGEST_BBOX]!r} is no box; write west, south, east, north in degrees, "
            "such as -95.4, 29.7, -95.3, 29.8"
        )
    west, south, east, north = numbers
    SearchFilter((west, south, east, north))  # refuses a box off the map
    return west, south, east, north


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
