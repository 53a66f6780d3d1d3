"""Statements with exactly one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lrsclip.atlas.statement import ABSENT, ROOFED, ClaimKind, Statement
from lrsclip.atlas.statement_check import holds
from lrsclip.atlas.truth import TileTruth

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
_COLORS = {
    "roof": ("red", "brown", "grey", "orange", "white", "blue"),
    "crop": ("green", "dark green", "light green", "yellow", "brown"),
    "paint": ("red", "blue", "white", "green"),
    "court": ("green", "blue", "red"),
    "tank": ("white", "grey", "brown"),
}


def falsified(
    told: list[Statement], truth: TileTruth, kind: ClaimKind, rng: np.random.Generator
) -> tuple[int, Statement] | None:
    """Falsify one claim of a kind in one of the statements.

    Returns:
        Its number in `told` and the false statement; None where the tile offers nothing of that kind.
    """
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
    elif kind == "color" and s.color:
        for color in _palette(s.subject):
            if color != s.color:
                yield replace(s, color=color)
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
        return _COLORS["roof"]
    if kind in ("tennis court", "basketball court", "running track"):
        return _COLORS["court"]
    return _COLORS.get({"crop": "crop", "storage tank": "tank"}.get(kind, "paint"), ())


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
    """Yield other kinds of the same sort, so that a false object is one that could stand there."""
    for family in _FAMILIES:
        if kind in family:
            yield from (other for other in family if other != kind)
