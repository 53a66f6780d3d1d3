"""The tile index: building, going on after a stop or a kill, refusing what does not fit, exact search."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import lrsclip
from lrsclip.errors import Cancelled, IndexDamagedError, IndexMismatchError, TileSourceError
from lrsclip.index import IndexArgumentError, TileIndex, build_index, default_cache_dir, parts, read_manifest
from lrsclip.index.__main__ import main
from lrsclip.index.data import IndexData, ModelMark, Row
from lrsclip.index.disk import new_manifest
from lrsclip.tiles import FolderTiles, Tile, open_source

REPOSITORY = Path(lrsclip.__file__).resolve().parent.parent


class Recorder:
    """A real model that counts the pictures it encodes and can be told to do something before each batch."""

    def __init__(self, model: lrsclip.LRSCLIP, before: Callable[[int], None] = lambda _encoded: None) -> None:
        self.model, self.before, self.encoded, self.sizes = model, before, 0, set[tuple[int, int]]()
        self.name, self.sha256 = model.name, model.sha256
        self.embed_dim, self.image_px = model.embed_dim, model.image_px

    def encode_image(self, pictures: list[Image.Image]) -> NDArray[np.float32]:
        self.before(self.encoded)
        vectors = self.model.encode_image(pictures)
        self.encoded += len(pictures)
        self.sizes |= {picture.size for picture in pictures}
        return vectors


@pytest.fixture(scope="module")
def model() -> lrsclip.LRSCLIP:
    return lrsclip.random_model()


@pytest.fixture
def recorder(model: lrsclip.LRSCLIP) -> Recorder:
    return Recorder(model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of 20 different pictures."""
    return paint(tmp_path / "tiles", range(20))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every batch becomes a part."""
    monkeypatch.setattr(parts, "PART_SECONDS", 0.0)


def paint(folder: Path, numbers: range, prefix: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48), Image.Resampling.NEAREST).save(folder / f"{prefix}{number}.png")
    return folder


def names(numbers: range) -> list[str]:
    return [f"{number}.png" for number in numbers]


def vectors_of(index: TileIndex) -> NDArray[np.float32]:
    return np.stack([index.vector(tile_id) for tile_id in index.tile_ids()])


def contents(directory: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in directory.iterdir())


# Building


def test_build_saves_every_readable_tile_once(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    (folder / "7.png").write_bytes(b"not a picture")
    source, out, seen = open_source(str(folder)), tmp_path / "index", list[tuple[int, int]]()
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
    first = build_index(open_source(str(folder)), recorder, tmp_path / "index")
    seen: list[tuple[int, int]] = []
    again = build_index(
        open_source(str(folder)), recorder, tmp_path / "index", progress=lambda done, total: seen.append((done, total))
    )
    assert (recorder.encoded, seen) == (19, [(20, 20)])
    assert again.manifest == first.manifest
    np.testing.assert_array_equal(vectors_of(again), vectors_of(first))


def test_only_new_and_changed_pictures_are_encoded(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    (folder / "7.png").write_bytes(b"not a picture")
    before = build_index(open_source(str(folder)), recorder, tmp_path / "index")
    paint(folder, range(20, 22))
    paint(folder, range(7, 8))  # mended
    (folder / "0.png").unlink()
    shutil.copy(folder / "9.png", folder / "4.png")
    os.utime(folder / "4.png", ns=(1, 1))
    recorder.encoded = 0
    after = build_index(open_source(str(folder)), recorder, tmp_path / "index")
    assert recorder.encoded == 4
    assert after.tile_ids() == names(range(1, 22))
    assert not after.manifest.skipped
    np.testing.assert_array_equal(after.vector("3.png"), before.vector("3.png"))
    np.testing.assert_allclose(after.vector("4.png"), after.vector("9.png"), atol=1e-3)
    assert contents(tmp_path / "index") == ["build.lock", "manifest.json", "tiles", "vectors"]
    assert TileIndex.load(tmp_path / "index", recorder).tile_ids() == after.tile_ids()


def test_picture_that_the_encoder_refuses_is_skipped_alone(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    Image.new("RGB", (2000, 1)).save(folder / "strip.png")
    index = build_index(open_source(str(folder)), recorder, tmp_path / "index")
    assert index.tile_ids() == names(range(20))
    assert [one.tile_id for one in index.manifest.skipped] == ["strip.png"]
    assert "strip" in index.manifest.skipped[0].reason


def test_nothing_readable_is_an_error(tmp_path: Path, recorder: Recorder) -> None:
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles" / "a.png").write_bytes(b"")
    with pytest.raises(TileSourceError, match=r"none of the 1 pictures.*a\.png"):
        build_index(open_source(str(tmp_path / "tiles")), recorder, tmp_path / "index")


def test_vectors_that_are_no_numbers_are_refused(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    recorder.encode_image = lambda pictures: np.full((len(pictures), 32), np.nan, np.float32)  # type: ignore[method-assign]
    with pytest.raises(IndexMismatchError, match="not finite"):
        build_index(open_source(str(folder)), recorder, tmp_path / "index")


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
    index = build_index(open_source(str(tmp_path / "tiles")), recorder, tmp_path / "index")
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

    source = open_source(str(folder))
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
        build_index(open_source(str(folder)), Recorder(model, out_of_memory), tmp_path / "index", batch_size=3)
    recorder = Recorder(model)
    assert len(build_index(open_source(str(folder)), recorder, tmp_path / "index")) == 20
    assert recorder.encoded == 11


@pytest.mark.usefixtures("small_parts")
def test_broken_part_is_encoded_again(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    stop = threading.Event()
    with pytest.raises(Cancelled):
        build_index(
            open_source(str(folder)),
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
    index = build_index(open_source(str(folder)), recorder, tmp_path / "index")
    assert recorder.encoded == 16
    assert index.tile_ids() == names(range(20))


def run_python(script: str, *arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


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
from lrsclip.index import build_index, parts
from lrsclip.tiles import open_source
parts.PART_SECONDS = 0.0
def progress(done, total):
    print(done, flush=True)
    time.sleep(0.2)
build_index(open_source(sys.argv[1]), lrsclip.random_model(), sys.argv[2], batch_size=2, progress=progress)
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
    resumed = build_index(open_source(str(folder)), recorder, tmp_path / "index")
    assert recorder.encoded == 20 - kept
    assert resumed.tile_ids() == names(range(20))
    straight = build_index(open_source(str(folder)), recorder, tmp_path / "straight")
    np.testing.assert_allclose(vectors_of(resumed), vectors_of(straight), atol=1e-3)


# Every write, rename and deletion of a build is once the last thing that a process does; a fork of its own then builds
# again. A fork must not use torch, so a stand-in encodes, and the package is entered without its front door.
KILL_EVERYWHERE = """
import itertools, os, shutil, signal, sys, traceback, types
from pathlib import Path
import numpy as np
sys.modules["lrsclip"] = package = types.ModuleType("lrsclip")
package.__path__ = [sys.argv[3]]
from lrsclip.index import TileIndex, build_index, parts
from lrsclip.tiles import open_source

