"""Cue words of the claim parser: colors, amounts, directions, ends of a thing."""

from __future__ import annotations

import re
from typing import Literal

Amount = Literal["exact", "about", "least", "part", "one", "plural", "none", "open"]
TOKEN = re.compile(r"\d+(?:[.,]\d+)*%?|[a-z]+(?:'[a-z]+)?|[.,;:!?()]")
ENDS = frozenset(".;:!?")
TURNS = frozenset({"while", "whereas", "but", "although", "whilst"})
# Behind a place these say that it is empty.
EMPTY = frozenset({"free", "empty", "open", "clear", "bare", "vacant", "devoid", "unoccupied"})
# Behind "no" these say that there are no more than those named before.
MORE = frozenset({"further", "other", "more", "second", "third", "additional", "others", "else"})
COLORS: dict[str, str] = {
    **dict.fromkeys(("white", "whitish"), "white"),
    **dict.fromkeys(("black", "blackish"), "black"),
    **dict.fromkeys(("grey", "gray", "silver", "silvery", "greyish", "grayish"), "grey"),
    **dict.fromkeys(("red", "reddish", "crimson", "scarlet", "maroon", "terracotta"), "red"),
    **dict.fromkeys(("orange",), "orange"),
    **dict.fromkeys(("yellow", "yellowish", "golden"), "yellow"),
    **dict.fromkeys(("brown", "brownish", "tan", "beige", "khaki", "sandy"), "brown"),
    **dict.fromkeys(("green", "greenish", "emerald"), "green"),
    **dict.fromkeys(("blue", "bluish", "azure", "turquoise", "cyan", "teal", "navy"), "blue"),
    **dict.fromkeys(("purple", "violet", "pink", "magenta"), "purple"),
}
# These words end the reach of a number or a color; any other may stand between it and its thing.
STOPS = frozenset(
    "of in on at to by with near beside along and or is are was were lie lies stand stands sit sits the this that "
    "which from into between among around surrounded parked docked moored located situated while has have".split()
)
GROUPS = frozenset(
    "row rows group groups cluster clusters line lines set sets collection patch patches block blocks strip strips "
    "column columns pair pairs batch series band bands stretch stretches section sections piece "
    "pieces lot lots part parts".split()
)
SOME: dict[str, tuple[Amount, int]] = {
    "several": ("least", 3),
    "some": ("least", 2),
    "many": ("least", 4),
    "numerous": ("least", 4),
    "multiple": ("least", 2),
    "various": ("least", 2),
    "few": ("least", 2),
    "handful": ("least", 3),
    "dozens": ("least", 20),
    "hundreds": ("least", 90),
    "countless": ("least", 10),
    "both": ("exact", 2),
    "pair": ("exact", 2),
    "twin": ("exact", 2),
    "couple": ("exact", 2),
    "trio": ("exact", 3),
    "quartet": ("exact", 4),
    "single": ("exact", 1),
    "lone": ("exact", 1),
    "solitary": ("exact", 1),
    "sole": ("exact", 1),
}
ABOUT = frozenset("about around roughly approximately nearly almost some circa".split())
NONE = frozenset("no none without lacks lacking absent neither nor devoid absence lack".split())
IMAGE = frozenset(
    "image picture scene tile frame view photo photograph area site landscape composition map image's scene's "
    "picture's region imagery plot patch land".split()
)
PARTS = frozenset(
    "corner corners side sides edge edges half part parts portion portions section sections region regions quadrant "
    "third thirds quarter end zone margin border boundary sector reaches fringe flank area areas strip".split()
)
WAYS: dict[str, str] = {
    **dict.fromkeys("upper top uppermost topmost north northern".split(), "N"),
    **dict.fromkeys("lower bottom lowermost bottommost south southern".split(), "S"),
    **dict.fromkeys("left leftmost west western".split(), "W"),
    **dict.fromkeys("right rightmost east eastern".split(), "E"),
    **dict.fromkeys("center centre central middle centrally".split(), "C"),
    **{f"{a}{b}{end}": x + y for a, x in (("north", "N"), ("south", "S")) for b, y in (("west", "W"), ("east", "E"))
       for end in ("", "ern")},
}  # fmt: skip
NEEDS_PART = frozenset("upper lower northern southern western eastern central mid".split())
OPPOSITE = {"N": "S", "S": "N", "W": "E", "E": "W"}
# The singular says something else, or is another kind of word.
NOT_SINGULAR = frozenset({"shade", "worker", "plant"})
# These may follow a number that stands for things named before: "two in the lower right", "five of them".
BEHIND_ELLIPSIS = frozenset(
    "in on at to near along below beneath beside lie lies stand stands sit sits rest rests form forms".split()
)
FEW = frozenset({"only", "just", "exactly", "merely"})
BEHIND_COLOR = frozenset(". , ; : ! ? and or in on with while but tone tones hue hues colour color appearance".split())
MOST_OF_ALL = frozenset("largest biggest smallest longest widest tallest shortest".split())
FAINT = frozenset(
    "rare rarely scarce sparse hardly less fewer thinner thin thins thinly vanish vanishes fades disappears "
    "barely".split()
)
AXES = frozenset("axis axes orientation oriented pointing points point direction heading aligned body nose".split())
EDGES = frozenset({"corner", "edge", "edges", "border", "margin", "boundary"})
LOCAL = frozenset("margins corners corner elsewhere side third half quarter row column".split())
UNDER = frozenset("in on beneath below above beside under near next around between".split())
BEGINS = frozenset({"start", "starts", "starting", "begin", "begins", "beginning", "end", "ends", "ending"})
# Before a place these say how far something reaches, not where it is.
REACH = frozenset({"from", "past", "beyond", "between", "until", "through"})
# Plural nouns that are counted without being things to be seen.
UNODD = frozenset(
    "sides corners directions meters metres kilometers kilometres hectares acres percent types kinds sizes shapes "
    "colors colours tones shades textures patterns ways levels times places spots locations areas zones regions "
    "features elements objects items others thirds halves quarters fifths sixths tenths cells degrees units examples "
    "instances categories "
    "classes things facilities structures units arms branches lanes layers dimensions points pixels tiles images "
    "quadrants portions segments fields plots parcels surfaces grounds sports members sorts groupings rings tiers "
    "borders strokes works neighbours neighbors gives towards hands margins rims faces contours outlines uses purposes "
    "steps "
    "lengths rectangles circles squares ovals triangles shapes edges ends wings forms marks".split()
)


def color_family(color: str) -> str:
    """Return the family of a color word ("dark green" is "green"); "" for none."""
    return next((COLORS[word] for word in reversed(color.lower().split()) if word in COLORS), "")
