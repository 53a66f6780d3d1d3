"""Evidence in the facts of one picture: supported names, their numbers, places and colors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from train.data.records import Facts, Share, Thing
from train.data_engine.gate.claim_parser import read
from train.data_engine.gate.claims import Mention, Reading
from train.data_engine.gate.cue_words import color_family
from train.data_engine.lexicon.lexicon import Lexicon
from train.data_engine.lexicon.tags import tag_words

_SLACK = 0.06  # how far over a picture's middle a thing may stand and still be "left"
_TYPICAL: dict[str, frozenset[str]] = {
    "vegetation": frozenset({"green", "brown", "yellow"}),
    "grass": frozenset({"green", "brown", "yellow"}),
    "forest": frozenset({"green"}),
    "park": frozenset({"green"}),
    "field": frozenset({"green", "brown", "yellow"}),
    "farmland": frozenset({"green", "brown", "yellow"}),
    "water": frozenset({"blue", "green"}),
    "sand": frozenset({"yellow", "brown", "white"}),
    "beach": frozenset({"yellow", "brown", "white"}),
    "bare land": frozenset({"brown", "yellow"}),
    "foam": frozenset({"white"}),
    "snow": frozenset({"white"}),
}


@dataclass(frozen=True)
class Region:
    """A part of a picture: bounds of x and y as fractions, y downwards."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    @classmethod
    def of(cls, ways: str) -> Region:
        """Build the region of letters of N, S, W, E, C and K (a corner), with a little slack."""
        slack = -_SLACK if "K" in ways else _SLACK
        middle, low, high = "C" in ways, 0.5 - slack, 0.5 + slack
        left, right = (0.2, 0.8) if middle else (0.0, 1.0)
        top, bottom = (0.2, 0.8) if middle else (0.0, 1.0)
        if "W" in ways or "E" in ways:
            left, right = (low, 1.0) if "E" in ways else (0.0, high)
        if "N" in ways or "S" in ways:
            top, bottom = (low, 1.0) if "S" in ways else (0.0, high)
        return cls(left, top, right, bottom)

    def meets(self, other: Region) -> bool:
        """Return whether two parts are more or less the same, or one lies in the other."""
        shared = sum(a * b for a, b in zip(self.weights, other.weights, strict=True))
        return shared >= 0.5 * min(sum(self.weights), sum(other.weights))

    def shrunk(self, by: float) -> Region:
        """Return the region without a margin on the sides that are not the picture's own."""
        return Region(
            self.left + by * (self.left > 0),
            self.top + by * (self.top > 0),
            self.right - by * (self.right < 1),
            self.bottom - by * (self.bottom < 1),
        )

    def holds(self, x: float, y: float) -> bool:
        """Return whether a point lies in the region."""
        return self.left <= x <= self.right and self.top <= y <= self.bottom

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """Share of each of the nine cells that lies in the region, 0 to 1; the slack is left out."""
        across = _overlaps(self.left, self.right)
        down = _overlaps(self.top, self.bottom)
        return tuple(y * x for y in down for x in across)


def _overlaps(low: float, high: float) -> tuple[float, ...]:
    low, high = (low + _SLACK if 0 < low < 0.5 else low), (high - _SLACK if 0.5 < high < 1 else high)
    return tuple(max(0.0, min(high, (n + 1) / 3) - max(low, n / 3)) * 3 for n in range(3))


def center_of(thing: Thing) -> tuple[float, float]:
    """Return x and y of a thing's middle, in fractions of the picture."""
    left, top, right, bottom = thing.box
    return (left + right) / 2, (top + bottom) / 2


class Known:
    """The facts of one picture, ready to be asked.

    Args:
        facts: its facts.
        lexicon: names.
    """

    def __init__(self, facts: Facts, lexicon: Lexicon) -> None:
        self.facts, self.lexicon = facts, lexicon
        self.readings: tuple[Reading, ...] = tuple(read(caption, lexicon) for caption in facts.captions)
        tags = [words for key, value in facts.tags if (words := tag_words(key, value))]
        if facts.scene:
            self.readings += (read(facts.scene, lexicon),)
        self.readings += tuple(read(words, lexicon) for words in tags)
        self.said = [m for reading in self.readings for m in reading.mentions if m.amount != "none"]
        self._wider = {kind: lexicon.wider(lexicon.kind_of(kind)) for kind in {t.kind for t in facts.things}}
        names: Iterable[str] = (
            *self._wider,
            *(share.kind for share in facts.shares if share.share > 0),
            *((facts.scene,) if facts.scene else ()),
            *tags,
        )
        self.supported: set[str] = set()
        for name in names:
            self.supported |= lexicon.supported(lexicon.kind_of(name))
        for mention in self.said:
            for kind in mention.kinds:
                self.supported |= lexicon.supported(kind)

    def supports(self, kinds: frozenset[str]) -> bool:
        """Return whether one of the names is of something that is known to be there."""
        return not self.supported.isdisjoint(kinds)

    def is_scene(self, kinds: frozenset[str]) -> bool:
        """Return whether one of the names is that of the whole scene."""
        scene = self.facts.scene
        return bool(scene) and not self.lexicon.wider(self.lexicon.kind_of(str(scene))).isdisjoint(kinds)

    def things(self, kinds: frozenset[str]) -> list[Thing]:
        """List the marked things that one of the names fits."""
        return [t for t in self.facts.things if not self._wider[t.kind].isdisjoint(kinds)]

    def own_things(self, kinds: frozenset[str]) -> list[Thing]:
        """List the marked things of that very kind: a bus is a large vehicle too, but not marked as one."""
        return [t for t in self.facts.things if self.lexicon.kind_of(t.kind) in kinds]

    def shares(self, kinds: frozenset[str]) -> list[Share]:
        """List the land covers that one of the names fits."""
        wide = {wider for kind in kinds for wider in self.lexicon.wider(kind)}
        return [
            s
            for s in self.facts.shares
            if (own := self.lexicon.kind_of(s.kind)) in wide or not self.lexicon.supported(own).isdisjoint(kinds)
        ]

    def mentions(self, kinds: frozenset[str]) -> list[Mention]:
        """List the captions' mentions of such things."""
        return [m for m in self.said if any(not self.lexicon.supported(k).isdisjoint(kinds) for k in m.kinds)]

    def colors(self, kinds: frozenset[str]) -> set[str]:
        """Return every color that is known of such things, as families."""
        if any("rooftop" in self.lexicon.supported(kind) for kind in kinds):
            kinds = kinds | {"rooftop"}  # a house with a red roof is a red house from above
        elif "rooftop" in kinds:
            kinds = kinds | {"building"}
        known = {family for t in self.things(kinds) if (family := color_family(t.color))}
        for mention in self.mentions(kinds):
            known |= mention.colors
        return known

    def typical(self, kinds: frozenset[str]) -> set[str]:
        """Return the colors that go without saying."""
        wide = {wider for kind in kinds for wider in self.lexicon.wider(kind)}
        return {color for kind, colors in _TYPICAL.items() if kind in wide for color in colors}
