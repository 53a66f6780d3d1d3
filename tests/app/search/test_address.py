"""The address bar holds what is looked at: going back, a reload and another browser bring it back."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

import lrsclip
from app.collections import AppState, Collections
from app.search.link import Link
from app.search.link_panel import address_in_links, collection_of
from app.search.service import Query, search
from lrsclip.index import build_index
from lrsclip.tiles import TileSource, open_tiles
from tests.helpers.app_parts import landscape_state, running
from tests.helpers.browsing import needs_chromium, watched

pytestmark = needs_chromium
POND, CHURCH = "a pond in a meadow", "a church beside a square"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    """An app over sixteen rendered tiles, with random weights."""
    return landscape_state(tmp_path_factory.mktemp("atlas"), 16)


@pytest.fixture(scope="module")
def own_url(state: AppState) -> Iterator[str]:
    """A server for the people of its machine alone, who may open its folders."""
    with running(state, untrusted=False) as url:
        yield url


@pytest.fixture
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor; at the end nothing may have gone wrong or left the machine."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    with watched(context):
        yield context
        context.close()


def opened(visitor: BrowserContext, address: str) -> Page:
    page = visitor.new_page()
    page.goto(address)
    expect(page.locator("#description textarea")).to_be_visible()
    return page


def ask(page: Page, text: str) -> None:
    page.locator("#description textarea").fill(text)
    page.locator("#search-button").click()
    expect_answer(page, text)


def expect_answer(page: Page, text: str) -> None:
    expect(page.locator("#summary q")).to_have_text(text)
    expect(page.locator("#description textarea")).to_have_value(text)


def given(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def test_back_and_forward_go_through_the_searches(visitor: BrowserContext, url: str, state: AppState) -> None:
    page = opened(visitor, url)
    ask(page, POND)
    assert given(page) == {"tab": "search", "q": POND, "of": state.source.spec}
    ask(page, CHURCH)
    page.go_back()
    expect_answer(page, POND)
    page.go_back()
    expect(page.locator("#summary")).to_contain_text("A sample of")
    expect(page.locator("#description textarea")).to_have_value("")
    page.go_forward()
    expect_answer(page, POND)
    page.go_forward()
    expect_answer(page, CHURCH)
    assert given(page)["q"] == CHURCH


def test_a_reload_brings_back_the_search_the_hit_and_the_tab(
    visitor: BrowserContext, url: str, state: AppState
) -> None:
    page = opened(visitor, f"{url}?{urlencode({'q': POND, 'dup': '1', 'k': '6'})}")
    expect_answer(page, POND)
    ids = [hit.tile_id for hit in search(state, Query(POND, k=6, hide_duplicates=False)).hits]
    expect(page.locator("#facts")).to_contain_text(ids[0])  # the best one is opened by itself
    page.locator("#gallery .thumbnail-item").nth(2).click()
    expect(page.locator("#facts")).to_contain_text(ids[2])
    page.keyboard.press("ArrowRight")
    expect(page.locator("#facts")).to_contain_text(ids[3])
    expect(page).to_have_url(re.compile(f"hit={ids[3]}"))
    page.reload()
    expect_answer(page, POND)
    expect(page.locator("#facts")).to_contain_text(ids[3])
    page.get_by_role("tab", name="Learn").click()
    expect(page).to_have_url(re.compile("tab=learn"))
    page.reload()
    expect(page.get_by_role("tab", name="Learn")).to_have_attribute("aria-selected", "true")
    page.go_back()
    expect(page.get_by_role("tab", name="Search")).to_have_attribute("aria-selected", "true")
    expect_answer(page, POND)


def test_every_limit_in_force_stands_over_the_results_and_can_be_taken_away(
    visitor: BrowserContext, url: str, state: AppState
) -> None:
    liked = state.tile_ids()[3]
    asked = {"q": POND, "x": "a forest", "like": liked, "min": "0.001", "dup": "1", "bbox": "-125,-50,-120,-40"}
    page = opened(visitor, f"{url}?{urlencode(asked)}")
    expect_answer(page, POND)
    limits = page.locator("#summary [data-clear]")
    for left, said in (
        (4, f"like the tile {liked}"),
        (3, "a forest"),
        (2, "within"),
        (1, "score from"),
        (0, "near-dup"),
    ):
        one = limits.filter(has_text=said)
        expect(one).to_have_count(1)
        one.click()
        expect(limits).to_have_count(left)
    assert given(page) == {"tab": "search", "q": POND, "of": state.source.spec}
    expect(page.get_by_label("Leave out")).to_have_value("")


def test_an_example_does_not_look_like_the_tile_of_an_earlier_search(visitor: BrowserContext, url: str) -> None:
    page = opened(visitor, url)
    ask(page, POND)
    page.get_by_role("button", name="More like this").click()
    expect(page.locator("#summary")).to_contain_text("like the tile")
    page.locator("#example-1").click()
    page.locator("#search-button").click()
    expect(page.locator("#summary")).not_to_contain_text("like the tile")


def test_more_tiles_are_shown_and_the_one_looked_at_stays_open(
    visitor: BrowserContext, url: str, state: AppState
) -> None:
    page = opened(visitor, f"{url}?{urlencode({'q': POND, 'dup': '1', 'k': '4'})}")
    expect_answer(page, POND)
    tiles = page.locator("#gallery .thumbnail-item")
    second = search(state, Query(POND, k=4, hide_duplicates=False)).hits[1].tile_id
    tiles.nth(1).click()
    expect(page.locator("#facts")).to_contain_text(second)
    page.locator("#more").click()
    expect(tiles).to_have_count(16)
    expect(page.locator("#more")).to_have_count(0)
    expect(page.locator("#facts")).to_contain_text(second)


def folder_of(path: Path) -> Path:
    path.mkdir()
    for number in range(6):
        Image.new("RGB", (64, 64), (40 * number, 90, 90)).save(path / f"{number}.png")
    return path


def test_a_folder_comes_back_where_it_is_open_and_elsewhere_nothing_is_searched(
    browser: Browser, visitor: BrowserContext, own_url: str, url: str, tmp_path: Path
) -> None:
    pictures = folder_of(tmp_path / "mine")
    page = opened(visitor, own_url)
    page.get_by_role("tab", name="Places").click()
    page.locator("#places-address textarea, #places-address input").fill(str(pictures))
    page.locator("#places-look").click()
    page.locator("#places-open").click()
    expect(page.locator("header")).to_contain_text(re.compile(r"tiles\s*6"))
    page.get_by_role("tab", name="Search").click()
    ask(page, POND)
    assert str(pictures) not in page.url
    assert given(page)["of"].startswith("private:")
    page.reload()
    expect_answer(page, POND)
    expect(page.locator("#summary")).to_contain_text("of 6 tiles")
    expect(page.locator("header")).to_contain_text(re.compile(r"tiles\s*6"))
    with watched(context := browser.new_context()), context:
        other = opened(context, page.url)
        expect(other.locator("#summary")).to_contain_text("of 6 tiles")
        elsewhere = opened(context, f"{url}?{urlsplit(page.url).query}")
        expect(elsewhere.locator("#link-notes")).to_contain_text("only its own machine can open; nothing was searched")
        expect(elsewhere.locator("#description textarea")).to_have_value(POND)
        expect(elsewhere.locator("#summary")).to_contain_text("A sample of")


def test_a_folder_that_the_page_begins_with_is_named_own(browser: Browser, url: str, tmp_path: Path) -> None:
    source, bundle = open_tiles(str(folder_of(tmp_path / "mine"))), lrsclip.random_model()
    first = AppState(bundle, build_index(source, bundle, tmp_path / "index"), source)
    with running(first) as own, watched(context := browser.new_context()), context:
        page = opened(context, own)
        ask(page, POND)
        assert given(page)["of"] == "own"
        page.reload()
        expect_answer(page, POND)
        elsewhere = opened(context, f"{url}?{urlsplit(page.url).query}")
        expect(elsewhere.locator("#link-notes")).to_contain_text("nothing was searched")


def test_a_collection_that_is_not_open_is_offered_and_not_answered_for(visitor: BrowserContext, url: str) -> None:
    page = opened(visitor, f"{url}?{urlencode({'q': POND, 'of': 'atlas:?seed=77&tiles=4'})}")
    expect(page.locator("#link-notes")).to_contain_text("atlas:?seed=77&tiles=4. To search it: Places")
    expect(page.locator("#summary")).to_contain_text("A sample of")
    page.get_by_role("tab", name="Places").click()
    expect(page.locator("#places-address textarea, #places-address input")).to_have_value("atlas:?seed=77&tiles=4")


def test_who_walks_fast_sees_the_last_hit(visitor: BrowserContext, url: str, state: AppState) -> None:
    page = opened(visitor, f"{url}?{urlencode({'q': POND, 'dup': '1', 'k': '9'})}")
    expect_answer(page, POND)
    ids = [hit.tile_id for hit in search(state, Query(POND, k=9, hide_duplicates=False)).hits]
    page.locator("#gallery .thumbnail-item").first.click()
    expect(page).to_have_url(re.compile(f"hit={ids[0]}"))
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#facts")).to_contain_text(ids[5])
    expect(page).to_have_url(re.compile(f"hit={ids[5]}"))


def test_back_between_tabs_leaves_the_search_and_what_was_typed_since(visitor: BrowserContext, url: str) -> None:
    page = opened(visitor, url)
    ask(page, POND)
    page.locator("#description textarea").fill("something else")
    page.get_by_role("tab", name="Learn").click()
    expect(page).to_have_url(re.compile("tab=learn"))
    page.go_back()
    expect(page.get_by_role("tab", name="Search")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#summary q")).to_have_text(POND)
    expect(page.locator("#description textarea")).to_have_value("something else")


def test_going_back_makes_no_new_step(visitor: BrowserContext, url: str) -> None:
    page = opened(visitor, f"{url}?{urlencode({'q': POND, 'dup': '1'})}")
    expect_answer(page, POND)
    page.locator("#more").click()
    expect(page).to_have_url(re.compile("k=36"))
    ask(page, CHURCH)
    page.go_back()
    expect_answer(page, POND)
    expect(page).to_have_url(re.compile("k=36"))
    page.go_forward()
    expect_answer(page, CHURCH)


def test_the_last_limit_taken_away_leaves_the_page_as_it_begins(
    visitor: BrowserContext, url: str, state: AppState
) -> None:
    page = opened(visitor, f"{url}?{urlencode({'like': state.tile_ids()[2]})}")
    page.locator("#summary [data-clear=like]").click()
    expect(page.locator("#summary")).to_contain_text("A sample of")
    expect(page).not_to_have_url(re.compile("like="))


def test_a_stranger_s_private_collection_is_nobody_else_s(state: AppState) -> None:
    collections = Collections(state, untrusted=True)
    secret = "place:1,2,1km@17?service=https://tiles.example/{z}/{x}/{y}?key=SECRET"
    other = dataclasses.replace(state, source=cast(TileSource, SimpleNamespace(spec=secret)))
    collections.add(other, "a")
    named = address_in_links(collections, other)
    assert named.startswith("private:") and "SECRET" not in named
    assert collection_of(collections, Link(spec=named), [])[0] is None
    assert collection_of(collections, Link(spec=named), [secret])[0] is other
