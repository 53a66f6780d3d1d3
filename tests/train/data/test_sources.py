"""What holds for every layout, garbage as input, settings files, data folders and the README."""

from __future__ import annotations

import json
import re
import tempfile
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsclip.errors import DataError
from lrsclip.io.table import table_rows, text_lines
from tests.helpers.corpora import make_class_folders, make_rsicd, make_ucm
from tests.train.data import layouts as lay
from tests.train.data.layouts import read
from train.data.corpus import read_corpus
from train.data.pictures import open_ref
from train.data.public_sets import PUBLIC_SETS, known_sources
from train.data.records import PictureRef, SourceRecord, from_line, to_line, training_record
from train.data.sources import settings as sources
from train.data.sources.base import LayoutName, Source
from train.data.sources.settings import CaptionSource, FolderSource, read_sources
from train.evaluation.sets import rsicd_captions, ucm_captions

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
README = Path(sources.__file__).parent / "README.md"


def test_every_layout_has_a_maker() -> None:
    assert set(lay.MAKERS) == set(get_args(LayoutName))
    assert all(layout in README.read_text() for layout in lay.MAKERS)


@pytest.mark.slow
@pytest.mark.parametrize("layout", lay.MAKERS)
def test_records_are_whole(layout: str, tmp_path: Path) -> None:
    source = lay.MAKERS[layout](tmp_path)
    records, faults = read(source)
    assert records and not faults
    assert records == read(source)[0]  # the same order each time
    assert len({record.key for record in records}) == len(records)
    for record in records:
        assert from_line(to_line(record)) == record
        assert record.key.startswith(f"{source.name}/") and record.source == source.name
        assert record.picture and open_ref(record.picture).mode == "RGB"
        assert not record.facts.empty
        for thing in record.facts.things:
            left, top, right, bottom = thing.box
            assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
        for share in record.facts.shares:
            assert len(share.cells) == 9 and abs(sum(share.cells) / 9 - share.share) < 0.02


@pytest.mark.parametrize("layout", lay.MAKERS)
def test_settings_put_all_records_in_one_split(layout: str, tmp_path: Path) -> None:
    source = lay.MAKERS[layout](tmp_path).model_copy(update={"split": "val"})
    assert {record.split for record in read(source)[0]} == {"val"}


@pytest.mark.parametrize("layout", [name for name in lay.MAKERS if name != "atlas"])
def test_a_source_without_a_record_is_an_error(layout: str, tmp_path: Path) -> None:
    source = lay.MAKERS[layout](tmp_path)
    for path in sorted(tmp_path.rglob("*"), reverse=True):
        if path.is_file() and path.suffix not in (".csv", ".json"):
            path.unlink()
    with pytest.raises(DataError, match=source.name):
        read(source)
    for path in tmp_path.iterdir():
        path.rename(tmp_path.with_name(f"{tmp_path.name}-{path.name}"))
    with pytest.raises(DataError):
        read(source)


_LINE = st.one_of(
    st.text(st.characters(exclude_characters="\r\n"), max_size=60),
    st.lists(st.one_of(st.floats().map(str), st.integers().map(str), st.text(max_size=3)), max_size=11).map(" ".join),
    st.lists(st.floats(-200, 200).map(str), min_size=8, max_size=8).map(lambda at: " ".join(at) + " ship 0"),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_LINE, max_size=8))
def test_no_dota_line_is_lost_in_silence(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = lay.make_dota(Path(folder), splits=())
        label = Path(folder) / "labelTxt/P0000.txt"
        label.write_bytes("\n".join(lines).encode(errors="replace"))
        records, faults = read(source)
        with label.open(encoding="utf-8-sig", errors="replace") as file:
            said = [line for line in file if line.strip() and not re.match(r"\s*(gsd|imagesource)\s*:", line, re.I)]
        things = records[0].facts.things
        assert len(things) + faults["broken annotation line"] == len(said)
        assert records[0].facts.things_complete == (len(things) == len(said))
        assert from_line(to_line(records[0])) == records[0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(_LINE, st.lists(st.text(max_size=4), min_size=6, max_size=6).map(",".join)), max_size=8))
