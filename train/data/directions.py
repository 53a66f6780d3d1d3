"""Words of direction in a text, and what is true of a picture that is mirrored.

Not every "right" is a direction: "right next to a road", "at right angles", "on top of a hill", "lower density" and
Westminster stay as they are. Where a word could be either, the picture stays as it is (`may_be_mirrored`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

MIRRORS = {0: (False, False), 4: (False, True), 6: (True, False), 2: (True, True)}
"""Symmetries of the square that need other words of direction only, by number (see `augment.turn`): whether north and
south change places, and whether east and west do."""

_NORTH_SOUTH = (("north", "south"), ("top", "bottom"), ("upper", "lower"), ("above", "below"))
_EAST_WEST = (("east", "west"), ("left", "right"))
_ANY = re.compile(
    r"\b(?:left|right|top|bottom|upper|lower|above|below|north|south|east|west|horizontal|vertical)", re.IGNORECASE
)
_WORD = re.compile(
    r"""\b(?:
        from[ ](?:north[ ]to[ ]south|south[ ]to[ ]north|east[ ]to[ ]west|west[ ]to[ ]east|top[ ]to[ ]bottom
            |bottom[ ]to[ ]top|left[ ]to[ ]right|right[ ]to[ ]left)  # a course is true both ways
        |(?:north-south|south-north|east-west|west-east|left-right|top-bottom)
        |(?:north|south)?[ -]?(?:east|west)(?:ern(?:most)?|erly|wards?)?
        |(?:north|south)(?:ern(?:most)?|erly|wards?)?
        |left(?:most)?|right(?:most)?|top(?:most)?|bottom|upper(?:most)?|lower|above|below
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_PART = (
    r"(?:hand|side|half|part|corner|edge|third|quarter|quadrant|section|portion|area|region|end|margin|border|center"
    r"|centre|middle|row|strip)s?\b"
)
_PICTURE = r"(?:picture|image|photo|photograph|scene|tile|frame|view|map|shot)\b"
_ON_THE = re.compile(
    r"\b(?:on|to|at|in|from|near|along|towards?|across|of|and|or|by)\s+(?:the|its|their)\s+(?:(?:very|far|extreme|"
    r"upper|lower|top|bottom|center|centre|middle)[ -])?$",
    re.IGNORECASE,
)
_BEFORE_SIDE = re.compile(r"\b(?:upper|lower|top|bottom|far|center|centre|middle)[ -]$", re.IGNORECASE)
_ANGLE = re.compile(r"[ -](?:angle|angled|triang|of[ -]way|way\b)", re.IGNORECASE)
_NO_SIDE_BEHIND = re.compile(
    r"[ -](?:next|beside|behind|in\b|on\b|at\b|by\b|over\b|under|along|through|after|before|away|there|here|now|near"
    r"|alone|out\b|open|bare|empty|fallow|untouched|unplanted|to\b|up\b|down\b|across|against)",
    re.IGNORECASE,
)
_LEFT_VERB = re.compile(r"\b(?:is|are|was|were|be|been|being|has|have|had|get|gets)\s+$", re.IGNORECASE)
_SIDE_OR_PART = re.compile(rf"[ -](?:left|right|{_PART})", re.IGNORECASE)
_OF_PICTURE = re.compile(rf"\s+of\s+(?:the|this|an?)\s+(?:\w+\s+)?{_PICTURE}", re.IGNORECASE)
_OF = re.compile(r"\s+of\b", re.IGNORECASE)
_NO_TOP = re.compile(r"\b(?:on|hill|roof|tree|mountain|flat|table)[ -]?$", re.IGNORECASE)
_TOP_VIEW = re.compile(r"[ -](?:view|down)\b", re.IGNORECASE)
_COMPARED = re.compile(
    r"[ -](?:dens|class|level|floor|deck|than|rise|stor|income|build|house|tree|ground|growing|lying)"
)
_SEEN = re.compile(r"\b(?:from|seen|viewed|directly)\s+$", re.IGNORECASE)
_HEIGHT = re.compile(r"\s+(?:the\s+)?(?:ground|sea|average|water|zero|\d)", re.IGNORECASE)
_THING = re.compile(r"\s+\w")
_SENTENCE_START = re.compile(r"(?:^|[.!?]\s+)[\"'(]*$")
_CAPITAL_NEXT = re.compile(r"\s+[A-Z][a-z]")

Kind = Literal["direction", "none", "unsure"]


def names_direction(text: str) -> bool:
    """Return whether turning the picture could make a text false; also for words that could be directions."""
    return bool(_ANY.search(text))


def may_be_mirrored(text: str) -> bool:
    """Return whether it is plain of each word in a text whether it is a direction, so that `mirrored` gets it right."""
    return all(kind != "unsure" for _, kind in _judged(text))


def mirrored(text: str, north_south: bool, east_west: bool) -> str:
    """Return what is true of the mirrored picture where a text is true of it: its directions change places.

    Args:
        text: any; of a word that could be something else, "above" and "below" before a thing count as directions.
        north_south: whether north and south change places, and so top and bottom, upper and lower, above and below.
        east_west: whether east and west do, and so left and right.
    """
    swaps = [*(_NORTH_SOUTH if north_south else ()), *(_EAST_WEST if east_west else ())]
    other = {a: b for pair in swaps for a, b in (pair, pair[::-1])}
    if not other:
        return text
    roots = re.compile("|".join(other), re.IGNORECASE)

    def swap(found: re.Match[str]) -> str:
        new = other[found[0].lower()]
        return new.capitalize() if found[0][0].isupper() else new

    out, done = [], 0
    for word, kind in _judged(text):
        swapped = kind == "direction" or (kind == "unsure" and word[0].lower() in ("above", "below"))
        out += [text[done : word.start()], roots.sub(swap, word[0]) if swapped else word[0]]
        done = word.end()
    return "".join((*out, text[done:]))


def _judged(text: str) -> Iterator[tuple[re.Match[str], Kind]]:
    for word in _WORD.finditer(text):
        yield word, _kind(word, text[: word.start()], text[word.end() :])


def _kind(word: re.Match[str], before: str, behind: str) -> Kind:
    """Judge a word by what stands around it."""
    plain = word[0].lower()
    if plain.startswith("from ") or plain in ("north-south", "south-north", "east-west", "west-east"):
        return "none"
    if plain in ("left-right", "top-bottom"):
        return "none"
    if plain.endswith("most"):
        return "direction"
    if plain in ("left", "right"):
        return _side(plain, before, behind)
    if plain in ("top", "bottom"):
        return _end(plain, before, behind)
    if plain in ("upper", "lower"):
        if _SIDE_OR_PART.match(behind):
            return "direction"
        return "none" if _COMPARED.match(behind.lower()) else "unsure"
    if plain in ("above", "below"):
        if _SEEN.search(before) or _HEIGHT.match(behind) or not _THING.match(behind):
            return "none"
        return "unsure"
    return _compass(word[0], before, behind)


def _side(plain: str, before: str, behind: str) -> Kind:
    if _ANGLE.match(behind) and plain == "right":
        return "none"
    if re.match(rf"[ -]{_PART}", behind, re.IGNORECASE):
        return "direction"
    if _ON_THE.search(before) or _BEFORE_SIDE.search(before):
        return "direction"
    if _NO_SIDE_BEHIND.match(behind) or (plain == "left" and _LEFT_VERB.search(before)):
        return "none"
    return "unsure"


def _end(plain: str, before: str, behind: str) -> Kind:
    if _SIDE_OR_PART.match(behind):
        return "direction"
    if _OF.match(behind):
        return "direction" if _OF_PICTURE.match(behind) else "none"
    if _NO_TOP.search(before) or _TOP_VIEW.match(behind):
        return "none"
    return "direction" if _ON_THE.search(before) else "unsure"


def _compass(word: str, before: str, behind: str) -> Kind:
    """Judge north, south, east, west and their forms: before a name ("North Sea") they are part of it."""
    is_name = word[0].isupper() and _CAPITAL_NEXT.match(behind)
    return "none" if is_name else "direction"
