"""Using an index: what it refuses, exact search, several sources, the command line."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import lrsclip
from lrsclip.errors import Cancelled, IndexDamagedError, IndexMismatchError, TileSourceError
from lrsclip.index import IndexArgumentError, TileIndex, build_index, default_cache_dir
from lrsclip.index.__main__ import main
from lrsclip.index.schema import IndexData, ModelMark, Row
from lrsclip.index.storage import new_manifest
from lrsclip.tiles import FolderTiles, Tile, open_tiles

from .helpers import Recorder, names, paint, vectors_of

# Refusing


def test_other_model_is_refused_and_both_are_named(folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP) -> None:
    build_index(open_tiles(str(folder)), model, tmp_path / "index")
    other = lrsclip.random_model(seed=1)
    for use in (
        lambda: TileIndex.load(tmp_path / "index", other),
        lambda: build_index(open_tiles(str(folder)), other, tmp_path / "index"),
        lambda: TileIndex.load(tmp_path / "index", model).add(open_tiles(str(folder)), other),
    ):
        with pytest.raises(IndexMismatchError, match=rf"{model.name}.*not by {other.name}.*rebuild"):
            use()
    assert len(TileIndex.load(tmp_path / "index", model)) == 20


def test_other_source_is_refused(folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP) -> None:
    build_index(open_tiles(str(folder)), model, tmp_path / "index")
    with pytest.raises(IndexMismatchError, match="another folder"):
        build_index(open_tiles(str(paint(tmp_path / "other", range(2)))), model, tmp_path / "index")


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
    build_index(open_tiles(str(folder)), model, tmp_path / "index")
    DAMAGE[fault](tmp_path / "index")
    with pytest.raises(IndexDamagedError, match=r"build|choose another folder") as caught:
        TileIndex.load(tmp_path / "index", model)
    assert str(tmp_path / "index") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_strangers_manifest_is_not_overwritten(folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "manifest.json").write_text('{"name": "web app"}')
    index = build_index(open_tiles(str(folder)), model, tmp_path / "index")
    for write in (lambda: build_index(open_tiles(str(folder)), model, site), lambda: index.save(site)):
        with pytest.raises(IndexDamagedError, match="choose another folder"):
            write()
    assert [path.name for path in site.iterdir()] == ["manifest.json"]


def test_folder_that_cannot_be_made_is_told_in_one_line(folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(IndexDamagedError, match="cannot write the index to"):
        build_index(open_tiles(str(folder)), model, tmp_path / "taken" / "index")


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
    index = build_index(open_tiles(str(folder)), model, tmp_path / "index")
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
    index = build_index(open_tiles(str(folder)), recorder, out)
    other = open_tiles(str(paint(tmp_path / "other", range(50, 53), "b")))
    index.add(other, recorder, directory=out)
    assert index.tile_ids() == [*names(range(20)), "b50.png", "b51.png", "b52.png"]
    assert index.search(index.vector("b51.png")[None], 1)[0][0].tile_id == "b51.png"
    assert index.source_spec("b51.png") == other.spec
    assert (index.manifest.count, index.manifest.source_specs[1]) == (23, other.spec)
    # Updating the first leaves the second alone, and both stay in order.
    (folder / "0.png").unlink()
    recorder.encoded = 0
    updated = build_index(open_tiles(str(folder)), recorder, out)
    assert updated.tile_ids() == [*names(range(1, 20)), "b50.png", "b51.png", "b52.png"]
    assert recorder.encoded == 0
    # In memory only, until saved.
    index.add(open_tiles(str(paint(tmp_path / "third", range(1), "c"))), recorder)
    index.save(tmp_path / "copy")
    assert TileIndex.load(tmp_path / "copy", recorder).tile_ids() == index.tile_ids()


def test_add_refuses_equal_ids_and_stays_as_it_was(folder: Path, tmp_path: Path, recorder: Recorder) -> None:
    index = build_index(open_tiles(str(folder)), recorder, tmp_path / "index")
    before = index.manifest
    with pytest.raises(TileSourceError, match=r"1 tile ids.*'19\.png'.*build a second index"):
        index.add(open_tiles(str(paint(tmp_path / "other", range(19, 25)))), recorder)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled, match="as it was"):
        index.add(open_tiles(str(paint(tmp_path / "b", range(3), "b"))), recorder, stop=stop)
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
    source, other = open_tiles(str(folder)), open_tiles(str(paint(tmp_path / "other", range(1))))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LRSCLIP_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    mine = default_cache_dir(source, model)
    assert mine == default_cache_dir(open_tiles(str(folder)), model)
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
    assert main(["search", out, "a harbour with many boats", "-k", "3", "--keep-duplicates"]) == 0
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
    assert len(build_index(open_tiles(str(folder)), recorder, tmp_path / "index")) == 20
    assert recorder.encoded == 14
