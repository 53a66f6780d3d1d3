"""Reader of a text's claims: things, their number, color, place in the picture, and side of each other.

Not a parser of English: it finds the names that the lexicon knows and looks at the words around each.
"""

from __future__ import annotations

from train.data_engine.gate.claims import Mention, Reading
from train.data_engine.gate.cue_words import (
    ABOUT,
    BEGINS,
    BEHIND_COLOR,
    BEHIND_ELLIPSIS,
    COLORS,
    EMPTY,
    ENDS,
    FAINT,
    FEW,
    GROUPS,
    LOCAL,
    MORE,
    MOST_OF_ALL,
    NONE,
    NOT_SINGULAR,
    PARTS,
    SOME,
    STOPS,
    TOKEN,
    TURNS,
    UNDER,
    UNODD,
    Amount,
)
from train.data_engine.gate.place_parser import PlaceReader
from train.data_engine.lexicon.lexicon import Lexicon, Phrase
from train.data_engine.lexicon.words import NUMBERS


def read(text: str, lexicon: Lexicon) -> Reading:
    """Parse a text's claims."""
    return _Reader(text, lexicon).run()


class _Reader(PlaceReader):
    """One pass over the words of a text."""

    def __init__(self, text: str, lexicon: Lexicon) -> None:
        super().__init__(TOKEN.findall(text.lower().replace("-", " ").replace("\u2019", "'")))
        self.phrases = lexicon.phrases
        self.mentions: list[Mention] = []
        self.odd: list[str] = []
        self.sentence = 0
        self.last_end = -1  # where the last mention ended
        self.ends_here = False  # whether nothing that the last color could belong to follows it
        self._clear()

    def run(self) -> Reading:
        at, words = 0, self.words
        while at < len(words):
            at += self._step(at)
        self._close()
        return Reading(tuple(self.mentions), tuple(self.odd), tuple(self.loose))

    def _close(self) -> None:
        """End a sentence, or a half that stands for itself."""
        self._leave_colors()
        self._settle_places()
        self.last_end = -1
        self._clear()

    def _clear(self) -> None:
        self.amount: Amount = "open"
        self.count = 0
        self.colors: set[str] = set()
        self.since = 0  # words since the number
        self.none = False
        self.definite = False

    def _step(self, at: int) -> int:  # noqa: C901  (a branch for each kind of word)
        word = self.words[at]
        if word in ENDS:
            self._close()
            self.sentence += 1
            return 1
        if word in TURNS:
            self._close()
            return 1
        if word == ",":
            self.breaks.append(at)
            self._leave_colors()
            none = self.none and self._word(at + 1) in self.phrases  # "no buildings, roads or water"
            self._clear()
            self.none = none
            return 1
        if (taken := self._mention(at)) or (taken := self._place(at)) or (taken := self._number(at)):
            return taken
        if word in EMPTY or word == "none":
            for place in self.places:
                place.empty |= place.at > max(self.breaks, default=-1)
        if word in COLORS:
            if self._word(at + 1) != "of":
                self._color(at)
        elif word in ("absent", "missing") and self.spots and {"is", "are"} & {self._word(at - 1), self._word(at - 2)}:
            self.spots[-1][1].amount = "none"
        elif word in NONE:
            self.none = not (self.none or self._word(at + 1) in NUMBERS)  # "none is without"; "no two of them"
            self.definite = self._word(at + 1) in MORE
        elif word in ("ones",) and self.amount == "exact" and self.count > 1:
            self._stand_in(at, "exact", self.count)
        elif word in MOST_OF_ALL:
            self.amount, self.count, self.since = "part", 1, 0
        elif word in LOCAL:
            self.parts = True
        elif word in FAINT:
            self.faint_at = at
        elif (word in BEGINS and at and self._word(at + 1) in ("in", "at", "near")) or word == "from":
            self.from_at = at
        elif word in ("it", "they") and not self.spots and self.subject:
            self._pronoun(at)
        elif word in GROUPS:
            self.amount, self.count = ("plural", 0) if self.amount != "none" else ("none", 0)
        elif word in STOPS and word != "of":
            self._forget(at, word)
        elif self.amount in ("exact", "about") and self.count > 1:
            self._odd(at)
        self.since += 1
        if self.since > 5 and not self.none:
            self._clear()
        return 1

    def _pronoun(self, at: int) -> None:
        """Resolve an "it" at the beginning of a sentence to the subject of the one before."""
        assert self.subject is not None
        mention = Mention(self.subject.kinds, self.subject.words, self.sentence, pronoun=True)
        self.mentions.append(mention)
        self.spots.append((at, mention))

    def _leave_colors(self) -> None:
        """Give colors that nothing follows to the thing before them: "a pool with a blue tone"."""
        if self.colors and self.spots and self.ends_here:
            self.spots[-1][1].colors |= self.colors
        self.colors = set()

    def _forget(self, at: int, word: str) -> None:
        """Forget an earlier number or color behind a word that ends its reach."""
        if word in ("and", "or") and (self._word(at + 1) in COLORS or self.none):
            return
        if word == "and" and self.colors and self._word(at - 1) in COLORS:
            return
        if word == "the" and self._word(at - 1) == "of" and self.amount in ("exact", "part"):
            self.amount = "part"
            return
        self._leave_colors()
        self.amount, self.count, self.colors = "open", 0, set()
        if word not in ("in", "on", "at", "the", "of"):
            self.none = False

    def _color(self, at: int) -> None:
        family = COLORS[self.words[at]]
        before = (
            self._word(at - 1)
            if self._word(at - 1) not in ("mostly", "mainly", "painted", "all")
            else self._word(at - 2)
        )
        after = self._word(at + 1)
        if after in ("one", "ones") or before == "of":
            return
        there = self._word(at - 2) == "there"
        if before in ("is", "are", "appear", "appears", "coloured", "colored") and self.spots and not there:
            self.spots[-1][1].colors |= {family}
        else:
            self.colors.add(family)
            self.since = min(self.since, 3)
            self.ends_here = not after or after in BEHIND_COLOR

    def _odd(self, at: int) -> None:
        """Note a counted plural that is no part of a picture and no word of the table."""
        word, after = self.words[at], self._word(at + 1)
        ends = not after or after in STOPS or after in ("can", "appear", "stay") or after in ".,;:" or after in TURNS
        if self.since <= 1 and ends and len(word) > 4 and word.endswith("s") and not word.endswith(("ss", "us", "ous")):
            if word not in UNODD and word not in PARTS and word not in GROUPS:
                self.odd.append(word)
            self.amount, self.count = "open", 0

    def _mention(self, at: int) -> int:
        """Read a thing that begins at a word; return the number of words it takes, 0 if there is none."""
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
                self.amount, self.count = (
                    (previous.amount, previous.count) if self.amount == "open" else (self.amount, self.count)
                )
                previous.amount, previous.count = "open", 0
        mention = Mention(phrase.kinds, " ".join(self.words[at : at + size]), self.sentence)
        mention.amount, mention.count = self._amount_of(at, phrase)
        after = self.words[at + size : at + size + 4]
        if mention.amount == "none":  # "no cars above it": that says nothing of elsewhere
            mention.definite = self.definite or bool({"it", "them"} & set(after) and set(after) & UNDER)
        else:
            mention.definite = self.definite
        if after[:1] == ["per"] or after[:1] == ["each"]:
            mention.amount, mention.count = "plural", 0
        mention.colors = frozenset(self.colors)
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
        if phrase.plural and (self.amount == "one" or (self.amount, self.count) == ("exact", 1)):
            return "plural", 0  # "a planes"; and the "one" of "one sees planes" counts nothing
        return self.amount, self.count

    def _is_thing(self, at: int, size: int, phrase: Phrase) -> bool:
        word, before, after = self.words[at], self._word(at - 1), self._word(at + size)
        if size > 1:
            return True
        if word in NOT_SINGULAR or after in ("shaped", "like", "shape", "tone", "tones", "hue", "hues", "coloured"):
            return False
        if word in ("home", "host") and after == "to":
            return False
        if word == "houses" and after in ("a", "an", "the", *NUMBERS, "several", "many", "some"):
            return before in ("of", "the", "and", ",")
        if word == "crossing" and after in ("the", "a", "an", "it", "over", "from", "through"):
            return False
        if word == "square" and (
            after in PARTS or after in self.phrases or after in ("meters", "metres", "kilometers")
        ):
            return False
        if word in ("crossings", "crossing") and before in ("is", "are", "road", "river"):
            return before in ("road", "river")
        return not (word in ("plants", "park", "parks") and before == "to")

    def _number(self, at: int) -> int:
        """Read a number that begins at a word; return the number of words it takes."""
        word, after = self.words[at], self._word(at + 1)
        if word in ("a", "an"):
            if after in ("few", "couple", "pair", "handful", "trio", "number", "dozen", "variety", "total", "quartet"):
                return self._counted_noun(at + 1) + 1
            if after not in SOME:
                self.amount, self.count, self.since = "one", 1, 0
            return 1
        if word == "half" and self._word(at + 1) in ("a", "dozen"):
            size = 3 if self._word(at + 1) == "a" else 2
            self.amount, self.count, self.since = "about", 6, 0
            return size
        if word in SOME or word in ("dozen", "number"):
            return self._counted_noun(at)
        value, size = self._value(at)
        if size and not self._percent(at + size, value):
            self._take(at, value, size)
            self._ellipsis(at, at + size, value)
        return size

    def _percent(self, end: int, value: int) -> bool:
        """Take a number as a share of the picture ("40 percent"); return whether it is one."""
        if self._word(end) not in ("percent", "per"):
            return False
        if self.spots:
            self.spots[-1][1].percent = value
        return True

    def _ellipsis(self, at: int, end: int, value: int) -> None:
        """Read a number that stands for things named before."""
        after, then = self._word(end), self._word(end + 1)
        them = after == "of" and then in ("them", "these", "those")
        total = (after == "in" and then in ("total", "all")) or after == "altogether"
        placed = after in ("is", "are") and then in ("in", "on", "at", "to", "near", "along")
        if not (them or total or placed or after in BEHIND_ELLIPSIS) or not self.mentions:
            return
        only = total or self._word(at - 1) in FEW
        mention = self._stand_in(at, "exact" if only else "part", value)
        mention.definite = self._word(at - 1) in ("the", "these", "other", "remaining")

    def _stand_in(self, at: int, amount: Amount, count: int) -> Mention:
        """Add a mention of the things named last, for a number that stands for several of them."""
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
            self.amount, self.count = SOME[word]
        self.since = 0
        if self.amount == "exact" and self.count > 1 and word != "both":
            self._ellipsis(at, at + 1, self.count)
        return 2 if self._word(at + 1) == "of" and self.amount != "open" else 1

    def _value(self, at: int) -> tuple[int, int]:
        """Return a number in digits or words, and the number of words it takes."""
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
        if before in ABOUT or two in ("close to", "up to", "or so"):
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
