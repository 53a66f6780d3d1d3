"""The Search page in a real browser: pictures and map together, more like this, bars, files, links, many at once."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.collections import AppState
from app.search.service import EXAMPLES, Query, search
from tests.helpers.app_parts import landscape_state
from tests.helpers.browsing import needs_chromium, watched

pytestmark = needs_chromium
TEXT = "a pond in a meadow"
AREA = re.compile(r"^-12[\d.]+, -4[\d.]+, -12[\d.]+, -4[\d.]+$")
ALL = replace(Query(TEXT), hide_duplicates=False)  # to random weights all tiles look nearly the same


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    """An app over sixteen rendered tiles, with random weights."""
    return landscape_state(tmp_path_factory.mktemp("atlas"), 16)


@pytest.fixture
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor; at the end nothing may have gone wrong or left the machine."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    with watched(context):
        yield context
        context.close()


def opened(visitor: BrowserContext, address: str) -> Page:
    page = visitor.new_page()
    page.goto(address)
    expect(page.locator("#description textarea")).to_be_visible()
    return page


def opened_for_all(visitor: BrowserContext, address: str) -> Page:
    """The page, near-duplicates not hidden."""
    page = opened(visitor, address)
    unfold(page, "#more-settings")
    page.get_by_label("Hide near-duplicates").uncheck()
    return page


def ask(page: Page, text: str = TEXT) -> None:
    page.locator("#description textarea").fill(text)
    page.locator("#search-button").click()


def expect_hits(page: Page, state: AppState, query: Query) -> list[str]:
    """Wait until the page shows what the library finds; gives the tiles' ids."""
    hits = search(state, query).hits
    tiles = page.locator("#gallery .thumbnail-item")
    expect(tiles).to_have_count(len(hits))
    for number in {0, len(hits) - 1}:
        expect(tiles.nth(number)).to_contain_text(f"{hits[number].score_cos:.3f}")
    ids = [hit.tile_id for hit in hits]
    expect(page.locator("#shown-tiles [data-tiles]")).to_have_attribute("data-tiles", json.dumps(ids))
    return ids


def unfold(page: Page, part: str) -> None:
    page.locator(f"{part} > button").click()


def test_what_is_left_out_changes_what_is_found(visitor: BrowserContext, url: str, state: AppState) -> None:
    page = opened_for_all(visitor, url)
    ask(page)
    before = expect_hits(page, state, ALL)
    expect(page.locator("#summary")).to_contain_text(
        re.compile(r"text \d+ ms, comparing the tiles [\d.]+ ms, preparing the pictures \d+ ms")
    )
    page.get_by_label("Leave out").fill("a forest")
    page.get_by_label("Leave out").press("Enter")
    after = expect_hits(page, state, replace(ALL, exclude="a forest"))
    assert after != before


def test_a_screen_reader_hears_words_and_no_names_of_texts(visitor: BrowserContext, url: str, state: AppState) -> None:
    page = opened_for_all(visitor, url)
    page.evaluate("""() => {
      window.heard = [];
      new MutationObserver((changes) => {
        for (const change of changes) {
          const spoken = change.target.parentElement?.closest("[aria-live], [role=status], [role=alert]")
            ?? change.target.closest?.("[aria-live], [role=status], [role=alert]");
          if (spoken) window.heard.push(spoken.textContent.trim());
        }
      }).observe(document.body, { childList: true, characterData: true, subtree: true });
    }""")
    ask(page)
    expect_hits(page, state, ALL)
    page.wait_for_function("window.heard.includes('Done')", timeout=15_000)  # Gradio speaks every five seconds
    assert not [text for text in page.evaluate("window.heard") if "common." in text]


def test_a_hit_on_the_map_is_chosen_by_mouse_and_by_key(visitor: BrowserContext, url: str, state: AppState) -> None:
    page = opened_for_all(visitor, url)
    ask(page)
    ids = expect_hits(page, state, ALL)
    view = page.frame_locator("iframe.places-map").locator(".leaflet-container")
    expect(view).to_have_attribute("data-tile", ids[0])
    page.wait_for_timeout(1500)  # the flight
    view.locator(f"path[data-hit='{ids[0]}']").click()
    expect(page.locator("#facts")).to_contain_text(ids[0])
    view.locator(f"path[data-hit='{ids[2]}']").press("Enter")
    expect(page.locator("#facts")).to_contain_text(ids[2])
    expect(page.locator("#gallery .thumbnail-item.selected")).to_contain_text(re.compile(r"^\s*3\s"))
    expect(view).to_have_attribute("data-tile", ids[2])  # and the map went there
    page.locator("#gallery .thumbnail-item").nth(5).click()
    expect(page.locator("#facts")).to_contain_text(ids[5])
    expect(view).to_have_attribute("data-tile", ids[5])


