"""Building an index, and going on after a stop, a kill, or a change of the folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

import lrsclip
from lrsclip.errors import Cancelled, IndexDamagedError, IndexMismatchError, TileSourceError
from lrsclip.index import TileIndex, build_index, read_manifest
from lrsclip.tiles import FolderTiles, Tile, open_tiles
from tests.lrsclip.tiles.test_geotiff import write_raster

from .helpers import KILL_TOOLS, REPOSITORY, Recorder, contents, names, paint, run_python, vectors_of

pytestmark = pytest.mark.slow

# Building


def test_build_saves_every_readable_tile_once(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    (folder / "7.png").write_bytes(b"not a picture")
    source, out, seen = open_tiles(str(folder)), tmp_path / "index", list[tuple[int, int]]()
    index = build_index(source, recorder, out, batch_size=6, progress=lambda done, total: seen.append((done, total)))
    readable = [name for name in names(range(20)) if name != "7.png"]
    assert index.tile_ids() == readable
    assert index.tile("3.png") == Tile("3.png", 64, 48)
    assert seen == [(0, 20), (6, 20), (12, 20), (18, 20), (20, 20)]
    exact = recorder.model.encode_image([source.picture(name) for name in readable])
    assert np.abs(vectors_of(index) - exact).max() < 1e-3
    assert contents(out) == ["build.lock", "manifest.json", "tiles", "vectors"]

    raw = json.loads((out / "manifest.json").read_text())
    assert (raw["model_name"], raw["model_sha256"], raw["dimension"]) == (recorder.name, recorder.sha256, 32)
    assert (raw["count"], raw["source_specs"], raw["image_px"]) == (19, [source.spec], recorder.image_px)
    assert [one["tile_id"] for one in raw["skipped"]] == ["7.png"]
    assert raw["vectors_sha256"] == hashlib.sha256((out / raw["vectors_file"]).read_bytes()).hexdigest()
    assert len((out / raw["tiles_file"]).read_text().splitlines()) == 19
    assert read_manifest(out) == index.manifest == TileIndex.load(out, recorder).manifest


def test_complete_index_is_loaded_not_built(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    (folder / "7.png").write_bytes(b"not a picture")
    first = build_index(open_tiles(str(folder)), recorder, tmp_path / "index")
    seen: list[tuple[int, int]] = []
    again = build_index(
        open_tiles(str(folder)), recorder, tmp_path / "index", progress=lambda done, total: seen.append((done, total))
    )
    assert (recorder.encoded, seen) == (19, [(20, 20)])
    assert again.manifest == first.manifest
    np.testing.assert_array_equal(vectors_of(again), vectors_of(first))


def test_only_new_and_changed_pictures_are_encoded(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    (folder / "7.png").write_bytes(b"not a picture")
    before = build_index(open_tiles(str(folder)), recorder, tmp_path / "index")
    paint(folder, range(20, 22))
    paint(folder, range(7, 8))  # mended
    (folder / "0.png").unlink()
    shutil.copy(folder / "9.png", folder / "4.png")
    os.utime(folder / "4.png", ns=(1, 1))
    recorder.encoded = 0
    after = build_index(open_tiles(str(folder)), recorder, tmp_path / "index")
    assert recorder.encoded == 4
    assert after.tile_ids() == names(range(1, 22))
    assert not after.manifest.skipped
    np.testing.assert_array_equal(after.vector("3.png"), before.vector("3.png"))
    np.testing.assert_allclose(after.vector("4.png"), after.vector("9.png"), atol=1e-3)
    assert contents(tmp_path / "index") == ["build.lock", "manifest.json", "tiles", "vectors"]
    assert TileIndex.load(tmp_path / "index", recorder).tile_ids() == after.tile_ids()


def test_picture_that_the_encoder_refuses_is_skipped_alone(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    Image.new("RGB", (2000, 1)).save(folder / "strip.png")
    index = build_index(open_tiles(str(folder)), recorder, tmp_path / "index")
    assert index.tile_ids() == names(range(20))
    assert [one.tile_id for one in index.manifest.skipped] == ["strip.png"]
    assert "strip" in index.manifest.skipped[0].reason


def test_nothing_readable_is_an_error(tmp_path: Path, recorder: Recorder) -> None:
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles" / "a.png").write_bytes(b"")
    with pytest.raises(TileSourceError, match=r"none of the 1 pictures.*a\.png"):
        build_index(open_tiles(str(tmp_path / "tiles")), recorder, tmp_path / "index")


def test_vectors_that_are_no_numbers_are_refused(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    recorder.encode_image = lambda pictures: np.full((len(pictures), 32), np.nan, np.float32)  # type: ignore[method-assign]
    with pytest.raises(IndexMismatchError, match="not finite"):
        build_index(open_tiles(str(folder)), recorder, tmp_path / "index")


def test_pictures_are_read_while_the_encoder_works_but_not_without_bound(
    folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP
) -> None:
    source, seen, further = FolderTiles(folder), list[str](), threading.Event()
    read = source.picture

    def picture(tile_id: str) -> Image.Image:
        seen.append(tile_id)
        if len(seen) >= 4:
            further.set()
        return read(tile_id)

    def before(encoded: int) -> None:
        if encoded == 0:
            assert further.wait(10), "the next batch was not read while the encoder was at work"
            time.sleep(0.2)
            assert len(seen) <= 2 + 2 * 2

    source.picture = picture  # type: ignore[method-assign]
    assert len(build_index(source, Recorder(model, before), tmp_path / "index", batch_size=2)) == 20


def test_large_pictures_wait_shrunk(tmp_path: Path, recorder: Recorder) -> None:
    (tmp_path / "tiles").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (8, 9, 3), dtype=np.uint8)
    large = Image.fromarray(pixels).resize((2700, 2400))
    large.save(tmp_path / "tiles" / "a.jpg", quality=95)
    index = build_index(open_tiles(str(tmp_path / "tiles")), recorder, tmp_path / "index")
    assert recorder.sizes == {(1350, 1200)}
    assert index.tile("a.jpg") == Tile("a.jpg", 2700, 2400)
    assert index.search(recorder.model.encode_image([large]), 1)[0][0].score_cos > 0.999


# Going on


@pytest.mark.usefixtures("small_parts")
def test_stopped_build_goes_on_where_it_was(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    stop = threading.Event()

    def progress(done: int, _total: int) -> None:
        if done >= 6:
            stop.set()

    source = open_tiles(str(folder))
    with pytest.raises(Cancelled, match="after 6 of 20"):
        build_index(source, recorder, tmp_path / "index", batch_size=3, progress=progress, stop=stop)
    assert recorder.encoded == 6
    with pytest.raises(IndexDamagedError, match="unfinished; build it again"):
        TileIndex.load(tmp_path / "index", recorder)
    index = build_index(source, recorder, tmp_path / "index", batch_size=3)
    assert recorder.encoded == 20
    assert index.tile_ids() == names(range(20))
    assert contents(tmp_path / "index") == ["build.lock", "manifest.json", "tiles", "vectors"]


def test_crash_of_the_encoder_loses_no_finished_batch(folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP) -> None:
    def out_of_memory(encoded: int) -> None:
        if encoded == 9:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        build_index(open_tiles(str(folder)), Recorder(model, out_of_memory), tmp_path / "index", batch_size=3)
    recorder = Recorder(model)
    assert len(build_index(open_tiles(str(folder)), recorder, tmp_path / "index")) == 20
    assert recorder.encoded == 11


@pytest.mark.usefixtures("small_parts")
def test_broken_part_is_encoded_again(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    stop = threading.Event()
    with pytest.raises(Cancelled):
        build_index(
            open_tiles(str(folder)),
            recorder,
            tmp_path / "index",
            batch_size=4,
            progress=lambda done, _total: stop.set() if done >= 12 else None,
            stop=stop,
        )
    first, second, _third = sorted((tmp_path / "index").glob("parts-*/*.safetensors"))
    first.write_bytes(first.read_bytes()[:-5])
    second.write_bytes(b"")
    recorder.encoded = 0
    index = build_index(open_tiles(str(folder)), recorder, tmp_path / "index")
    assert recorder.encoded == 16
    assert index.tile_ids() == names(range(20))


def wait_for(process: subprocess.Popen[str], wanted: Callable[[str], bool]) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    for line in process.stdout:
        if wanted(line):
            return
    pytest.fail(process.stderr.read())


SLOW_BUILD = """
import sys, time
import lrsclip
from lrsclip.index import build_index, build_parts
from lrsclip.tiles import open_tiles
build_parts.PART_SECONDS = 0.0
def progress(done, total):
    print(done, flush=True)
    time.sleep(0.2)
