"""Claims of a text, as the parser read them."""

from __future__ import annotations

from dataclasses import dataclass, field

from train.data_engine.gate.cue_words import Amount


@dataclass
class Mention:
    """A thing that a text says is there (or is not).

    Attributes:
        kinds: meanings of the words.
        words: as written.
        sentence: its number.
        amount, count: the number claimed: "exact" (two), "about", "least" (several, more than two), "part" (one of
            the), "one" (a), "plural" (planes), "none" (no planes), "open" (no number).
        colors: its colors, as families ("silver" is "grey").
        places: regions of the picture that it is said to lie in, each as letters: N, S, W, E, C (middle), K (corner or
            edge).
        reaches: regions that it is said to begin or end in.
        definite: whether "the" or "these" stands before the number: then an earlier sentence named them.
        either: kinds of another thing that its places may belong to instead.
        percent: share of the picture that it is said to take.
        pronoun: whether it is an "it" or "they".
        sides: (letters, kinds of another thing): it lies on that side of it.
    """

    kinds: frozenset[str]
    words: str
    sentence: int
    amount: Amount = "open"
    count: int = 0
    colors: frozenset[str] = frozenset()
    places: list[str] = field(default_factory=list)
    reaches: list[str] = field(default_factory=list)
    definite: bool = False
    either: frozenset[str] = frozenset()
    percent: int | None = None
    pronoun: bool = False
    sides: list[tuple[str, frozenset[str]]] = field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """The claims of a text.

    Attributes:
        mentions: things, in order.
        odd: counted nouns that no table knows ("three zeppelins").
        loose: places that belong to no thing.
    """

    mentions: tuple[Mention, ...]
    odd: tuple[str, ...]
    loose: tuple[str, ...]