def test_a_message_from_elsewhere_or_without_sense_is_not_believed(
    visitor: BrowserContext, url: str, state: AppState
) -> None:
    page = opened_for_all(visitor, url)
    ask(page)
    ids = expect_hits(page, state, ALL)
    unfold(page, "#by-area")  # before that there is no box to fill
    expect(page.get_by_label("West, south")).to_have_value("")
    page.evaluate("""() => {
      window.done = [];  // all that the messages did, also what a later one did away with
      document.addEventListener("input", (event) => window.done.push(event.target.value), true);
      document.addEventListener("click", (event) => window.done.push(event.target.className), true);
    }""")
    page.evaluate("tile => window.postMessage({lrsclip: 'hits', tile, area: [1, 2, 3, 4]}, '*')", ids[3])
    frame = next(part for part in page.frames if part != page.main_frame)
    bad: list[object] = [
        [1, 2, 3],
        [1, "2", 3, 4],
        [1, 99, 3, 4],
        [1, 2, 181, 4],
        [1, 2, 3, float("nan")],
        "1, 2, 3, 4",
    ]
    good = {"area": [-5.5, 6, -4.25, 7]}  # it comes after the others, as one window's messages keep their order
    for message in ({"tile": "../x"}, {"tile": 3}, *({"area": area} for area in bad), good):
        frame.evaluate("said => window.parent.postMessage({lrsclip: 'hits', ...said}, '*')", message)
    expect(page.get_by_label("West, south")).to_have_value("-5.5, 6, -4.25, 7")
    assert page.evaluate("window.done") == ["-5.5, 6, -4.25, 7"]
    expect(page.locator("#facts")).to_contain_text("Click a picture")


def test_more_like_this_searches_by_the_tile(visitor: BrowserContext, url: str, state: AppState) -> None:
    page = opened_for_all(visitor, url)
    ask(page)
    ids = expect_hits(page, state, ALL)
    page.locator("#gallery .thumbnail-item").nth(1).click()
    page.get_by_role("button", name="More like this").click()
    expect_hits(page, state, replace(ALL, like=ids[1], image_weight=1.0))
    expect(page.locator("#summary")).to_contain_text(f"like the tile {ids[1]}")
    page.locator("#description textarea").fill(f"{TEXT}!")  # who pastes or writes again wants the words to count
    page.locator("#search-button").click()
    expect_hits(page, state, replace(ALL, text=f"{TEXT}!", like=ids[1]))
    page.get_by_role("button", name="Forget this tile").click()
    page.locator("#search-button").click()
    expect_hits(page, state, replace(ALL, text=f"{TEXT}!"))


def test_an_upload_and_words_are_searched_together(
    visitor: BrowserContext, url: str, state: AppState, tmp_path: Path
) -> None:
    page = opened_for_all(visitor, url)
    picture = state.source.picture(state.tile_ids()[7])
    picture.save(tmp_path / "mine.png")
    unfold(page, "#by-picture")
    page.locator("#search-picture input[type=file]").set_input_files(tmp_path / "mine.png")
    expect(page.locator("#search-picture img")).to_be_visible()
    ask(page)
    expect_hits(page, state, replace(ALL, image=picture))
    expect(page.locator("#summary")).to_contain_text(
        re.compile(r"for a pond in a meadow.*like your picture", re.DOTALL)
    )


def test_a_bar_that_nothing_passes_is_told(visitor: BrowserContext, url: str) -> None:
    page = opened(visitor, f"{url}?{urlencode({'q': TEXT, 'min': '0.99'})}")
    expect(page.locator("#summary")).to_contain_text("No good match: the best tile scores")
    expect(page.locator("#gallery .thumbnail-item")).to_have_count(0)


