"""An area as one types it: west, south, east, north in degrees."""

from __future__ import annotations

import math

from lrsclip.index import IndexArgumentError, SearchFilter

Box = tuple[float, float, float, float]


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
    """A box as `parse_bbox` reads it; to a tenth of a metre."""
    return ", ".join(f"{value:.6f}".rstrip("0").rstrip(".") for value in box)
