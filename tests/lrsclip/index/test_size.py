"""Searching many vectors: what is chosen from which size on, filters, near-duplicates, sources that come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import lrsclip
from lrsclip.errors import IndexDamagedError
from lrsclip.index import Area, IndexArgumentError, SearchFilter, TileIndex, build_index
from lrsclip.index import __main__ as shell
from lrsclip.index import faiss_backend as engine
from lrsclip.index import index as index_module
from lrsclip.index.faiss_backend import Engine, EngineKind, EnginePlan, plan_of
from lrsclip.index.schema import IndexData, ModelMark, Row
from lrsclip.index.storage import new_manifest
from lrsclip.tiles import Tile, open_tiles
from lrsclip.vectors import unit

from .helpers import Recorder, paint

GIGABYTE = 2**30


@pytest.mark.parametrize(
    ("count", "memory", "kind"),
    [
        (1_000, GIGABYTE, "flat"),
        (100_000, GIGABYTE, "flat"),
        (100_000, 10_000_000, "fp16"),
        (200_000, GIGABYTE, "fp16"),
        (400_000, GIGABYTE, "hnsw"),
        (400_000, GIGABYTE // 4, "ivf"),
        (1_000_000, 8 * GIGABYTE, "ivf"),
        (50_000_000, 64 * GIGABYTE, "ivf"),
    ],
)
def test_the_kind_follows_from_count_and_memory(count: int, memory: int, kind: str) -> None:
    plan = plan_of(count, 256, memory)
    assert plan.kind == kind
    if kind == "ivf":
        assert 0 < plan.probed < plan.lists < count / 30


def clustered(count: int, dimension: int, seed: int = 0) -> NDArray[np.float16]:
    """Vectors in clumps, as those of pictures are."""
    random = np.random.default_rng(seed)
    middles = random.normal(size=(40, dimension))
    vectors = middles[random.integers(40, size=count)] + 0.6 * random.normal(size=(count, dimension))
    unit_length: NDArray[np.float16] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    return unit_length


PLANS: dict[EngineKind, EnginePlan] = {
    "flat": EnginePlan("flat"),
    "fp16": EnginePlan("fp16"),
    "hnsw": EnginePlan("hnsw"),
    "ivf": EnginePlan("ivf", lists=64, probed=16),
}


@pytest.mark.parametrize("kind", PLANS)
@pytest.mark.parametrize("share", [1.0, 0.5, 0.01])
def test_every_kind_finds_the_nearest_of_those_that_may_be_found(
    kind: EngineKind, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_EXACT_ROWS", 500)
    vectors = clustered(6000, 32)
    queries = unit(clustered(40, 32, seed=0)[:40])
    allowed = np.flatnonzero(np.random.default_rng(1).random(len(vectors)) < share).astype(np.int64)
    found = Engine(vectors, PLANS[kind]).search(queries, 10, None if share == 1 else allowed)[1]
    assert set(found.ravel().tolist()) - {-1} <= set(allowed.tolist())
    scores = queries @ unit(vectors)[allowed].T
    best = allowed[np.argsort(-scores, axis=1)[:, :10]]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), best.tolist(), strict=True)])
    assert recall >= {"flat": 1.0, "fp16": 0.97, "hnsw": 0.9, "ivf": 0.85}[kind]


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_what_lies_far_from_the_query_is_found_where_nothing_else_may_be(
    kind: EngineKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_EXACT_ROWS", 100)
    monkeypatch.setattr(engine, "_CHUNK", 700)
    vectors = clustered(6000, 32)
    query = unit(vectors[:1])
    scores = (query @ unit(vectors).T)[0]
    far = np.sort(np.argsort(scores)[:1800]).astype(np.int64)
    found = Engine(vectors, PLANS[kind]).search(query, 12, far)[1][0]
    best = far[np.argsort(-scores[far])[:12]]
    assert len(set(found.tolist()) & set(best.tolist())) >= 11  # float16 may change the last one
    every = Engine(vectors, PLANS[kind]).search(query, len(vectors))[1][0]
    assert sorted(every.tolist()) == list(range(len(vectors)))


def test_an_approximate_index_is_built_once_and_a_damaged_file_built_anew(tmp_path: Path) -> None:
    vectors, kept = clustered(3000, 16), tmp_path / "search" / "x.faiss"
    first = Engine(vectors, PLANS["ivf"], kept)
    written = kept.read_bytes()
    queries = unit(vectors[:5])
    second = Engine(vectors, PLANS["ivf"], kept)
    assert np.array_equal(first.search(queries, 5)[1], second.search(queries, 5)[1])
    for damage in (b"", b"IwFl", written[: len(written) // 2]):
        kept.write_bytes(damage)
        assert np.array_equal(first.search(queries, 5)[1], Engine(vectors, PLANS["ivf"], kept).search(queries, 5)[1])
    other = clustered(2000, 16)
    assert Engine(other, PLANS["ivf"], kept).index.ntotal == 2000


def spread_out(count: int, *, specs: tuple[str, ...] = ("folder:/a", "folder:/b")) -> TileIndex:
    """An index of tiles all over the world, in turn from the sources; every tenth has no place."""
    random = np.random.default_rng(3)
    vectors = clustered(count, 16)
    places = np.column_stack([random.uniform(-180, 180, count), random.uniform(-80, 80, count)])
    rows = tuple(
        Row(
            Tile(f"t{n}", 8, 8, center_lonlat=None if n % 10 == 0 else (float(places[n, 0]), float(places[n, 1]))),
            specs[n * len(specs) // count],
        )
        for n in range(count)
    )
    data = IndexData(rows, vectors, specs, ())
    return TileIndex(data, new_manifest(data, ModelMark("m", "0" * 64, 16, 8)))


SPREAD = spread_out(400)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-180, 180), st.floats(-85, 80), st.floats(-180, 180), st.floats(0, 90), st.integers(1, 50), st.booleans()
)
def test_a_box_keeps_exactly_the_tiles_in_it(
    west: float, south: float, east: float, high: float, k: int, second: bool
) -> None:
    within = SearchFilter(Area((west, south, east, min(90.0, south + high))), ("folder:/b",) if second else None)
    query = SPREAD.vector("t7")[None]
    everything = SPREAD.search(query, 400)[0]

    def inside(tile_id: str) -> bool:
        place = SPREAD.tile(tile_id).middle_lonlat
        if place is None or (second and SPREAD.source_spec(tile_id) != "folder:/b"):
            return False
        lon, lat = place
        across = west <= lon <= east if west <= east else lon >= west or lon <= east
        return across and south <= lat <= min(90.0, south + high)

    expected = [hit.tile_id for hit in everything if inside(hit.tile_id)][:k]
    assert [hit.tile_id for hit in SPREAD.search(query, k, within=within)[0]] == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-200, 200), st.integers(-85, 85)), min_size=3, max_size=6, unique=True),
    st.integers(1, 400),
)
def test_a_polygon_keeps_exactly_the_tiles_in_it_also_across_the_date_line(
    corners: list[tuple[int, int]], k: int
) -> None:
    hull = shapely.convex_hull(shapely.MultiPoint(corners))
    assume(hull.geom_type == "Polygon" and hull.bounds[2] - hull.bounds[0] <= 360)
    places = tuple((float(x), float(y)) for x, y in hull.exterior.coords[:-1])
    query = SPREAD.vector("t7")[None]

    def inside(tile_id: str) -> bool:
        middle = SPREAD.tile(tile_id).middle_lonlat
        return middle is not None and any(
            hull.contains(shapely.Point(middle[0] + turn, middle[1])) for turn in (-360, 0, 360)
        )

    expected = [hit.tile_id for hit in SPREAD.search(query, 400)[0] if inside(hit.tile_id)][:k]
    within = SearchFilter(Area(polygon_lonlat=places))
    assert [hit.tile_id for hit in SPREAD.search(query, k, within=within)[0]] == expected


def test_a_line_that_crosses_itself_encloses_both_of_its_parts() -> None:
    bow = Area(polygon_lonlat=((0, 0), (10, 10), (10, 0), (0, 10)))
    assert bow.holds(np.array([2.0, 8.0, 5.0]), np.array([5.0, 5.0, 8.0])).tolist() == [True, True, False]
    with pytest.raises(IndexArgumentError, match="no inside"):
        Area(polygon_lonlat=((0, 0), (5, 5), (10, 10)))


@pytest.mark.parametrize("box", [(0, 10, 5, 9), (0, -91, 5, 9), (-200, 0, 0, 5), (0, 0, float("nan"), 5)])
def test_what_is_no_box_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(IndexArgumentError):
        Area(box)
    with pytest.raises(IndexArgumentError, match="it has folder:/a, folder:/b"):
        SPREAD.search(SPREAD.vector("t1")[None], 3, within=SearchFilter(source_specs=("folder:/c",)))


def test_near_duplicates_are_hidden_behind_the_best_of_them() -> None:
    random = np.random.default_rng(0)
    base = random.normal(size=(30, 64))
    copies = np.repeat(base, 8, axis=0) + 0.02 * random.normal(size=(240, 64))
    vectors = (copies / np.linalg.norm(copies, axis=1, keepdims=True)).astype(np.float16)
    rows = tuple(Row(Tile(f"t{n}", 8, 8), "folder:/a") for n in range(240))
    data = IndexData(rows, vectors, ("folder:/a",), ())
    index = TileIndex(data, new_manifest(data, ModelMark("m", "0" * 64, 64, 8)))
    query = index.vector("t17")[None]
    plain, hidden = index.search(query, 20)[0], index.search(query, 20, hide_duplicates=True)[0]
    assert {int(hit.tile_id[1:]) // 8 for hit in plain[:8]} == {2}
    assert plain[0].tile_id == hidden[0].tile_id == "t17"
    groups = [int(hit.tile_id[1:]) // 8 for hit in hidden]
    assert len(groups) == len(set(groups)) == 20
    assert len(index.search(query, 100, hide_duplicates=True)[0]) == 30


def test_sources_come_and_go(folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP, recorder: Recorder) -> None:
    other = paint(tmp_path / "more", range(50, 56), "m")
    index = build_index(open_tiles(str(folder)), model, tmp_path / "index")
    before = index.data.vectors.copy()
    index.add(open_tiles(str(other)), recorder, directory=tmp_path / "index")
    assert (len(index), recorder.encoded) == (26, 6)
    index.remove(f"folder:{other.resolve()}", directory=tmp_path / "index")
    again = TileIndex.load(tmp_path / "index", model)
    assert np.array_equal(again.data.vectors, before)
    assert again.manifest.source_specs == (f"folder:{folder.resolve()}",)
    with pytest.raises(IndexArgumentError, match="the only source"):
        again.remove(f"folder:{folder.resolve()}")
    with pytest.raises(IndexArgumentError, match="has no source"):
        again.remove("folder:/nowhere")


def test_one_command_rebuilds_what_is_damaged(
    folder: Path,
    tmp_path: Path,
    named: lrsclip.LRSCLIP,
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory = tmp_path / "index"
    build_index(open_tiles(str(folder)), named, directory)
    next(directory.glob("vectors-*")).write_bytes(b"cut")
    build = ["build", str(folder), "--out", str(directory)]
    assert shell.main(build) == 2
    assert "--rebuild" in capsys.readouterr().err
    assert shell.main([*build, "--rebuild"]) == 0
    (directory / "manifest.json").write_text("{")
    assert shell.main([*build, "--rebuild"]) == 0
    assert len(TileIndex.load(directory, named)) == 20
    stranger = tmp_path / "else"
    stranger.mkdir()
    (stranger / "manifest.json").write_text('{"name": "an extension"}')
    with pytest.raises(IndexDamagedError, match="another program's"):
        build_index(open_tiles(str(folder)), named, stranger, rebuild=True)
    assert (stranger / "manifest.json").read_text() == '{"name": "an extension"}'


def test_shell_adds_filters_and_removes(
    folder: Path,
    tmp_path: Path,
    named: lrsclip.LRSCLIP,
    capsys: pytest.CaptureFixture[str],
) -> None:
    placed, directory = tmp_path / "placed", str(tmp_path / "index")
    paint(placed, range(60, 64))
    for number in range(60, 64):
        (placed / f"{number}.png").rename(placed / f"-95.{number}_29.7.png")
    assert shell.main(["build", str(folder), "--out", directory]) == 0
    assert shell.main(["add", directory, str(placed)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("24 tiles")
    assert shell.main(["search", directory, "a field", "-k", "9", "--area", "-95.615,29,-95.605,30"]) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["-95.61_29.7.png"]
    assert (
        shell.main(
            ["search", directory, "a field", "-k", "9", "--keep-duplicates", "--source", f"folder:{placed.resolve()}"]
        )
        == 0
    )
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert shell.main(["remove", directory, str(placed)]) == 0
    assert capsys.readouterr().out.startswith("20 tiles")


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_an_approximate_search_gives_as_many_hits_as_there_are(
    kind: EngineKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far from the query, and of a source too large to be searched one by one."""
    monkeypatch.setattr(engine, "_EXACT_ROWS", 100)
    monkeypatch.setattr(index_module, "plan_of", lambda _count, _dimension: PLANS[kind])
    vectors = clustered(6000, 32)
    query = unit(vectors[:1])
    scores = (query @ unit(vectors).T)[0]
    far = set(np.argsort(scores)[:1800].tolist())
    rows = tuple(Row(Tile(f"t{n}", 8, 8), "folder:/far" if n in far else "folder:/near") for n in range(6000))
    data = IndexData(rows, vectors, ("folder:/near", "folder:/far"), ())
    index = TileIndex(data, new_manifest(data, ModelMark("m", "0" * 64, 32, 8)))
    within = SearchFilter(source_specs=("folder:/far",))
    for k in (12, 1800):
        hits = index.search(query, k, within=within)[0]
        assert len(hits) == k
        assert {index.source_spec(hit.tile_id) for hit in hits} == {"folder:/far"}
    best = max(far, key=lambda number: float(scores[number]))
    assert index.search(query, 1, within=within)[0][0].score_cos == pytest.approx(float(scores[best]), abs=1e-6)
    assert len(index.search(query, 6000)[0]) == 6000