def test_the_map_s_view_and_a_drawn_box_become_the_area(visitor: BrowserContext, url: str, state: AppState) -> None:
    page = opened_for_all(visitor, url)
    unfold(page, "#by-area")
    area = page.get_by_label("West, south")
    page.get_by_role("button", name="Take the map's view").click()
    expect(area).to_have_value(AREA)
    whole = [float(value) for value in area.input_value().split(",")]
    page.get_by_role("button", name="Draw a box").click()
    expect(page.frame_locator("iframe.places-map").locator(".drawing")).to_be_attached()
    box = page.locator("iframe.places-map").bounding_box()
    assert box is not None
    for share, act in ((0.3, page.mouse.down), (0.5, None), (0.7, page.mouse.up)):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + share * box["height"])
        if act:
            act()
    expect(area).not_to_have_value(", ".join(f"{value}" for value in whole))
    drawn = tuple(float(value) for value in area.input_value().split(","))
    assert drawn[2] - drawn[0] == pytest.approx(0.4 * (whole[2] - whole[0]), rel=0.1)
    ask(page)
    found = expect_hits(page, state, replace(ALL, bbox_lonlat=drawn))  # type: ignore[arg-type]
    assert 0 < len(found) < 16
    page.get_by_role("button", name="Anywhere").click()
    expect(area).to_have_value("")


def test_a_polygon_is_drawn_corner_by_corner(visitor: BrowserContext, url: str, state: AppState) -> None:
    page = opened_for_all(visitor, url)
    unfold(page, "#by-area")
    area = page.get_by_label("West, south")
    ask(page)
    every = expect_hits(page, state, ALL)
    page.wait_for_timeout(1500)  # the flight
    view = page.frame_locator("iframe.places-map").locator(".leaflet-container")
    page.frame_locator("iframe.places-map").get_by_role("button", name="Show all tiles").click()
    page.get_by_role("button", name="Draw a polygon").click()
    expect(view).to_have_class(re.compile("drawing"))
    box = page.locator("iframe.places-map").bounding_box()
    assert box is not None

    def click(x: float, y: float) -> None:
        assert box is not None
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.wait_for_timeout(500)  # two clicks at once are a double click

    for x, y in ((0.25, 0.2), (0.75, 0.2), (0.9, 0.9), (0.5, 0.8)):
        click(x, y)
    page.keyboard.press("Backspace")
    click(0.25, 0.2)  # the first corner ends it
    expect(area).to_have_value(re.compile(r"^-12[\d.]+ -4[\d.]+, -12[\d.]+ -4[\d.]+, -12[\d.]+ -4[\d.]+$"))
    corners = tuple(tuple(map(float, corner.split())) for corner in area.input_value().split(", "))
    found = expect_hits(page, state, replace(ALL, polygon_lonlat=corners))  # type: ignore[arg-type]
    assert 0 < len(found) < len(every)
    expect(page.locator("#summary")).to_contain_text("within a polygon of 3 corners")
    page.reload()
    expect_hits(page, state, replace(ALL, polygon_lonlat=corners))  # type: ignore[arg-type]
    page.locator("#summary [data-clear=area]").click()
    expect_hits(page, state, ALL)
    page.get_by_role("button", name="Draw a polygon").click()
    click(0.4, 0.4)
    page.keyboard.press("Escape")
    expect(view).not_to_have_class(re.compile("drawing"))
    expect(area).to_have_value("")


def test_a_finger_draws_the_area(browser: Browser, url: str) -> None:
    phone = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    with watched(phone), phone:
        page = opened(phone, url)
        unfold(page, "#by-area")
        page.get_by_role("button", name="Draw a box").tap()
        expect(page.frame_locator("iframe.places-map").locator(".drawing")).to_be_attached()
        expect(page.locator("iframe.places-map")).to_be_in_viewport(ratio=1)
        page.wait_for_timeout(500)  # until the page has come to rest
        box = page.locator("iframe.places-map").bounding_box()
        assert box is not None
        finger = phone.new_cdp_session(page)  # playwright itself only taps
        for n in range(9):
            share = 0.3 + 0.05 * n
            point = {"x": box["x"] + share * box["width"], "y": box["y"] + share * box["height"]}
            kind = "touchMove" if n else "touchStart"
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        expect(page.get_by_label("West, south")).to_have_value(AREA)


