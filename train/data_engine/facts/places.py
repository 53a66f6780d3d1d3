"""Places of things in a picture: the thirds by thirds, the halves, rows, clusters, and sides of each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from lrsclip.atlas.statement import CELLS, HALVES
from train.data.records import Share, Thing
from train.data_engine.gate.evidence import center_of

PLACES: dict[str, tuple[str, str]] = {
    "nw": ("in the north-west", "in the upper left corner"),
    "n": ("in the north", "at the top"),
    "ne": ("in the north-east", "in the upper right corner"),
    "w": ("in the west", "on the left"),
    "c": ("in the middle", "in the centre"),
    "e": ("in the east", "on the right"),
    "sw": ("in the south-west", "in the lower left corner"),
    "s": ("in the south", "at the bottom"),
    "se": ("in the south-east", "in the lower right corner"),
    "N": ("in the northern half", "in the upper half"),
    "S": ("in the southern half", "in the lower half"),
    "W": ("in the western half", "in the left half"),
    "E": ("in the eastern half", "in the right half"),
}
"""Cell or half to words: by the compass, by the page."""
SIDES = {
    "north": ("north of", "north of"),
    "south": ("south of", "south of"),
    "west": ("west of", "to the left of"),
    "east": ("east of", "to the right of"),
}
"""Side to words, likewise; "above" would be said of height."""
Arrangement = Literal["row", "cluster", "scattered", ""]
_HALF = 0.47  # how near to the middle line a thing may stand and still be in one half for sure
_ROW_OFF, _ROW_LONG = 0.035, 0.25  # root mean square distance from the line; its length; shares of the picture
_CLUSTER, _SPREAD = 0.11, 0.24  # root mean square distance from the middle of all
_UNEVEN = 0.25  # spread of the distances to the next one, as a part of their mean
_SIDE = 0.12  # one thing is beside another if it is so much farther on one axis


def cell_of(x: float, y: float) -> str:
    """Return the cell, a third by a third of the picture, of a point (x, y) in fractions."""
    return CELLS[min(2, int(3 * y)) * 3 + min(2, int(3 * x))]


def place_of(things: Sequence[Thing]) -> str:
    """Return the cell, or else the half, in which the middles of all things lie; "" where there is none."""
    middles = [center_of(t) for t in things]
    cells = {cell_of(x, y) for x, y in middles}
    if len(cells) == 1:
        return cells.pop()
    for half, inside in zip(
        HALVES,
        (
            all(y < _HALF for _, y in middles),
            all(y > 1 - _HALF for _, y in middles),
            all(x < _HALF for x, _ in middles),
            all(x > 1 - _HALF for x, _ in middles),
        ),
        strict=True,
    ):
        if inside:
            return half
    return ""


def share_place(share: Share) -> str:
    """Return the half, or else the cell, where most of a land cover lies; "" where it is spread."""
    if not share.cells or share.share <= 0:
        return ""
    cells = np.array(share.cells).reshape(3, 3)
    total = float(cells.sum()) or 1.0
    top, bottom = cells[0].sum() + cells[1].sum() / 2, cells[2].sum() + cells[1].sum() / 2
    left, right = cells[:, 0].sum() + cells[:, 1].sum() / 2, cells[:, 2].sum() + cells[:, 1].sum() / 2
    most = int(cells.argmax())
    if cells.flat[most] >= 0.6 * total:
        return CELLS[most]
    halves = dict(zip(HALVES, (top, bottom, left, right), strict=True))
    best = max(halves, key=lambda half: float(halves[half]))
    return best if halves[best] >= 0.75 * total else ""


def arrangement_of(things: Sequence[Thing]) -> Arrangement:
    """Classify how several things of a kind stand to each other; "" where that is not clear."""
    if len(things) < 3:
        return ""
    at = np.array([center_of(t) for t in things])
    around = at - at.mean(0)
    _, spread, _ = np.linalg.svd(around, full_matrices=False)
    long, off = float(spread[0]) / math.sqrt(len(at)), float(spread[1]) / math.sqrt(len(at))
    if off < _ROW_OFF and float(np.ptp(at, axis=0).max()) > _ROW_LONG:
        return "row"
    if math.hypot(long, off) < _CLUSTER:
        return "cluster"
    if long < _SPREAD or off < _CLUSTER or len({cell_of(x, y) for x, y in at}) < 5:
        return ""
    gaps = np.sort(np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1)), axis=1)[:, 1]
    return "scattered" if gaps.std() > _UNEVEN * gaps.mean() else ""  # an even grid is not scattered


def side_of(a: Thing, b: Thing) -> str:
    """Return the side of `b` on which `a` lies: "north", "south", "west", "east"; "" where it is not clear."""
    (ax, ay), (bx, by) = center_of(a), center_of(b)
    across, down = ax - bx, ay - by
    if max(abs(across), abs(down)) < _SIDE or 0.6 < abs(across) / (abs(down) + 1e-9) < 1.6:
        return ""
    if abs(across) > abs(down):
        return "east" if across > 0 else "west"
    return "south" if down > 0 else "north"


def heading_of(bearing_deg: float | None) -> str:
    """Classify a bearing as "down" (north to south) or "across"; "" between them, or where it is not known."""
    if bearing_deg is None:
        return ""
    off = bearing_deg % 180
    if min(off, 180 - off) <= 20:
        return "down"
    return "across" if abs(off - 90) <= 20 else ""
