"""An area as one types it: west, south, east, north in degrees."""

from __future__ import annotations

import math
import re

from lrsclip.index import IndexArgumentError, SearchFilter
from lrsclip.numbers import decimal_of

Box = tuple[float, float, float, float]
_LONGEST = 200
_BETWEEN = re.compile(r"[\s,;]+")


def area_of(text: str) -> Box | None:
    """Four numbers as a box; None where nothing is written.

    Raises:
        IndexArgumentError: they are no box.
    """
    parts = [part for part in _BETWEEN.split(text[:_LONGEST].strip()) if part]
    if not parts:
        return None
    numbers = [value for part in parts if (value := decimal_of(part)) is not None]
    if len(parts) != 4 or len(numbers) != 4 or len(text.strip()) > _LONGEST:
        raise IndexArgumentError(
            f"the area {text[:_LONGEST]!r} is no box; write west, south, east, north in degrees, "
            "such as -95.4, 29.7, -95.3, 29.8"
        )
    west, south, east, north = numbers
    return checked((west, south, east, north))


def checked(box: Box) -> Box:
    """A box that a search can be kept to.

    Raises:
        IndexArgumentError: it is none.
    """
    if not all(math.isfinite(value) for value in box):
        raise IndexArgumentError(f"the area {box} is no box; its four numbers must be finite")
    SearchFilter(box)  # refuses what lies off the map
    return box


def written(box: Box) -> str:
    """A box as `area_of` reads it; to a tenth of a metre."""
    return ", ".join(f"{value:.6f}".rstrip("0").rstrip(".") for value in box)
