"""Statements: the claims of one sentence about a tile, in the form of a record.

`selection.statements` picks those that hold by `statement_check.holds`; `falsify.falsified` changes a single field of
one so that it does not hold any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

ClaimKind = Literal["count", "color", "object", "place", "relation"]
CLAIM_KINDS: tuple[ClaimKind, ...] = get_args(ClaimKind)
Form = Literal[
    "scene", "area", "group", "way", "crossing", "trees", "relation", "size", "part", "most", "cover", "high", "none"
]
CELLS = ("nw", "n", "ne", "w", "c", "e", "sw", "s", "se")
"""The nine thirds-by-thirds of a tile, row by row."""
HALVES = ("N", "S", "W", "E")
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
COLORED = ROOFED | {
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
"""Shares of a tile, in percent, that have a word."""
TREES = (7, 20, 60, 120, 250)
"""More than so many trees have a word."""
ABSENT: dict[str, frozenset[str]] = {
    "building": ROOFED | {"greenhouse", "stadium"},
    "road": frozenset({"road", "street", "lane", "viaduct", "bridge"}),
    "water": frozenset({"pond", "pool", "fountain", "basin", "river", "sea"}),
    "tree": frozenset({"tree"}),
}
"""Absent sort that a text may name -> the kinds, land uses and waters that belong to it."""


@dataclass(frozen=True)
class Statement:
    """The claims of one sentence.

    Attributes:
        form: "scene" (the tile is mainly this), "area" (a part of it is), "group" (things of a kind), "way" (a line
            through the tile), "crossing" (where ways meet), "trees", "relation" (of single things or areas), "size" (of
            a single thing), "part" (a thing that the edge cuts), "most" (the half where most of a kind stand), "cover"
            (an area's share of the tile), "high" (the highest ground), "none" (nothing of that sort is there).
        subject: land use or kind; of "none", a key of ABSENT; of a relation, also AREA and a land use.
        number: the count, 0 where none is claimed; of a size, meters in tens; of a cover, percent.
        more: whether there are more than `number`.
        color: color of all counted things.
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
    color: str = ""
    place: str = ""
    heading: str = ""
    relation: str = ""
    other: str = ""
