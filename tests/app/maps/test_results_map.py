"""The map of the hits: tiles at their place, a flight to the best and to a clicked one, and a frame that stays."""

from __future__ import annotations

import math
import re
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Request, expect

import lrsclip
from app.collections import AppState
from app.maps.results_map import has_places, hits_frame, hits_message
from app.search.service import first_tiles
from lrsclip.index import Area, build_index
from lrsclip.tiles import open_tiles
from tests.helpers.app_parts import find, landscape_state, make_state, running
from tests.helpers.browsing import visit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    """An app over nine rendered tiles, with random weights."""
    return landscape_state(tmp_path_factory.mktemp("atlas"), 9)


def placed(folder: Path, *places: str) -> AppState:
    """An app over one picture at each `<lon>_<lat>`."""
    (folder / "tiles").mkdir()
    for number, place in enumerate(places):
        Image.new("RGB", (64, 64), (90 * number, 90, 90)).save(folder / "tiles" / f"{place}.png")
    source, bundle = open_tiles(str(folder / "tiles")), lrsclip.random_model()
    return AppState(bundle, build_index(source, bundle, folder / "index"), source)


def test_tiles_on_both_sides_of_the_date_line_lie_beside_each_other(tmp_path: Path) -> None:
    state = placed(tmp_path, "179.9990_-16.5", "-179.9990_-16.5")
    message = hits_message(state, first_tiles(state).hits, found=False, area=Area((179.9, -17, -179.9, -16)))
    (_, west), (_, east) = message["whole"]
    assert east - west < 0.01
    places = [lon for hit in message["hits"] for _, lon in hit["corners"]]
    assert len(places) == 8
    assert west == pytest.approx(min(places))
    assert east == pytest.approx(max(places))
    assert [[round(lat, 6), round(lon, 6)] for lat, lon in message["area"]] in (
        [[-17, 179.9], [-17, 180.1], [-16, 180.1], [-16, 179.9]],
        [[-17, -180.1], [-17, -179.9], [-16, -179.9], [-16, -180.1]],
    )


def test_tiles_without_a_place_have_no_map(tmp_path: Path) -> None:
    state = make_state(tmp_path)
    assert not has_places(state)
    assert hits_message(state, first_tiles(state).hits, found=False) == {}


def test_the_map_asks_for_nothing_and_the_message_holds_the_hits(state: AppState) -> None:
    fragment = hits_frame()
    assert re.findall(r'sandbox="([^"]*)"', fragment) == ["allow-scripts"]
    assert "default-src &#39;none&#39;" in fragment  # whatever stands in it, nothing may be asked for
    found = find(state, "a church", 3)
    message = hits_message(state, found.hits, found=True)
    assert [hit["tile"] for hit in message["hits"]] == [hit.tile_id for hit in found.hits]
    (south, west), (north, east) = message["whole"]
    assert -124 < west < east < -122
    assert -50 < south < north < -48
    assert state.source.spec not in str(message)  # a folder's path is nobody's business


def test_the_map_flies_to_the_best_hit_and_to_a_clicked_one(browser: Browser, state: AppState) -> None:
    with running(state) as url, visit(browser, url, show_all=True) as page:
        view = expect_drawn(page)
        page.locator("#description textarea").fill("a pond in a meadow")
        page.locator("#search-button").click()
        ranked = [hit.tile_id for hit in find(state, "a pond in a meadow", 9).hits]
        expect(view).to_have_attribute("data-tile", ranked[0])
        page.locator("#gallery .thumbnail-item").nth(2).click()
        expect(view).to_have_attribute("data-tile", ranked[2])
        expect_drawn(page)


def expect_drawn(page: Page) -> Locator:
    """Wait until squares of the ground are drawn, with the collection's own pixels."""
    view = page.frame_locator("iframe.places-map").locator(".leaflet-container")
    square = view.locator("canvas[data-drawn=yes]").first
    expect(square).to_be_attached()
    seen = """(canvases) => canvases.some((canvas) =>
        canvas.getContext("2d").getImageData(0, 0, 256, 256).data.some((value, n) => n % 4 === 3 && value > 0))"""
    for _ in range(50):
        if view.locator("canvas[data-drawn=yes]").evaluate_all(seen):
            return view
        page.wait_for_timeout(100)
    raise AssertionError("the ground stays empty")


def test_the_frame_stays_and_a_search_sends_the_hits_alone(browser: Browser, state: AppState) -> None:
    with running(state) as url, visit(browser, url, show_all=True) as page:
        expect_drawn(page)
        handle = page.locator("iframe.places-map").element_handle()
        inside = handle.content_frame()
        assert inside is not None
        inside.evaluate("() => { window.stays = true; }")
        asked: list[Request] = []
        page.on("request", lambda request: asked.append(request))
        page.locator("#description textarea").fill("a pond in a meadow")
        page.locator("#search-button").click()
        expect(page.frame_locator("iframe.places-map").locator("[data-tile]")).to_be_attached()
        assert inside.evaluate("() => window.stays") is True
        assert not [one.url for one in asked if one.frame != page.main_frame]  # the frame asked for nothing itself


def test_squares_of_the_ground_are_served_under_a_name_that_tells_nothing(state: AppState) -> None:
    message = hits_message(state, first_tiles(state).hits, found=False)
    key, ((south, west), (north, east)) = message["ground"], message["whole"]
    with running(state) as url:
        x = int(((west + east) / 2 / 360 + 0.5) * 2**10)
        y = int((0.5 - math.asinh(math.tan(math.radians((south + north) / 2))) / (2 * math.pi)) * 2**10)
        for path in (f"10/{x}/{y}", "0/0/0"):
            answer = httpx.get(f"{url}ground/{key}/{path}.webp")
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "image/webp"
            assert "max-age" in answer.headers["cache-control"]
        assert httpx.get(f"{url}ground/{key}/10/{x}/0.webp").status_code == 204  # nothing lies there
        for path, code in (
            (f"{key}/23/0/0", 404), (f"{key}/2/4/0", 404), ("0" * 16 + "/0/0/0", 404), (f"{key}/0/0/-1", 404),
            (f"{key}/0/0/00000000", 404), (f"{key}/a/0/0", 404), (f"../{key}/0/0/0", 404),
        ):  # fmt: skip
            assert httpx.get(f"{url}ground/{path}.webp").status_code == code, path
        assert httpx.post(f"{url}ground/{key}/0/0/0.webp").status_code == 405
