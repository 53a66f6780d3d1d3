"""English in small: number words, plurals, articles, and a list joined by "and"."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import inflect

_ENGINE = inflect.engine()
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
NUMBERS: dict[str, int] = {
    **{word: number for number, word in enumerate(ONES)},
    **{word: 10 * number for number, word in enumerate(_TENS, 2)},
    **{
        f"{tens}-{ONES[one]}": 10 * number + one for number, tens in enumerate(_TENS, 2) for one in range(1, 10)
    },
    "hundred": 100,
}  # fmt: skip
"""Number words below a hundred, and "hundred", to what they mean."""
_WORDS = {number: word for word, number in NUMBERS.items()}
# Names that take no article and no plural: mass nouns.
_MASS = frozenset(
    "water farmland forest woodland grassland grass vegetation land soil sand snow ice housing cropland meadowland "
    "agriculture traffic desert greenery parkland asphalt concrete moss foam surface chaparral wetland pasture".split()
)
_COUNTED_ALL_THE_SAME = frozenset({"desert", "forest", "wetland", "pasture", "surface"})
_SAME = frozenset({"aircraft", "watercraft", "sheep"})


@lru_cache(maxsize=20_000)
def plural(name: str) -> str:
    """Return the plural of a name of one or more words."""
    head = name.rsplit(" ", 1)[-1]
    if head in _SAME or is_mass(name) or is_plural(name):
        return name
    return name[: len(name) - len(head)] + str(_ENGINE.plural_noun(head))


@lru_cache(maxsize=20_000)
def is_plural(name: str) -> bool:
    """Return whether a name is a plural already ("storage tanks")."""
    head = name.rsplit(" ", 1)[-1]
    if not head.endswith("s") or head.endswith(("ss", "us", "is")) or head in ("overpass", "bus", "gas"):
        return False
    singular = _ENGINE.singular_noun(head)
    return bool(singular) and str(_ENGINE.plural_noun(str(singular))) == head


@lru_cache(maxsize=20_000)
def is_mass(name: str) -> bool:
    """Return whether a name is a mass noun ("farmland")."""
    return name.rsplit(" ", 1)[-1] in _MASS


@lru_cache(maxsize=20_000)
def a(name: str) -> str:
    """Return a name with its article, or without one where it takes none."""
    head = name.rsplit(" ", 1)[-1]
    if is_plural(name) or (is_mass(name) and head not in _COUNTED_ALL_THE_SAME) or " or " in name:
        return name
    return str(_ENGINE.a(name))


def number(count: int) -> str:
    """Format a count as a word up to twenty, in digits above."""
    return _WORDS[count] if count <= 20 else str(count)


def counted(count: int, name: str) -> str:
    """Format count and name: "one bridge", "three planes"."""
    return f"{number(count)} {name if count == 1 else plural(name)}"


def listed(parts: Sequence[str]) -> str:
    """Join parts to a list: "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
