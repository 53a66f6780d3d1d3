"""Statements about a picture, each computed from the things that are marked in it.

The most telling ones come first. Open facts get no statement: where a source does not mark every thing, things are
named and not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from train.data.records import Facts, Share, Thing
from train.data_engine.facts.places import arrangement_of, cell_of, heading_of, place_of, share_place, side_of
from train.data_engine.gate.evidence import center_of
from train.data_engine.lexicon.tags import tag_words

Form = Literal["scene", "group", "parts", "size", "arrangement", "heading", "side", "share", "tag"]
_FEW_SHARE = 0.01  # less of a land cover is not worth saying
_MAX_KINDS, _MAX_SIDES, _MAX_SHARES = 6, 3, 5
_LARGER = 1.6  # the largest is so many times the next, or it is not the largest for sure


@dataclass(frozen=True)
class Statement:
    """The content of one sentence.

    Attributes:
        form: "scene"; "group" (things of a kind: how many, color, where all of them lie); "parts" (how they are spread
            over cells); "size" (which is the largest or smallest, and where); "arrangement"; "heading" (of a single
            long thing); "side" (where one thing lies seen from another); "share" (how much a land cover takes, and
            where); "tag".
        kind: its subject, in plain words.
        count: of a group; 0 where not every one is marked.
        color: of all of a group.
        place: a cell ("nw", "c") or half ("N"), or "".
        detail: "row", "cluster", "scattered"; "down", "across"; "north", ...; "largest", "smallest".
        other: the second kind of a side.
        parts: of "parts", (cell, count).
        share: of a land cover, 0 to 1.
    """

    form: Form
    kind: str
    count: int = 0
    color: str = ""
    place: str = ""
    detail: str = ""
    other: str = ""
    parts: tuple[tuple[str, int], ...] = ()
    share: float = 0.0


def statements(facts: Facts) -> list[Statement]:
    """Build the statements of a picture's facts, the most telling first; captions are not among them."""
    out = [Statement("scene", facts.scene)] if facts.scene else []
    by_kind = _by_kind(facts)
    for kind, things in list(by_kind.items())[:_MAX_KINDS]:
        out += _of_kind(kind, things, facts.things_complete)
    if facts.things_complete:  # of several, the reader could not tell which one is meant
        out += _sides({kind: things[0] for kind, things in by_kind.items() if len(things) == 1})
    shares = [s for s in facts.shares if s.share >= _FEW_SHARE]
    out += [_share(s) for s in sorted(shares, key=lambda s: (-s.share, s.kind))[:_MAX_SHARES]]
    said = {words for key, value in facts.tags if (words := tag_words(key, value))} - {*by_kind, facts.scene}
    out += [Statement("tag", words) for words in sorted(said)][:_MAX_KINDS]
    return out


def _by_kind(facts: Facts) -> dict[str, list[Thing]]:
    """Group the things by kind, the kind that covers most first."""
    found: dict[str, list[Thing]] = {}
    for thing in facts.things:
        found.setdefault(thing.kind, []).append(thing)
    return dict(sorted(found.items(), key=lambda item: (-sum(map(area_of, item[1])), item[0])))


def area_of(thing: Thing) -> float:
    """Return the share of the picture that a thing's box takes, 0 to 1."""
    left, top, right, bottom = thing.box
    return (right - left) * (bottom - top)


def _of_kind(kind: str, things: list[Thing], complete: bool) -> Iterator[Statement]:
    colors = {t.color for t in things}
    color = colors.pop() if len(colors) == 1 else ""
    place = place_of(things)
    yield Statement("group", kind, len(things) if complete else 0, color, place)
    if not complete:
        return
    cells = Counter(cell_of(*center_of(t)) for t in things)
    if not place and 2 <= len(cells) <= 3:
        yield Statement("parts", kind, len(things), parts=tuple(sorted(cells.items(), key=lambda c: (-c[1], c[0]))))
    if detail := arrangement_of(things):
        yield Statement("arrangement", kind, len(things), detail=detail)
    if len(things) >= 3:
        yield from _sizes(kind, things)
    if len(things) == 1 and (heading := heading_of(things[0].bearing_deg)):
        yield Statement("heading", kind, 1, detail=heading)


def _sizes(kind: str, things: list[Thing]) -> Iterator[Statement]:
    whole = sorted((t for t in things if not t.cut), key=area_of)
    if len(whole) < 3 or len(whole) < len(things):
        return
    if area_of(whole[-1]) > _LARGER * area_of(whole[-2]):
        yield Statement("size", kind, detail="largest", place=cell_of(*center_of(whole[-1])))
    if _LARGER * area_of(whole[0]) < area_of(whole[1]):
        yield Statement("size", kind, detail="smallest", place=cell_of(*center_of(whole[0])))


def _sides(single: dict[str, Thing]) -> list[Statement]:
    kinds = list(single)
    out = []
    for n, a in enumerate(kinds):
        for b in kinds[n + 1 :]:
            if side := side_of(single[a], single[b]):
                out.append(Statement("side", a, detail=side, other=b))
    return out[:_MAX_SIDES]


def _share(share: Share) -> Statement:
    return Statement("share", share.kind, share=share.share, place=share_place(share))
