"""An index that several processes read and change, or that is rebuilt: nothing is lost, nothing half done is seen."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from PIL import Image

import lrsclip
from lrsclip.errors import Cancelled, IndexDamagedError, IndexMismatchError, PictureError, UnknownModelError
from lrsclip.index import TileIndex, build_index, read_manifest
from lrsclip.index import __main__ as shell
from lrsclip.index import index as index_module
from lrsclip.index import storage as disk
from lrsclip.index.build_parts import directory_lock
from lrsclip.tiles import FolderTiles, Tile, TileSource, open_tiles

from .helpers import KILL_TOOLS, REPOSITORY, Recorder, contents, names, paint, run_python

pytestmark = pytest.mark.slow


class Flaky:
    """A source that cannot tell the state of its pictures, some of which are out of reach for now.

    Args:
        folder: where the pictures are.
        lost: which are out of reach.
    """

    def __init__(self, folder: Path, lost: set[str]) -> None:
        self._real, self.lost = FolderTiles(folder), lost
        self.spec = f"flaky:{folder}"

    def __len__(self) -> int:
        return len(self._real)

    def tile_ids(self) -> list[str]:
        return self._real.tile_ids()

    def tile(self, tile_id: str) -> Tile:
        return self._real.tile(tile_id)

    def picture(self, tile_id: str) -> Image.Image:
        if tile_id in self.lost:
            raise PictureError(f"{tile_id} did not come; try again")
        return self._real.picture(tile_id)


def more(tmp_path: Path, letter: str) -> TileSource:
    return open_tiles(str(paint(tmp_path / letter, range(50, 53), letter)))


# Changing


def test_two_that_change_one_index_keep_each_others_tiles(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    out = tmp_path / "index"
    build_index(open_tiles(str(folder)), recorder, out)
    one, other = TileIndex.load(out, recorder), TileIndex.load(out, recorder)
    a, b = more(tmp_path, "a"), more(tmp_path, "b")
    one.add(a, recorder, directory=out)
    other.add(b, recorder, directory=out)
    everything = [*names(range(20)), *a.tile_ids(), *b.tile_ids()]
    assert other.tile_ids() == TileIndex.load(out, recorder).tile_ids() == everything
    one.remove(a.spec, directory=out)
    assert one.tile_ids() == TileIndex.load(out, recorder).tile_ids() == [*names(range(20)), *b.tile_ids()]
    # Nothing new for the folder, but for the one that does not know yet.
    other.add(b, recorder, directory=out)
    assert other.tile_ids() == one.tile_ids()
    assert contents(out) == ["build.lock", "manifest.json", "tiles", "vectors"]


def test_changes_in_memory_are_not_lost_in_silence(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    out = tmp_path / "index"
    index = build_index(open_tiles(str(folder)), recorder, out)
    index.add(more(tmp_path, "a"), recorder)
    index.add(more(tmp_path, "b"), recorder, directory=out)  # the folder is as it was: both are saved
    assert len(TileIndex.load(out, recorder)) == len(index) == 26
    index.add(more(tmp_path, "c"), recorder)
    TileIndex.load(out, recorder).remove(more(tmp_path, "a").spec, directory=out)
    with pytest.raises(IndexMismatchError, match="load it again"):
        index.add(more(tmp_path, "d"), recorder, directory=out)
    assert (len(TileIndex.load(out, recorder)), len(index)) == (23, 29)


def test_a_change_that_cannot_be_saved_is_none(
    folder: Path, tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = build_index(open_tiles(str(folder)), recorder, tmp_path / "index")
    index.add(more(tmp_path, "a"), recorder, directory=tmp_path / "index")

    def full(*_args: object) -> None:
        raise IndexDamagedError("the disk is full")

    monkeypatch.setattr(index_module, "write_index", full)
    with pytest.raises(IndexDamagedError, match="full"):
        index.add(more(tmp_path, "b"), recorder, directory=tmp_path / "index")
    assert len(index) == index.manifest.count == 23
    with pytest.raises(IndexDamagedError, match="full"):
        index.remove(more(tmp_path, "a").spec, directory=tmp_path / "index")
    assert len(index) == index.manifest.count == 23


def test_saving_waits_for_who_holds_the_folder(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    index = build_index(open_tiles(str(folder)), recorder, tmp_path / "index")
    saving = threading.Thread(target=index.save, args=(tmp_path / "copy",))
    with directory_lock(tmp_path / "copy", None):
        saving.start()
        saving.join(0.5)
        assert saving.is_alive()
        assert contents(tmp_path / "copy") == ["build.lock"]
    saving.join(10)
    assert len(TileIndex.load(tmp_path / "copy", recorder)) == 20


# Every step of an `add` on the disk is once its last; a fork of its own then looks at what is there, and adds again.
KILL_ADD = (
    KILL_TOOLS
    + """
