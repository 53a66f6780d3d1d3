"""Users who index many files see from the start that something goes on, and what is found is what was found before."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lrsclip.index import build_index
from lrsclip.index.__main__ import main
from lrsclip.tiles import open_tiles

from .helpers import Recorder, paint


def test_listing_and_matching_are_told_before_anything_is_encoded(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lrsclip.tiles.folder._TOLD_EVERY", 5)
    monkeypatch.setattr("lrsclip.index.refresh._TOLD_EVERY", 5)
    paint(tmp_path / "tiles", range(20))
    paint(tmp_path / "tiles" / "more", range(20, 30))
    found: list[int] = []
    source = open_tiles(str(tmp_path / "tiles"), progress=found.append)
    assert len(source) == 30
    assert found[0] == 0
    assert {5, 10, 15, 20, 25, 30} <= set(found)
    assert found == sorted(found)
    told: list[tuple[int, int, int]] = []
    build_index(source, recorder, tmp_path / "index", progress=lambda *done: told.append((*done, recorder.encoded)))
    assert len([one for one in told if one == (0, 30, 0)]) >= 6
    told.clear()
    build_index(source, recorder, tmp_path / "index", progress=lambda *done: told.append((*done, 0)))
    assert told[0] == (0, 30, 0)
    assert told[-1] == (30, 30, 0)


def test_links_are_judged_as_before(tmp_path: Path) -> None:
    folder, outside = paint(tmp_path / "tiles", range(2)), paint(tmp_path / "outside", range(2, 3))
    (folder / "in.png").symlink_to(folder / "0.png")
    (folder / "out.png").symlink_to(outside / "2.png")
    (folder / "linked").symlink_to(outside)
    (folder / "broken.png").symlink_to(folder / "none.png")
    os.mkfifo(folder / "pipe.png")
    assert open_tiles(str(folder)).tile_ids() == ["0.png", "1.png", "in.png"]


def test_the_bars_of_the_command_appear_before_the_first_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lrsclip.tiles.folder._TOLD_EVERY", 1)
    monkeypatch.setattr("lrsclip.tiles.folder._is_plain", lambda _path: time.sleep(0.2))  # a slow disk
    paint(tmp_path / "tiles", range(3))
    assert main(["build", str(tmp_path / "tiles")]) == 0
    told = capsys.readouterr().err.replace("\r", "\n")
    assert "listing: 2tile" in told
    assert "indexing:   0%" in told
