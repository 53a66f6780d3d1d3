"""Merges of a word: those of open_clip's own loop, in far fewer steps."""

from __future__ import annotations

import random
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from lrsclip.models.bpe import merged
from lrsclip.models.tokenizer import Tokenizer

THEIRS = SimpleTokenizer()
TOKENIZER = Tokenizer(248)


@given(st.text(st.sampled_from([*string.ascii_lowercase, *"aeiou", *THEIRS.byte_encoder.values()]), min_size=1))
def test_any_word_is_merged_as_by_open_clip(word: str) -> None:
    THEIRS.cache.clear()
    assert merged(word, THEIRS.bpe_ranks) == THEIRS.bpe(word).split(" ")


@given(st.text(max_size=200))
def test_any_text_has_the_ids_of_open_clip(text: str) -> None:
    assert TOKENIZER._clip.encode(text) == THEIRS.encode(text)


@pytest.mark.parametrize("letters", ["a", "ab", string.ascii_lowercase])
def test_a_long_word_costs_little(letters: str) -> None:
    """Ten seconds before: the steps of open_clip's loop grow with the square of the length."""
    word = "".join(random.Random(1).choices(letters, k=10_000))
    started = time.process_time()
    report = TOKENIZER.describe(word)
    assert report.kept and time.process_time() - started < 5
    assert word not in TOKENIZER._clip.cache