def test_what_was_found_is_taken_home(visitor: BrowserContext, url: str, state: AppState) -> None:
    page = opened_for_all(visitor, url)
    ask(page)
    ids = expect_hits(page, state, ALL)
    with page.expect_download() as started:
        page.get_by_role("button", name="Download CSV").click()
    assert started.value.suggested_filename == "lrsclip-search.csv"
    with started.value.path().open(encoding="utf-8") as file:
        assert [row["tile_id"] for row in csv.DictReader(file)] == ids
    with page.expect_download() as started:
        page.get_by_role("button", name="Download GeoJSON").click()
    shapes = json.loads(started.value.path().read_text(encoding="utf-8"))
    assert [one["properties"]["tile_id"] for one in shapes["features"]] == ids


def test_a_copied_link_restores_the_search(visitor: BrowserContext, url: str, state: AppState) -> None:
    tile = state.tile_ids()[3]
    given = {"tab": "search", "q": TEXT, "x": "a forest", "like": tile, "k": "4", "dup": "1", "pw": "0.25"}
    query = Query(TEXT, exclude="a forest", like=tile, image_weight=0.25, k=4, hide_duplicates=False)
    page = opened(visitor, f"{url}?{urlencode(given)}")
    expect_hits(page, state, query)
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#link-said")).to_have_text("Link copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(url)
    assert {name: values[0] for name, values in parse_qs(urlsplit(copied).query).items()} == {
        **given,
        "of": state.source.spec,
    }
    other = opened(visitor, copied)
    expect_hits(other, state, query)
    expect(other.get_by_label("Leave out")).to_have_value("a forest")


def test_a_link_to_what_is_not_here_is_told(visitor: BrowserContext, url: str) -> None:
    nasty = "<img src=x onerror=\"document.title='run'\">"
    page = visitor.new_page()
    page.goto(f"{url}?{urlencode({'tab': 'classify', 'like': nasty, 'of': nasty, 'k': '7e7'})}")
    expect(page.get_by_role("tab", name="Classify")).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Search").click()
    notes = page.locator("#link-notes")
    for part in ("does not have", "was made on the collection", "k is '7e7'", nasty):
        expect(notes).to_contain_text(part)
    assert page.title().startswith("LRSCLIP")


def test_many_descriptions_are_searched_from_a_csv(
    visitor: BrowserContext, url: str, state: AppState, tmp_path: Path
) -> None:
    (tmp_path / "many.csv").write_text(f"query\n{TEXT}\n=a forest\n", encoding="utf-8")
    page = opened_for_all(visitor, url)
    unfold(page, "#batch")
    page.locator("#batch-file input[type=file]").set_input_files(tmp_path / "many.csv")
    expect(page.locator("#batch-file")).to_contain_text("many")
    page.get_by_role("button", name="Search all").click()
    rows = page.locator("#batch-table tbody tr")
    expect(rows).to_have_count(2)
    best = search(state, replace(ALL, k=5)).hits[0]
    expect(rows.first).to_contain_text(best.tile_id)
    assert rows.first.locator("img").evaluate("one => one.complete && one.naturalWidth") > 30
    with page.expect_download() as started:
        page.get_by_role("button", name="Download all as CSV").click()
    with started.value.path().open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 10
    rows.nth(1).get_by_role("button", name="=a forest").press("Enter")  # keys do it too
    expect(page.locator("#description textarea")).to_have_value("=a forest")
    expect(page.locator("#shown-tiles [data-link*='q=%3Da+forest']")).to_be_attached()
    rows.first.locator("img").click()
    expect(page.locator("#description textarea")).to_have_value(TEXT)
    expect(page.locator("#facts")).to_contain_text(search(state, ALL).hits[0].tile_id)
    assert (lines[0]["tile_id"], lines[9]["query"]) == (best.tile_id, "'=a forest")


def test_a_search_right_after_an_example_has_its_text_and_comes_into_view(visitor: BrowserContext, url: str) -> None:
    page = opened(visitor, url)
    page.set_viewport_size({"width": 360, "height": 740})
    expect(page.locator("#example-0")).to_be_visible()
    expect(page.locator("#search-button")).to_be_visible()
    page.evaluate("""() => {
      document.querySelector("#example-0").click();
      document.querySelector("#search-button").click();
    }""")
    expect(page.locator("#summary .times")).to_be_in_viewport()
    expect(page.locator("#description textarea")).to_have_value(EXAMPLES[0].text)