class Colours:
    name, sha256, embed_dim, image_px = "colours", "colours", 3, 8
    def encode_image(self, pictures):
        means = np.stack([np.asarray(p, np.float32).mean((0, 1)) for p in pictures])
        return means / np.linalg.norm(means, axis=1, keepdims=True)

parts.PART_SECONDS = 0.0
folder, base, model = Path(sys.argv[1]), Path(sys.argv[2]), Colours()
fewer, more = base / "fewer", base / "more"
build_index(open_source(str(folder)), model, fewer)
for late in (base / "late").iterdir():
    late.rename(folder / late.name)
build_index(open_source(str(folder)), model, more)
(folder / "1.png").unlink()
source = open_source(str(folder))
exact = model.encode_image([source.picture(t) for t in source.tile_ids()])

def in_fork(work):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def killed_before(step, directory):
    steps = itertools.count()
    def guarded(real):
        def call(*args, **options):
            if next(steps) == step:
                if real is fsync:
                    os.ftruncate(args[0], 10)  # what was not brought to the disk may be lost
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)
        return call
    fsync = os.fsync
    for name in ("fsync", "replace", "unlink", "rmdir"):
        setattr(os, name, guarded(getattr(os, name)))
    build_index(source, model, directory, batch_size=2)

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
        status = in_fork(lambda: killed_before(step, directory))
        assert in_fork(lambda: check(directory)) == 0, directory
        shutil.rmtree(directory)
        if status == 0:
            print(step, flush=True)
            break
        assert status == -signal.SIGKILL, status
