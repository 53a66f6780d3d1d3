"""Reads what a text claims: which things, how many, in what colour, where in the picture, which side of what.

Not a parser of English: it finds the names that the lexicon knows and looks at the words around each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from train.lrs2m.lexicon import Lexicon, Phrase
from train.lrs2m.words import NUMBERS

Amount = Literal["exact", "about", "least", "part", "one", "plural", "none", "open"]
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*%?|[a-z]+(?:'[a-z]+)?|[.,;:!?()]")
_ENDS = frozenset(".;:!?")
_TURNS = frozenset({"while", "whereas", "but", "although", "whilst"})
# Behind a place these say that it is empty.
_EMPTY = frozenset({"free", "empty", "open", "clear", "bare", "vacant", "devoid", "unoccupied"})
# Behind "no" these say that there are no more than those told of.
_MORE = frozenset({"further", "other", "more", "second", "third", "additional", "others", "else"})
_COLOURS: dict[str, str] = {
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
# Words that may stand between a number or a colour and what it belongs to end it when they are one of these.
_STOPS = frozenset(
    "of in on at to by with near beside along and or is are was were lie lies stand stands sit sits the this that "
    "which from into between among around surrounded parked docked moored located situated while has have".split()
)
_GROUPS = frozenset(
    "row rows group groups cluster clusters line lines set sets collection patch patches block blocks strip strips "
    "column columns pair pairs batch series band bands stretch stretches section sections piece pieces lot lots part parts".split()
)
_SOME: dict[str, tuple[Amount, int]] = {
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
_ABOUT = frozenset("about around roughly approximately nearly almost some circa".split())
_NONE = frozenset("no none without lacks lacking absent neither nor devoid absence lack".split())
_IMAGE = frozenset(
    "image picture scene tile frame view photo photograph area site landscape composition map image's scene's "
    "picture's region imagery plot patch land".split()
)
_PARTS = frozenset(
    "corner corners side sides edge edges half part parts portion portions section sections region regions quadrant "
    "third thirds quarter end zone margin border boundary sector reaches fringe flank area areas strip".split()
)
_WAYS: dict[str, str] = {
    **dict.fromkeys("upper top uppermost topmost north northern".split(), "N"),
    **dict.fromkeys("lower bottom lowermost bottommost south southern".split(), "S"),
    **dict.fromkeys("left leftmost west western".split(), "W"),
    **dict.fromkeys("right rightmost east eastern".split(), "E"),
    **dict.fromkeys("center centre central middle centrally".split(), "C"),
    **{f"{a}{b}{end}": x + y for a, x in (("north", "N"), ("south", "S")) for b, y in (("west", "W"), ("east", "E"))
       for end in ("", "ern")},
}  # fmt: skip
_NEEDS_PART = frozenset("upper lower northern southern western eastern central mid".split())
_OPPOSITE = {"N": "S", "S": "N", "W": "E", "E": "W"}
# The singular says something else, or is another kind of word.
_NOT_SINGULAR = frozenset({"shade", "worker", "plant"})
# What may follow a number that stands for things named before: "two in the lower right", "five of them".
_BEHIND_ELLIPSIS = frozenset(
    "in on at to near along below beneath beside lie lies stand stands sit sits rest rests form forms".split()
)
_FEW = frozenset({"only", "just", "exactly", "merely"})
# Before a place these say how far something reaches, not where it is.
_BEHIND_COLOUR = frozenset(". , ; : ! ? and or in on with while but tone tones hue hues colour color appearance".split())
_MOST_OF_ALL = frozenset("largest biggest smallest longest widest tallest shortest".split())
_FAINT = frozenset(
    "rare rarely scarce sparse hardly less fewer thinner thin thins thinly vanish vanishes fades disappears barely".split()
)
_AXES = frozenset("axis axes orientation oriented pointing points point direction heading aligned body nose".split())
_EDGES = frozenset({"corner", "edge", "edges", "border", "margin", "boundary"})
_LOCAL = frozenset("margins corners corner elsewhere side third half quarter row column".split())
_UNDER = frozenset("in on beneath below above beside under near next around between".split())
_BEGINS = frozenset({"start", "starts", "starting", "begin", "begins", "beginning", "end", "ends", "ending"})
_REACH = frozenset({"from", "past", "beyond", "between", "until", "through"})


@dataclass
class Mention:
    """A thing that a text says is there (or is not).

    Attributes:
        kinds: what the words may mean.
        words: as written.
        sentence: its number.
        amount, count: what is said of how many: "exact" (two), "about", "least" (several, more than two), "part" (one
            of the), "one" (a), "plural" (planes), "none" (no planes), "open" (nothing is said).
        colours: said of it, as families ("silver" is "grey").
        places: regions of the picture that it is said to lie in, each as letters of N, S, W, E, C (middle), K (corner or edge).
        reaches: regions that it is said to begin or end in.
        definite: whether "the" or "these" stands before the number, so that they were told of before.
        either: what else its places may be said of.
        percent: share of the picture that it is said to take.
        pronoun: whether it is an "it" or "they".
        sides: (letters, kinds of another thing): it lies on that side of it.
    """

    kinds: frozenset[str]
    words: str
    sentence: int
    amount: Amount = "open"
    count: int = 0
    colours: frozenset[str] = frozenset()
    places: list[str] = field(default_factory=list)
    reaches: list[str] = field(default_factory=list)
    definite: bool = False
    either: frozenset[str] = frozenset()
    percent: int | None = None
    pronoun: bool = False
    sides: list[tuple[str, frozenset[str]]] = field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """What a text claims.

    Attributes:
        mentions: things, in order.
        odd: counted nouns that no table knows ("three zeppelins").
        loose: places that no thing could be found for.
    """

    mentions: tuple[Mention, ...]
    odd: tuple[str, ...]
    loose: tuple[str, ...]


@dataclass
class _Place:
    at: int
    ways: str
    opens: bool  # whether it begins a clause
    of: bool  # "north of ...": a side of the next thing
    reach: bool  # "from the upper left": where something begins or ends
    empty: bool = False  # nothing is said to be there


def read(text: str, lexicon: Lexicon) -> Reading:
    """Read what a text claims."""
    return _Reader(text, lexicon).run()


class _Reader:
    """One pass over the words of a text."""

    def __init__(self, text: str, lexicon: Lexicon) -> None:
        self.words: list[str] = _TOKEN.findall(text.lower().replace("-", " ").replace("’", "'"))
        self.phrases = lexicon.phrases
        self.mentions: list[Mention] = []
        self.spots: list[tuple[int, Mention]] = []  # of the sentence at hand
        self.places: list[_Place] = []
        self.breaks: list[int] = []
        self.odd: list[str] = []
        self.loose: list[str] = []
        self.sentence = 0
        self.last_end = -1  # where the last mention ended
        self.parts = False  # whether the sentence speaks of parts of the picture without saying which
        self.ends_here = False  # whether nothing that the last colour could belong to follows it
        self.faint_at = -99  # where the text said that there is little of something
        self.from_at = -99  # where the last "from" of a stretch stood
        self.subject: Mention | None = None  # what the sentence before spoke of first
        self._clear()

    def run(self) -> Reading:
        at, words = 0, self.words
        while at < len(words):
            at += self._step(at)
        self._close()
        return Reading(tuple(self.mentions), tuple(self.odd), tuple(self.loose))

    def _clear(self) -> None:
        self.amount: Amount = "open"
        self.count = 0
        self.colours: set[str] = set()
        self.since = 0  # words since the number
        self.none = False
        self.definite = False

    def _word(self, at: int) -> str:
        return self.words[at] if 0 <= at < len(self.words) else ""

    def _step(self, at: int) -> int:
        word = self.words[at]
        if word in _ENDS:
            self._close()
            self.sentence += 1
            return 1
        if word in _TURNS:
            self._close()
            return 1
        if word == ",":
            self.breaks.append(at)
            self._leave_colours()
            none = self.none and self._word(at + 1) in self.phrases  # "no buildings, roads or water"
            self._clear()
            self.none = none
            return 1
        if (taken := self._mention(at)) or (taken := self._place(at)) or (taken := self._number(at)):
            return taken
        if word in _EMPTY or word == "none":
            for place in self.places:
                place.empty |= place.at > max(self.breaks, default=-1)
        if word in _COLOURS:
            if self._word(at + 1) != "of":
                self._colour(at)
        elif word in ("absent", "missing") and self.spots and {"is", "are"} & {self._word(at - 1), self._word(at - 2)}:
            self.spots[-1][1].amount = "none"
        elif word in _NONE:
            self.none = not (self.none or self._word(at + 1) in NUMBERS)  # "none is without"; "no two of them"
            self.definite = self._word(at + 1) in _MORE
        elif word in ("ones",) and self.amount == "exact" and self.count > 1:
            self._stand_in(at, "exact", self.count)
        elif word in _MOST_OF_ALL:
            self.amount, self.count, self.since = "part", 1, 0
        elif word in _LOCAL:
            self.parts = True
        elif word in _FAINT:
            self.faint_at = at
        elif word in _BEGINS and at and self._word(at + 1) in ("in", "at", "near") or word == "from":
            self.from_at = at
        elif word in ("it", "they") and not self.spots and self.subject:
            self._pronoun(at)
        elif word in _GROUPS:
            self.amount, self.count = ("plural", 0) if self.amount != "none" else ("none", 0)
        elif word in _STOPS and word != "of":
            self._forget(at, word)
        elif self.amount in ("exact", "about") and self.count > 1:
            self._odd(at)
        self.since += 1
        if self.since > 5 and not self.none:
            self._clear()
        return 1

    def _pronoun(self, at: int) -> None:
        """"It" at the beginning of a sentence is what the one before was about."""
        assert self.subject is not None
        mention = Mention(self.subject.kinds, self.subject.words, self.sentence, pronoun=True)
        self.mentions.append(mention)
        self.spots.append((at, mention))

    def _leave_colours(self) -> None:
        """Colours that nothing follows belong to what stands before them: "a pool with a blue tone"."""
        if self.colours and self.spots and self.ends_here:
            self.spots[-1][1].colours |= self.colours
        self.colours = set()

    def _forget(self, at: int, word: str) -> None:
        """A word behind which an earlier number or colour does not hold any more."""
        if word in ("and", "or") and (self._word(at + 1) in _COLOURS or self.none):
            return
        if word == "and" and self.colours and self._word(at - 1) in _COLOURS:
            return
        if word == "the" and self._word(at - 1) == "of" and self.amount in ("exact", "part"):
            self.amount = "part"
            return
        self._leave_colours()
        self.amount, self.count, self.colours = "open", 0, set()
        if word not in ("in", "on", "at", "the", "of"):
            self.none = False

    def _colour(self, at: int) -> None:
        family = _COLOURS[self.words[at]]
        before = self._word(at - 1) if self._word(at - 1) not in ("mostly", "mainly", "painted", "all") else self._word(at - 2)
        after = self._word(at + 1)
        if after in ("one", "ones") or before == "of":
            return
        there = self._word(at - 2) == "there"
        if before in ("is", "are", "appear", "appears", "coloured", "colored") and self.spots and not there:
            self.spots[-1][1].colours |= {family}
        else:
            self.colours.add(family)
            self.since = min(self.since, 3)
            self.ends_here = not after or after in _BEHIND_COLOUR

    def _odd(self, at: int) -> None:
        """A counted plural that is no part of a picture and no word of the table."""
        word, after = self.words[at], self._word(at + 1)
        ends = not after or after in _STOPS or after in ("can", "appear", "stay") or after in ".,;:" or after in _TURNS
        if self.since <= 1 and ends and len(word) > 4 and word.endswith("s") and not word.endswith(("ss", "us", "ous")):
            if word not in _UNODD and word not in _PARTS and word not in _GROUPS:
                self.odd.append(word)
            self.amount, self.count = "open", 0

    def _mention(self, at: int) -> int:
        """A thing that begins at a word; returns how many words it takes, 0 if there is none."""
        for phrase in self.phrases.get(self.words[at], ()):
            size = len(phrase.rest) + 1
            if tuple(self.words[at + 1 : at + size]) == phrase.rest and self._is_thing(at, size, phrase):
                break
        else:
            return 0
        if self._word(at + size) == "'s":
            size += 1
        if self.last_end == at and self.spots:  # "ship dock": one thing, named by its last word
            previous = self.spots[-1][1]
            if previous.amount in ("open", "one", "plural", "exact"):
                self.amount, self.count = (previous.amount, previous.count) if self.amount == "open" else (self.amount, self.count)
                previous.amount, previous.count = "open", 0
        mention = Mention(phrase.kinds, " ".join(self.words[at : at + size]), self.sentence)
        mention.amount, mention.count = self._amount_of(at, phrase)
        after = self.words[at + size : at + size + 4]
        if mention.amount == "none":  # "no cars above it": that says nothing of elsewhere
            mention.definite = self.definite or bool({"it", "them"} & set(after) and set(after) & _UNDER)
        else:
            mention.definite = self.definite
        if after[:1] == ["per"] or after[:1] == ["each"]:
            mention.amount, mention.count = "plural", 0
        mention.colours = frozenset(self.colours)
        self.mentions.append(mention)
        self.spots.append((at, mention))
        self.last_end = at + size
        none = self.none
        self._clear()
        self.none = none
        return size

    def _amount_of(self, at: int, phrase: Phrase) -> tuple[Amount, int]:
        if self.none:
            return "none", 0
        if self.amount == "open":
            return ("plural", 0) if phrase.plural else ("open", 0)
        if self.amount == "one" and phrase.plural:
            return "plural", 0
        return self.amount, self.count

    def _is_thing(self, at: int, size: int, phrase: Phrase) -> bool:
        word, before, after = self.words[at], self._word(at - 1), self._word(at + size)
        if size > 1:
            return True
        if word in _NOT_SINGULAR or after in ("shaped", "like", "shape", "tone", "tones", "hue", "hues", "coloured"):
            return False
        if word in ("home", "host") and after == "to":
            return False
        if word == "houses" and after in ("a", "an", "the", *NUMBERS, "several", "many", "some"):
            return before in ("of", "the", "and", ",")
        if word == "crossing" and after in ("the", "a", "an", "it", "over", "from", "through"):
            return False
        if word == "square" and (after in _PARTS or after in self.phrases or after in ("meters", "metres", "kilometers")):
            return False
        if word in ("crossings", "crossing") and before in ("is", "are", "road", "river"):
            return before in ("road", "river")
        return not (word in ("plants", "park", "parks") and before == "to")

    def _number(self, at: int) -> int:
        """A number that begins at a word; returns how many words it takes."""
        word, after = self.words[at], self._word(at + 1)
        if word in ("a", "an"):
            if after in ("few", "couple", "pair", "handful", "trio", "number", "dozen", "variety", "total", "quartet"):
                return self._counted_noun(at + 1) + 1
            if after not in _SOME:
                self.amount, self.count, self.since = "one", 1, 0
            return 1
        if word == "half" and self._word(at + 1) in ("a", "dozen"):
            size = 3 if self._word(at + 1) == "a" else 2
            self.amount, self.count, self.since = "about", 6, 0
            return size
        if word in _SOME or word in ("dozen", "number"):
            return self._counted_noun(at)
        value, size = self._value(at)
        if size and not self._percent(at + size, value):
            self._take(at, value, size)
            self._ellipsis(at, at + size, value)
        return size

    def _percent(self, end: int, value: int) -> bool:
        """Whether a number is a share of the picture: "40 percent"."""
        if self._word(end) not in ("percent", "per"):
            return False
        if self.spots:
            self.spots[-1][1].percent = value
        return True

    def _ellipsis(self, at: int, end: int, value: int) -> None:
        """A number that stands for things named before."""
        after, then = self._word(end), self._word(end + 1)
        them = after == "of" and then in ("them", "these", "those")
        total = (after == "in" and then in ("total", "all")) or after == "altogether"
        placed = after in ("is", "are") and then in ("in", "on", "at", "to", "near", "along")
        if not (them or total or placed or after in _BEHIND_ELLIPSIS) or not self.mentions:
            return
        only = total or self._word(at - 1) in _FEW
        mention = self._stand_in(at, "exact" if only else "part", value)
        mention.definite = self._word(at - 1) in ("the", "these", "other", "remaining")

    def _stand_in(self, at: int, amount: Amount, count: int) -> Mention:
        """A number for several things that were named last."""
        several = [m for m in self.mentions if m.amount in ("exact", "about", "least", "plural")]
        last = (several or self.mentions or [Mention(frozenset(), "", self.sentence)])[-1]
        mention = Mention(last.kinds, last.words, self.sentence, amount, count)
        if last.kinds:
            self.mentions.append(mention)
            self.spots.append((at, mention))
        self.amount, self.count = "open", 0
        return mention

    def _counted_noun(self, at: int) -> int:
        word = self.words[at]
        if word == "number":
            self.amount, self.count = "least", 2
        elif word == "dozen":
            self.amount, self.count = "about", 12
        elif word in ("variety", "total"):
            self.amount, self.count = "open", 0
        elif word == "some" and self._value(at + 1)[1]:
            return 1
        else:
            self.amount, self.count = _SOME[word]
        self.since = 0
        if self.amount == "exact" and self.count > 1 and word != "both":
            self._ellipsis(at, at + 1, self.count)
        return 2 if self._word(at + 1) == "of" and self.amount != "open" else 1

    def _value(self, at: int) -> tuple[int, int]:
        """A number in digits or words, and how many words it takes."""
        word = self._word(at)
        if word.isdigit():
            return min(int(word), 10**6), 1
        if word in ("dozen",):
            return 12, 1
        if word not in NUMBERS:
            return 0, 0
        value, after = NUMBERS[word], self._word(at + 1)
        if value >= 20 and value < 100 and NUMBERS.get(after, 99) < 10:
            return value + NUMBERS[after], 2
        if value < 10 and after == "hundred":
            return value * 100, 2
        return value, 1

    def _take(self, at: int, value: int, size: int) -> None:
        before, two = self._word(at - 1), f"{self._word(at - 2)} {self._word(at - 1)}"
        amount: Amount = "exact"
        if before in _ABOUT or two in ("close to", "up to", "or so"):
            amount = "about"
        elif two == "more than" or two == "at least" or before in ("over", "exceeding"):
            amount, value = "least", value + (two == "more than" or before == "over")
        elif before in ("other", "another", "remaining") or (
            self._word(at + size) in ("of", "more", "others") and self._word(at + size + 1) != "them"
        ):
            amount = "part"
        if self._word(at + size) in ("or", "to") and self._value(at + size + 1)[1]:
            amount = "about"
        if value == 1 and {"another", "other"} & set(self.words[at + 1 : at + 9]):
            amount = "part"
        if before in ("than", "each", "every", "per") or "each" in self.words[max(0, at - 4) : at]:
            amount, value = "open", 0
        self.amount, self.count, self.since = amount, value, 0
        self.definite = before in ("the", "these", "those")

    def _place(self, at: int) -> int:
        """A direction that begins at a word; returns how many words it takes."""
        ways, end = "", at
        while len(ways) < 4 and (way := _WAYS.get(self._word(end))):
            ways, end = ways + way, end + 1
        if not ways:
            return 0
        if self._word(end) in ("to", "and", "through") and _OPPOSITE.get(ways) == _WAYS.get(self._word(end + 1)):
            if self._word(end) != "and":
                return end + 2 - at  # "from north to south": a heading
        if any(_OPPOSITE.get(a) == b for a, b in zip(ways, ways[1:], strict=False)):
            return end - at
        if self._word(at - 1) == "whose":
            return end - at
        single = end == at + 1
        if self._word(end) == "hand":
            end += 1
        part = self._word(end) in _PARTS
        if self._word(end) in _EDGES:
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
        if not place.reach or (self._word(at - 1) == "the" and _AXES.isdisjoint(self.words[max(0, at - 9) : at])):
            self.places.append(place)
        return end - at

    def _reaches(self, at: int) -> bool:
        """Whether a place is the end of a stretch: "from the upper left to the lower right"."""
        back = at - 1
        while back >= 0 and self.words[back] in ("the", "far", "very", "just", "its"):
            back -= 1
        if back >= 0 and self.words[back] in _REACH:
            return True
        if back >= 1 and self.words[back - 1] in _BEGINS:
            return True
        return back >= 0 and self.words[back] in ("to", "towards", "toward") and at - self.from_at < 12

    def _stands_alone(self, at: int) -> bool:
        """Whether a single word of direction is one without a noun of place behind it: "on the left"."""
        word, before = self.words[at], self._word(at - 1)
        if word == "centrally":
            return True
        if word in _NEEDS_PART:
            return False
        if before in ("the", "far", "extreme", "very", "image's", "its", "due", "further", "just"):
            return self._word(at + 1) not in _WAYS
        return self._word(at + 1) == "of" and word not in ("top", "bottom", "center", "centre", "middle")

    def _of_image(self, at: int) -> bool:
        """Whether "of ..." at a word means the picture."""
        after = [self._word(at + n) for n in (1, 2, 3)]
        skip = 1 if after[0] in ("the", "this", "our", "an", "a") else 0
        return after[skip] in _IMAGE or after[skip + 1 : skip + 2] == ["image"]

    def _opens(self, at: int) -> bool:
        """Whether a place stands at the beginning of a clause: "In the north, ..."."""
        back = at - 1
        while back >= 0 and self.words[back] in (
            "the", "in", "on", "at", "to", "along", "near", "towards", "toward", "far", "very", "extreme", "across",
            "occupying", "covering", "its", "within", "further", "from", "down", "up", "just", "close", "over",
        ):  # fmt: skip
            back -= 1
        return back < 0 or self.words[back] in ".,;:!?" or self.words[back] in ("and", "with", *_TURNS)

    def _close(self) -> None:
        """The end of a sentence: every place goes to the thing that it is said of."""
        self._leave_colours()
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
        self.spots, self.places, self.breaks, self.last_end, self.parts = [], [], [], -1, False
        self._clear()

    def _broken(self, a: int, b: int) -> bool:
        """Whether a comma stands between two words."""
        return any(min(a, b) < comma < max(a, b) for comma in self.breaks)

    def _settle(self, place: _Place, limit: int) -> None:
        """Find the thing that a place is said of."""
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
        """Whether "and" or "with" leads to the clause that a place begins."""
        back = at - 1
        while back >= 0 and self.words[back] in ("the", "in", "on", "at", "to", "along", "near", "far", "toward"):
            back -= 1
        return back >= 0 and self.words[back] in ("and", *_TURNS)


# Plural nouns that are counted without being things to be seen.
_UNODD = frozenset(
    "sides corners directions meters metres kilometers kilometres hectares acres percent types kinds sizes shapes "
    "colors colours tones shades textures patterns ways levels times places spots locations areas zones regions "
    "features elements objects items others thirds halves quarters fifths sixths tenths cells degrees units examples instances categories "
    "classes things facilities structures units arms branches lanes layers dimensions points pixels tiles images "
    "quadrants portions segments fields plots parcels surfaces grounds sports members sorts groupings rings tiers "
    "borders strokes works neighbours neighbors gives towards hands margins rims faces contours outlines uses purposes steps "
    "lengths rectangles circles squares ovals triangles shapes edges ends wings forms marks".split()
)


def colour_family(colour: str) -> str:
    """The family of a colour word ("dark green" is "green"); "" for none."""
    return next((_COLOURS[word] for word in reversed(colour.lower().split()) if word in _COLOURS), "")
