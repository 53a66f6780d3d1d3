"""True statements about a tile, and the same with exactly one thing wrong.

A statement is what one sentence says, in the form of a record. `statements` picks those that hold by `check.holds`,
`falsified` changes a single field of one so that it does not hold any more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from shapely.geometry.base import BaseGeometry

from lrsclip.atlas.features import KINDS
from lrsclip.atlas.truth import TileTruth

ClaimKind = Literal["count", "colour", "object", "place", "relation"]
CLAIM_KINDS: tuple[ClaimKind, ...] = get_args(ClaimKind)
CELLS = ("nw", "n", "ne", "w", "c", "e", "sw", "s", "se")
"""The nine thirds-by-thirds of a tile, row by row."""
HALVES = ("N", "S", "W", "E")
_OPPOSITE = {
    "nw": "se",
    "n": "s",
    "ne": "sw",
    "w": "e",
    "e": "w",
    "sw": "ne",
    "s": "n",
    "se": "nw",
    "N": "S",
    "S": "N",
    "W": "E",
    "E": "W",
    "north": "south",
    "south": "north",
    "west": "east",
    "east": "west",
    "down": "across",
    "across": "down",
}
_COLOURS = {
    "roof": ("red", "brown", "grey", "orange", "white", "blue"),
    "crop": ("green", "dark green", "light green", "yellow", "brown"),
    "paint": ("red", "blue", "white", "green"),
    "court": ("green", "blue", "red"),
    "tank": ("white", "grey", "brown"),
}
ROOFED = frozenset(
    {
        "house",
        "apartment block",
        "tower",
        "shop",
        "factory hall",
        "warehouse",
        "school building",
        "church",
        "terminal",
        "hangar",
        "station",
        "centre hall",
        "hotel",
        "barn",
    }
)
COLOURED = ROOFED | {
    "crop",
    "storage tank",
    "tennis court",
    "basketball court",
    "running track",
    "ship",
    "train",
    "crane",
    "stadium",
}
AREA = "area "
"""Marks a land use where a kind could stand too."""
WAYS = frozenset({"road", "railway", "river"})
# What is too small or too common to point at one by one.
_SMALL = frozenset({"car", "truck", "parasol", "platform", "pier"})
_MAIN_SHARE, _SIDE_SHARE = 0.45, 0.12


@dataclass(frozen=True)
class Statement:
    """What one sentence says.

    Attributes:
        form: "scene" (the tile is mainly this), "area" (a part of it is), "group" (things of a kind), "way" (a line
            through the tile), "trees", "relation" (of two single things, or of one to an area), "size" (of a single
            thing).
        subject: land use or kind.
        number: how many, 0 where nothing is said of it; of a size, metres in tens.
        more: whether there are more than `number`.
        colour: of all that is counted.
        place: one of CELLS or HALVES where all of it lies.
        heading: of a way, "down" (north to south) or "across".
        relation: where the subject lies, seen from `other`: "north", "south", "west", "east".
        other: kind of the second thing, or AREA and a land use.
    """

    form: Literal["scene", "area", "group", "way", "trees", "relation", "size"]
    subject: str
    number: int = 0
    more: bool = False
    colour: str = ""
    place: str = ""
    heading: str = ""
    relation: str = ""
    other: str = ""


def statements(truth: TileTruth, rng: np.random.Generator, most: int = 13) -> list[Statement]:
    """True statements about a tile, the most telling first, at most so many."""
    from lrsclip.atlas.check import holds  # check knows Statement

    picked: list[Statement] = []
    for candidate in _candidates(truth, rng):
        if len(picked) < most and holds(candidate, truth):
            picked.append(candidate)
    return picked


def _candidates(truth: TileTruth, rng: np.random.Generator) -> Iterator[Statement]:
    shares = sorted(((area.area / truth.size_m**2, use) for use, area in truth.areas.items()), reverse=True)
    if shares and shares[0][0] >= _MAIN_SHARE:
        yield Statement("scene", shares[0][1])
    for share, use in shares[0 if not shares or shares[0][0] < _MAIN_SHARE else 1 :]:
        if use not in WAYS and share >= _SIDE_SHARE:
            yield Statement("area", use, place=place_of([truth.areas[use]], truth.size_m))
    groups = sorted(truth.seen.items(), key=lambda item: -sum(thing.outline.area for thing in item[1]))
    told = [kind for kind, _ in groups if KINDS[kind].counted]
    for kind in told:
        yield from _of_kind(truth, kind, rng)
    for kind in ("river", "road", "railway"):
        yield from _ways(truth, kind)
    trees = len(truth.seen.get("tree", ()))
    if trees >= 8:
        yield Statement("trees", "tree", number=60 if trees > 60 else 20 if trees > 20 else 7, more=True)
    yield from _relations(truth, told, rng)


def _of_kind(truth: TileTruth, kind: str, rng: np.random.Generator) -> Iterator[Statement]:
    things = truth.seen[kind]
    if kind in COLOURED and all(thing.colour for thing in things):
        by_colour: dict[str, int] = {}
        for thing in things:
            by_colour[thing.colour] = by_colour.get(thing.colour, 0) + 1
        for colour, number in sorted(by_colour.items(), key=lambda item: -item[1])[:3]:
            same = [thing.outline for thing in things if thing.colour == colour]
            yield _counted(kind, number, colour, place_of(same, truth.size_m))
        return
    at = "" if kind in _SMALL and len(things) > 3 else place_of([thing.outline for thing in things], truth.size_m)
    yield _counted(kind, len(things), "", at)


def _counted(kind: str, number: int, colour: str, at: str) -> Statement:
    if number <= 10:
        return Statement("group", kind, number, False, colour, at)
    floor = max(step for step in (10, 15, 20, 30, 40, 50, 75, 100, 150, 200) if step <= number - 1)
    return Statement("group", kind, floor, True, colour, at)


def _ways(truth: TileTruth, kind: str) -> Iterator[Statement]:
    for heading in ("down", "across"):
        for at in ("w", "c", "e") if heading == "down" else ("n", "c", "s"):
            yield Statement("way", kind, place=at, heading=heading)


def _relations(truth: TileTruth, told: list[str], rng: np.random.Generator) -> Iterator[Statement]:
    single = [kind for kind in told if len(truth.seen[kind]) == 1 and kind not in _SMALL]
    pairs = [(a, b) for n, a in enumerate(single) for b in single[n + 1 :]]
    total = truth.size_m**2
    pairs += [(a, AREA + use) for a in single for use, area in truth.areas.items() if 0.1 < area.area / total < 0.45]
    for number, index in enumerate(rng.permutation(len(pairs))[:6].tolist()):
        a, b = pairs[index]
        far = truth.areas[b.removeprefix(AREA)] if b.startswith(AREA) else truth.seen[b][0].outline
        pa, pb = truth.seen[a][0].outline.centroid, far.centroid
        dx, dy = pa.x - pb.x, pa.y - pb.y
        side = ("east" if dx > 0 else "west") if abs(dx) > abs(dy) else ("south" if dy > 0 else "north")
        yield Statement("relation", a, relation=side, other=b)
        if number < 3 and truth.seen[a][0].share == 1:
            yield Statement("size", a, number=round(length_of(truth.seen[a][0].outline) / 10) * 10)


def length_of(outline: BaseGeometry) -> float:
    """Length in metres of the longer side of the smallest rectangle around an outline."""
    corners = list(outline.minimum_rotated_rectangle.exterior.coords)
    return max(math.dist(corners[0], corners[1]), math.dist(corners[1], corners[2]))


def place_of(outlines: list, size_m: float) -> str:  # type: ignore[type-arg]
    """The cell, or else the half, in which the middles of all outlines lie; "" where there is none."""
    middles = [(o.centroid.x / size_m, o.centroid.y / size_m) for o in outlines]
    cells = {CELLS[min(2, int(y * 3)) * 3 + min(2, int(x * 3))] for x, y in middles}
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


def falsified(
    told: list[Statement], truth: TileTruth, kind: ClaimKind, rng: np.random.Generator
) -> tuple[int, Statement] | None:
    """One of the statements with one false claim of a kind.

    Returns:
        Its number in `told` and the false statement; None where the tile offers nothing of that kind.
    """
    from lrsclip.atlas.check import holds

    for number in rng.permutation(len(told)).tolist():
        options = list(_changed(told[number], truth, kind))
        for index in rng.permutation(len(options)).tolist():
            if holds(options[index], truth) is False:
                return number, options[index]
    return None


def _changed(s: Statement, truth: TileTruth, kind: ClaimKind) -> Iterator[Statement]:
    if kind == "count" and s.form == "group":
        if s.more:
            yield replace(s, number=2, more=False)
            yield replace(s, number=4, more=False)
        else:
            step = max(2, s.number // 2)
            yield replace(s, number=s.number + step)
            if s.number > step:
                yield replace(s, number=s.number - step)
    elif kind == "colour" and s.colour:
        for colour in _palette(s.subject):
            if colour != s.colour:
                yield replace(s, colour=colour)
    elif kind == "object" and s.form == "group":
        for other in _alike(s.subject):
            yield replace(s, subject=other)
    elif kind == "object" and s.form == "area":
        for other in (
            "farmland",
            "forest",
            "industrial",
            "dense residential",
            "park",
            "desert",
            "storage tanks",
            "port",
        ):
            if other not in truth.areas:
                yield replace(s, subject=other)
    elif kind == "place" and s.place in _OPPOSITE:
        yield replace(s, place=_OPPOSITE[s.place])
    elif kind == "relation" and s.form == "relation":
        yield replace(s, relation=_OPPOSITE[s.relation])


def _palette(kind: str) -> tuple[str, ...]:
    if kind in ROOFED or kind == "stadium":
        return _COLOURS["roof"]
    if kind in ("tennis court", "basketball court", "running track"):
        return _COLOURS["court"]
    return _COLOURS.get({"crop": "crop", "storage tank": "tank"}.get(kind, "paint"), ())


_FAMILIES = (
    (
        "house",
        "apartment block",
        "tower",
        "shop",
        "factory hall",
        "warehouse",
        "school building",
        "church",
        "hangar",
        "hotel",
        "barn",
    ),
    ("tennis court", "basketball court", "baseball field", "football pitch", "running track", "stadium"),
    ("plane", "boat", "ship", "train", "truck", "car"),
    ("pond", "pool", "fountain", "storage tank", "basin"),
    ("crop", "parking lot", "pond", "square"),
    ("bridge", "viaduct", "runway", "pier", "crane", "platform"),
)


def _alike(kind: str) -> Iterator[str]:
    """Kinds of the same sort, so that a false object is one that could stand there."""
    for family in _FAMILIES:
        if kind in family:
            yield from (other for other in family if other != kind)