def test_no_garbage_in_a_table_raises(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = lay.make_tags(Path(folder))
        with source.table.open("ab") as file:
            file.write("\n".join(lines).encode(errors="replace"))
        records, faults = read(source)
        text = source.table.read_bytes().decode(errors="replace")
        rows = [row for row in table_rows(text_lines(text), ",") if row.cells or row.fault]
        assert len(records) == 3
        assert faults["broken table line"] + faults["picture missing"] == len(rows) - 4


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_no_garbage_in_a_shard_raises(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = lay.make_webdataset(Path(folder))
        (Path(folder) / "train-0000.tar").write_bytes(content)
        assert len(read(source)[0]) == 3


def _settings(path: Path, text: str) -> Path:
    return lay.text_file(path / "sources.toml", text)


def test_settings_are_relative_to_their_file(tmp_path: Path) -> None:
    lay.make_folders(tmp_path / "sets/aid")
    lay.make_dota(tmp_path / "sets/dota")
    path = _settings(
        tmp_path,
        '[[source]]\nname = "aid"\nlayout = "folders"\nroot = "sets/aid"\n'
        '[[source]]\nname = "dota"\nlayout = "dota"\nroot = "sets/dota"\nheld_out = true\n',
    )
    folders, dota = read_sources(path)
    assert len(read(folders)[0]) == 12 and dota.held_out and len(read(dota)[0]) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no source"),
        ("source = 3", "names no source"),
        ("[[source", "cannot be read as TOML"),
        ('top = 1\n[[source]]\nname = "a"\nlayout = "atlas"\nseed = 3', "'top'"),
        ('[[source]]\nname = "a"\nlayout = "mosaic"', "mosaic.*choose one of captions"),
        ('[[source]]\nname = "a"', "layout is missing"),
        ('[[source]]\nname = "a"\nlayout = "folders"', "'root' is missing"),
        ('[[source]]\nname = "a"\nlayout = "folders"\nroot = "gone"', r"source 1 \(a\): root: .*gone is not there"),
        ('[[source]]\nname = "a"\nlayout = "folders"\nroot = "."\nshape = 1', "no setting 'shape'"),
        ('[[source]]\nname = "A b"\nlayout = "folders"\nroot = "."', "name"),
        ('[[source]]\nname = "a"\nlayout = "coco"\nroot = "."\nannotations = "../*"', "pattern"),
        ('[[source]]\nname = "a"\nlayout = "atlas"\nseed = 11', "measured on"),
        ('[[source]]\nname = "a"\nlayout = "atlas"\nseed = 3\n' * 2, "two sources 'a'"),
        ("source = [3]", "without name"),
    ],
)
def test_settings_that_are_wrong_say_how_to_mend_them(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        read_sources(_settings(tmp_path, text))


def test_a_settings_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not there"):
        read_sources(tmp_path / "sources.toml")


def test_a_data_folder_without_a_known_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds none"):
        known_sources(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        known_sources(tmp_path / "gone")


def test_a_captioned_picture_of_resisc45_comes_once(tmp_path: Path) -> None:
    root = tmp_path / "NWPU-RESISC45-subset"
    lay.make_folders(root)
    row = {"filename": "ForestLand/0.jpg", "split": "val", "sentences": [{"raw": "a forest"}]}
    lay.text_file(root / "dataset_nwpu.json", json.dumps({"images": [row]}))
    nwpu, resisc = known_sources(tmp_path)
    assert [(record.split, record.facts.scene) for record in read(nwpu)[0]] == [("train", "forest land")]
    assert len(read(resisc)[0]) == 11


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets (../shared/data) are not here")
def test_real_sources_are_the_training_corpus() -> None:
    learnt: list[SourceRecord] = []
    held: list[Path] = []
    for source in known_sources(SHARED):
        records, faults = read(source)
        assert not faults
        for record in records:
            assert record.picture
            if source.held_out:
                held.append(Path(record.picture.path))
                assert record.split == "test"
            else:
                learnt.append(record)
    corpus = read_corpus(SHARED)
    assert len(held) == 760 and all("RSSCN7" in path.parts or "CHOICE" in path.parts for path in held)
    assert [training_record(record) for record in learnt] == corpus  # in one order, which training draws from
    assert len({record.key for record in corpus}) == len(corpus) > 20_000


def test_both_doors_give_the_same_records(tmp_path: Path) -> None:
    make_rsicd(tmp_path)
    make_ucm(tmp_path)
    make_class_folders(tmp_path / "EuroSAT_RGB")
    make_class_folders(tmp_path / "RSSCN7")
    corpus = read_corpus(tmp_path)
    doors = [record for source in known_sources(tmp_path) if not source.held_out for record in read(source)[0]]
    assert [training_record(record) for record in doors] == corpus
    assert {record.source for record in corpus} == {"rsicd", "ucm", "eurosat"}
    for record, known in zip(doors, corpus, strict=True):
        assert record.picture and record.picture.path == str(known.path) and record.split == known.split
        assert (record.facts.captions, record.facts.scene) == (known.captions, known.label)
    for name, measured in {"rsicd": rsicd_captions, "ucm": ucm_captions}.items():
        expected = {r.key: r.captions for r in corpus if (r.source, r.split) == (name, "test")}
        assert {r.key: r.captions for r in measured(tmp_path, "test").records} == expected


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_the_table_of_public_sets_is_whole(name: str, tmp_path: Path) -> None:
    one = PUBLIC_SETS[name]
    assert one.missing_in(tmp_path) == tmp_path / one.there_if[0]
    for part in one.there_if:
        (tmp_path / part).mkdir(parents=True, exist_ok=True)
    assert one.missing_in(tmp_path) is None
    source = one.source(tmp_path)
    assert (source.name, source.held_out) == (name, one.use == "held out")
    assert one.about and source.license != "unknown"
    assert bool(source.classes) == bool(one.words)
    assert all(source.name != name for source in sources_in(tmp_path)) == (one.use == "measure")


def sources_in(data: Path) -> tuple[Source, ...]:
    """The sources of a folder, beside one to learn from."""
    (data / "EuroSAT_RGB").mkdir(exist_ok=True)
    return known_sources(data)


def test_keys_tell_every_picture(tmp_path: Path) -> None:
    """By the file where it tells the picture, as kept features are named; else by the name within the source."""
    at = PictureRef(str(tmp_path / "train/Forest/1.jpg"))
    keys = {
        ("a/1.jpg", at): "a/Forest/1.jpg",
        ("a/Forest/1.jpg", at): "a/Forest/1.jpg",
        ("a/train/Forest/1.jpg", at): "a/train/Forest/1.jpg",
        ("a/1", at): "a/1",
        ("a/s/1", PictureRef("s.tar", 512, 9)): "a/s/1",
    }
    for (key, picture), expected in keys.items():
        assert training_record(SourceRecord(key, "a", "", "train", picture)).key == expected
    for wrong in (None, PictureRef("p.parquet", row=1, column="image")):
        with pytest.raises(DataError, match="a/1 has no picture"):
            training_record(SourceRecord("a/1", "a", "", "train", wrong))


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_readme_has_settings_for_every_layout(tmp_path: Path) -> None:
    (text,) = _blocks("toml")
    for table in tomllib.loads(text)["source"]:
        for key in ("root", "pictures", "annotations", "extra_captions", "table"):
            if "/" in str(table.get(key, "")) or key in ("root", "table"):
                (tmp_path / table.get(key, "")).mkdir(parents=True, exist_ok=True)
    assert {table.layout for table in read_sources(_settings(tmp_path, text))} == set(lay.MAKERS)  # type: ignore[attr-defined]


def test_the_readme_adds_a_source_that_works(tmp_path: Path) -> None:
    (code,) = _blocks("python")
    assert code.count("\n") <= 32
    space: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code, str(README), "exec", dont_inherit=True), space)
    root = SHARED / "houston_tiles" if SHARED.is_dir() else tmp_path
    if root == tmp_path:
        lay.picture_file(tmp_path / "no_damage/-95.5_29.5.jpeg")
    records, faults = read(space["CoordinateSource"](name="houston", root=root))
    assert records and not faults
    assert {record.facts.scene for record in records} <= {"damage", "no damage"}
    assert all(record.lon_deg and -100 < record.lon_deg < -90 for record in records)


def test_sources_that_name_folders_of_nothing(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    for source in (
        CaptionSource(name="a", annotations=gone, pictures=tmp_path),
        CaptionSource(name="a", annotations=gone, pictures=gone),
        FolderSource(name="a", root=gone),
    ):
        with pytest.raises(DataError, match="gone"):
            read(source)
