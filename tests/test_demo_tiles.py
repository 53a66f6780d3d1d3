"""The demo tiles: real files, the same again for a seed, painted once into the user's cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrsclip.errors import TileSourceError
from lrsclip.tiles import open_source
from lrsclip.tiles.demo import demo_folder, render_demo_tiles

SMALL_PX = 64  # the painter works in its own units, so small tiles go through the same code in a fraction of the time


@pytest.fixture(scope="module")
def small_tiles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return render_demo_tiles(tmp_path_factory.mktemp("tiles"), tile_px=SMALL_PX)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lrsclip.tiles.demo.render_demo_tiles", _render_small)
    return tmp_path / "cache"


def _render_small(directory: Path) -> list[Path]:
    return render_demo_tiles(directory, tile_px=SMALL_PX)


def test_tiles_are_distinct_pictures_of_the_size_asked_for(small_tiles: list[Path]) -> None:
    pictures = []
    for path in small_tiles:
        with Image.open(path) as picture:
            assert (picture.size, picture.mode) == ((SMALL_PX, SMALL_PX), "RGB")
            pictures.append(np.asarray(picture, np.float32))
        assert pictures[-1].std() > 8, f"{path.name} is nearly blank"
    apart = [np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]]
    assert len(pictures) >= 20
    assert min(apart) > 8


def test_names_say_the_class_and_nothing_half_written_stays(small_tiles: list[Path]) -> None:
    assert sorted(small_tiles[0].parent.iterdir()) == small_tiles
    classes = {path.stem.rpartition("_")[0] for path in small_tiles}
    assert {"airport", "harbor", "storage_tanks", "dense_residential", "circular_farmland", "forest"} <= classes


def test_a_seed_gives_the_same_pictures_and_another_seed_others(small_tiles: list[Path], tmp_path: Path) -> None:
    again = render_demo_tiles(tmp_path / "again", tile_px=SMALL_PX)
    other = render_demo_tiles(tmp_path / "other", seed=1, tile_px=SMALL_PX)

    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in small_tiles]
    assert all(a.read_bytes() != b.read_bytes() for a, b in zip(small_tiles, other, strict=True))


def test_full_size_tiles_stay_small_files(tmp_path: Path) -> None:
    assert max(path.stat().st_size for path in render_demo_tiles(tmp_path)) < 60_000


def test_the_demo_folder_is_a_tile_source_and_is_painted_once(cache: Path) -> None:
    folder = demo_folder()
    painted = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    assert folder.parent == cache
    assert len(open_source(str(folder))) == len(painted) >= 20
    assert demo_folder() == folder
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == painted
    assert list(cache.iterdir()) == [folder]


def test_two_processes_may_paint_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(directory: Path) -> list[Path]:
        monkeypatch.setattr("lrsclip.tiles.demo.render_demo_tiles", _render_small)
        demo_folder()
        return _render_small(directory)

    monkeypatch.setattr("lrsclip.tiles.demo.render_demo_tiles", overtaken)

    folder = demo_folder()

    assert list(cache.iterdir()) == [folder]


def test_an_interrupted_painting_leaves_no_folder_behind(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(directory: Path) -> list[Path]:
        directory.mkdir()
        (directory / "airport_01.jpg").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("lrsclip.tiles.demo.render_demo_tiles", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo_folder()

    assert list(cache.iterdir()) == []


def test_a_cache_that_is_no_folder_is_named_with_its_mend(cache: Path) -> None:
    cache.touch()

    with pytest.raises(TileSourceError, match="LRSCLIP_CACHE"):
        demo_folder()


@pytest.mark.parametrize("tile_px", [0, 63, 1025])
def test_a_size_out_of_range_is_refused(tmp_path: Path, tile_px: int) -> None:
    with pytest.raises(TileSourceError, match="64 to 1024"):
        render_demo_tiles(tmp_path, tile_px=tile_px)
