"""Caption JSON: what a row says, which rows say nothing, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lrsclip.errors import DataError
from lrsclip.io.caption_json import CaptionRow, as_given, one_line, read_caption_rows, texts_in


def test_rows_are_read_one_by_one(tmp_path: Path) -> None:
    rows = [
        {
            "filename": "a/1.jpg",
            "split": "train",
            "sentences": [{"raw": " a  pond "}, {"raw": " . "}, {"raw": "a  pond"}],
        },
        {"filename": "2.jpg", "split": 3, "sentences": ["\ud800 lake", {}, {"raw": 5}]},
        {"filename": "3.jpg"},
        {"split": "train"},
        "no row",
    ]
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"images": rows}))
    assert read_caption_rows(path) == [
        CaptionRow("a/1.jpg", "train", ("a  pond", "a  pond")),
        CaptionRow("2.jpg", "", ("? lake",)),
        CaptionRow("3.jpg", "", ()),
        None,
        None,
    ]


@pytest.mark.parametrize("content", ["", "[1", "[]", '{"images": 3}', "[" * 100_000, '{"images": []} '])
def test_files_of_another_layout_or_too_large_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    with pytest.raises(DataError, match="is not there"):
        read_caption_rows(path)
    path.write_text(content)
    with pytest.raises(DataError, match=r"dataset\.json"):
        read_caption_rows(path, max_bytes=14)


def test_texts_are_tidied_or_stay_as_given() -> None:
    assert one_line(" a\n\u200b pond ") == "a pond"
    assert as_given(" a\n pond ") == "a\n pond"
    assert texts_in([["a"], [[["b", [["too deep"]]]]], 3, None]) == ("a", "b")
