"""Texts that would keep CLIP's cleaning busy: cut to what a reader sees, and all others read as before."""

from __future__ import annotations

import html
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsclip.models.tame_text import tame
from lrsclip.models.tokenizer import Tokenizer

TOKENIZER = Tokenizer(248)


@given(st.text(max_size=60))
def test_usual_texts_stay_the_same_object(text: str) -> None:
    if max((len(run) for run in text.split("&")), default=0) < 60 and "amp;amp;amp;amp;amp" not in text:
        accents = [unicodedata.combining(letter) != 0 for letter in text]
        assert sum(accents) > 32 or "&#" in text or tame(text) is text


def test_layers_of_escapes_are_few_and_mean_the_same() -> None:
    text = "a road &" + "amp;" * 2349 + " a river"
    assert tame(text) == "a road &amp;amp;amp;amp; a river"
    few = "rock &amp;amp; roll &lt; &#233;"
    assert tame(few) is few and html.unescape(html.unescape(few)) == "rock & roll < \u00e9"
    assert TOKENIZER([text]).tolist() == TOKENIZER(["a road & a river"]).tolist()


@pytest.mark.parametrize("number", ["&#" + "9" * 5000 + ";", "&#x" + "F" * 5000, "&#" + "1" * 9])
def test_a_character_number_without_end_is_no_fault(number: str) -> None:
    assert TOKENIZER([f"a road {number} a river"]).tolist() == TOKENIZER(["a road a river"]).tolist()


def test_a_letter_keeps_some_of_ten_thousand_accents() -> None:
    assert len(tame("a" + "\u0301" * 4800 + "\u0323" * 4800)) == 33
    vietnamese = unicodedata.normalize("NFD", "\u1ec7 \u1eef")
    assert tame(vietnamese) is vietnamese


def test_the_kept_part_of_a_tamed_text_is_a_part_of_it() -> None:
    text = "&" + "amp;" * 2000 + " a" * 300
    report = TOKENIZER.describe(text)
    assert report.is_cut and report.kept + report.cut == text
