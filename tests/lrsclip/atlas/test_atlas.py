"""The atlas: one landscape whatever window is asked for, and texts that say nothing false of it."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon, shape

from lrsclip.atlas.falsify import falsified
from lrsclip.atlas.geometry import box
from lrsclip.atlas.land_use import World
from lrsclip.atlas.layout import USES, Country
from lrsclip.atlas.rendering import render
from lrsclip.atlas.scenes import PX_M, write_scenes
from lrsclip.atlas.seeds import DEFAULT_SEED
from lrsclip.atlas.selection import statements
from lrsclip.atlas.statement import CLAIM_KINDS, Statement
from lrsclip.atlas.statement_check import holds
from lrsclip.atlas.truth import Thing, TileTruth, rectangle_around, truth_of
from lrsclip.calibration.land_use import LAND_USES
from lrsclip.errors import Cancelled, TileSourceError
from lrsclip.metrics.selo import region_mask
from lrsclip.models.tokenizer import Tokenizer
from lrsclip.tiles import Preparable, open_tiles
from lrsclip.tiles.atlas import AtlasTiles
from train.evaluation.localization import read_scenes

WORLD = Country(World(DEFAULT_SEED))
RSICD_SCENES = {
    "airport",
    "bare land",
    "baseball field",
    "beach",
    "center",
    "church",
    "commercial",
    "dense residential",
    "desert",
    "farmland",
    "forest",
    "industrial",
    "meadow",
    "medium residential",
    "mountain",
    "park",
    "parking",
    "playground",
    "pond",
    "port",
    "railway station",
    "resort",
    "school",
    "sparse residential",
    "square",
    "stadium",
    "storage tanks",
    "viaduct",
}


@pytest.mark.slow
def test_every_scene_class_is_in_the_default_region() -> None:
    there = {site.use for site in WORLD.sites(0, 0, 6144, 6144)}
    assert there >= RSICD_SCENES  # bridge and river are no use of land; they come with the water
    assert set(USES) >= RSICD_SCENES
    strips = (WORLD.features(0, north, 6144, north + 256) for north in range(0, 6144, 256))
    assert any(feature.kind == "bridge" for strip in strips for feature in strip)


def test_a_window_looks_the_same_alone_and_as_part_of_a_larger_one() -> None:
    large = np.asarray(render(WORLD, 1920, 1920, 192, 96)).astype(int)
    part = np.asarray(render(WORLD, 2016, 1920, 96, 96)).astype(int)
    # The sensor's noise differs, and a shadow may be cast by what lies beyond the margin.
    assert np.median(np.abs(large[:, 96:] - part)) <= 4
    assert np.abs(large[:, 96:] - part).mean() < 5


def test_another_seed_is_another_landscape() -> None:
    other = Country(World(1))
    assert [s.use for s in WORLD.sites(0, 0, 2000, 2000)] != [s.use for s in other.sites(0, 0, 2000, 2000)]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(-40, 40), st.integers(-40, 40))
def test_every_statement_holds_and_every_falsified_one_does_not(seed: int, row: int, column: int) -> None:
    truth = truth_of(Country(World(seed % 5)), column * 192, row * 192, 192)
    rng = np.random.default_rng(seed)
    told = statements(truth, rng)
    assert all(holds(statement, truth) is True for statement in told)
    for kind in CLAIM_KINDS:
        changed = falsified(told, truth, kind, rng)
        if changed is not None:
            number, statement = changed
            assert holds(statement, truth) is False
            assert statement != told[number]
            assert statement.form == told[number].form


def _square(x: float, y: float, side: float = 10) -> dict[str, object]:
    return {"type": "Polygon", "coordinates": [[[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]]}


def test_the_checker_judges_a_tile_made_by_hand() -> None:
    things = tuple(
        Thing(kind, color, "", 5.0, shape(_square(x, y)), share)
        for kind, color, x, y, share in (
            ("house", "red", 10, 10, 1.0),
            ("house", "red", 30, 12, 1.0),
            ("house", "grey", 170, 170, 1.0),
            ("church", "brown", 90, 90, 1.0),
            ("pond", "", 92, 20, 1.0),
            ("barn", "red", 182, 60, 0.4),
        )
    )
    yard = Thing("warehouse", "grey", "", 5.0, shape(_square(172, 100, 20)), 0.3)
    truth = TileTruth(192, (*things, yard), {"farmland": shape(_square(0, 0, 192))})
    expected = {
        Statement("scene", "farmland"): True,
        Statement("scene", "forest"): False,
        Statement("group", "house", 3): True,
        Statement("group", "house", 2): False,
        Statement("group", "house", 2, color="red", place="nw"): True,
        Statement("group", "house", 2, color="red", place="se"): False,
        Statement("group", "house", 2, color="grey"): False,
        Statement("group", "plane", 1): False,
        Statement("group", "barn", 1): None,  # cut by the edge: neither there nor not there
        Statement("relation", "church", relation="south", other="pond"): True,
        Statement("relation", "church", relation="north", other="pond"): False,
        Statement("relation", "church", relation="north", other="house"): None,
        Statement("part", "warehouse", color="grey", place="E"): True,
        Statement("part", "warehouse", color="red", place="E"): False,
        Statement("part", "warehouse", place="W"): False,
        Statement("most", "house", place="N"): None,  # three are too few to speak of most
        Statement("cover", "farmland", number=95): True,
        Statement("cover", "farmland", number=50): False,
        Statement("none", "road"): True,
        Statement("none", "building"): False,
        Statement("none", "water"): False,
        Statement("crossing", "road", place="c"): False,
        Statement("high", "mountain", place="c"): None,
        Statement("size", "church", number=10): True,
        Statement("size", "church", number=90): False,
    }
    assert {statement: holds(statement, truth) for statement in expected} == expected


@pytest.mark.slow
def test_descriptions_are_long_varied_and_within_what_the_model_reads() -> None:
    source = AtlasTiles(DEFAULT_SEED, 1024)
    texts = [source.described(source.told(name), name) for name in source.tile_ids()[::13]]
    tokens = [Tokenizer(248).count(text) for text in texts]
    assert max(tokens) <= 248
    assert np.median(tokens) >= 90
    assert np.mean(np.array(tokens) >= 60) > 0.75  # open sea and bare mountains have less to tell
    assert len(set(texts)) > 0.9 * len(texts)


def test_ground_truth_is_geojson() -> None:
    truth = AtlasTiles(DEFAULT_SEED, 16).truth("r001c002")
    written = json.loads(json.dumps(truth.geojson()))
    assert written["type"] == "FeatureCollection"
    assert {f["properties"].get("class", "area") for f in written["features"]} >= {"area"}
    assert all(shape(f["geometry"]).is_valid for f in written["features"])
    facts = {"class", "color", "material", "count", "length_m", "breadth_m", "bearing_deg", "height_m", "share"}
    assert all(set(f["properties"]) in (facts, {"land_use"}) for f in written["features"])


@given(st.floats(2, 90), st.floats(0.1, 0.9), st.floats(0, 179.4))
def test_a_thing_is_as_long_and_lies_as_it_was_put(length: float, share: float, bearing: float) -> None:
    east_turn = math.radians(bearing - 90)  # `box` counts from east towards south
    found = rectangle_around(Polygon(box(50, 50, length, share * length, east_turn)))
    assert found.length_m == pytest.approx(length)
    assert found.breadth_m == pytest.approx(share * length)
    assert math.sin(math.radians(found.bearing_deg - bearing)) == pytest.approx(0, abs=1e-5)


@pytest.mark.slow
def test_tiles_are_drawn_once_kept_and_the_same_without_being_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path))
    source = open_tiles("atlas:?seed=2&tiles=4")
    assert isinstance(source, AtlasTiles)
    assert isinstance(source, Preparable)
    before = np.asarray(source.picture("r001c001")).astype(int)
    texts = source.texts("r001c001")
    seen: list[tuple[int, int]] = []
    source.prepare(lambda done, total: seen.append((done, total)))
    assert seen[-1] == (4, 4)
    kept = np.asarray(source.picture("r001c001")).astype(int)
    assert source.kept_file("r001c001").is_file()
    assert np.abs(before - kept).mean() < 4  # JPEG
    assert source.texts("r001c001") == texts
    assert not list(tmp_path.rglob("*.part"))
    tile = source.tile("r001c001")
    assert tile.ground_m == 192
    assert tile.caption == texts.short
    assert tile.footprint_lonlat is not None
    longitude, latitude = tile.footprint_lonlat[0]
    assert (-125, -49.5) < (longitude, latitude) < (-122, -48)


def test_drawing_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path))
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        AtlasTiles(2, 64).prepare(stop=stop)


@pytest.mark.parametrize("spec", ["atlas", "atlas:?seed=4", "atlas:?seed=4&tiles=4096", "atlas:?px_m=0.5"])
def test_an_address_opens_the_same_tiles_again(spec: str) -> None:
    source = open_tiles(spec)
    assert source.spec == spec
    assert open_tiles(source.spec).tile_ids() == source.tile_ids()
    assert len(set(source.tile_ids())) == len(source)


@pytest.mark.parametrize("spec", ["atlas:here", "atlas:?colour=red", "atlas:?seed=x", "atlas:?tiles=0", "atlas:?seed"])
def test_a_wrong_address_says_what_is_wrong(spec: str) -> None:
    with pytest.raises(TileSourceError, match="atlas"):
        open_tiles(spec)
    with pytest.raises(TileSourceError, match="r000c000"):
        AtlasTiles(DEFAULT_SEED, 4).picture("r900c000")


@pytest.mark.slow
def test_a_million_tiles_are_listed_without_being_drawn() -> None:
    source = AtlasTiles(5, 1_000_000)
    assert len(source) == 1_000_000
    assert source.picture(source.tile_ids()[-1]).size == (192, 192)


@pytest.mark.slow
def test_scenes_are_those_that_localization_is_measured_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrsclip.atlas.scenes.SCENE_PX", 1400)
    count = write_scenes(tmp_path, count=1, seed=4)
    queries = read_scenes(tmp_path)
    assert len(queries) == count >= 3
    truth = truth_of(Country(World(4)), 0, 0, 1400 * PX_M)
    uses = {f"{LAND_USES[use][0].capitalize()}.": area for use, area in truth.areas.items()}
    for query in queries:
        mask = region_mask(query.polygons, 1400, 1400)
        assert 0 < mask.mean() < 0.25
        if query.caption in uses:
            assert mask.sum() == pytest.approx(uses[query.caption].area / PX_M**2, rel=0.35)
    with pytest.raises(TileSourceError, match="there already"):
        write_scenes(tmp_path, count=1)


@pytest.mark.slow
def test_a_count_that_fills_no_square_is_drawn_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path))
    some, whole = AtlasTiles(2, 3), AtlasTiles(2, 4)
    some.prepare()
    assert len(some.tile_ids()) == 3
    assert all(some.kept_file(name).is_file() for name in some.tile_ids())
    last = whole.tile_ids()[3]
    assert last not in some.tile_ids()
    assert whole.texts(last) == AtlasTiles(2, 16).texts(last)
    assert not whole.plan()