"""


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
        found.append(build_index(open_source(str(folder)), recorder, tmp_path / "index"))

    threads = [threading.Thread(target=build, args=(recorder,)) for recorder in (first, second)]
    threads[0].start()
    assert at_work.wait(10)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled, match="another build"):
        build_index(open_source(str(folder)), second, tmp_path / "index", stop=stop)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert [len(index) for index in found] == [20, 20]
    assert (first.encoded, second.encoded) == (20, 0)


# Refusing


def test_other_model_is_refused_and_both_are_named(folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP) -> None:
    build_index(open_source(str(folder)), model, tmp_path / "index")
    other = lrsclip.random_model(seed=1)
    for use in (
        lambda: TileIndex.load(tmp_path / "index", other),
        lambda: build_index(open_source(str(folder)), other, tmp_path / "index"),
        lambda: TileIndex.load(tmp_path / "index", model).add(open_source(str(folder)), other),
    ):
        with pytest.raises(IndexMismatchError, match=rf"{model.name}.*not by {other.name}.*rebuild"):
            use()
    assert len(TileIndex.load(tmp_path / "index", model)) == 20


def test_other_source_is_refused(folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP) -> None:
    build_index(open_source(str(folder)), model, tmp_path / "index")
    with pytest.raises(IndexMismatchError, match="another folder"):
        build_index(open_source(str(paint(tmp_path / "other", range(2)))), model, tmp_path / "index")


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def damage(directory: Path) -> None:
        facts = json.loads((directory / "manifest.json").read_text())
        change(facts)
        (directory / "manifest.json").write_text(json.dumps(facts))

    return damage


def _file(directory: Path, kind: str) -> Path:
    return next(directory.glob(f"{kind}-*"))


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _move_out(directory: Path) -> None:
    vectors = _file(directory, "vectors")
    vectors.rename(directory.parent / vectors.name)
    _edit(lambda facts: facts.update(vectors_file=f"../{vectors.name}"))(directory)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no manifest": lambda directory: (directory / "manifest.json").unlink(),
    "cut manifest": lambda directory: (directory / "manifest.json").write_text('{"format": "lrsclip-in'),
    "binary manifest": lambda directory: (directory / "manifest.json").write_bytes(b"\xff\x00\x80"),
    "foreign manifest": lambda directory: (directory / "manifest.json").write_text('{"name": "web app"}'),
    "manifest of a list": lambda directory: (directory / "manifest.json").write_text("[]"),
    "newer format": _edit(lambda facts: facts.update(format_version=2)),
    "field gone": _edit(lambda facts: facts.pop("vectors_sha256")),
    "field of another type": _edit(lambda facts: facts.update(count="many")),
    "other count": _edit(lambda facts: facts.update(count=19)),
    "name that leads out": lambda directory: _move_out(directory),
    "no vectors": lambda directory: _file(directory, "vectors").unlink(),
    "cut vectors": lambda directory: os.truncate(_file(directory, "vectors"), 100),
    "changed vectors": lambda directory: _flip(_file(directory, "vectors")),
    "no tiles": lambda directory: _file(directory, "tiles").unlink(),
    "cut tiles": lambda directory: os.truncate(_file(directory, "tiles"), 100),
}


@pytest.mark.parametrize("fault", DAMAGE)
def test_damage_is_seen_and_the_mend_told(folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP, fault: str) -> None:
    build_index(open_source(str(folder)), model, tmp_path / "index")
    DAMAGE[fault](tmp_path / "index")
    with pytest.raises(IndexDamagedError, match=r"build|choose another folder") as caught:
        TileIndex.load(tmp_path / "index", model)
    assert str(tmp_path / "index") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_strangers_manifest_is_not_overwritten(folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "manifest.json").write_text('{"name": "web app"}')
    index = build_index(open_source(str(folder)), model, tmp_path / "index")
    for write in (lambda: build_index(open_source(str(folder)), model, site), lambda: index.save(site)):
        with pytest.raises(IndexDamagedError, match="choose another folder"):
            write()
    assert [path.name for path in site.iterdir()] == ["manifest.json"]


def test_folder_that_cannot_be_made_is_told_in_one_line(folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(IndexDamagedError, match="cannot write the index to"):
        build_index(open_source(str(folder)), model, tmp_path / "taken" / "index")


# Searching


def index_of(vectors: NDArray[np.floating[Any]]) -> TileIndex:
    rows = tuple(Row(Tile(str(number), 1, 1), "made:up") for number in range(len(vectors)))
    data = IndexData(rows, vectors.astype(np.float16), ("made:up",), ())
    return TileIndex(data, new_manifest(data, ModelMark("made up", "0", vectors.shape[1], 8)))


def brute_force(index: TileIndex, query: NDArray[np.float32], k: int) -> list[tuple[str, float]]:
    unit = query.astype(np.float64) / np.linalg.norm(query.astype(np.float64))
    scores = [np.float32(np.sum(row.astype(np.float64) * unit).clip(-1, 1)) for row in vectors_of(index)]
    order = sorted(range(len(scores)), key=lambda number: (-scores[number], number))
    return [(str(number), float(scores[number])) for number in order[:k]]


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 150),
    dimension=st.sampled_from([1, 3, 32, 67]),
    different=st.integers(1, 40),
    queries=st.integers(1, 25),
    k=st.integers(1, 200),
    seed=st.integers(0, 2**32 - 1),
)
def test_search_is_brute_force(count: int, dimension: int, different: int, queries: int, k: int, seed: int) -> None:
    """Few different vectors, so that ties are common, and enough queries to reach FAISS's other code path."""
    rng = np.random.default_rng(seed)
    pool = rng.integers(-3, 4, (different, dimension)) + 0.5
    index = index_of(pool[rng.integers(0, different, count)] / np.sqrt(dimension) / 4)
    asked = rng.normal(size=(queries, dimension)).astype(np.float32)
    found = index.search(asked, k)
    for query, hits in zip(asked, found, strict=True):
        expected = brute_force(index, query, k)
        assert [hit.tile_id for hit in hits] == [tile_id for tile_id, _ in expected]
        np.testing.assert_allclose([hit.score_cos for hit in hits], [score for _, score in expected], atol=1e-6)
        assert [hit.rank for hit in hits] == list(range(1, min(k, count) + 1))
        assert index.search(query[None], k)[0] == hits


