"""Selection of true statements for a description, the most telling first.

The checker judges every candidate before it is used, so nothing here has to be right, only worth saying.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lrsclip.atlas.features import KINDS
from lrsclip.atlas.statement import ABSENT, AREA, CELLS, COLORED, COVERS, HALVES, TREES, WAYS, Statement
from lrsclip.atlas.statement_check import crossings, holds, spot
from lrsclip.atlas.truth import SEEN_SHARE, SLIVER_SHARE, TileTruth, rectangle_around

# Too small or too common to point at one by one.
_SMALL = frozenset({"car", "truck", "parasol", "platform", "pier"})
_MAIN_SHARE, _SIDE_SHARE = 0.45, 0.12
_PART_M2 = 250.0


def statements(truth: TileTruth, rng: np.random.Generator, most: int = 16) -> list[Statement]:
    """Select true statements about a tile, the most telling first, `most` of them at most."""
    picked: list[Statement] = []
    for candidate in _candidates(truth, rng):
        if len(picked) == most:
            break
        if candidate not in picked and holds(candidate, truth):
            picked.append(candidate)
    return picked


def _candidates(truth: TileTruth, rng: np.random.Generator) -> Iterator[Statement]:
    yield from _land(truth)
    groups = sorted(truth.seen.items(), key=lambda item: -sum(thing.outline.area for thing in item[1]))
    told = [kind for kind, _ in groups if KINDS[kind].counted]
    counted = [statement for kind in told for statement in _of_kind(truth, kind, rng)]
    yield from counted[:8]
    for kind in WAYS:
        yield from _ways(truth, kind)
    for at in crossings(truth)[:2]:
        yield Statement("crossing", "road", place=_cell(at.x, at.y, truth.size_m))
    yield from _trees(truth)
    yield from _relations(truth, told, rng)
    yield from _parts(truth)
    for kind in told:
        if len(truth.seen[kind]) >= 5 and kind not in _SMALL:
            yield from _most(truth, kind)
    yield from counted[8:]
    yield from (Statement("none", name) for name in ABSENT)


def _land(truth: TileTruth) -> Iterator[Statement]:
    """State the main land use of the tile, its parts, and their shares of it."""
    shares = sorted(((area.area / truth.size_m**2, use) for use, area in truth.areas.items()), reverse=True)
    main = bool(shares) and shares[0][0] >= _MAIN_SHARE
    if main:
        yield Statement("scene", shares[0][1])
    sides = [(share, use) for share, use in shares[main:] if use != "river" and share >= _SIDE_SHARE]
    for _share, use in sides:
        yield Statement("area", use, place=place_of([truth.areas[use]], truth.size_m))
    if truth.relief_m:
        yield Statement("high", "mountain", place=CELLS[int(np.argmax(truth.relief_m))])
    for share, use in shares[:3]:
        if share >= _SIDE_SHARE and (sides or not main):
            yield Statement("cover", use, number=min(COVERS, key=lambda number: abs(number - 100 * share)))


def _of_kind(truth: TileTruth, kind: str, rng: np.random.Generator) -> Iterator[Statement]:
    things = truth.seen[kind]
    if kind in COLORED and all(thing.color for thing in things):
        by_color: dict[str, int] = {}
        for thing in things:
            by_color[thing.color] = by_color.get(thing.color, 0) + 1
        for color, number in sorted(by_color.items(), key=lambda item: -item[1])[:3]:
            same = [thing.outline for thing in things if thing.color == color]
            yield _counted(kind, number, color, place_of(same, truth.size_m))
        return
    at = "" if kind in _SMALL and len(things) > 3 else place_of([thing.outline for thing in things], truth.size_m)
    yield _counted(kind, len(things), "", at)


def _counted(kind: str, number: int, color: str, at: str) -> Statement:
    if number <= 10:
        return Statement("group", kind, number, False, color, at)
    floor = max(step for step in (10, 15, 20, 30, 40, 50, 75, 100, 150, 200) if step <= number - 1)
    return Statement("group", kind, floor, True, color, at)


def _ways(truth: TileTruth, kind: str) -> Iterator[Statement]:
    for heading in ("down", "across"):
        thirds = ("w", "c", "e") if heading == "down" else ("n", "c", "s")
        within = [Statement("way", kind, place=at, heading=heading) for at in thirds]
        yield from [s for s in within if holds(s, truth)] or [Statement("way", kind, heading=heading)]


def _trees(truth: TileTruth) -> Iterator[Statement]:
    trees = truth.seen.get("tree", [])
    floors = [number for number in TREES if number < len(trees)]
    if floors:
        at = place_of([tree.outline for tree in trees], truth.size_m)
        yield Statement("trees", "tree", number=floors[-1], more=True, place=at)
        if not at:
            yield from _most(truth, "tree")


def _most(truth: TileTruth, kind: str) -> Iterator[Statement]:
    """Propose each half as the one in which most things of a kind stand."""
    return (Statement("most", kind, place=half) for half in HALVES)


def _parts(truth: TileTruth) -> Iterator[Statement]:
    """State the three largest things that the edge cuts."""
    cut = [
        t
        for t in truth.things
        if SLIVER_SHARE <= t.share < SEEN_SHARE and KINDS[t.kind].counted and t.outline.area >= _PART_M2
    ]
    for thing in sorted(cut, key=lambda t: -t.outline.area)[:3]:
        x, y = thing.outline.centroid.x, thing.outline.centroid.y
        edges = {"W": x, "E": truth.size_m - x, "N": y, "S": truth.size_m - y}
        color = thing.color if thing.kind in COLORED else ""
        yield Statement("part", thing.kind, color=color, place=min(edges, key=lambda edge: edges[edge]))


def _relations(truth: TileTruth, told: list[str], rng: np.random.Generator) -> Iterator[Statement]:
    single = [kind for kind in told if len(truth.seen[kind]) == 1 and kind not in _SMALL]
    total = truth.size_m**2
    parts = [AREA + use for use, area in truth.areas.items() if 0.1 < area.area / total < 0.6]
    pairs = [(a, b) for n, a in enumerate(single) for b in single[n + 1 :]]
    pairs += [(a, b) for a in single for b in parts]
    pairs += [(a, b) for n, a in enumerate(parts) for b in parts[n + 1 :]][:2]
    for number, index in enumerate(rng.permutation(len(pairs))[:6].tolist()):
        a, b = pairs[index]
        pa, pb = spot(a, truth), spot(b, truth)
        if pa is None or pb is None:
            continue
        dx, dy = pa.x - pb.x, pa.y - pb.y
        side = ("east" if dx > 0 else "west") if abs(dx) > abs(dy) else ("south" if dy > 0 else "north")
        yield Statement("relation", a, relation=side, other=b)
        if number < 3 and not a.startswith(AREA) and truth.seen[a][0].share == 1:
            yield Statement("size", a, number=round(rectangle_around(truth.seen[a][0].outline).length_m / 10) * 10)


def place_of(outlines: list, size_m: float) -> str:  # type: ignore[type-arg]
    """Name the cell, or else the half, in which the centroids of all outlines lie; "" where there is none."""
    middles = [(o.centroid.x / size_m, o.centroid.y / size_m) for o in outlines]
    cells = {_cell(x, y, 1.0) for x, y in middles}
    if len(cells) == 1:
        return cells.pop()
    for half, inside in (
        ("N", all(y < 0.47 for _, y in middles)),
        ("S", all(y > 0.53 for _, y in middles)),
        ("W", all(x < 0.47 for x, _ in middles)),
        ("E", all(x > 0.53 for x, _ in middles)),
    ):
        if inside:
            return half
    return ""


def _cell(x: float, y: float, size: float) -> str:
    return CELLS[min(2, int(3 * y / size)) * 3 + min(2, int(3 * x / size))]
