"""The Places tab in a real browser: look a place up, open it, search it; and what strangers may not open."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser, expect

import lrsclip.io.safe_fetch as web
from app.collections import AppState, Collections
from app.places.choose import understood
from app.places.page import _on_the_map
from app.places.service import PRESETS, look_up, open_collection
from lrsclip.errors import TileSourceError
from lrsclip.tiles import TileSource, open_tiles
from tests.helpers.app_parts import make_state, running
from tests.helpers.browsing import needs_chromium, visit
from tests.helpers.tile_server import TileServer, serve_tiles

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    return make_state(tmp_path_factory.mktemp("places"))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TileServer]:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path))
    monkeypatch.setenv(web.ALLOW_PRIVATE, "1")
    with serve_tiles() as told:
        yield told


@needs_chromium
def test_a_visitor_opens_a_place_and_searches_it(browser: Browser, state: AppState, server: TileServer) -> None:
    with running(state) as url, visit(browser, url, "Places", show_all=True) as page:
        assert "folder:" not in page.content(), "strangers need not know where the server keeps its files"
        page.locator("#places-address input, #places-address textarea").fill(
            f"place:37.76,-122.505,1km@16?service={server.url}"
        )
        expect(page.locator("#places-open")).to_be_disabled()
        page.locator("#places-look").click()
        expect(page.locator("#places-plan")).to_contain_text("will download 25 tiles")
        assert not server.asked
        page.locator("#places-open").click()
        expect(page.locator("#places-plan")).to_contain_text("searched from now on", timeout=60_000)
        expect(page.locator(".chips")).to_contain_text("25")
        page.get_by_role("tab", name="Search").click()
        page.locator("#description textarea").fill("a blue sea")
        page.locator("#search-button").click()
        expect(page.locator(".summary")).to_contain_text("12 of 25 tiles")
        page.locator("#gallery button").first.click()
        expect(page.locator("#facts")).to_contain_text("483 m a side")
        page.get_by_role("tab", name="Localize").click()
        page.locator("#scene-strip button").nth(2).click()
        expect(page.locator("#scene img")).to_be_visible()
        page.get_by_role("tab", name="Places").click()
        page.get_by_text("the tiles of this page").click()
        expect(page.locator(".chips")).to_contain_text(f"{len(state.index)}")


@needs_chromium
def test_a_visitor_stops_and_goes_on(browser: Browser, state: AppState, server: TileServer) -> None:
    with running(state) as url, visit(browser, url, "Places", show_all=True) as page:
        page.locator("#places-address input, #places-address textarea").fill(
            f"place:37.76,-122.505,2km@16?service={server.url}"
        )
        page.locator("#places-look").click()
        expect(page.locator("#places-open")).to_be_enabled()
        page.locator("#places-open").click()
        expect(page.locator("#places-plan")).to_contain_text("Loading tiles")
        page.locator("#places-stop").click()
        expect(page.get_by_text(re.compile("stopped", re.IGNORECASE))).to_be_visible()
        fetched = sum(server.asked.values())
        assert 0 < fetched < 81
        page.locator("#places-address input, #places-address textarea").fill("place:nowhere")
        page.locator("#places-look").click()
        expect(page.get_by_text("is no place")).to_be_visible()


@needs_chromium
def test_a_place_is_chosen_by_name_by_numbers_and_on_the_map(browser: Browser, state: AppState) -> None:
    with running(state) as url, visit(browser, url, "Places") as page:
        squares = page.frame_locator("iframe.place-map").locator("canvas[data-drawn]")
        expect(squares.first).to_be_visible()  # at once, and not only once the map is moved
        where = page.locator("#places-where textarea, #places-where input")
        address = page.locator("#places-address textarea, #places-address input")
        where.fill("Paris")
        where.press("Enter")
        expect(page.locator("#places-targets label")).to_have_count(3)
        expect(address).to_have_value(re.compile(r"^place:box=2\.3\d+,48\.8.*@17\?service=Esri\.WorldImagery$"))
        page.get_by_text("Paris, TX, United States").click()
        expect(address).to_have_value(re.compile(r"^place:box=-95\.\d+,33\.6[^?]*@17$"))
        expect(page.locator("#places-plan")).to_contain_text("will download")
        where.fill("29°44'N 95°16'W")
        where.press("Enter")
        expect(address).to_have_value(re.compile(r"^place:box=-95\.\d+,29\.7"))
        expect(page.locator("#places-targets")).to_have_count(0)
        where.fill("Nowhereville by the sea")
        where.press("Enter")
        expect(page.get_by_text("No city, coordinates or map link in")).to_be_visible()
        page.locator("#place-0").click()
        expect(where).to_have_value("37.760, -122.505")
        expect(page.locator("#places-open")).to_be_enabled()
        view = page.frame_locator("iframe.place-map").locator(".leaflet-container")
        expect(view.locator("path").first).to_be_attached()
        page.wait_for_timeout(1200)  # the flight
        before = address.input_value()
        box = page.locator("iframe.place-map").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.5 * box["height"])
        expect(address).not_to_have_value(before)
        expect(where).to_have_value(re.compile(r"^37\.\d{3,5}, -122\.\d{3,5}$"))
        before = address.input_value()
        page.frame_locator("iframe.place-map").get_by_role("button", name="Draw a box").click()
        for share, act in ((0.45, page.mouse.down), (0.5, None), (0.55, page.mouse.up)):
            page.mouse.move(box["x"] + share * box["width"], box["y"] + share * box["height"])
            if act:
                act()
        expect(address).not_to_have_value(before)
        drawn = address.input_value()
        page.wait_for_timeout(1000)  # nothing comes after it
        assert address.input_value() == drawn
        expect(page.get_by_label("Half the side, km").first).not_to_have_value("0.8")


def test_what_stands_for_a_place_in_the_address_box_is_understood(state: AppState) -> None:
    collections = Collections(state, untrusted=True)
    plan = look_up(collections, "48.8566, 2.3522")
    assert plan.source.spec.endswith("?service=Esri.WorldImagery")
    assert not plan.note
    assert look_up(collections, "Houston").source.spec.startswith("place:box=-95.")
    assert "United States alone" in look_up(collections, "place:48.8566,2.3522,1km@17").note
    with pytest.raises(TileSourceError):
        look_up(collections, "Nowhereville")


@given(st.text(max_size=60))
def test_whatever_comes_from_the_map_is_a_place_or_refused(said: str) -> None:
    with suppress(TileSourceError):
        latitude, longitude, half_km = _on_the_map(said, 1.0)
        assert abs(latitude) <= 85 and abs(longitude) <= 180 and 0 < half_km <= 5


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        "[1]",
        "[1, 2, 3]",
        "[91, 0]",
        "[0, 181]",
        "[NaN, 0]",
        '["a", 1]',
        "[1e400, 0]",
        "{}",
        "[1e308, 0, 1e308, 0]",
        "[-1e308, 1e308, 1e308, 1e308]",
    ],
)
def test_no_place_is_refused_in_words(said: str) -> None:
    with pytest.raises(TileSourceError, match=r"click again|draw it again"):
        _on_the_map(said, 1.0)


@given(st.lists(st.floats() | st.sampled_from([1e308, -1e308, 85.0, 180.0]), min_size=2, max_size=4))
def test_no_numbers_from_the_map_are_a_place_off_the_earth(numbers: list[float]) -> None:
    with suppress(TileSourceError):
        latitude, longitude, half_km = _on_the_map(json.dumps(numbers), 1.0)
        assert abs(latitude) <= 85 and abs(longitude) <= 180 and 0 < half_km <= 5


def test_a_box_becomes_a_place_with_a_size_that_is_offered() -> None:
    assert _on_the_map("[-95.28, 29.72, -95.26, 29.74]", 1.0) == pytest.approx((29.73, -95.27, 1.1), abs=0.06)
    assert _on_the_map("[-180, -80, 180, 80]", 1.0)[2] == 5.0


@pytest.mark.parametrize(
    "spec",
    [
        "/etc",
        "folder:/etc",
        "geotiff:/data/*.tif",
        "~/pictures",
        "atlas:?seed=1&tiles=4000000",
        "place:37.76,-122.45,2km@17?limit=999999",
        "place:37.76,-122.45,2km@17?per_second=50",
        "place:37.76,-122.45,400km@17",
    ],
)
def test_strangers_open_no_files_and_nothing_endless(state: AppState, spec: str) -> None:
    with pytest.raises(TileSourceError):
        look_up(Collections(state, untrusted=True), spec)


def test_collections_are_closed_in_turn_but_never_the_first(state: AppState, tmp_path: Path) -> None:
    collections, folder = Collections(state), state.source.spec
    others = []
    for number in range(8):
        source = open_tiles(folder)
        source.root = tmp_path / str(number)  # type: ignore[attr-defined]
        others.append(AppState(state.bundle, state.index, source))
        collections.add(others[-1])
    assert collections.of(folder) is collections.of("") is state
    assert collections.of(others[-1].source.spec) is others[-1]
    with pytest.raises(TileSourceError, match="open it again under Places"):
        collections.of(others[0].source.spec)


def test_one_visitor_closes_no_collection_of_another(state: AppState) -> None:
    collections = Collections(state, untrusted=True)
    sources = [SimpleNamespace(spec=f"atlas:?seed={n}&tiles=1") for n in range(20)]
    others = [dataclasses.replace(state, source=cast(TileSource, source)) for source in sources]
    collections.add(others[0], "other")
    for one in others[1:]:
        collections.add(one, "many")
    assert collections.of(others[0].source.spec) is others[0] and collections.of(others[-1].source.spec) is others[-1]
    collections.add(others[0], "many")  # the same tiles: they are both of theirs now
    for one in others[1:]:
        collections.add(one, "many")
    assert collections.of(others[0].source.spec) is others[0]


def test_suggestions_can_be_looked_up(state: AppState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path))
    for preset in PRESETS:
        spec = understood(preset.where, half_km=preset.half_km, zoom=preset.zoom)
        plan = look_up(Collections(state, untrusted=True), spec)
        assert 20 < len(plan.source) <= 1024, preset
        assert not plan.note
        assert plan.work
        assert plan.first is not None
        assert plan.first.attribution


def test_opening_tells_what_is_done(state: AppState, server: TileServer) -> None:
    said: list[tuple[str, int, int]] = []
    collections = Collections(state)
    spec = f"place:37.76,-122.505,0.5km@16?service={server.url}"
    opened = open_collection(collections, spec, lambda *now: said.append(now), threading.Event())
    assert {what for what, _, _ in said} == {"Loading tiles", "Indexing tiles"}
    assert said[-1][1] == said[-1][2] == len(opened.index)
    assert open_collection(collections, spec, lambda *now: said.append(now), threading.Event()) is opened