@pytest.mark.parametrize("hide_duplicates", [False, True])
def test_many_equal_tiles_are_looked_at_in_one_pass(hide_duplicates: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = clustered(9000, 32)
    vectors[1000:8000] = vectors[1000]
    rows = tuple(Row(Tile(str(n), 8, 8), "folder:/a") for n in range(9000))
    data = IndexData(rows, vectors, ("folder:/a",), ())
    index = TileIndex(data, new_manifest(data, ModelMark("m", "0" * 64, 32, 8)))
    asked: list[int] = []
    search = Engine.search

    def counted(self: Engine, queries: NDArray[np.float32], k: int, among: NDArray[np.int64] | None = None) -> Any:
        asked.append(k)
        return search(self, queries, k, among)

    monkeypatch.setattr(Engine, "search", counted)
    query = unit(vectors[1000:1001])
    hits = index.search(query, 5, hide_duplicates=hide_duplicates)[0]
    assert max(asked) < 1000
    if hide_duplicates:
        order = np.argsort(-(query @ unit(vectors).T)[0], kind="stable")
        others = [str(number) for number in order if not 1000 <= number < 8000]
        assert [hit.tile_id for hit in hits] == ["1000", *others[:4]]
    else:
        assert [hit.tile_id for hit in hits] == ["1000", "1001", "1002", "1003", "1004"]


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "search").write_text("a file where the folder should be")
    vectors = clustered(3000, 16)
    made = Engine(vectors, PLANS["ivf"], tmp_path / "search" / "x.faiss")
    assert made.search(unit(vectors[:1]), 1)[1].tolist() == [[0]]
    assert "free space or allow writing" in caplog.text


