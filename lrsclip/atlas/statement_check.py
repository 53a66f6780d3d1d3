"""Check of statements about a tile, from its polygons alone and independent of how statements are made."""

from __future__ import annotations

import math

from shapely import line_merge
from shapely.geometry import MultiLineString, Point, box
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from lrsclip.atlas.statement import ABSENT, AREA, CELLS, Statement
from lrsclip.atlas.truth import SEEN_SHARE, SLIVER_SHARE, Thing, TileTruth

_JOINT_M = 2.0  # pieces of a way that are laid end to end are one way


def holds(statement: Statement, truth: TileTruth) -> bool | None:
    """Judge a statement.

    Args:
        statement: the claim to judge.
        truth: ground truth of the tile.

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
        "part": _part,
        "most": _most,
        "cover": _cover,
        "crossing": _crossing,
        "high": _high,
        "none": _none,
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
        if t.kind == s.subject and (not s.color or t.color == s.color) and t.share >= SLIVER_SHARE
    ]
    sure = [t for t in kept if t.share >= SEEN_SHARE]
    lowest, highest = len(sure), len(kept)
    if s.number:
        counted = _compared(s, lowest, highest)
        if counted is not True:
            return counted
    elif not sure:
        return False if not kept else None
    # A color that only a few differ by a shade from is still one color; the words are those of the palette.
    return _placed([t.outline for t in sure], s.place, truth.size_m) if s.place else True


def _compared(s: Statement, lowest: int, highest: int) -> bool | None:
    if s.more:
        return True if lowest > s.number else False if highest <= s.number else None
    if lowest == s.number and (highest == lowest or lowest >= 6):
        return True
    return None if lowest <= s.number <= highest else False


def _placed(outlines: list[BaseGeometry], place: str, size_m: float) -> bool:
    """Tell whether the centroids of all outlines lie in a cell or a half of the tile."""
    third, half = size_m / 3, size_m / 2
    if place in CELLS:
        row, column = divmod(CELLS.index(place), 3)
        west, north, east, south = column * third, row * third, (column + 1) * third, (row + 1) * third
    else:
        west, north, east, south = {
            "N": (0, 0, size_m, half),
            "S": (0, half, size_m, size_m),
            "W": (0, 0, half, size_m),
            "E": (half, 0, size_m, size_m),
        }[place]
    middles = [outline.centroid for outline in outlines]
    return bool(middles) and all(west <= at.x <= east and north <= at.y <= south for at in middles)


def _way(s: Statement, truth: TileTruth) -> bool | None:
    """Judge whether a way runs down (or across) through the tile, within one third of it where a place is given."""
    parts = _strips(s.subject, truth)
    if not parts:
        return False
    size = truth.size_m
    if not s.place:
        joined = unary_union([part.buffer(_JOINT_M) for part in parts])
        spans = [(b[2] - b[0], b[3] - b[1]) for b in (line.bounds for line in getattr(joined, "geoms", [joined]))]
        ahead = [(y, x) if s.heading == "down" else (x, y) for x, y in spans]
        return True if any(far >= 0.85 * size and aside < 0.6 * size for far, aside in ahead) else None
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


def spot(name: str, truth: TileTruth) -> Point | None:
    """Locate the centroid of an area (AREA and its use) or of the only thing of a kind; None if it is not one place."""
    if name.startswith(AREA):
        area = truth.areas.get(name.removeprefix(AREA))
        return None if area is None else area.centroid
    one = _only(name, truth)
    return None if one is None else one.outline.centroid


def _relation(s: Statement, truth: TileTruth) -> bool | None:
    a, b = spot(s.subject, truth), spot(s.other, truth)
    if a is None or b is None:
        return None
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
    # The hull's diameter bounds the length from above; a rectangle's long side is at least 0.7 of its diagonal.
    hull = list(one.outline.convex_hull.exterior.coords)
    farthest = max(math.dist(a, b) for a in hull for b in hull)
    return bool(0.7 * farthest - 6 <= s.number <= farthest + 6 and s.number > 0)


def _part(s: Statement, truth: TileTruth) -> bool | None:
    """Judge whether a thing of that kind and color is cut by that edge."""
    size = truth.size_m
    alike = [t for t in truth.things if t.kind == s.subject and (not s.color or t.color == s.color)]
    at_edge = [
        t
        for t in alike
        for west, north, east, south in [t.outline.bounds]
        if {"W": west < 0.5, "N": north < 0.5, "E": east > size - 0.5, "S": south > size - 0.5}[s.place]
    ]
    if any(t.share < 0.98 and t.outline.area > 150 for t in at_edge):
        return True
    return None if at_edge else False


def _most(s: Statement, truth: TileTruth) -> bool | None:
    """Judge whether clearly more than half of them (65 %) stand in that half."""
    things = [t for t in truth.things if t.kind == s.subject and t.share >= SLIVER_SHARE]
    if len(things) < 4:
        return None if things else False
    inside = sum(_placed([t.outline], s.place, truth.size_m) for t in things) / len(things)
    return True if inside >= 0.65 else False if inside < 0.5 else None


def _cover(s: Statement, truth: TileTruth) -> bool | None:
    off = abs(100 * _covered(truth.areas.get(s.subject), truth) - s.number)
    return True if off <= 7 else False if off > 16 else None


def crossings(truth: TileTruth) -> list[Point]:
    """Find the places where three or more arms of roads, streets and lanes meet, well inside the tile."""
    ways = [t.outline for t in truth.things if t.kind in ("road", "street", "lane") and t.outline.area > 20]
    net = unary_union([way.buffer(0.6) for way in ways])
    meets = [a.intersection(b) for n, a in enumerate(ways) for b in ways[n + 1 :] if a.intersects(b)]
    found: list[Point] = []
    for meet in _parts_of(unary_union([m.buffer(6) for m in meets])):
        at = meet.centroid
        if not min(at.x, at.y, truth.size_m - at.x, truth.size_m - at.y) > 14:
            continue
        around = at.buffer(math.sqrt(meet.area / math.pi) + 8).exterior.intersection(net)
        if len(_lines(around)) >= 3:
            found.append(at)
    return found


def _lines(around: BaseGeometry) -> list[BaseGeometry]:
    parts = [part for part in _parts_of(around) if part.length > 1]
    return _parts_of(line_merge(MultiLineString(parts))) if len(parts) > 1 else parts


def _parts_of(shape: BaseGeometry) -> list[BaseGeometry]:
    return [] if shape.is_empty else list(getattr(shape, "geoms", [shape]))


def _crossing(s: Statement, truth: TileTruth) -> bool | None:
    found = crossings(truth)
    if any(_placed([at], s.place, truth.size_m) for at in found):
        return True
    # A meeting too near the edge to be sure of is no proof that there is none.
    third, column, row = truth.size_m / 3, CELLS.index(s.place) % 3, CELLS.index(s.place) // 3
    room = box(column * third, row * third, (column + 1) * third, (row + 1) * third).buffer(10)
    ways = [t.outline.intersection(room) for t in truth.things if t.kind in ABSENT["road"]]
    return None if sum(not way.is_empty for way in ways) > 1 else False


def _high(s: Statement, truth: TileTruth) -> bool | None:
    if not truth.relief_m:
        return None
    here, sorted_m = truth.relief_m[CELLS.index(s.place)], sorted(truth.relief_m)
    if here == sorted_m[-1] and here - sorted_m[-2] > 2:
        return True
    return False if here <= sorted_m[4] else None


def _none(s: Statement, truth: TileTruth) -> bool | None:
    """Judge whether nothing of that sort is there; a sliver of it gives None."""
    sort = ABSENT[s.subject]
    found = [t for t in truth.things if t.kind in sort]
    covered = sum(_covered(truth.areas.get(use), truth) for use in sort & {"river", "sea"})
    if any(t.share >= SEEN_SHARE or t.outline.area > 150 for t in found) or covered > 0.03:
        return False
    faint = s.subject == "road" and any(t.kind == "path" for t in truth.things)
    return None if found or covered or faint else True
