"""Shards, Parquet files and the atlas into records, and pictures out of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from lrsclip.atlas.seeds import DEFAULT_SEED, GROUNDING_SEED
from lrsclip.errors import DataError, PictureError
from tests.train.data import layouts as lay
from tests.train.data.layouts import messages, read
from train.data import pictures
from train.data.pictures import open_ref, read_bytes
from train.data.records import PictureRef
from train.data.sources import settings as sources
from train.data.sources.engine_output import EngineSource
from train.data.sources.settings import AtlasSource


def test_shards_point_at_the_bytes_of_their_pictures(tmp_path: Path) -> None:
    records, faults = read(lay.make_webdataset(tmp_path))
    assert [record.key for record in records[:2]] == ["shards/train-0000/0000", "shards/train-0000/0001"]
    assert Counter(record.split for record in records) == {"train": 3, "val": 3} and not faults
    one = records[1]
    assert one.facts.captions == ("caption 1", "again 1") and one.facts.scene == "sea lake"
    assert (one.lon_deg, one.lat_deg, one.gsd_m) == (7.5, 51.0, 0.5)
    assert one.picture and read_bytes(one.picture) == lay.encoded(1)


def test_a_truncated_shard_is_read_up_to_its_break(tmp_path: Path) -> None:
    source = lay.make_webdataset(tmp_path)
    shard = tmp_path / "train-0000.tar"
    whole = shard.read_bytes()
    places = [record.picture for record in read(source)[0][:3]]
    assert places[1] and places[2] and places[1].offset and places[2].offset and places[1].size
    cuts = {places[2].offset + 10: 2, places[1].offset + places[1].size: 2, places[1].offset - 600: 1, 100: 0}
    for length, samples in cuts.items():
        shard.write_bytes(whole[:length])
        records, faults = read(source)
        assert sum("train" in record.key for record in records) == samples, length
        assert faults == {"broken shard": 1}
    shard.write_bytes(whole[: places[2].offset - 512] + b"garbage!" * 100)
    records, faults = read(source)
    assert sum("train" in record.key for record in records) == 2 and faults == {"broken shard": 1}


def test_compressed_shards_are_refused(tmp_path: Path) -> None:
    source = lay.make_webdataset(tmp_path)
    for mode in ("w:gz", "w:bz2", "w:xz"):
        lay.write_tar(tmp_path / "train-0000.tar", lay.shard_members(), mode)
        records, faults = read(source)
        assert len(records) == 3 and faults == {"compressed shard": 1}


def test_samples_that_are_not_whole(tmp_path: Path) -> None:
    members = [
        ("./a.txt", b"no picture"),
        ("b.png", lay.encoded(kind="PNG")),
        ("b.json", b"{broken"),
        ("c.jpg", lay.encoded()),
        ("c.json", b'{"lon": "east", "gsd": -1, "class": {}}'),
        ("b.txt", b"once more"),
        ("d.jpg", lay.encoded()),
        ("d.txt", b"x" * (2**20 + 1)),
        ("c.jpg", lay.encoded()),
        ("e.cls", b"3"),
        ("f.jpg", lay.encoded()),
        ("f.txt", b"\xff\xfe"),
    ]
    lay.write_tar(tmp_path / "some.tar", members)
    records, faults = read(sources.WebDatasetSource(name="s", root=tmp_path))
    assert [record.key for record in records] == ["s/some/b", "s/some/c", "s/some/d", "s/some/f"]
    assert faults == {
        "picture missing": 3,
        "text not UTF-8": 1,
        "no captions": 1,
        "annotation unreadable": 2,
        "broken coordinates": 1,
        "broken ground size": 1,
        "picture named twice": 1,
    }


def test_a_key_ends_at_the_first_dot(tmp_path: Path) -> None:
    members = [
        ("a.b/0002.rgb.jpg", lay.encoded(1)),
        ("a.b/0002.nir.jpg", lay.encoded(2)),
        ("a.b/0002.caption.txt", "a forest, 森林, जंगल".encode()),
        ("a.b/0002.meta.json", b'{"lon": 9, "lat": 50}'),
        ("a.b/0002.url.txt", b"http://x"),
        ("a.b/0003.left.png", lay.encoded(3, kind="PNG")),
        ("a.b/0003.cls", b"harbor"),
        ("0004.left.jpg", lay.encoded()),
        ("0004.right.jpg", lay.encoded()),
    ]
    lay.write_tar(tmp_path / "val.tar", members)
    source = sources.WebDatasetSource(name="s", root=tmp_path)
    (one, two), faults = read(source)
    assert one.key == "s/val/a.b/0002" and one.facts.captions == ("a forest, 森林, जंगल",) and one.lon_deg == 9
    assert one.picture and read_bytes(one.picture) == lay.encoded(1)
    assert two.facts.scene == "harbor" and two.picture
    assert faults == {"picture missing": 1}
    assert "left.jpg, right.jpg" in messages(source)[0] and "picture_members" in messages(source)[0]


def test_members_can_be_named_and_are_told_where_none_is_known(tmp_path: Path) -> None:
    members = [
        ("01.img_content", lay.encoded()), ("01.img_name", b"a.jpg"), ("01.caption", b"a harbor"),
        ("02.img_content", lay.encoded()), ("02.img_name", b"b.jpg"), ("02.caption", b'["a lake", "water"]'),
    ]  # fmt: skip
    lay.write_tar(tmp_path / "0.tar", members)
    with pytest.raises(DataError, match=r"\.caption \(2\), \.img_content \(2\), \.img_name \(2\).*picture_members"):
        read(sources.WebDatasetSource(name="rs5m", root=tmp_path))
    named = sources.WebDatasetSource(
        name="rs5m", root=tmp_path, picture_members=("img_content",), caption_members=("caption",)
    )
    records, faults = read(named)
    assert [record.facts.captions for record in records] == [("a harbor",), ("a lake", "water")] and not faults
    assert records[0].picture and read_bytes(records[0].picture) == lay.encoded()
    source = sources.WebDatasetSource(name="rs5m", root=tmp_path, picture_members=("img_*t",), caption_members=("cap",))
    assert "caption_members" in messages(source)[0] and ".caption (2)" in messages(source)[0]


def test_what_the_engine_wrote_keeps_its_names_and_broken_rows_are_counted(tmp_path: Path) -> None:
    row = {"key": "rsicd/7.jpg", "source": "rsicd", "license": "x", "split": "val", "short": ["a"], "long": ["b c"]}
    rows = [row | {"facts": {"captions": ["a  pond"], "scene": "pond"}}, row, row | {"long": [], "facts": {}}]
    members = [
        (f"val-{number}.{suffix}", content)
        for number, one in enumerate(rows)
        for suffix, content in (("jpg", lay.encoded(number)), ("json", json.dumps(one).encode()))
    ]
    shard = lay.write_tar(tmp_path / "shards/val-0.tar", [*members, ("val-9.json", json.dumps(rows[0]).encode())])
    lay.text_file(tmp_path / "lrs2m.json", json.dumps({"shards": [shard.name]}))
    source = EngineSource(name="lrs2m", root=tmp_path)
    (record,), faults = read(source)
    assert faults == {"broken row": 2, "picture missing": 1}
    assert (record.key, record.source, record.split, record.texts) == ("rsicd/7.jpg", "rsicd", "val", (("a", "b c"),))
    assert (record.facts.captions, record.facts.scene) == (("a  pond",), "pond")
    assert record.picture and read_bytes(record.picture) == lay.encoded(0)
    shard.write_bytes(shard.read_bytes()[:700])
    with pytest.raises(DataError, match=r"val-0\.tar .*build the data set again"):
        read(source)
    shard.unlink()
    with pytest.raises(DataError, match=r"val-0\.tar cannot be read"):
        read(source)
    for finished, said in {
        '{"shards": []}': "no shards",
        '{"shards": ["../a.tar"]}': "no finished",
        "[": "JSON",
    }.items():
        lay.text_file(tmp_path / "lrs2m.json", finished)
        with pytest.raises(DataError, match=said):
            read(source)


def test_parquet_rows(tmp_path: Path) -> None:
    records, faults = read(lay.make_parquet(tmp_path))
    assert len(records) == 5 and {record.split for record in records} == {"train"} and not faults
    one = records[3]
    assert one.key == "hub/data/train-00000-of-00001/3" and one.facts.scene == "forest"
    assert one.facts.captions == ("caption 3", "another 3") and (one.lon_deg, one.lat_deg) == (10.0, 50.0)
    assert one.picture and one.picture.row == 3 and one.picture.column == "image"
    for number in (4, 0, 3):
        place = records[number].picture
        assert place and read_bytes(place) == lay.encoded(number)


def test_parquet_that_lacks_things(tmp_path: Path) -> None:
    source = lay.make_parquet(tmp_path)
    lay.text_file(tmp_path / "data/test-0.parquet", "no parquet")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "data/test-1.parquet")
    pq.write_table(pa.table({"image": [b"x", None, b"y"]}), tmp_path / "data/test-2.parquet")
    pq.write_table(pa.table({"image": [b"x"] * 3, "label": [5, None, -1]}), tmp_path / "data/test-3.parquet")
    records, faults = read(source)
    assert Counter(record.split for record in records) == {"test": 5, "train": 5}
    assert faults == {"file unreadable": 1, "picture missing": 2, "class not in the map": 1}


@pytest.mark.parametrize("statistics", [True, False])
def test_parquet_columns_of_every_kind_that_holds_pictures(tmp_path: Path, statistics: bool) -> None:
    one, two = lay.encoded(1), lay.encoded(2)
    lay.picture_file(tmp_path / "files/a.jpg", 3)
    struct = {"bytes": one, "path": None}
    columns: dict[str, tuple[pa.Array, list[bytes | None]]] = {
        "struct": (pa.array([struct, None, {"bytes": None, "path": "files/a.jpg"}, {"bytes": None, "path": "../b"}]),
                   [one, None, lay.encoded(3), None]),
        "list of structs": (pa.array([[struct], [], None, [None, {"bytes": two, "path": "x"}, struct]]),
                            [one, None, None, two]),
        "list of bytes": (pa.array([[one, two], [None], None, [two]]), [one, None, None, two]),
        "large bytes": (pa.array([one, None, two, None], pa.large_binary()), [one, None, two, None]),
        "names of files": (pa.array(["files/a.jpg", None, "", "gone.jpg"]), [lay.encoded(3), None, None, None]),
    }  # fmt: skip
    for name, (column, expected) in columns.items():
        table = pa.table({"Image": column, "text": [["ein Fluß", None], [], None, ["港口"]]})
        pq.write_table(table, tmp_path / "0.parquet", write_statistics=statistics, row_group_size=3)
        records, faults = read(sources.ParquetSource(name="p", root=tmp_path))
        assert [record.key for record in records] == [f"p/0/{n}" for n, one in enumerate(expected) if one], name
        assert [read_bytes(record.picture) for record in records if record.picture] == [e for e in expected if e], name
        assert faults["picture missing"] == expected.count(None), name
        assert faults["several pictures"] == {"list of structs": 1, "list of bytes": 1}.get(name, 0)
        assert records[0].facts.captions == ("ein Fluß",)


@pytest.mark.slow
def test_atlas_knows_everything(tmp_path: Path) -> None:
    records, _ = read(lay.make_atlas(tmp_path))
    assert len(records) == 16 and {record.license for record in records} == {"Apache-2.0"}
    assert {record.split for record in records} == {"train"} and all(r.facts.things_complete for r in records)
    assert any(record.facts.things for record in records) and any(record.facts.scene for record in records)
    assert all(record.lat_deg and -49 < record.lat_deg < -48 for record in records)


@pytest.mark.parametrize("seed", [DEFAULT_SEED, GROUNDING_SEED])
def test_atlas_worlds_that_are_measured_on_are_refused(seed: int) -> None:
    with pytest.raises(ValidationError, match="measured on"):
        AtlasSource(name="atlas", seed=seed)


def test_pictures_that_cannot_be_read_name_their_place(tmp_path: Path) -> None:
    lay.make_parquet(tmp_path)
    table = str(tmp_path / "data/train-00000-of-00001.parquet")
    broken = lay.text_file(tmp_path / "broken.jpg", "no picture")
    pq.write_table(pa.table({"image": [b"x", None]}), tmp_path / "none.parquet")
    for place, said in [
        (PictureRef(str(tmp_path / "gone.jpg")), "gone.jpg"),
        (PictureRef(str(broken)), "broken.jpg"),
        (PictureRef(str(broken), 4, 100), "byte 4 of .*broken.jpg"),
        (PictureRef(table, row=99, column="image"), "row 99"),
        (PictureRef(table, row=0, column="nothing"), "nothing"),
        (PictureRef(table, row=0, column="caption"), "row 0"),
        (PictureRef(str(tmp_path / "none.parquet"), row=1, column="image"), "row 1"),
        (PictureRef(str(broken), row=0, column="image"), "row 0 of .*broken.jpg"),
        (PictureRef(str(tmp_path / "gone.parquet"), row=0, column="image"), "gone.parquet"),
    ]:
        with pytest.raises(PictureError, match=said):
            open_ref(place)


def test_row_groups_are_kept_and_their_size_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [record.picture for record in read(lay.make_parquet(tmp_path, rows=6))[0]]
    pictures._group.cache_clear()
    for place in places:
        assert place and open_ref(place).size == (lay.WIDTH, lay.HEIGHT)
    assert pictures._group.cache_info().misses == 3  # row groups of two
    pictures._group.cache_clear()
    monkeypatch.setattr(pictures, "_MAX_GROUP_BYTES", 10)
    with pytest.raises(PictureError, match="smaller row groups"):
        open_ref(places[0] or PictureRef(""))
