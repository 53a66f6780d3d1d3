"""True statements about a tile, and the same with exactly one thing wrong.

A statement is what one sentence says, in the form of a record. `telling.statements` picks those that hold by
`check.holds`, `falsified` changes a single field of one so that it does not hold any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from lrsclip.atlas.truth import TileTruth

ClaimKind = Literal["count", "colour", "object", "place", "relation"]
CLAIM_KINDS: tuple[ClaimKind, ...] = get_args(ClaimKind)
Form = Literal[
    "scene", "area", "group", "way", "crossing", "trees", "relation", "size", "part", "most", "cover", "high", "none"
]
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
WAYS = ("river", "road", "railway", "street", "lane")
COVERS = (25, 33, 50, 67, 95)
"""Shares of a tile, in per cent, that have a word."""
TREES = (7, 20, 60, 120, 250)
"""More than so many trees have a word."""
ABSENT: dict[str, frozenset[str]] = {
    "building": ROOFED | {"greenhouse", "stadium"},
    "road": frozenset({"road", "street", "lane", "viaduct", "bridge"}),
    "water": frozenset({"pond", "pool", "fountain", "basin", "river", "sea"}),
    "tree": frozenset({"tree"}),
}
"""What a text may say is not there -> the kinds, land uses and waters that would be it."""


@dataclass(frozen=True)
class Statement:
    """What one sentence says.

    Attributes:
        form: "scene" (the tile is mainly this), "area" (a part of it is), "group" (things of a kind), "way" (a line
            through the tile), "crossing" (where ways meet), "trees", "relation" (of single things or areas), "size" (of
            a single thing), "part" (a thing that the edge cuts), "most" (the half where most of a kind stand), "cover"
            (how much of the tile an area takes), "high" (the highest ground), "none" (nothing of that sort is there).
        subject: land use or kind; of "none", a key of ABSENT; of a relation, also AREA and a land use.
        number: how many, 0 where nothing is said of it; of a size, metres in tens; of a cover, per cent.
        more: whether there are more than `number`.
        colour: of all that is counted.
        place: one of CELLS or HALVES where all of it lies; of a part, the edge that cuts it; of a way, the third that
            it keeps to, or "".
        heading: of a way, "down" (north to south) or "across".
        relation: where the subject lies, seen from `other`: "north", "south", "west", "east".
        other: kind of the second thing, or AREA and a land use.
    """

    form: Form
    subject: str
    number: int = 0
    more: bool = False
    colour: str = ""
    place: str = ""
    heading: str = ""
    relation: str = ""
    other: str = ""


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
    elif kind == "object" and s.form in ("group", "part", "none"):
        for other in ABSENT if s.form == "none" else _alike(s.subject):
            yield replace(s, subject=other)
    elif kind == "object" and s.form in ("area", "cover"):
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
