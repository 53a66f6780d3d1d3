"""What a text claims, as it was read."""

from __future__ import annotations

from dataclasses import dataclass, field

from train.data_engine.gate.cue_words import Amount


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
        places: regions of the picture that it is said to lie in, each as letters: N, S, W, E, C (middle), K (corner or
            edge).
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
