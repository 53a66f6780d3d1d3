"""The bank of concepts: what a class is called by many people, and which texts are true of which pictures.

A model that reads each class in one wording learns the wording. Here each showing draws another one, from words that
all data sets with the concept share, so that no phrase tells a data set.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

UNSEEN = 2
"""Phrases of each concept that are kept from training."""
_FOLDER = Path(__file__).parent
_BARE, _CLAUSE_BARE = 0.5, 0.75  # shares of phrases and clauses that are shown without a frame
_ARTICLES, _ARTICLE_SHARES = ("a", "the", ""), (0.5, 0.15, 0.35)
_VOWEL_SOUND = re.compile(r"(?:[aeio]|u(?!ni|s))", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class Concept:
    """What pictures show, and how people call it.

    Attributes:
        name: as in concepts.toml.
        singular: noun phrases that take an article.
        plural: plurals and masses.
        clauses: longer phrases, said as they are.
        unseen: some of its phrases that training never draws, to choose a checkpoint by.
        wider: concepts that are true of each picture of this one, at any distance.
        may: concepts whose pictures often show this one as well.
    """

    name: str
    singular: tuple[str, ...]
    plural: tuple[str, ...]
    clauses: tuple[str, ...]
    unseen: tuple[str, ...]
    wider: frozenset[str]
    may: frozenset[str]

    @property
    def phrases(self) -> tuple[str, ...]:
        """All that training draws, without articles and frames."""
        return (*self.singular, *self.plural, *self.clauses)

    @property
    def identity(self) -> str:
        """Identity of every text that says no more than this concept, whatever its words."""
        return f"concept: {self.name}"


@cache
def concepts() -> dict[str, Concept]:
    """Read the bank, by name."""
    read = toml("concepts")

    def wider_of(name: str) -> frozenset[str]:
        direct = read[name].get("wider", ())
        return frozenset(direct).union(*(wider_of(one) for one in direct))

    def concept(name: str, fields: Mapping[str, list[str]]) -> Concept:
        singular, plural, clauses, unseen = (tuple(fields[k]) for k in ("singular", "plural", "clauses", "unseen"))
        return Concept(name, singular, plural, clauses, unseen, wider_of(name), frozenset(fields.get("may", ())))

    return {name: concept(name, fields) for name, fields in read.items()}


@cache
def concept_of(label: str) -> Concept:
    """Find the concept that a class label names; one that the bank does not know is a concept of its own."""
    bank, text = concepts(), label.lower().strip()
    name = toml("labels").get(text, text.replace(" ", "_"))
    if name in bank:
        return bank[name]
    named = [one for one in bank.values() if text in (*one.singular, *one.plural, *one.unseen)]
    return named[0] if len(named) == 1 else Concept(text, (), (text,), (), (text,) * UNSEEN, frozenset(), frozenset())


def is_true_of(text: Concept, picture: Concept) -> bool:
    """Return whether a concept is true of each picture of another one."""
    return text.name == picture.name or text.name in picture.wider


def may_be_true_of(text: Concept, picture: Concept) -> bool:
    """Return whether a concept is true of some pictures of another one, so that they are no counterexamples.

    So it is where one is known to stand beside the other, and where the text says more than the picture's class does.
    """
    beside = text.may & {picture.name, *picture.wider}
    return bool(beside) or text.name in picture.may or picture.name in text.wider


def draw_phrase(concept: Concept, random: np.random.Generator) -> str:
    """Draw one wording of a concept: a noun, a plural or a clause, bare or in a frame; no full stop.

    Each of a concept's own phrases is as likely as any other.
    """
    at = int(random.integers(len(concept.phrases)))
    phrase, frames = concept.phrases[at], toml("frames")["things"]
    is_clause = at >= len(concept.singular) + len(concept.plural)
    if at < len(concept.singular):
        phrase = with_article(phrase, str(random.choice(_ARTICLES, p=_ARTICLE_SHARES)))
    elif not is_clause and random.random() < _ARTICLE_SHARES[1]:
        phrase = with_article(phrase, "the")
    if random.random() < (_CLAUSE_BARE if is_clause else _BARE):
        return phrase
    return str(frames[int(random.integers(len(frames)))]).format(phrase)


def with_article(phrase: str, article: str) -> str:
    """Put an article ("a", "the" or "") before a noun phrase; "a" becomes "an" before a vowel's sound."""
    if article == "a" and _VOWEL_SOUND.match(phrase):
        article = "an"
    return f"{article} {phrase}".lstrip()


def vocabulary_of(concept: Concept) -> list[str]:
    """List the words that training can draw for a concept, once each."""
    texts = (*toml("frames")["things"], *(p for name in (concept.wider) for p in concepts()[name].phrases))
    return sorted({word for text in (*concept.phrases, *texts) for word in _WORD.findall(text.lower())})


@cache
def _mentions() -> dict[tuple[str, ...], frozenset[str]]:
    """Map the words of each noun phrase of the bank to the concepts it names."""
    found: dict[tuple[str, ...], set[str]] = {}
    for concept in concepts().values():
        for phrase in (*concept.singular, *concept.plural, *(p for p in concept.unseen if len(p.split()) < 4)):
            found.setdefault(tuple(_WORD.findall(phrase.lower())), set()).add(concept.name)
    return {words: frozenset(names) for words, names in found.items()}


def mentioned_in(texts: Iterable[str]) -> frozenset[str]:
    """Name the concepts whose nouns stand in texts: a picture's captions name more than its class does."""
    known, found = _mentions(), set[str]()
    longest = max(map(len, known))
    for text in texts:
        words = _WORD.findall(text.lower())
        for start in range(len(words)):
            for end in range(start + 1, min(len(words), start + longest) + 1):
                found |= known.get(tuple(words[start:end]), frozenset())
    return frozenset(found)


@cache
def toml(name: str) -> dict[str, Any]:
    """Read one of the lists of words that lie beside this file."""
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