base, model = Path(sys.argv[2]), Colours()
first, second = open_tiles(sys.argv[1]), open_tiles(str(base / "late"))
build_index(first, model, base / "before")

def add(directory):
    TileIndex.load(directory, model).add(second, model, directory=directory, batch_size=2)

def check(directory):
    found = TileIndex.load(directory, model).tile_ids()
    everything = first.tile_ids() + second.tile_ids()
    assert found in (first.tile_ids(), everything), found
    add(directory)
    index = TileIndex.load(directory, model)
    assert index.tile_ids() == everything, index.tile_ids()
    exact = model.encode_image([s.picture(t) for s in (first, second) for t in s.tile_ids()])
    assert np.abs(np.stack([index.vector(t) for t in everything]) - exact).max() < 1e-3
    assert build_index(first, model, directory).tile_ids() == everything
    assert len(list(directory.iterdir())) == 4, list(directory.iterdir())

for step in itertools.count():
    directory = base / f"add-{step}"
    shutil.copytree(base / "before", directory)
    status = in_fork(lambda: killed_before(step, lambda: add(directory)))
    assert in_fork(lambda: check(directory)) == 0, directory
    if status == 0:
        print(step, flush=True)
        break
    assert status == -signal.SIGKILL, status
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_at_every_step_of_an_add_leaves_a_sound_index(tmp_path: Path) -> None:
    folder = paint(tmp_path / "tiles", range(4))
    paint(tmp_path / "late", range(4, 7))
    process = run_python(KILL_ADD, folder, tmp_path, REPOSITORY / "lrsclip")
    printed, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    assert int(printed) > 8


# Reading


