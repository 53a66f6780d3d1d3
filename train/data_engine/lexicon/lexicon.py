"""Names of things to be seen from above: synonyms, wider names, and things that are always shown along.

The table is `lexicon.toml`; the classes of all sources at hand join it, so that a text's names can be told apart by
them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from train.data_engine.lexicon.words import plural

TABLE = Path(__file__).parent / "lexicon.toml"


class Entry(BaseModel):
    """One line of the table."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    words: tuple[str, ...] = ()
    wider: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Phrase:
    """Words that name something.

    Attributes:
        rest: the words behind the first one.
        kinds: their possible meanings.
        plural: whether they say that there is more than one.
    """

    rest: tuple[str, ...]
    kinds: frozenset[str]
    plural: bool


@dataclass(frozen=True)
class Lexicon:
    """The table in use.

    Attributes:
        entries: kind to its entry.
    """

    entries: dict[str, Entry] = field(hash=False)

    @cached_property
    def phrases(self) -> dict[str, tuple[Phrase, ...]]:
        """Phrases by their first word, the longest first."""
        found: dict[tuple[str, ...], dict[str, bool]] = {}
        for kind, entry in self.entries.items():
            for name in (kind, *entry.words):
                many = plural(name)
                for text in {name, many}:
                    found.setdefault(as_words(text), {})[kind] = text == many and name != many
        out: dict[str, list[Phrase]] = {}
        for words, kinds in found.items():
            out.setdefault(words[0], []).append(Phrase(words[1:], frozenset(kinds), all(kinds.values())))
        return {first: tuple(sorted(some, key=lambda p: -len(p.rest))) for first, some in out.items()}

    @cached_property
    def _by_word(self) -> dict[str, str]:
        names = {word: kind for kind, entry in self.entries.items() for word in entry.words}
        return names | {kind: kind for kind in self.entries}

    def kind_of(self, name: str) -> str:
        """Return the entry that a name belongs to; the name itself where there is none."""
        return self._by_word.get(name, name)

    def wider(self, kind: str) -> frozenset[str]:
        """Return the kind and all wider kinds of it."""
        return self._closure(kind, shown=False)

    def supported(self, kind: str) -> frozenset[str]:
        """Return all kinds that a text may name where this kind is."""
        return self._closure(kind, shown=True)

    @cached_property
    def _kept(self) -> dict[tuple[str, bool], frozenset[str]]:
        return {}

    def _closure(self, kind: str, shown: bool) -> frozenset[str]:
        known = self._kept.get((kind, shown))
        if known is None:
            reached, open_ = set(), [kind]
            while open_:
                name = open_.pop()
                if name in reached:
                    continue
                reached.add(name)
                if entry := self.entries.get(name):
                    # "ship" and "boat" name each other; a narrow kind does not always show a wider one's parts
                    open_ += [*entry.wider, *(entry.shows if shown else ())]
            known = self._kept[kind, shown] = frozenset(reached)
        return known

    def with_kinds(self, names: Iterable[str]) -> Lexicon:
        """Return the lexicon with the classes of some sources; those that it knows already change nothing.

        A name of several words is also called by the names in it ("quay crane" is a "crane").
        """
        new: dict[str, Entry] = {}
        for name in names:
            if self.kind_of(name) in self.entries or not as_words(name):
                continue
            words = as_words(name)
            parts = {" ".join(words[a:b]) for a in range(len(words)) for b in range(a + 1, len(words) + 1)}
            inside = {self.kind_of(part) for part in parts - {name}}
            new[name] = Entry(wider=tuple(sorted({words[-1], *(inside & self.entries.keys())} - {name})))
        return Lexicon(self.entries | new) if new else self


def as_words(text: str) -> tuple[str, ...]:
    """Split a name into the words of a look-up: lower case, hyphens as spaces."""
    return tuple(text.lower().replace("-", " ").split())


@lru_cache(maxsize=1)
def shared_lexicon() -> Lexicon:
    """Read the table of the repository."""
    raw = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    rows = {kind: {"wider" if key == "is" else key: value for key, value in row.items()} for kind, row in raw.items()}
    return Lexicon(TypeAdapter(dict[str, Entry]).validate_python(rows))
