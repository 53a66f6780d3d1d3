"""A disk that is full: one line that names the folder and the variable, and nothing that is half written."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lrsclip
from app.shipped_collection import unpack
from lrsclip.errors import TileSourceError
from lrsclip.localize.embedding_cache import EmbeddedScene, SceneKey, WindowMemory
from lrsclip.tiles import open_tiles
from lrsclip.tiles.atlas import TILE_PX, AtlasTiles
from tests.helpers.tile_server import serve_tiles

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs leave to mount a disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def ended(command: list[str], cache: Path) -> str:
    """The one line that a command ends with on a full disk."""
    environment = {**os.environ, "LRSCLIP_CACHE": str(cache), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    line = done.stderr.replace("\r", "\n").strip().splitlines()[-1]
    assert line.startswith("error: "), done.stderr
    assert "No space left" in line
    assert str(cache) in line
    assert "LRSCLIP_CACHE" in line
    for path in cache.rglob("*"):
        assert not path.name.endswith((".part", ".tmp")), path
        if path.suffix == ".jpg":
            with Image.open(path) as picture:
                picture.load()
    return line


def test_the_collection_does_not_fit(full: Path) -> None:
    ended(["app.py", "--port", "7991"], full)
    assert not list(full.iterdir())


def test_tiles_that_are_drawn_do_not_fit(full: Path) -> None:
    ended(["-m", "lrsclip.index", "build", "atlas:?seed=77&tiles=64&px_m=0.5"], full)


def test_an_index_does_not_fit(full: Path, tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / "tiles").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "tiles" / f"{number}.png")
    (full / "ballast").write_bytes(b"x" * (256 - 6) * 1024)
    ended(["-m", "lrsclip.index", "build", str(tmp_path / "tiles")], full)


def test_window_memory_that_does_not_fit_costs_a_warning(full: Path, caplog: pytest.LogCaptureFixture) -> None:
    memory, key = WindowMemory(folder=full / "localize"), SceneKey("a", "b", (64,))
    scene = EmbeddedScene(np.zeros((900, 4), np.int64), np.zeros((900, 128), np.float32))
    with caplog.at_level(logging.WARNING):
        memory.put(key, scene, on_disk=True)
    assert "LRSCLIP_CACHE" in caplog.text
    assert str(full) in caplog.text
    assert memory.get(key) is scene
    assert not [path for path in full.rglob("*") if path.is_file()]


def test_tiles_of_a_place_do_not_fit(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRSCLIP_CACHE", str(full))
    monkeypatch.setenv("LRSCLIP_ALLOW_PRIVATE", "1")
    (full / "ballast").write_bytes(b"x" * 256 * 1024)
    with serve_tiles() as server:
        source = open_tiles(f"place:10,10,1km@3?service={server.url}")
        with pytest.raises(TileSourceError, match=r"cannot write to .*No space left.*LRSCLIP_CACHE"):
            source.picture(source.tile_ids()[0])
    assert [path.name for path in full.rglob("*") if path.is_file()] == ["ballast"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_what_the_system_says_is_told_wherever_it_is_said(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path))
    bundle, source = lrsclip.random_model(), AtlasTiles()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    for name in ("mkdir", "write_bytes"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, refuse)
            with pytest.raises(TileSourceError, match=rf"cannot write to .*{os.strerror(code)}.*LRSCLIP_CACHE"):
                unpack(source, bundle)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(TileSourceError, match="LRSCLIP_CACHE"):
        AtlasTiles(2, 4).prepare()


def test_no_tile_loses_its_end(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At some sizes the disk fills up within the last piece of a picture."""
    monkeypatch.setenv("LRSCLIP_CACHE", str(full))
    source = AtlasTiles(2, 16)
    noise = Image.effect_noise((4 * TILE_PX, 4 * TILE_PX), 80).convert("RGB")
    monkeypatch.setattr(source, "_render_block", lambda *_: noise)
    source.folder.mkdir(parents=True)
    for ballast_kib in range(0, 64, 4):
        (full / "ballast").write_bytes(b"x" * ballast_kib * 1024)
        with pytest.raises(OSError, match="No space"):
            source.keep_block(0, 0)
        for path in source.folder.iterdir():
            with Image.open(path) as picture:
                picture.load()
            path.unlink()


def test_a_block_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path))
    source = AtlasTiles(2, 1)
    source.kept_file("r000c000").parent.mkdir(parents=True)
    real = Path.write_bytes

    def half(file: Path, content: bytes) -> None:
        real(file, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space"):
        source.keep_block(0, 0)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