def test_ties_stand_in_the_order_of_the_rows() -> None:
    vectors = np.tile(np.random.default_rng(0).normal(size=64), (3000, 1))
    vectors[::2] *= -1
    hits = index_of(vectors / np.linalg.norm(vectors[0])).search(vectors[1:2], 40)[0]
    assert [hit.tile_id for hit in hits] == [str(number) for number in range(1, 80, 2)]
    assert len({hit.score_cos for hit in hits}) == 1


def test_ties_across_the_end_of_the_list_go_to_the_first_rows() -> None:
    """Long lists for many queries, where FAISS by itself takes any of the tied."""
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(27, 128))
    index = index_of((pool / np.linalg.norm(pool, axis=1, keepdims=True))[rng.integers(0, 27, 2911)])
    queries = rng.normal(size=(25, 128)).astype(np.float32)
    found = index.search(queries, 132)
    for number in (0, 24):
        assert [hit.tile_id for hit in found[number]] == [
            tile_id for tile_id, _ in brute_force(index, queries[number], 132)
        ]


def test_scores_stay_within_a_thousandth_of_full_precision() -> None:
    rng = np.random.default_rng(0)
    vectors, queries = (rng.normal(size=(number, 512)) for number in (300, 20))
    vectors[:20] = queries + 0.1 * rng.normal(size=queries.shape)  # also where cosines are high
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    exact = queries @ vectors.T
    for row, hits in zip(exact, index_of(vectors).search(queries, 300), strict=True):
        assert max(abs(hit.score_cos - row[int(hit.tile_id)]) for hit in hits) < 1e-4


