"""Places in a text: its directions, and the thing that each belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from train.data_engine.gate.claims import Mention
from train.data_engine.gate.cue_words import AXES, BEGINS, EDGES, IMAGE, NEEDS_PART, OPPOSITE, PARTS, REACH, TURNS, WAYS


@dataclass
class _Place:
    at: int
    ways: str
    opens: bool  # whether it begins a clause
    of: bool  # "north of ...": a side of the next thing
    reach: bool  # "from the upper left": the begin or the end of something
    empty: bool = False  # nothing is said to be there


class PlaceReader:
    """A finder of places in a text and of the things that they belong to.

    Args:
        words: of the whole text, lower case, punctuation as words of their own.
    """

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.spots: list[tuple[int, Mention]] = []  # things of the sentence at hand, with where they stand
        self.places: list[_Place] = []
        self.breaks: list[int] = []  # where its commas are
        self.loose: list[str] = []
        self.parts = False  # whether it speaks of parts of the picture without saying which
        self.faint_at = -99  # where the text said that there is little of something
        self.from_at = -99  # where the last "from" of a stretch stood
        self.subject: Mention | None = None  # the first thing of the sentence before

    def _settle_places(self) -> None:
        """End a sentence: give every place to its thing."""
        for number, place in enumerate(self.places):
            limit = self.places[number + 1].at if number + 1 < len(self.places) else len(self.words)
            self._settle(place, limit)
        for at, mention in self.spots:  # "the left shows neither ship nor pier"
            near = [p for p in self.places if (p.at < at and p.opens) or not self._broken(p.at, at)]
            if mention.amount == "none" and near:
                mention.places = [near[0].ways]
                mention.definite |= near[0].of
            elif mention.amount == "none" and self.parts:
                mention.definite = True
        if self.spots:
            self.subject = self.spots[0][1]
        self.spots, self.places, self.breaks, self.parts = [], [], [], False

    def _word(self, at: int) -> str:
        return self.words[at] if 0 <= at < len(self.words) else ""

    def _place(self, at: int) -> int:
        """Read a direction that begins at a word; return the number of words it takes."""
        ways, end = "", at
        while len(ways) < 4 and (way := WAYS.get(self._word(end))):
            ways, end = ways + way, end + 1
        if not ways:
            return 0
        if self._word(end) in ("to", "through") and OPPOSITE.get(ways) == WAYS.get(self._word(end + 1)):
            return end + 2 - at  # "from north to south": a heading
        if any(OPPOSITE.get(a) == b for a, b in pairwise(ways)):
            return end - at
        if self._word(at - 1) == "whose":
            return end - at
        single = end == at + 1
        if self._word(end) == "hand":
            end += 1
        part = self._word(end) in PARTS
        if self._word(end) in EDGES:
            ways += "K"
        end += part
        if single and not part and not self._stands_alone(at):
            return end - at
        of = False
        if self._word(end) == "of":
            of = not self._of_image(end)
            if of and part:
                return end - at  # "the left side of the road" is not a place in the picture
        elif self._word(end) in ("from", "beside"):
            of = self._word(end) == "from"
        place = _Place(at, "".join(dict.fromkeys(ways)), self._opens(at), of, self._reaches(at))
        place.empty = at - self.faint_at <= 4
        if not place.reach or (self._word(at - 1) == "the" and AXES.isdisjoint(self.words[max(0, at - 9) : at])):
            self.places.append(place)
        return end - at

    def _reaches(self, at: int) -> bool:
        """Return whether a place is the end of a stretch: "from the upper left to the lower right"."""
        back = at - 1
        while back >= 0 and self.words[back] in ("the", "far", "very", "just", "its"):
            back -= 1
        if back >= 0 and self.words[back] in REACH:
            return True
        if back >= 1 and self.words[back - 1] in BEGINS:
            return True
        return back >= 0 and self.words[back] in ("to", "towards", "toward") and at - self.from_at < 12

    def _stands_alone(self, at: int) -> bool:
        """Return whether a single word of direction needs no noun of place behind it: "on the left"."""
        word, before = self.words[at], self._word(at - 1)
        if word == "centrally":
            return True
        if word in NEEDS_PART:
            return False
        if before in ("the", "far", "extreme", "very", "image's", "its", "due", "further", "just"):
            return self._word(at + 1) not in WAYS
        return self._word(at + 1) == "of" and word not in ("top", "bottom", "center", "centre", "middle")

    def _of_image(self, at: int) -> bool:
        """Return whether "of ..." at a word means the picture."""
        after = [self._word(at + n) for n in (1, 2, 3)]
        skip = 1 if after[0] in ("the", "this", "our", "an", "a") else 0
        return after[skip] in IMAGE or after[skip + 1 : skip + 2] == ["image"]

    def _opens(self, at: int) -> bool:
        """Return whether a place stands at the beginning of a clause: "In the north, ..."."""
        back = at - 1
        while back >= 0 and self.words[back] in (
            "the", "in", "on", "at", "to", "along", "near", "towards", "toward", "far", "very", "extreme", "across",
            "occupying", "covering", "its", "within", "further", "from", "down", "up", "just", "close", "over",
        ):  # fmt: skip
            back -= 1
        return back < 0 or self.words[back] in ".,;:!?" or self.words[back] in ("and", "with", *TURNS)

    def _broken(self, a: int, b: int) -> bool:
        """Return whether a comma stands between two words."""
        return any(min(a, b) < comma < max(a, b) for comma in self.breaks)

    def _settle(self, place: _Place, limit: int) -> None:
        """Find the thing that a place belongs to, and give it the place."""
        before = [(at, m) for at, m in self.spots if at < place.at]
        behind = [(at, m) for at, m in self.spots if place.at < at and not m.pronoun]
        if place.of:
            if behind and (not before or place.opens) and len(behind) > 1:  # "To the north of a pond lies a road."
                behind[1][1].sides.append((place.ways, behind[0][1].kinds))
            elif before and behind:
                before[-1][1].sides.append((place.ways, behind[0][1].kinds))
            return
        if place.reach and before:
            before[-1][1].reaches.append(place.ways)
        if place.empty or place.reach:
            return
        behind = [(at, m) for at, m in behind if at < limit]
        since = max((b for b in self.breaks if b < place.at), default=-1)
        own = [m for at, m in before if at > since]
        if len(own) > 1 and self._word(before[-1][0] - 2) == "with" and not own[-1].places:
            own[-1].places.append(place.ways)  # "a river with some boats follows the left side": it may be either
            own[-1].either = own[-2].kinds
        elif own and not (place.opens and behind and (own[-1].places or self._joined(place.at))):
            own[-1].places.append(place.ways)
        elif behind and place.opens:
            behind[0][1].places.append(place.ways)
        elif before:
            before[-1][1].places.append(place.ways)
        else:
            self.loose.append(place.ways)

    def _joined(self, at: int) -> bool:
        """Return whether "and" or "with" leads to the clause that a place begins."""
        back = at - 1
        while back >= 0 and self.words[back] in ("the", "in", "on", "at", "to", "along", "near", "far", "toward"):
            back -= 1
        return back >= 0 and self.words[back] in ("and", *TURNS)
