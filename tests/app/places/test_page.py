"""The Places tab in a real browser: look a place up, open it, search it; and what strangers may not open."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from playwright.sync_api import Browser, expect

import lrsclip.io.safe_fetch as web
from app.collections import AppState, Collections
from app.places.service import SUGGESTIONS, look_up, open_collection
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
        expect(page.locator("#places-plan")).to_contain_text("25 tiles are to be fetched")
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
        expect(page.locator("#places-plan")).to_contain_text("Bringing the tiles")
        page.locator("#places-stop").click()
        expect(page.get_by_text(re.compile("stopped", re.IGNORECASE))).to_be_visible()
        fetched = sum(server.asked.values())
        assert 0 < fetched < 81
        page.locator("#places-address input, #places-address textarea").fill("place:nowhere")
        page.locator("#places-look").click()
        expect(page.get_by_text("is no place")).to_be_visible()


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
    for suggestion in SUGGESTIONS:
        plan = look_up(Collections(state, untrusted=True), suggestion.spec)
        assert 50 < len(plan.source) <= 1024
        assert plan.work
        assert plan.first is not None
        assert plan.first.attribution


def test_opening_tells_what_is_done(state: AppState, server: TileServer) -> None:
    said: list[tuple[str, int, int]] = []
    collections = Collections(state)
    spec = f"place:37.76,-122.505,0.5km@16?service={server.url}"
    opened = open_collection(collections, spec, lambda *now: said.append(now), threading.Event())
    assert {what for what, _, _ in said} == {"Bringing the tiles", "Looking at the tiles"}
    assert said[-1][1] == said[-1][2] == len(opened.index)
    assert open_collection(collections, spec, lambda *now: said.append(now), threading.Event()) is opened