def test_a_reader_beside_a_writer_sees_a_whole_index(
    folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "index"
    build_index(open_tiles(str(folder)), model, out)
    read, writes = disk.read_manifest, iter(range(20, 23))

    def overtaken(directory: Path) -> object:
        manifest = read(directory)
        if (number := next(writes, None)) is not None:
            monkeypatch.setattr(disk, "read_manifest", read)
            build_index(open_tiles(str(paint(folder, range(number, number + 1)))), model, out)
            monkeypatch.setattr(disk, "read_manifest", overtaken)
        return manifest

    monkeypatch.setattr(disk, "read_manifest", overtaken)
    assert len(TileIndex.load(out, model)) == 23
    monkeypatch.setattr(disk, "read_manifest", read)
    next(out.glob("vectors-*")).unlink()
    with pytest.raises(IndexDamagedError, match="is damaged"):
        TileIndex.load(out, model)


def test_pictures_whose_state_is_not_known_are_tried_again(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    source = Flaky(folder, {"3.png", "4.png"})
    assert len(build_index(source, recorder, tmp_path / "index")) == 18
    source.lost = {"4.png"}
    index = build_index(source, recorder, tmp_path / "index")
    assert (len(index), [one.tile_id for one in index.manifest.skipped]) == (19, ["4.png"])
    before = index.manifest
    assert build_index(source, recorder, tmp_path / "index").manifest == before  # tried in vain, and nothing written
    assert recorder.encoded == 19


# Rebuilding


def test_the_old_index_counts_until_its_rebuild_works(
    folder: Path, tmp_path: Path, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    out, source, added = tmp_path / "index", open_tiles(str(folder)), more(tmp_path, "a")
    build_index(source, recorder, out).add(added, recorder, directory=out)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled, match="the index is as it was"):
        build_index(source, recorder, out, rebuild=True, stop=stop)
    assert len(TileIndex.load(out, recorder)) == 23
    assert not caplog.text
    recorder.encoded = 0
    assert build_index(source, recorder, out, rebuild=True).tile_ids() == names(range(20))
    assert recorder.encoded == 20
    assert f"python -m lrsclip.index add {out} {added.spec}" in caplog.text
    assert contents(out) == ["build.lock", "manifest.json", "tiles", "vectors"]


@pytest.mark.parametrize("lost", [["vectors"], ["vectors", "tiles"]])
def test_a_cut_manifest_is_rebuilt_whatever_else_is_gone(
    folder: Path, tmp_path: Path, recorder: Recorder, lost: list[str]
) -> None:
    out = tmp_path / "index"
    build_index(open_tiles(str(folder)), recorder, out)
    (out / "manifest.json").write_text('{"format": "lrsclip-in')
    for kind in lost:
        next(out.glob(f"{kind}-*")).unlink()
    with pytest.raises(IndexDamagedError) as caught:
        TileIndex.load(out, recorder)
    assert f"`python -m lrsclip.index build SPEC --out {out} --rebuild`" in str(caught.value)
    assert len(build_index(open_tiles(str(folder)), recorder, out, rebuild=True)) == 20
    assert len(TileIndex.load(out, recorder)) == 20


def test_an_index_of_another_model_names_the_command_that_rebuilds_it(
    folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP
) -> None:
    out = tmp_path / "index"
    build_index(open_tiles(str(folder)), model, out)
    with pytest.raises(IndexMismatchError) as caught:
        TileIndex.load(out, lrsclip.random_model(seed=1))
    assert f"`python -m lrsclip.index build SPEC --out {out} --rebuild`" in str(caught.value)
    assert "--checkpoint" in str(caught.value)


def test_a_strangers_folder_gets_no_lock_of_ours(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "manifest.json").write_text("no JSON")
    for _ in range(2):  # a lock left by the first attempt would make the second one take the folder for an index
        with pytest.raises(IndexDamagedError, match="another program's"):
            build_index(open_tiles(str(folder)), recorder, tmp_path / "site", rebuild=True)
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["manifest.json"]


# From a shell


def test_shell_asks_for_the_checkpoint_that_has_no_known_name(
    folder: Path,
    tmp_path: Path,
    model: lrsclip.LRSCLIP,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = str(tmp_path / "index")
    build_index(open_tiles(str(folder)), model, out)
    for command in (["search", out, "boats"], ["add", out, str(folder)], ["remove", out, str(folder)]):
        assert shell.main(command) == 2
        assert "--checkpoint" in capsys.readouterr().err

    def load(name: str) -> lrsclip.LRSCLIP:
        if name != "mine":
            raise UnknownModelError(f"no model {name}")
        return model

    monkeypatch.setattr(lrsclip, "load", load)
    assert shell.main(["search", out, "boats", "--checkpoint", "mine", "-k", "1"]) == 0


def test_shell_takes_a_source_as_it_was_typed(
    folder: Path,
    tmp_path: Path,
    named: lrsclip.LRSCLIP,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    build_index(open_tiles(str(folder)), named, "index").add(more(tmp_path, "a"), named, directory="index")
    assert shell.main(["search", "index", "boats", "--source", "a", "-k", "9", "--keep-duplicates"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert json.loads((tmp_path / "index" / "manifest.json").read_text())["count"] == read_manifest(Path("index")).count
