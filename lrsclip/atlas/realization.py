"""Statements put into words: a short caption, and a description of several sentences in varied wording.

The wording is drawn from a generator seeded by the tile, so a description and its falsified twin differ in nothing but
the claim that was changed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lrsclip.atlas.features import KINDS
from lrsclip.atlas.statement import AREA, ROOFED, Statement
from lrsclip.calibration.land_use import LAND_USES

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
"""Land use, and water, in words."""
PLACES = {
    "nw": ("in the north-west", "in the upper left corner", "in the northwestern corner"),
    "n": ("in the north", "at the top", "in the upper middle"),
    "ne": ("in the north-east", "in the upper right corner", "in the northeastern corner"),
    "w": ("in the west", "on the left", "in the middle left"),
    "c": ("in the middle", "in the centre", "in the center of the image"),
    "e": ("in the east", "on the right", "in the middle right"),
    "sw": ("in the south-west", "in the lower left corner", "in the southwestern corner"),
    "s": ("in the south", "at the bottom", "in the lower middle"),
    "se": ("in the south-east", "in the lower right corner", "in the southeastern corner"),
    "N": ("in the northern half", "in the upper half", "in the northern half of the image"),
    "S": ("in the southern half", "in the lower half", "in the southern half of the image"),
    "W": ("in the western half", "in the left half", "in the western half of the image"),
    "E": ("in the eastern half", "in the right half", "in the eastern half of the image"),
}
SIDES = {
    "north": ("north of", "above"),
    "south": ("south of", "below"),
    "west": ("west of", "to the left of"),
    "east": ("east of", "to the right of"),
}
_STANDS = frozenset({"crane", "storage tank", "car", "truck", "plane", "train", "parasol", "greenhouse"}) | ROOFED


def sentences(told: Sequence[Statement], rng: np.random.Generator) -> list[str]:
    """Write one sentence for each statement.

    Args:
        told: the statements, in the order of the sentences.
        rng: decides the wording alone, with one draw for each sentence, whatever it says.
    """
    compass = bool(rng.random() < 0.6)
    return [_sentence(statement, compass, rng.random(4).tolist()) for statement in told]


def caption(told: Sequence[Statement], rng: np.random.Generator) -> str:
    """Write one short sentence of the scene and its most telling things."""
    luck = rng.random(3).tolist()
    scene = next((s for s in told if s.form == "scene"), None)
    things = [_things(s) for s in told if s.form == "group"][: 2 if luck[1] < 0.6 else 1]
    if scene is None:
        areas = [_pick(LAND_USES[s.subject], luck[0]) for s in told if s.form == "area"][:2]
        body = " and ".join(areas) or "land"
    else:
        body = _pick(LAND_USES[scene.subject], luck[0])
    opening = _pick(("An aerial image of {}", "A view of {} from above", "{}"), luck[2]).format(body)
    text = opening + (" with " + " and ".join(things) if things else "") + "."
    return text[0].upper() + text[1:]


def named(s: Statement) -> str:
    """Name a land use or things in a sentence of its own: "A tank farm.", "Red barns."."""
    words = _things(s) if s.form == "group" else LAND_USES[s.subject][0]
    return words[0].upper() + words[1:] + "."


def _pick(choices: Sequence[str], luck: float) -> str:
    return choices[min(len(choices) - 1, int(luck * len(choices)))]


def _where(place: str, compass: bool, luck: float) -> str:
    north_words, page_words, long_words = PLACES[place]
    return (long_words if luck < 0.3 and compass else north_words) if compass else page_words


def _things(s: Statement) -> str:
    """Put number, color and name into words: "three white storage tanks", "a church with a red roof"."""
    kind = KINDS[s.subject]
    one = s.number == 1 and not s.more
    name = kind.one if one else kind.many
    number = f"more than {_number(s.number)}" if s.more else "" if not s.number else _number(s.number)
    if s.color and s.subject in ROOFED:
        words = f"{number} {name} with {_article(s.color) + ' ' if one else ''}{s.color} roof{'' if one else 's'}"
    else:
        words = f"{number} {s.color} {name}".replace("  ", " ")
    if one and words.startswith("one "):
        words = f"{_article(words[4:])} {words[4:]}"
    return words.strip()


def _article(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"


def _number(number: int) -> str:
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def _sentence(s: Statement, compass: bool, luck: list[float]) -> str:
    make = {
        "scene": _scene,
        "area": _area,
        "group": _group,
        "way": _way,
        "trees": _trees,
        "relation": _relation,
        "size": _size,
        "part": _part,
        "most": _most,
        "cover": _cover,
        "crossing": _crossing,
        "high": _high,
        "none": _none,
    }[s.form]
    text = make(s, compass, luck)
    return text[0].upper() + text[1:] + "."


def _scene(s: Statement, compass: bool, luck: list[float]) -> str:
    scene = _pick(LAND_USES[s.subject], luck[0])
    openings = (
        "this aerial image shows {}",
        "the picture shows {}",
        "{} seen from above",
        "this is {}",
        "the scene is mainly {}",
    )
    return _pick(openings, luck[1]).format(scene)


def _area(s: Statement, compass: bool, luck: list[float]) -> str:
    name = _pick(LAND_USES[s.subject], luck[0])
    if not s.place:
        return _pick(("there is {} too", "part of the ground is {}", "{} takes up part of the image"), luck[1]).format(
            name
        )
    where = _where(s.place, compass, luck[2])
    return _pick(("{1} lies {0}", "{1} there is {0}", "{0} can be seen {1}"), luck[1]).format(name, where)


def _group(s: Statement, compass: bool, luck: list[float]) -> str:
    things = _things(s)
    one = s.number == 1 and not s.more
    stands = ("stands" if one else "stand") if s.subject in _STANDS else ("lies" if one else "lie")
    there = "is" if one else "are"
    if not s.place:
        return _pick((f"there {there} {{}}", "{} can be seen", "one sees {}"), luck[1]).format(things)
    where = _where(s.place, compass, luck[2])
    forms = (f"{{0}} {stands} {{1}}", f"{{1}} there {there} {{0}}", "{0} can be seen {1}", f"{{1}} {stands} {{0}}")
    return _pick(forms, luck[1]).format(things, where)


def _way(s: Statement, compass: bool, luck: list[float]) -> str:
    name = {
        "road": "a main road",
        "railway": "a railway line",
        "river": "a river",
        "street": "a street",
        "lane": "a narrow lane",
    }[s.subject]
    if compass:
        course = "from north to south" if s.heading == "down" else "from east to west"
        side = {"w": "western", "e": "eastern", "n": "northern", "s": "southern"}.get(s.place)
    else:
        course = "from top to bottom" if s.heading == "down" else "from left to right"
        side = {"w": "left", "e": "right", "n": "upper", "s": "lower"}.get(s.place)
    part = f"the {side} part of the image" if side else "the middle of the image" if s.place else "the image"
    verb = "flows" if s.subject == "river" else "runs"
    return _pick((f"{name} {verb} {course} through {part}", f"through {part} {name} {verb} {course}"), luck[1])


_TREES = {
    7: ("some trees", "a number of trees", "a few trees"),
    20: ("dozens of trees", "many trees", "plenty of trees"),
    60: ("very many trees", "trees in great number", "a great many trees"),
    120: ("more than a hundred trees", "over a hundred trees", "well over a hundred trees"),
    250: ("hundreds of trees", "several hundred trees", "trees by the hundred"),
}


def _trees(s: Statement, compass: bool, luck: list[float]) -> str:
    many = _pick(_TREES[s.number], luck[0])
    where = " " + (_where(s.place, compass, luck[2]) if s.place else "here")
    return _pick(("{0} grow{1}", "there are {0}{1}", "{0} stand{1}"), luck[1]).format(many, where)


def _most(s: Statement, compass: bool, luck: list[float]) -> str:
    stand = "stand" if s.subject in _STANDS or s.subject == "tree" else "lie"
    forms = (f"most of the {{0}} {stand} {{1}}", f"{{1}} {stand} most of the {{0}}", "most of the {0} are {1}")
    return _pick(forms, luck[1]).format(KINDS[s.subject].many, _where(s.place, compass, luck[2]))


_SHARES = {
    25: ("about a quarter", "roughly a quarter"),
    33: ("about a third", "roughly one third"),
    50: ("about half", "roughly one half"),
    67: ("about two thirds", "roughly two thirds"),
    95: ("almost all", "nearly all"),
}


def _cover(s: Statement, compass: bool, luck: list[float]) -> str:
    share, name = _pick(_SHARES[s.number], luck[2]), _pick(LAND_USES[s.subject], luck[0])
    forms = ("{0} takes up {1} of the image", "{1} of the image is {0}", "{0} covers {1} of the picture")
    return _pick(forms, luck[1]).format(name, share)


_EDGES = {"N": ("northern", "upper"), "S": ("southern", "lower"), "W": ("western", "left"), "E": ("eastern", "right")}


def _part(s: Statement, compass: bool, luck: list[float]) -> str:
    thing = _things(Statement("group", s.subject, 1, color=s.color))
    edge = _EDGES[s.place][0 if compass else 1]
    forms = (
        "{0} is cut off by the {1} edge",
        "at the {1} edge only a part of {0} can be seen",
        "{0} reaches beyond the {1} edge",
    )
    return _pick(forms, luck[1]).format(thing, edge)


def _crossing(s: Statement, compass: bool, luck: list[float]) -> str:
    where = _where(s.place, compass, luck[2])
    return _pick(("roads meet {0}", "there is a road junction {0}", "{0} roads cross"), luck[1]).format(where)


def _high(s: Statement, compass: bool, luck: list[float]) -> str:
    where = _where(s.place, compass, luck[2])
    return _pick(("the highest ground lies {0}", "the land is highest {0}"), luck[1]).format(where)


_ABSENT = {
    "building": ("there are no buildings", "no building can be seen"),
    "road": ("there is no road", "no roads can be seen"),
    "water": ("there is no water", "no water can be seen"),
    "tree": ("no trees grow here", "there are no trees"),
}


def _none(s: Statement, compass: bool, luck: list[float]) -> str:
    return _pick(_ABSENT[s.subject], luck[1])


def _relation(s: Statement, compass: bool, luck: list[float]) -> str:
    one, other = _named(s.subject, luck[2]), _named(s.other, luck[0])
    side = SIDES[s.relation][0 if compass else 1]
    return _pick(("{0} is {2} {1}", "{0} lies {2} {1}"), luck[1]).format(one, other, side)


def _named(name: str, luck: float) -> str:
    return _pick(LAND_USES[name.removeprefix(AREA)], luck) if name.startswith(AREA) else f"the {KINDS[name].one}"


def _size(s: Statement, compass: bool, luck: list[float]) -> str:
    forms = (
        "the {0} is about {1} metres long",
        "the {0} measures about {1} metres",
        "about {1} metres is the length of the {0}",
    )
    return _pick(forms, luck[1]).format(KINDS[s.subject].one, s.number)
