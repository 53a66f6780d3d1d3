"""Tiles of Hub data sets, from a Hub on loopback."""

from __future__ import annotations

import io
import resource
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import huggingface_hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from app.collections import AppState, Collections
from app.places.service import look_up
from lrsclip.errors import PictureError, TileSourceError
from lrsclip.io.decode import decode
from lrsclip.tiles import open_tiles
from lrsclip.tiles.base import summary_of_tile
from tests.helpers.dataset_server import DatasetHub, serve_datasets
from tests.helpers.picture_kinds import make


def png(color: tuple[int, int, int], side: int = 24) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), color).save(out, "PNG")
    return out.getvalue()


def parquet(columns: dict[str, Any], rows_in_group: int = 2) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, row_group_size=rows_in_group)
    return out.getvalue()


def rows(first: int, count: int) -> dict[str, Any]:
    return {
        "image": [{"bytes": png((n, 2 * n, 7)), "path": f"{n}.png"} for n in range(first, first + count)],
        "captions": [[f"tile {n}", "another"] for n in range(first, first + count)],
    }


def noise(seed: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (400, 400, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def bomb(count: int) -> bytes:
    """One picture of a megabyte, kept once and named by many rows: some hundred bytes that unpack to gigabytes."""
    out, picture = io.BytesIO(), png((9, 9, 9))
    column = pa.DictionaryArray.from_arrays(
        pa.array([0] * count, pa.int32()), pa.array([picture + bytes(1_000_000 - len(picture))], pa.binary())
    )
    table = pa.table({"image": column})
    pq.write_table(
        table, out, compression="zstd", use_dictionary=True, dictionary_pagesize_limit=2**30, store_schema=False
    )
    return out.getvalue()


def sideways() -> bytes:
    out, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # a camera held upright
    Image.new("RGB", (40, 20), "green").save(out, "JPEG", exif=exif)
    return out.getvalue()


DEEP = ("planet.tif", "deep.png", "deep.jp2", "plain.avif", "near_infrared.tif")


def kind(name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return make(name, Path(folder)).read_bytes()


@pytest.fixture(scope="module")
def hub() -> Iterator[DatasetHub]:
    repos = {
        "someone/tiles": {
            "README.md": b"# tiles",
            "data/train-00000-of-00002.parquet": parquet(rows(0, 5)),
            "data/train-00001-of-00002.parquet": parquet(rows(5, 3)),
            "data/test-00000-of-00001.parquet": parquet(rows(8, 2)),
        },
        "someone/lists": {
            "train.parquet": parquet(
                {
                    "Images": [
                        [{"bytes": png((1, 2, 3)), "path": "a"}, {"bytes": png((9, 9, 9)), "path": "b"}],
                        None,
                        [],
                        [None, {"bytes": png((4, 5, 6)), "path": None}],
                        [{"bytes": None, "path": "c.png"}],
                    ],
                    "Caption": [[None, "a harbor"], None, [], ["港口"], [""]],
                }
            )
        },
        "someone/plain": {
            "train.parquet": parquet({"id": [1, 2], "jpg": [png((9, 9, 9)), b"no picture"], "text": ["a", ""]})
        },
        "someone/large": {
            "default/train/0000.parquet": parquet(
                {"picture": [{"bytes": noise(n), "path": ""} for n in range(24)]}, rows_in_group=1
            )
        },
        "someone/words": {"train.parquet": parquet({"text": ["a", "b"]})},
        "someone/paths": {
            "train.parquet": parquet({"image": [{"bytes": None, "path": "a.png"}, {"bytes": b"", "path": ""}]})
        },
        "someone/csv": {"table.csv": b"a,b"},
        "someone/sounds": {
            "train.parquet": parquet(
                {"audio": [{"bytes": b"RIFF", "path": ""}], "image": [{"bytes": sideways(), "path": ""}]}
            )
        },
        "someone/deep": {"train.parquet": parquet({"image": [{"bytes": kind(name), "path": ""} for name in DEEP]})},
        "someone/bomb": {"train.parquet": bomb(2400)},
        "someone/broken": {"train.parquet": b"PAR1 but not really"},
    }
    with serve_datasets(repos) as told:
        yield told


@pytest.fixture(autouse=True)
def _endpoint(hub: DatasetHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # of the process that reads for strangers


def test_a_split_is_listed_and_read_row_by_row(hub: DatasetHub) -> None:
    source = open_tiles("hub:someone/tiles:train")
    names = source.tile_ids()
    assert len(source) == len(names) == len(set(names)) == 8
    for number in (7, 0, 4, 5, 3):
        tile = source.tile(names[number])
        assert source.picture(names[number]).getpixel((3, 3)) == (number, 2 * number, 7)
        assert (tile.width_px, tile.caption) == (24, f"tile {number}")
        assert tile.attribution
        assert "someone/tiles" in tile.attribution
    assert source.spec == "hub:someone/tiles:train"
    assert open_tiles(source.spec).tile_ids() == names
    assert len(open_tiles("hub:someone/tiles")) == 10
    assert len(open_tiles("hub:someone/tiles:test")) == 2
    with pytest.raises(TileSourceError, match="has no tile"):
        source.picture("train-00000-of-00002/5")


def test_what_a_stranger_names_is_unpacked_elsewhere_and_within_bounds(hub: DatasetHub) -> None:
    assert len(hub.repos["someone/bomb"]["train.parquet"]) < 1_000
    source = open_tiles("hub:someone/bomb", untrusted=True)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((PictureError, TileSourceError), match=r"memory|2,\d{3} MB"):
        source.picture(source.tile_ids()[0])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 500_000
    plain = open_tiles("hub:someone/tiles:train", untrusted=True)
    for number in (7, 0, 4):
        assert plain.picture(plain.tile_ids()[number]).getpixel((3, 3)) == (number, 2 * number, 7)


def test_only_what_is_looked_at_is_fetched(hub: DatasetHub) -> None:
    whole = len(hub.repos["someone/large"]["default/train/0000.parquet"])
    before = hub.sent_bytes
    source = open_tiles("hub:someone/large:train")
    assert source.picture(source.tile_ids()[11]).size == (400, 400)
    assert whole > 10_000_000
    assert hub.sent_bytes - before < whole / 2


def test_columns_are_found_or_named(hub: DatasetHub) -> None:
    source = open_tiles("hub:someone/plain?image=jpg&caption=text")
    first, second = source.tile_ids()
    assert source.tile(first).caption == "a"
    with pytest.raises(PictureError, match="not a JPEG"):
        source.picture(second)
    assert open_tiles("hub:someone/plain").tile(first).caption == "a"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("hub:", "is no data set"),
        ("hub:nobody", "is no data set"),
        ("hub:a/b/c", "is no data set"),
        ("hub:someone/nothing", "someone/nothing cannot be read .*check its name"),
        ("hub:someone/csv", "no Parquet"),
        ("hub:someone/words", "no column of pictures"),
        ("hub:someone/broken", "cannot be read"),
        ("hub:someone/tiles:val", "no split 'val'"),
        ("hub:someone/tiles?image=photo", "no column 'photo'; it has image, captions"),
        ("hub:someone/tiles?shape=round", "no option 'shape'"),
    ],
)
def test_what_is_no_data_set_of_pictures(spec: str, reason: str) -> None:
    with pytest.raises(TileSourceError, match=reason):
        open_tiles(spec)


def test_rows_that_only_name_a_picture() -> None:
    source = open_tiles("hub:someone/paths")
    for name in source.tile_ids():
        with pytest.raises(PictureError, match="holds no picture"):
            source.picture(name)


def test_a_hub_that_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)  # the Hub's own client waits between its five attempts
    with pytest.raises(TileSourceError, match=r"cannot be read from the Hub.*check its name, the network"):
        open_tiles("hub:someone/tiles")


def test_a_row_group_too_large_to_unpack_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrsclip.tiles.hf_dataset._MAX_GROUP_BYTES", 200_000)
    source = open_tiles("hub:someone/large:train")
    with pytest.raises(TileSourceError, match="smaller row groups"):
        source.picture(source.tile_ids()[0])


def test_sounds_are_no_pictures_and_turned_ones_stand_upright() -> None:
    source = open_tiles("hub:someone/sounds")
    (name,) = source.tile_ids()
    tile, picture = source.tile(name), source.picture(name)
    assert (tile.width_px, tile.height_px) == picture.size == (20, 40)


def test_looking_a_data_set_up_fetches_none_of_it(hub: DatasetHub) -> None:
    before = hub.sent_bytes
    plan = look_up(Collections(cast(AppState, None), untrusted=True), "hub:someone/large:train")
    assert plan.first is None
    assert plan.work.startswith("24 rows of 1 file are read from the Hub")
    assert hub.sent_bytes - before < 1_500_000  # a footer and what is read ahead of it


@pytest.mark.parametrize("untrusted", [True, False])
def test_rasters_of_a_data_set_look_as_they_do_elsewhere(untrusted: bool, hub: DatasetHub, tmp_path: Path) -> None:
    source = open_tiles("hub:someone/deep", untrusted=untrusted)
    for tile_id, name in zip(source.tile_ids(), DEEP, strict=True):
        expected = decode(make(name, tmp_path))
        assert source.picture(tile_id).tobytes() == expected.image.tobytes(), name
        assert summary_of_tile(source, tile_id) == expected.summary
        tile = source.tile(tile_id)
        assert (tile.width_px, tile.height_px) == expected.image.size
    other = open_tiles("hub:someone/deep?bands=1,2,3", untrusted=untrusted)
    assert other.spec.endswith("?bands=1,2,3")
    assert summary_of_tile(other, other.tile_ids()[0]) == "bands 1, 2, 3; stretched 2-98 %"


@pytest.mark.usefixtures("hub")
def test_lists_of_pictures_and_nulls() -> None:
    source = open_tiles("hub:someone/lists")
    assert len(source) == 5
    assert [source.picture(f"train/{row}").getpixel((0, 0)) for row in (0, 3)] == [(1, 2, 3), (4, 5, 6)]
    assert [source.tile(f"train/{row}").caption for row in (0, 3)] == ["a harbor", "港口"]
    for row, told in ((1, "empty"), (2, "empty"), (4, "only the name")):
        with pytest.raises(PictureError, match=told):
            source.picture(f"train/{row}")
