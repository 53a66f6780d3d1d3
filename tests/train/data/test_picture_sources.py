# ruff: noqa: RUF001  (letters of many scripts are what this is about)
"""Caption sets, class folders, masks and tables into records."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from lrsclip.errors import DataError
from lrsclip.io.caption_json import texts_in
from tests.helpers.corpora import COLORS
from tests.train.data import layouts as lay
from tests.train.data.layouts import messages, read
from train.data.records import Share
from train.data.sources.settings import CaptionSource, FolderSource, MaskSource


def test_captions_have_classes_extra_sentences_and_splits(tmp_path: Path) -> None:
    records, faults = read(lay.make_captions(tmp_path))
    assert [(r.split, r.facts.scene) for r in records] == [("train", "forest"), ("val", "desert"), ("test", "harbour")]
    assert records[0].facts.captions == ("a forest seen from above .", "here lies a forest", "one more sentence")
    assert not faults
    trained = lay.make_captions(tmp_path).model_copy(update={"train_on_val": True})
    assert [r.split for r in read(trained)[0]] == ["train", "train", "test"]


def test_broken_caption_rows_are_faults(tmp_path: Path) -> None:
    lay.picture_file(tmp_path / "pictures/forest_9.jpg")
    lay.picture_file(tmp_path / "outside.jpg")
    rows: list[Any] = [
        {"filename": "gone_1.jpg", "split": "train", "sentences": []},
        {"filename": "../outside.jpg", "split": "train", "sentences": []},
        {"filename": "forest_0.jpg", "split": "train", "sentences": []},
        {"filename": "forest_9.jpg", "split": "someday", "sentences": []},
        {"filename": "x" * 5000},
        "no row",
    ]
    records, faults = read(lay.make_captions(tmp_path, rows))
    assert len(records) == 3
    assert faults == {"picture missing": 3, "picture named twice": 1, "unknown split": 1, "broken row": 1}


def test_captions_without_words_leave_the_picture_and_count(tmp_path: Path) -> None:
    lay.picture_file(tmp_path / "pictures/9.jpg")
    row = {"filename": "9.jpg", "split": "train", "sentences": [{"raw": " . "}, {}, "\ud800 lake"]}
    records, faults = read(lay.make_captions(tmp_path, [row]))
    assert records[-1].facts.captions == ("? lake",) and records[-1].facts.scene is None and not faults
    records, faults = read(lay.make_captions(tmp_path, [{**row, "sentences": []}]))
    assert records[-1].facts.empty and faults == {"no captions": 1}


@pytest.mark.parametrize("content", ["", "[1", "[]", '{"images": 3}', "[" * 100_000])
def test_captions_of_another_layout_are_refused(content: str, tmp_path: Path) -> None:
    source = lay.make_captions(tmp_path)
    source.annotations.write_text(content)
    with pytest.raises(DataError, match=r"dataset\.json"):
        read(source)


def test_class_folders(tmp_path: Path) -> None:
    records, _ = read(lay.make_folders(tmp_path))
    assert len(records) == 12 and records[0].key == "folders/AirportLand/0.jpg"
    assert {record.facts.scene for record in records} == {f"{kind} land" for kind in COLORS}
    (tmp_path / "Empty").mkdir()
    assert read(FolderSource(name="folders", root=tmp_path))[1] == {"empty class folder": 1}


def test_split_folders(tmp_path: Path) -> None:
    records, _ = read(lay.make_folders(tmp_path, ("Train", "val", "test")))
    assert Counter(record.split for record in records) == {"train": 12, "val": 12, "test": 12}
    assert records[0].facts.scene == "airport land"


def test_strict_classes_leave_out_what_is_not_mapped(tmp_path: Path) -> None:
    lay.make_folders(tmp_path)
    source = FolderSource(name="f", root=tmp_path, classes={"ForestLand": "woodland"}, strict_classes=True)
    records, faults = read(source)
    assert {record.facts.scene for record in records} == {"woodland"} and faults == {"class not in the map": 3}


@pytest.mark.parametrize("colored", [False, True])
def test_masks_give_shares_and_cells(colored: bool, tmp_path: Path) -> None:
    records, faults = read(lay.make_masks(tmp_path, colored))
    assert [record.split for record in records] == ["train", "val"] and not faults
    water, building = records[0].facts.shares
    assert (water.kind, building.kind) == ("water", "building")
    assert water.share == pytest.approx(2 / 3 * 79 / 80, abs=1e-3)
    assert building.cells[:3] == (1.0, 0.0, 0.0) and building.cells[6] == pytest.approx(26 / 27, abs=1e-3)
    assert isinstance(water, Share) and records[0].key == "masks/Train/Urban/images_png/0.png"


@pytest.mark.parametrize("colored", [False, True])
def test_a_value_that_no_class_has_is_one_fault(colored: bool, tmp_path: Path) -> None:
    source = lay.make_masks(tmp_path, colored)
    values = np.zeros((lay.HEIGHT, lay.WIDTH, 3) if colored else (lay.HEIGHT, lay.WIDTH), np.uint8)
    values[: lay.HEIGHT // 2] = (1, 2, 3) if colored else 9
    values[0, 0] = (1, 1, 1) if colored else 8
    values[-8:] = (0, 0, 255) if colored else 1
    lay.write_mask(tmp_path / "Val/Urban/masks_png/1.png", values)
    records, faults = read(source)
    assert len(records) == 2 and faults == {"class not in the map": 1}
    assert [(share.kind, share.share) for share in records[1].facts.shares] == [("building", 0.1)]


def test_masks_that_do_not_fit(tmp_path: Path) -> None:
    source = lay.make_masks(tmp_path)
    urban = tmp_path / "Train/Urban"
    for name in ("small", "alone", "broken", "colour"):
        lay.picture_file(urban / f"images_png/{name}.png")
    lay.text_file(urban / "images_png/unreadable.png", "no picture")
    lay.write_mask(urban / "masks_png/small.png", np.zeros((3, 3)))
    lay.text_file(urban / "masks_png/broken.png", "no mask")
    lay.write_mask(urban / "masks_png/colour.png", np.zeros((lay.HEIGHT, lay.WIDTH, 3)))
    lay.write_mask(urban / "masks_png/unreadable.png", np.zeros((3, 3)))
    lay.picture_file(tmp_path / "Test/Urban/images_png/5.png")
    records, faults = read(source)
    assert len(records) == 2
    assert faults == {
        "mask of another size": 1,
        "annotation missing": 2,
        "annotation unreadable": 2,
        "picture unreadable": 1,
    }


def test_a_tiny_mask_has_nine_cells(tmp_path: Path) -> None:
    lay.picture_file(tmp_path / "images/a_sat.png", size=(2, 1))
    lay.write_mask(tmp_path / "masks/a_mask.png", np.array([[1, 0]]))
    palette = {"0": "field", "1": "field", "2": "water"}
    source = MaskSource(name="m", root=tmp_path, palette=palette, picture_suffix="_sat", mask_suffix="_mask")
    (share,) = read(source)[0][0].facts.shares
    assert (share.kind, share.share, len(share.cells)) == ("field", 1.0, 9)


@pytest.mark.parametrize("palette", [{}, {"1": "a", "1,2,3": "b"}, {"300,0,0": "a"}, {"red": "a"}, {"-1": "a"}])
def test_a_palette_that_is_none_is_refused(palette: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="palette"):
        MaskSource(name="m", root=tmp_path, palette=palette)


def test_tags_captions_and_places(tmp_path: Path) -> None:
    records, faults = read(lay.make_tags(tmp_path))
    assert records[0].facts.tags == (("landuse", "farmland"), ("crop", "rice"), ("water", "yes"))
    assert records[0].facts.captions == ("a farm",) and (records[0].lon_deg, records[0].lat_deg) == (7.5, 51.25)
    assert records[1].facts.tags == (("highway", "primary"), ("surface", "asphalt")) and records[1].lon_deg is None
    assert not faults


def test_broken_table_lines(tmp_path: Path) -> None:
    for number in (7, 8):
        lay.picture_file(tmp_path / f"images/b/{number}.jpg")
    lines = [
        "b/7.jpg,t,200,10,no tags here,",
        "b/8.jpg,t,1,2,{broken json,",
        "b/9.jpg,t,1,2,,",
        "a/0.jpg,t,1,2,,",
        "too,few",
        "a,b,c,d,e,f,too many",
        f"{'x' * 200_000},t,1,2,,",
    ]
    source = lay.make_tags(tmp_path, lines)
    records, faults = read(source)
    assert [record.key for record in records[3:]] == ["tags/b/7.jpg", "tags/b/8.jpg"]
    assert records[3].lon_deg is None and records[3].facts.captions == ("t",)
    assert faults == {
        "broken table line": 3,
        "broken tags": 2,
        "broken coordinates": 1,
        "picture missing": 1,
        "picture named twice": 1,
    }
    assert any("line 9 of" in message for message in messages(source))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("codec", "separator", "guess"),
    [("utf-8", ",", 0), ("utf-8-sig", ";", 0), ("utf-16", "\t", 0), ("cp1252", ";", 1), ("gbk", "\t", 1)],
)
def test_tables_as_spreadsheets_save_them(tmp_path: Path, codec: str, separator: str, guess: int, end: str) -> None:
    source = lay.make_tags(tmp_path)
    title = {"gbk": "港口里有许多白色的船"}.get(codec, "Flüsse; große Wälder, Öl")
    rows = [["filepath", "title"], ["a/0.jpg", f'"{title}"'], ["a/1.jpg", '"open'], ["a/2.jpg", "x"]]
    head = "sep=;" + end if codec == "utf-8-sig" else ""
    source.table.write_bytes((head + end.join(map(separator.join, rows))).encode(codec))
    (first, last), faults = read(source)
    assert first.facts.captions == (title,) and last.key == "tags/a/2.jpg"
    assert faults == {"broken table line": 1} | ({"encoding guessed": 1} if guess else {})
    assert any(f"line {4 if head else 3} of" in message for message in messages(source))


def test_damaged_letters_break_their_own_row(tmp_path: Path) -> None:
    source = lay.make_tags(tmp_path)
    rows = "filepath,title\na/0.jpg,Flüsse\na/1.jpg,Wälder\na/2.jpg,Öl und Gebüsch\n".encode()
    source.table.write_bytes(rows.replace("ä".encode(), b"\xff"))
    records, faults = read(source)
    assert [record.key for record in records] == ["tags/a/0.jpg", "tags/a/2.jpg"]
    assert faults == {"broken table line": 1}
    source.table.write_bytes(b"filepath\0\1\2")
    with pytest.raises(DataError, match="no CSV text"):
        read(source)


def test_names_and_captions_of_any_language_are_kept_whole(tmp_path: Path) -> None:
    names = {"Cafe\u0301Straße": "café straße"} | {
        name: name for name in ("हवाई अड्डा", "می\u200cخواهم", "ท่าเรือ", "港口")
    }
    for folder in names:
        lay.picture_file(tmp_path / "f" / folder / "a.jpg")
    records, _ = read(FolderSource(name="f", root=tmp_path / "f"))
    assert {record.facts.scene for record in records} == {*names.values()}
    lay.picture_file(tmp_path / "p" / unicodedata.normalize("NFD", "Wälder_1.jpg"))
    caption = "می\u200cخواهم क्\u200dष 港口 👩\u200d🌾"
    rows = [{"filename": "Wälder_1.jpg", "split": "train", "sentences": [{"raw": caption}]}]
    lay.text_file(tmp_path / "a.json", json.dumps({"images": rows}))
    source = CaptionSource(name="c", annotations=tmp_path / "a.json", pictures=tmp_path / "p", scene="prefix")
    (record,), faults = read(source)
    assert record.facts.captions == (caption,) == texts_in(caption) and record.facts.scene == "wälder" and not faults


def test_a_table_without_the_column_of_pictures_is_refused(tmp_path: Path) -> None:
    source = lay.make_tags(tmp_path).model_copy(update={"picture_column": "file"})
    with pytest.raises(DataError, match="picture_column"):
        read(source)
    source.table.write_bytes(b"")
    with pytest.raises(DataError, match="picture_column"):
        read(source)
