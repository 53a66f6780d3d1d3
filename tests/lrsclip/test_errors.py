"""Errors say what is wrong and what to do, also where they quote a text of any length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsclip.errors import LRSCLIPError, PictureError, TileSourceError, clipped


@pytest.mark.parametrize("kind", [LRSCLIPError, PictureError, TileSourceError])
def test_an_error_does_not_repeat_a_long_text_whole(kind: type[LRSCLIPError]) -> None:
    said = str(kind(f"no tile {'x' * 200_000!r} in the index; take one of those shown"))
    assert len(said) < 1_200
    assert said.startswith("no tile 'xxx") and said.endswith("; take one of those shown")
    assert str(kind("short")) == "short"


@given(st.text(max_size=60), st.integers(0, 20), st.integers(1, 20))
def test_what_is_short_stays_and_nothing_gets_longer(text: str, head: int, tail: int) -> None:
    short = clipped(text, head, tail)
    assert len(short) <= head + tail + 5 and (short == text or len(text) > len(short))
    assert short == text or (short.startswith(text[:head]) and short.endswith(text[-tail:]))
