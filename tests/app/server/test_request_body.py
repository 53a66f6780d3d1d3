"""The parts of a program's JSON: counted before anything is read, and not in its texts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.server.request_body import MAX_PROGRAM_PARTS, BodyError, check_json

MANY = MAX_PROGRAM_PARTS + 1


@pytest.mark.parametrize(
    "value",
    [
        {"text": "x", "bbox": ["x"] * MANY},
        {"text": "x", "scales_px": [[] for _ in range(MANY)]},
        {f"name {n}": 1 for n in range(MANY)},
        {"capabilities": {"experimental": {f"{n}": {} for n in range(MANY)}}},
        {"text": "," * 5, "bbox": ['"', "\\", '\\"'] * MANY},
    ],
)
def test_parts_are_counted_before_any_is_read(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps(value).encode()
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(BodyError, match="more than 256 parts"):
        check_json(body)


def test_parts_do_not_hide_in_another_encoding() -> None:
    """Of UTF-16 each half looks like a character; quotation marks in halves would hide what stands between them."""
    for encoding in ("utf-16-le", "utf-16-be", "utf-32"):
        with pytest.raises(BodyError, match=r"no JSON in UTF-8|256 parts"):
            check_json(('["\u2222", ' + "1," * 5_000 + "1]").encode(encoding))


@given(st.lists(st.text(st.sampled_from(',[{}]"\\\né\u2222a'), max_size=40), max_size=30), st.booleans())
def test_what_stands_in_texts_is_no_part(texts: list[str], plain: bool) -> None:
    value = {"texts": texts, "long": ',"\\[{' * 300}
    body = json.dumps(value, ensure_ascii=plain).encode()
    assert check_json(body) == value
    with pytest.raises(BodyError, match="256 parts"):
        check_json(json.dumps([value, [1] * MANY], ensure_ascii=plain).encode())
