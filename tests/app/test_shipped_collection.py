"""The landscape that comes with the project: it fits the program and the weights, and opens without any work."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

import lrsclip
from app.collections import AppState
from app.media.images import tile_picture
from app.shipped_collection import INDEX, SHIPPED, SPEC, TILES, Mark, read_mark, unpack
from assets.make_collection import MAX_BYTES
from lrsclip.index import build_index, default_cache_dir
from lrsclip.tiles import open_tiles
from lrsclip.tiles.atlas import TILE_PX, AtlasTiles, recipe

ROOT = Path(__file__).resolve().parents[2]


def test_the_collection_is_of_this_program_and_these_weights() -> None:
    weights = json.loads((ROOT / "lrsclip/checkpoints/tiny/manifest.json").read_text(encoding="utf-8"))["sha256"]
    mark = read_mark()
    assert mark is not None
    assert (mark.spec, mark.recipe, mark.model_sha256) == (SPEC, recipe(), weights), (
        "the drawing program or the checkpoint changed since: run python -m assets.make_collection"
    )
    assert SHIPPED.stat().st_size <= MAX_BYTES
    with zipfile.ZipFile(SHIPPED) as packed:
        names = packed.namelist()
    assert {f"{TILES}{tile_id}.jpg" for tile_id in AtlasTiles().tile_ids()} <= set(names)
    assert all(".." not in name and not name.startswith("/") for name in names)


def test_it_opens_without_drawing_or_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path))
    bundle, source = lrsclip.load("tiny"), open_tiles("atlas")
    assert isinstance(source, AtlasTiles)
    assert source.plan() != ""
    assert unpack(source, bundle)
    assert not unpack(source, bundle), "what is there already was unpacked again"
    assert source.plan() == ""
    monkeypatch.setattr(lrsclip.LRSCLIP, "encode_image", lambda *_: pytest.fail("a tile was encoded"))
    monkeypatch.setattr(AtlasTiles, "_render_block", lambda *_: pytest.fail("a tile was drawn"))
    index = build_index(source, bundle, default_cache_dir(source, bundle))
    state = AppState(bundle, index, source)
    assert state.tile_count == len(source) == 1024
    last = source.tile_ids()[-1]
    assert tile_picture(state, last).size == (TILE_PX, TILE_PX)
    assert len(source.texts(last).sentences) > 1
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    ("mark", "tiles", "index"),
    [
        (Mark(SPEC, "00000000", "a", 224), False, False),
        (Mark(SPEC, recipe(), "of other weights", 224), True, False),
        (None, False, False),
    ],
)
def test_what_does_not_fit_is_left_where_it_is(
    mark: Mark | None, tiles: bool, index: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path / "cache"))
    packed = tmp_path / "some.zip"
    if mark is None:
        packed.write_bytes(b"no zip")
    else:
        with zipfile.ZipFile(packed, "w") as file:
            file.writestr("collection.json", mark.written())
            file.writestr(TILES + "r000c000.jpg", b"a picture")
            file.writestr(INDEX + "manifest.json", b"{}")
    source, bundle = AtlasTiles(), lrsclip.random_model()
    assert unpack(source, bundle, packed) is tiles
    assert source.kept_file("r000c000").exists() is tiles
    assert default_cache_dir(source, bundle).exists() is index
    assert not unpack(AtlasTiles(seed=5), bundle, packed), "of another landscape"


def test_tiles_that_were_drawn_before_stay_and_the_others_are_put_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path / "cache"))
    packed = tmp_path / "some.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("collection.json", Mark(SPEC, recipe(), "of other weights", 224).written())
        for name in ("r000c000", "r000c001"):
            file.writestr(f"{TILES}{name}.jpg", b"shipped")
    source, bundle = AtlasTiles(), lrsclip.random_model()
    drawn = source.kept_file("r000c000")
    drawn.parent.mkdir(parents=True)
    drawn.write_bytes(b"drawn")
    assert unpack(source, bundle, packed)
    assert (drawn.read_bytes(), source.kept_file("r000c001").read_bytes()) == (b"drawn", b"shipped")
    assert sorted(path.name for path in drawn.parent.iterdir()) == ["r000c000.jpg", "r000c001.jpg"]
    assert not unpack(source, bundle, packed)