def test_a_kept_file_that_was_changed_is_not_believed(tmp_path: Path) -> None:
    vectors, kept = clustered(3000, 16), tmp_path / "x.faiss"
    Engine(vectors, PLANS["ivf"], kept)
    forged = Engine(vectors[::-1].copy(), PLANS["ivf"], tmp_path / "y.faiss")
    kept.write_bytes((tmp_path / "y.faiss").read_bytes())
    assert forged.search(unit(vectors[:1]), 1)[1].tolist() == [[2999]]
    assert Engine(vectors, PLANS["ivf"], kept).search(unit(vectors[:1]), 1)[1].tolist() == [[0]]


def test_a_kept_file_goes_with_the_state_it_is_of(
    folder: Path, tmp_path: Path, model: lrsclip.LRSCLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(index_module, "plan_of", lambda _count, _dimension: EnginePlan("hnsw"))
    index = build_index(open_tiles(str(folder)), model, tmp_path / "index")

    def kept() -> set[str]:
        return {path.name.split("-")[0] for path in (tmp_path / "cache" / "search").iterdir()}

    assert kept() == {index.manifest.vectors_sha256}
    index.add(open_tiles(str(paint(tmp_path / "more", range(50, 52), "m"))), model, directory=tmp_path / "index")
    assert kept() == {index.manifest.vectors_sha256}
    paint(folder, range(20, 21))
    index = build_index(open_tiles(str(folder)), model, tmp_path / "index")
    assert kept() == {index.manifest.vectors_sha256}