build_index(open_tiles(sys.argv[1]), lrsclip.random_model(), sys.argv[2], batch_size=2, progress=progress)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_killed_build_goes_on_with_every_tile_once(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    process = run_python(SLOW_BUILD, folder, tmp_path / "index")
    wait_for(process, lambda line: int(line) >= 6)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    found = [
        safetensors.numpy.load_file(part)["vectors"] for part in (tmp_path / "index").glob("parts-*/*.safetensors")
    ]
    kept = sum(len(vectors) for vectors in found)
    assert 6 <= kept < 20
    resumed = build_index(open_tiles(str(folder)), recorder, tmp_path / "index")
    assert recorder.encoded == 20 - kept
    assert resumed.tile_ids() == names(range(20))
    straight = build_index(open_tiles(str(folder)), recorder, tmp_path / "straight")
    np.testing.assert_allclose(vectors_of(resumed), vectors_of(straight), atol=1e-3)


# Every step of a build on the disk is once its last; a fork of its own then builds again.
KILL_EVERYWHERE = (
    KILL_TOOLS
    + """
folder, base, model = Path(sys.argv[1]), Path(sys.argv[2]), Colours()
fewer, more = base / "fewer", base / "more"
build_index(open_tiles(str(folder)), model, fewer)
for late in (base / "late").iterdir():
    late.rename(folder / late.name)
build_index(open_tiles(str(folder)), model, more)
(folder / "1.png").unlink()
source = open_tiles(str(folder))
exact = model.encode_image([source.picture(t) for t in source.tile_ids()])

def check(directory):
    build_index(source, model, directory, batch_size=2)
    index = TileIndex.load(directory, model)
    assert index.tile_ids() == source.tile_ids(), index.tile_ids()
    assert np.abs(np.stack([index.vector(t) for t in index.tile_ids()]) - exact).max() < 1e-3
    assert len(list(directory.iterdir())) == 4, list(directory.iterdir())

for start in (None, fewer, more):
    for step in itertools.count():
        directory = base / f"{start and start.name}-{step}"
        if start is not None:
            shutil.copytree(start, directory)
        status = in_fork(lambda: killed_before(step, lambda: build_index(source, model, directory, batch_size=2)))
        assert in_fork(lambda: check(directory)) == 0, directory
        shutil.rmtree(directory)
        if status == 0:
            print(step, flush=True)
            break
        assert status == -signal.SIGKILL, status
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_at_every_step_of_the_disk_loses_and_doubles_nothing(tmp_path: Path) -> None:
    folder = paint(tmp_path / "tiles", range(4))
    paint(tmp_path / "late", range(4, 7))
    process = run_python(KILL_EVERYWHERE, folder, tmp_path, REPOSITORY / "lrsclip")
    printed, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    assert [int(steps) > 8 for steps in printed.split()] == [True] * 3, printed


def test_second_builder_waits_for_the_first(folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    def before(_encoded: int) -> None:
        at_work.set()
        assert go_on.wait(10)

    first, second, found = Recorder(model, before), Recorder(model), list[TileIndex]()

    def build(recorder: Recorder) -> None:
        found.append(build_index(open_tiles(str(folder)), recorder, tmp_path / "index"))

    threads = [threading.Thread(target=build, args=(recorder,)) for recorder in (first, second)]
    threads[0].start()
    assert at_work.wait(10)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled, match="another build"):
        build_index(open_tiles(str(folder)), second, tmp_path / "index", stop=stop)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert [len(index) for index in found] == [20, 20]
    assert (first.encoded, second.encoded) == (20, 0)


def test_files_that_a_source_left_out_are_listed_and_come_in_once_they_are_whole(
    tmp_path: Path, model: lrsclip.LRSCLIP
) -> None:
    recorder = Recorder(model)
    for name in "ac":
        write_raster(tmp_path / f"{name}.tif", np.random.default_rng(0).integers(1, 255, (3, 64, 64), dtype=np.uint8))
    (tmp_path / "b.tif").write_bytes(b"")
    spec, place = f"geotiff:{tmp_path}/*.tif", tmp_path / "index"
    index = build_index(open_tiles(spec), recorder, place)
    assert index.tile_ids() == ["a.tif@0,0", "c.tif@0,0"]
    assert [(one.tile_id, "b.tif" in one.reason) for one in index.manifest.skipped] == [("b.tif", True)]
    encoded = recorder.encoded
    assert build_index(open_tiles(spec), recorder, place).manifest == index.manifest
    assert recorder.encoded == encoded
    (tmp_path / "b.tif").write_bytes((tmp_path / "a.tif").read_bytes())
    assert build_index(open_tiles(spec), recorder, place).tile_ids() == ["a.tif@0,0", "b.tif@0,0", "c.tif@0,0"]
    (tmp_path / "c.tif").write_bytes(b"")
    index = build_index(open_tiles(spec), recorder, place)
    assert index.tile_ids() == ["a.tif@0,0", "b.tif@0,0"]
    assert [one.tile_id for one in index.manifest.skipped] == ["c.tif"]
