"""A description cut into clauses: nothing is lost, nothing is bare."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsclip.clauses import split_clauses


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("A port with eleven cranes and two white ships.", ("A port", "with eleven cranes", "two white ships")),
        ("Ships at a pier; a lighthouse.\nOpen sea!", ("Ships at a pier", "a lighthouse", "Open sea")),
        ("a house next to the green playground", ("a house", "next to the green playground")),
        ("trees, houses and roads", ("trees, houses and roads",)),
        ("black and white cows on a meadow", ("black and white cows on a meadow",)),
        ("harbour", ("harbour",)),
        (" \n ", ()),
    ],
)
def test_clauses(text: str, clauses: tuple[str, ...]) -> None:
    assert split_clauses(text) == clauses


_TEXTS = st.lists(
    st.sampled_from(
        ["a port", "with", "and", "two ships", "beside", "the", "road", ",", ".", ";", "\n", "red", "while"]
    ),
    max_size=40,
).map(" ".join)


@given(_TEXTS, st.integers(1, 8))
def test_no_word_is_lost_and_there_are_not_too_many(text: str, most: int) -> None:
    clauses = split_clauses(text, most)
    assert len(clauses) <= most
    joints = {"and", "while"}  # a cut may take these
    given_words, kept = (re.findall(r"\w+", part) for part in (text, " ".join(clauses)))
    assert [w for w in given_words if w not in joints] == [w for w in kept if w not in joints]


def test_none_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="one clause or more"):
        split_clauses("a port", 0)