def test_k_is_clamped_and_nonsense_refused() -> None:
    index = index_of(np.eye(4))
    assert len(index.search(np.ones((1, 4)), 99)[0]) == 4
    assert index.search(np.zeros((0, 4)), 3) == []
    for queries, k in (
        (np.ones((1, 4)), 0),
        (np.ones((1, 4)), -1),
        (np.zeros((1, 4)), 1),
        (np.full((1, 4), np.nan), 1),
    ):
        with pytest.raises(IndexArgumentError) as caught:
            index.search(queries, k)
        assert isinstance(caught.value, ValueError)
    for wrong in (np.ones((1, 5)), np.ones(4)):
        with pytest.raises(IndexMismatchError, match="encode them with the model"):
            index.search(wrong, 1)


def test_text_finds_tiles_and_a_tile_finds_itself(folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP) -> None:
    index = build_index(open_source(str(folder)), model, tmp_path / "index")
    assert len(index.search(model.encode_text(["a harbour", "a runway"]), 3)) == 2
    best = index.search(index.vector("5.png")[None], 2)[0][0]
    assert (best.tile_id, best.rank) == ("5.png", 1)
    assert best.score_cos == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(TileSourceError):
        index.vector("no such tile")


def test_gpu_is_used_within_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the GPU, as machines that test have none: what is asked of it, and what is not."""
    asked: list[int] = []

    class OnGpu:
        def __init__(self, on_cpu: Any) -> None:
            self.on_cpu = on_cpu

        def search(self, queries: NDArray[np.float32], k: int) -> Any:
            asked.append(k)
            return self.on_cpu.search(queries, k)

    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", lambda _resources, _device, on_cpu: OnGpu(on_cpu), raising=False)
    vectors = np.random.default_rng(0).normal(size=(3000, 8))
    index = index_of(vectors)
    assert len(index.search(vectors[:1], 5)[0]) == 5
    assert len(index.search(vectors[:1], 2500)[0]) == 2500
    assert asked
    assert max(asked) <= 2048
    asked.clear()
    monkeypatch.delattr(faiss, "get_num_gpus")  # as in some builds of faiss-cpu
    assert len(index_of(vectors).search(vectors[:1], 5)[0]) == 5
    assert not asked


# Several sources


def test_add_takes_in_another_source(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    out = tmp_path / "index"
    index = build_index(open_source(str(folder)), recorder, out)
    other = open_source(str(paint(tmp_path / "other", range(50, 53), "b")))
    index.add(other, recorder, directory=out)
    assert index.tile_ids() == [*names(range(20)), "b50.png", "b51.png", "b52.png"]
    assert index.search(index.vector("b51.png")[None], 1)[0][0].tile_id == "b51.png"
    assert index.source_spec("b51.png") == other.spec
    assert (index.manifest.count, index.manifest.source_specs[1]) == (23, other.spec)
    # Updating the first leaves the second alone, and both stay in order.
    (folder / "0.png").unlink()
    recorder.encoded = 0
    updated = build_index(open_source(str(folder)), recorder, out)
    assert updated.tile_ids() == [*names(range(1, 20)), "b50.png", "b51.png", "b52.png"]
    assert recorder.encoded == 0
    # In memory only, until saved.
    index.add(open_source(str(paint(tmp_path / "third", range(1), "c"))), recorder)
    index.save(tmp_path / "copy")
    assert TileIndex.load(tmp_path / "copy", recorder).tile_ids() == index.tile_ids()


def test_add_refuses_equal_ids_and_stays_as_it_was(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    index = build_index(open_source(str(folder)), recorder, tmp_path / "index")
    before = index.manifest
    with pytest.raises(TileSourceError, match=r"1 tile ids.*'19\.png'.*folder above both"):
        index.add(open_source(str(paint(tmp_path / "other", range(19, 25)))), recorder)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled, match="as it was"):
        index.add(open_source(str(paint(tmp_path / "b", range(3), "b"))), recorder, stop=stop)
    assert (len(index), index.manifest) == (20, before)


def test_facts_of_a_tile_survive_the_disk(folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP) -> None:
    source, outline = FolderTiles(folder), ((8.5, 47.3), (8.6, 47.3), (8.6, 47.4))
    plain = source.tile

    def tile(tile_id: str) -> Tile:
        return replace(
            plain(tile_id), ground_m=320.0, footprint_lonlat=outline, caption="Zürich\u2028", attribution="©"
        )

    source.tile = tile  # type: ignore[method-assign]
    build_index(source, model, tmp_path / "index")
    assert TileIndex.load(tmp_path / "index", model).tile("3.png") == tile("3.png")


def test_cache_folder_depends_on_source_and_model(
    folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, other = open_source(str(folder)), open_source(str(paint(tmp_path / "other", range(1))))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LRSCLIP_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    mine = default_cache_dir(source, model)
    assert mine == default_cache_dir(open_source(str(folder)), model)
    assert mine.is_relative_to(tmp_path / "xdg" / "lrsclip")
    assert len({mine, default_cache_dir(other, model), default_cache_dir(source, lrsclip.random_model(seed=1))}) == 3
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path / "own"))
    assert default_cache_dir(source, model).is_relative_to(tmp_path / "own")
    assert not mine.exists()


# From a shell


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, model: lrsclip.LRSCLIP) -> None:
    monkeypatch.setattr(lrsclip, "load", lambda _name: model)


@pytest.mark.usefixtures("shell")
def test_shell_builds_tells_and_searches(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "7.png").write_bytes(b"")
    out = str(tmp_path / "index")
    assert main(["build", str(folder), "--out", out]) == 0
    told = capsys.readouterr()
    assert "19 tiles indexed, 1 skipped" in told.out
    assert "7.png" in told.err
    assert main(["info", out]) == 0
    assert f"folder:{folder}" in capsys.readouterr().out
    assert main(["search", out, "a harbour with many boats", "-k", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert all(line.endswith(".png") for line in lines)


@pytest.mark.usefixtures("shell")
def test_shell_tells_errors_in_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", str(folder), "--out", str(tmp_path / "index")]) == 0
    capsys.readouterr()
    for wrong in (
        ["build", "no/such/folder"],
        ["build", str(folder), "--batch-size", "0"],
        ["info", str(tmp_path)],
        ["search", str(tmp_path / "index"), "boats", "-k", "0"],
        ["search", str(tmp_path / "index"), " "],
    ):
        assert main(wrong) == 2
        told = capsys.readouterr()
        assert told.out == ""
        errors = [line for line in told.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, told.err
        assert "Traceback" not in told.err


def test_ctrl_c_leaves_a_build_that_goes_on(
    folder: Path,
    tmp_path: Path,
    model: lrsclip.LRSCLIP,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def press(encoded: int) -> None:
        if encoded == 4:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(lrsclip, "load", lambda _name: Recorder(model, press))
    handler = signal.getsignal(signal.SIGINT)
    assert main(["build", str(folder), "--out", str(tmp_path / "index"), "--batch-size", "2"]) == 130
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("stopped after 6 of 20")
    assert "build again to go on" in told
    assert signal.getsignal(signal.SIGINT) is handler
    recorder = Recorder(model)
    assert len(build_index(open_source(str(folder)), recorder, tmp_path / "index")) == 20
    assert recorder.encoded == 14
