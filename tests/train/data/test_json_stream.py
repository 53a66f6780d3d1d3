"""Large JSON as a stream: the same entries as of the whole file, in a small part of its memory."""

from __future__ import annotations

import json
import tracemalloc
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsclip.errors import DataError
from train.data import json_stream
from train.data.json_stream import stream_lists

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


def gathered(path: Path, wanted: set[str]) -> dict[str, list[Any]]:
    lists: dict[str, list[Any]] = defaultdict(list)
    for key, number, entry in stream_lists(path, wanted):
        assert number == len(lists[key]) - (key not in lists) or number < 0
        if number >= 0:
            lists[key].append(entry)
        else:
            lists[key] = []
    return dict(lists)


@settings(deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), VALUES), st.integers(1, 9), st.booleans())
def test_the_entries_are_those_of_the_file(content: dict[str, Any], chunk: int, wide: bool) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK", chunk)
        path = Path(folder, "a.json")
        path.write_text(json.dumps(content, indent=2 if wide else None, ensure_ascii=wide), encoding="utf-8")
        lists = {key: value for key, value in content.items() if isinstance(value, list)}
        assert gathered(path, set(lists)) == lists
        assert gathered(path, set()) == {}


@settings(deadline=None)
@given(st.dictionaries(st.text("abc", max_size=3), VALUES, min_size=1), st.data())
def test_a_file_that_breaks_off_is_no_file(content: dict[str, Any], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.json")
        whole = json.dumps(content).encode()
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        with pytest.raises(DataError, match="cannot be read as JSON"):
            gathered(path, set(content))


def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    entry = json.dumps({"id": 1, "segmentation": [[1.25] * 2000]})
    path = tmp_path / "large.json"
    path.write_text(f'{{"annotations": [{", ".join([entry] * 3000)}]}}', encoding="utf-8")
    assert path.stat().st_size > 30_000_000
    tracemalloc.start()
    count = sum(number >= 0 for _, number, _ in stream_lists(path, {"annotations"}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 3000
    assert peak < 12_000_000
