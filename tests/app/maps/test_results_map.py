"""The map of the hits: tiles at their place, a flight to the best and to the one that is clicked."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

import lrsclip
from app.collections import AppState
from app.maps.results_map import box_of, has_places, hits_document, hits_frame, mosaic_of
from app.search.service import first_tiles
from lrsclip.index import build_index
from lrsclip.tiles import Tile, open_tiles
from tests.helpers.app_parts import find, landscape_state, make_state, running
from tests.helpers.browsing import visit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    """An app over nine rendered tiles, with random weights."""
    return landscape_state(tmp_path_factory.mktemp("atlas"), 9)


def test_a_tile_has_a_box_where_its_place_is_known() -> None:
    outline = ((10.0, 5.0), (11.0, 5.0), (11.0, 4.0), (10.0, 4.0))
    assert box_of(Tile("a", 8, 8, footprint_lonlat=outline)) == (10.0, 4.0, 11.0, 5.0)
    west, south, east, north = box_of(Tile("a", 8, 8, center_lonlat=(10.0, 60.0))) or (0, 0, 0, 0)
    assert (west + east) / 2 == pytest.approx(10)
    assert (east - west) / 2 == pytest.approx(north - south, rel=0.01)  # a degree of longitude is half as long at 60 N
    assert box_of(Tile("a", 8, 8)) is None


@pytest.mark.parametrize("first", [179.9, -179.9])
def test_a_tile_on_the_date_line_is_not_as_wide_as_the_world(first: float) -> None:
    outline = ((first, 5.0), (-first, 5.0), (-first, 4.0), (first, 4.0))
    west, south, east, north = box_of(Tile("a", 8, 8, footprint_lonlat=outline)) or (0, 0, 0, 0)
    assert (south, north) == (4.0, 5.0)
    assert (west, east) == (pytest.approx(first - 0.1 - math.copysign(0.1, -first)), pytest.approx(west + 0.2))  # type: ignore[comparison-overlap]


def placed(folder: Path, *places: str) -> AppState:
    """An app over one picture at each `<lon>_<lat>`."""
    (folder / "tiles").mkdir()
    for number, place in enumerate(places):
        Image.new("RGB", (64, 64), (90 * number, 90, 90)).save(folder / "tiles" / f"{place}.png")
    source, bundle = open_tiles(str(folder / "tiles")), lrsclip.random_model()
    return AppState(bundle, build_index(source, bundle, folder / "index"), source)


def test_tiles_on_both_sides_of_the_date_line_lie_beside_each_other(tmp_path: Path) -> None:
    state = placed(tmp_path, "179.9990_-16.5", "-179.9990_-16.5")
    west, _, east, _ = mosaic_of(state).box
    assert east - west < 0.01
    bounds = re.findall(
        r'"bounds": \[\[[-\d.]+, ([-\d.]+)\], \[[-\d.]+, ([-\d.]+)\]\]',
        hits_document(state, first_tiles(state).hits, found=False),
    )
    assert len(bounds) == 2
    assert all(west <= float(a) < float(b) <= east for a, b in bounds)


def test_tiles_without_a_place_have_no_map(tmp_path: Path) -> None:
    state = make_state(tmp_path)
    assert not has_places(state)
    assert hits_frame(state, first_tiles(state).hits, found=False) == ""


def test_the_map_holds_the_hits_and_asks_for_nothing(state: AppState) -> None:
    found = find(state, "a church", 3)
    fragment = hits_frame(state, found.hits, found=True)
    assert re.findall(r'sandbox="([^"]*)"', fragment) == ["allow-scripts"]
    for hit in found.hits:
        assert hit.tile_id in fragment
    west, south, east, north = mosaic_of(state).box
    assert -124 < west < east < -122
    assert -50 < south < north < -48
    assert "default-src &#39;none&#39;" in fragment  # whatever stands in it, nothing may be asked for


def test_the_map_flies_to_the_best_hit_and_to_a_clicked_one(browser: Browser, state: AppState) -> None:
    with running(state) as url, visit(browser, url, show_all=True) as page:
        view = page.frame_locator("iframe.places-map").locator(".leaflet-container")
        expect(view.locator("img.leaflet-image-layer").first).to_be_visible()
        page.locator("#description textarea").fill("a pond in a meadow")
        page.locator("#search-button").click()
        ranked = [hit.tile_id for hit in find(state, "a pond in a meadow", 9).hits]
        expect(view).to_have_attribute("data-tile", ranked[0])
        page.locator("#gallery .thumbnail-item").nth(2).click()
        expect(view).to_have_attribute("data-tile", ranked[2])


def test_a_ground_too_coarse_to_be_looked_at_closely_gives_way(browser: Browser, tmp_path: Path) -> None:
    with running(placed(tmp_path, "-95.1_29.5", "-80.2_40.3")) as url, visit(browser, url) as page:
        ground = page.frame_locator("iframe.places-map").locator("img[alt='all tiles']")
        expect(ground).to_have_css("opacity", "1")
        page.locator("#description textarea").fill("a pond")
        page.locator("#search-button").click()
        expect(ground).to_have_css("opacity", "0")
