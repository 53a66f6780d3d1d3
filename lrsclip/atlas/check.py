"""Whether a statement about a tile holds, found from its polygons alone and apart from how statements are made."""

from __future__ import annotations

import math

from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from lrsclip.atlas.claims import AREA, CELLS, Statement
from lrsclip.atlas.truth import SEEN_SHARE, SLIVER_SHARE, Thing, TileTruth


def holds(statement: Statement, truth: TileTruth) -> bool | None:
    """Judge a statement.

    Args:
        statement: what is said.
        truth: what the tile shows.

    Returns:
        True or False; None where it depends on things cut by the tile's edge, or on taste.
    """
    return {
        "scene": _scene,
        "area": _area,
        "group": _group,
        "trees": _group,
        "way": _way,
        "relation": _relation,
        "size": _size,
    }[statement.form](statement, truth)


def _scene(s: Statement, truth: TileTruth) -> bool | None:
    share = _covered(truth.areas.get(s.subject), truth)
    return True if share >= 0.45 else False if share < 0.15 else None


def _area(s: Statement, truth: TileTruth) -> bool | None:
    area = truth.areas.get(s.subject)
    share = _covered(area, truth)
    if area is None or share < 0.02:
        return False
    if share < 0.10:
        return None
    return _placed([area], s.place, truth.size_m) if s.place else True


def _covered(area: BaseGeometry | None, truth: TileTruth) -> float:
    return 0.0 if area is None else float(area.area) / truth.size_m**2


def _group(s: Statement, truth: TileTruth) -> bool | None:
    kept = [
        t
        for t in truth.things
        if t.kind == s.subject and (not s.colour or t.colour == s.colour) and t.share >= SLIVER_SHARE
    ]
    sure = [t for t in kept if t.share >= SEEN_SHARE]
    lowest, highest = len(sure), len(kept)
    if s.number:
        counted = _compared(s, lowest, highest)
        if counted is not True:
            return counted
    elif not sure:
        return False if not kept else None
    # A colour that only a few differ by a shade from is still one colour; the words are those of the palette.
    return _placed([t.outline for t in sure], s.place, truth.size_m) if s.place else True


def _compared(s: Statement, lowest: int, highest: int) -> bool | None:
    if s.more:
        return True if lowest > s.number else False if highest <= s.number else None
    if lowest == s.number and (highest == lowest or lowest >= 6):
        return True
    return None if lowest <= s.number <= highest else False


def _placed(outlines: list[BaseGeometry], place: str, size_m: float) -> bool:
    """Whether the middles of all outlines lie in a cell or a half of the tile."""
    third = size_m / 3
    if place in CELLS:
        row, column = divmod(CELLS.index(place), 3)
        room = box(column * third, row * third, (column + 1) * third, (row + 1) * third)
    else:
        half = size_m / 2
        room = {
            "N": box(0, 0, size_m, half),
            "S": box(0, half, size_m, size_m),
            "W": box(0, 0, half, size_m),
            "E": box(half, 0, size_m, size_m),
        }[place]
    return bool(outlines) and all(room.intersects(outline.centroid) for outline in outlines)


def _way(s: Statement, truth: TileTruth) -> bool | None:
    """A way runs down (or across) through the tile within one third of it."""
    parts = _strips(s.subject, truth)
    if not parts:
        return False
    size = truth.size_m
    third = {"w": 0, "n": 0, "c": 1, "e": 2, "s": 2}[s.place]
    low, high = third * size / 3, (third + 1) * size / 3
    down = s.heading == "down"
    room = box(low, 0, high, size) if down else box(0, low, size, high)
    inside = [part.intersection(room) for part in parts]
    covered = [part.bounds for part in inside if not part.is_empty]
    reach = [(b[1], b[3]) if down else (b[0], b[2]) for b in covered]
    length = _union_length(reach)
    broad = max((b[2] - b[0] if down else b[3] - b[1] for b in covered), default=0.0)
    if length >= 0.85 * size and broad < size / 3 - 1:
        return True
    return False if length < 0.25 * size else None


def _strips(kind: str, truth: TileTruth) -> list[BaseGeometry]:
    if kind == "river":
        area = truth.areas.get("river")
        return [] if area is None else [part for part in getattr(area, "geoms", [area]) if part.area > 60]
    return [t.outline for t in truth.things if t.kind == kind or (t.kind == "bridge" and t.form == kind)]


def _union_length(spans: list[tuple[float, float]]) -> float:
    total, end = 0.0, float("-inf")
    for low, high in sorted(spans):
        total += max(0.0, high - max(low, end))
        end = max(end, high)
    return total


def _relation(s: Statement, truth: TileTruth) -> bool | None:
    one = _only(s.subject, truth)
    if s.other.startswith(AREA):
        far = truth.areas.get(s.other.removeprefix(AREA))
    else:
        other = _only(s.other, truth)
        far = None if other is None else other.outline
    if one is None or far is None:
        return None
    a, b = one.outline.centroid, far.centroid
    dx, dy = a.x - b.x, a.y - b.y
    forward, sideways = {"east": (dx, dy), "west": (-dx, dy), "south": (dy, dx), "north": (-dy, dx)}[s.relation]
    if forward > 15 and forward > 1.3 * abs(sideways):
        return True
    return False if forward < -15 else None


def _only(kind: str, truth: TileTruth) -> Thing | None:
    found = [t for t in truth.things if t.kind == kind and t.share >= SLIVER_SHARE]
    return found[0] if len(found) == 1 and found[0].share >= SEEN_SHARE else None


def _size(s: Statement, truth: TileTruth) -> bool | None:
    one = _only(s.subject, truth)
    if one is None:
        return None
    # The farthest two corners of what surrounds it, and the side that its area leaves for a rectangle of that diagonal.
    hull = list(one.outline.convex_hull.exterior.coords)
    farthest = max(math.dist(a, b) for a in hull for b in hull)
    return bool(0.7 * farthest - 6 <= s.number <= farthest + 6 and s.number > 0)
