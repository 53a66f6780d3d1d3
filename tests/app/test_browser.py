"""The page in a real browser: what a visitor types, clicks and sees, with no request leaving this machine."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rasterio
from playwright.sync_api import Browser, FrameLocator, Locator, Page, expect

from app.collections import AppState
from tests.helpers.app_parts import KINDS, NASTY, PER_KIND, draw_tile, make_state, write_geotiff
from tests.helpers.browsing import needs_chromium, visit

pytestmark = needs_chromium
# where the scene stands in the map: its width and height as shares of the map's, and how far it is off, in px
FIT = """map => {
  const m = map.getBoundingClientRect();
  const p = map.querySelector(".leaflet-image-layer").getBoundingClientRect();
  return [p.width / m.width, p.height / m.height, p.left - m.left, p.top - m.top];
}"""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    return make_state(tmp_path_factory.mktemp("browser"))


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with visit(browser, url, show_all=True) as opened:
        yield opened


def choose_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def search(page: Page, text: str) -> Locator:
    """Search and wait for the results; gives the gallery's pictures."""
    page.locator("#description textarea").fill(text)
    page.locator("#search-button").click()
    expect(page.get_by_text("best first")).to_be_visible()
    return page.locator("#gallery .thumbnail-item")


def test_meter_follows_the_typing(page: Page) -> None:
    box, meter, reading = (page.locator(name) for name in ("#description textarea", "#meter", "#reading"))
    expect(meter).to_contain_text("0 / 248 tokens")
    box.press_sequentially("white boats in the harbour")
    expect(meter).to_contain_text("7 / 248 tokens")
    expect(reading).to_be_hidden()
    box.fill("white boats and a zeppelin")
    expect(reading.locator("mark").first).to_have_text("zeppelin")
    expect(reading).to_contain_text("not in the training captions")


def test_a_text_with_nothing_to_read_is_answered_in_words(page: Page) -> None:
    page.locator("#description textarea").fill("<end_of_text>")
    expect(page.get_by_text("write at least one word")).to_be_visible()
    page.locator("#description textarea").fill("white boats")
    expect(page.locator("#meter")).to_contain_text("4 / 248 tokens")


def test_text_beyond_the_limit_is_struck_out(page: Page) -> None:
    page.locator("#description textarea").fill("white boats in the harbour " * 60 + "at the very end")
    expect(page.locator("#meter")).to_contain_text("too many: the end is not read")
    expect(page.locator("#reading .reading del")).to_have_text(re.compile("at the very end$"))
    expect(page.locator("#reading .reading del")).to_have_css("text-decoration-line", "line-through")
    expect(search(page, "white boats in the harbour " * 60)).to_have_count(12)


def test_typed_html_stays_text(page: Page) -> None:
    page.locator("#description textarea").fill(NASTY)
    expect(page.locator("#reading .reading")).to_contain_text(NASTY)
    expect(search(page, NASTY)).to_have_count(12)
    expect(page.locator("#reading img")).to_have_count(0)


def test_search_shows_scores_and_a_click_shows_the_tile(page: Page, state: AppState) -> None:
    text = "a long road with fields on both sides"
    tiles = search(page, text)
    hits = state.index.search(state.bundle.encode_text([text]), 12)[0]
    expect(tiles).to_have_count(12)
    for number in (0, 11):
        expect(tiles.nth(number)).to_contain_text(f"{hits[number].score_cos:.3f}")
    tiles.nth(3).click()
    facts = page.locator("#facts")
    expect(facts).to_contain_text(hits[3].tile_id)
    expect(facts).to_contain_text(f"{hits[3].score_cos:.3f} of at most 1")
    expect(facts).to_contain_text("128 by 128 px")
    expect(page.locator("#details img")).to_be_visible()


def test_a_file_name_that_is_html_stays_text(page: Page, state: AppState) -> None:
    assert state.index.tile_ids()[0] == "<b>field_0<b>.png"
    page.locator("#gallery .thumbnail-item").first.click()
    expect(page.locator("#facts")).to_contain_text("<b>field_0<b>.png")
    expect(page.locator("#facts")).not_to_contain_text("cosine")  # nothing was searched for yet


def test_an_example_fills_the_box_and_all_tiles_can_be_shown(page: Page) -> None:
    page.get_by_role("button", name="Marina").click()
    expect(page.locator("#description textarea")).to_have_value(re.compile("^A large marina"))
    expect(page.locator("#meter")).not_to_contain_text("0 / 248")
    page.get_by_role("spinbutton").first.fill("60")
    page.get_by_role("spinbutton").first.press("Tab")
    page.locator("#search-button").click()
    expect(page.locator("#gallery .thumbnail-item")).to_have_count(len(KINDS) * PER_KIND)


def test_an_empty_description_is_answered_in_words(page: Page) -> None:
    page.locator("#search-button").click()
    expect(page.get_by_text("The description is empty")).to_be_visible()


def test_an_upload_is_classified(page: Page, tmp_path: Path) -> None:
    draw_tile("tanks", 5).save(tmp_path / "tanks.jpg")
    choose_tab(page, "Classify")
    page.locator("#classify-picture input[type=file]").set_input_files(tmp_path / "tanks.jpg")
    expect(page.locator("#classify-picture img")).to_be_visible()
    page.locator("#labels textarea").fill(f"storage tanks\nharbour\n{NASTY}")
    page.locator("#classify-button").click()
    bars = page.locator("#bars li")
    expect(bars).to_have_count(3)
    expect(page.locator("#bars")).to_contain_text(NASTY)
    shares = [float(share) for share in re.findall(r"([\d.]+) %", " ".join(bars.all_inner_texts()))]
    assert sum(shares) == pytest.approx(100, abs=0.2)


def test_an_upload_that_is_no_picture_is_refused_in_words(page: Page, tmp_path: Path) -> None:
    (tmp_path / "fake.png").write_text("no picture")
    choose_tab(page, "Classify")
    page.locator("#classify-picture input[type=file]").set_input_files(tmp_path / "fake.png")
    expect(page.get_by_text("The upload is no JPEG")).to_be_visible()
    expect(page.locator("#classify-picture img")).to_have_count(0)


def test_a_tiff_upload_is_shown_although_browsers_cannot(page: Page, tmp_path: Path) -> None:
    draw_tile("road", 5).save(tmp_path / "road.tif")
    choose_tab(page, "Localize")
    page.locator("#scene input[type=file]").set_input_files(tmp_path / "road.tif")
    shown = page.locator("#scene img")
    expect(shown).to_have_attribute("src", re.compile(r"\.png$"))
    expect(shown).to_have_js_property("naturalWidth", 128)


def test_a_found_tile_is_localized_on_a_map(page: Page) -> None:
    search(page, "white boats").first.click()
    page.get_by_role("button", name="Localize this tile").click()
    expect(page.locator("#scene img")).to_be_visible()
    expect(page.locator("#sentence textarea")).to_have_value("white boats")
    page.locator("#localize-button").click()
    frame = page.locator("iframe.map")
    expect(frame).to_have_attribute("sandbox", "allow-scripts")
    # another test may have asked about the same tile: the process remembers scenes, not visitors
    expect(page.locator("#map")).to_contain_text(re.compile(r"windows in [\d.]+ s"))
    inside = page.frame_locator("iframe.map")
    check_map(inside)
    page.locator("#sentence textarea").fill("a road")
    page.locator("#localize-button").click()
    expect(page.locator("#map")).to_contain_text("reused from before")


def test_a_geotiff_is_localized_compared_and_taken_home(page: Page, tmp_path: Path) -> None:
    scene = write_geotiff(tmp_path / "scene.tif", draw_tile("harbour", 6, 320).crop((0, 0, 320, 256)))
    choose_tab(page, "Localize")
    page.locator("#scene input[type=file]").set_input_files(scene)
    expect(page.locator("#scene img")).to_have_attribute("src", re.compile(r"\.png$"))
    page.locator("#sentence textarea").fill("white boats")
    page.locator("#localize-button").click()
    inside = page.frame_locator("iframe.map")
    region = inside.locator("path.region").first
    expect(region).to_be_visible()
    region.press("Enter")
    expect(inside.locator(".leaflet-popup-content")).to_have_text(
        re.compile(r"Region 1\s*Mean cosine -?0\.\d{4}\s*Peak -?0\.\d{4}\s*Area [\d.]+ (ha|m²)")
    )
    inside.locator(".panel input").fill("0.4")
    expect(inside.get_by_alt_text("heat-map")).to_have_css("opacity", "0.4")
    expect(page.locator("#map")).to_contain_text("40.0")  # degrees north

    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Compare with").fill(NASTY)
    page.get_by_label("Outline areas above this score").fill("many")
    page.locator("#localize-button").click()
    expect(page.get_by_text("The threshold is 'many'")).to_be_visible()
    page.get_by_label("Outline areas above this score").fill("")
    page.locator("#localize-button").click()
    expect(page.locator("#map h3")).to_have_text(["white boats", NASTY])
    expect(inside.get_by_alt_text("heat-map")).to_have_count(2)
    assert len(set(inside.locator(".ends span").all_inner_texts())) == 2  # one legend for both

    page.get_by_role("button", name="Make files to download").click()
    with page.expect_download() as begun:
        page.locator("#files a").first.click()
    begun.value.save_as(tmp_path / "taken.tif")
    with rasterio.open(scene) as given, rasterio.open(tmp_path / "taken.tif") as taken:
        assert (taken.crs, taken.bounds, taken.shape) == (given.crs, given.bounds, given.shape)
        assert taken.dtypes == ("float32",)


def check_map(inside: FrameLocator) -> None:
    """Look at the map from within its frame: panes, both pictures, and every control at work."""
    expect(inside.locator(".leaflet-map-pane")).to_be_attached()
    pictures = inside.locator(".leaflet-overlay-pane img.leaflet-image-layer")
    expect(pictures).to_have_count(2)
    scene, heat = pictures.nth(0), pictures.nth(1)
    for picture in (scene, heat):
        expect(picture).to_be_visible()
        expect(picture).to_have_js_property("naturalWidth", 128)
    paths = inside.locator(".leaflet-overlay-pane svg path")
    expect(paths.first).to_be_visible()
    assert paths.count() >= 2  # the best window and a region
    regions = inside.get_by_label(re.compile("^Region", re.IGNORECASE))
    expect(regions.first).to_be_attached()
    # the frame grows into its place, and the map fits again with each step
    deadline = time.monotonic() + 5
    while (fit := inside.locator(".folium-map").evaluate(FIT)) != pytest.approx([1, 1, 0, 0], abs=1.5):
        assert time.monotonic() < deadline, f"the scene does not fill the map: {fit}"
    assert inside.locator("body").evaluate("() => window.origin") == "null", "the frame shares the page's origin"

    inside.locator(".panel input").fill("0.25")
    expect(heat).to_have_css("opacity", "0.25")
    ends = [float(text) for text in inside.locator(".ends span").all_inner_texts()]
    assert ends[0] <= ends[1]
    icon = inside.locator(".leaflet-control-layers-toggle")
    assert 'url("data:image/png' in icon.evaluate("e => getComputedStyle(e).backgroundImage")
    inside.locator(".leaflet-control-layers").hover()
    shown = inside.get_by_role("checkbox", name="Heat-map")
    shown.uncheck()
    expect(pictures).to_have_count(1)
    shown.check()
    inside.locator(".folium-map").hover(position={"x": 200, "y": 3})
    expect(inside.locator(".readout")).to_have_text(re.compile(r"x \d+  y 0 px   cosine -?0\.\d{3}"))


def test_nothing_sticks_out_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    search(page, "white boats").first.click()
    expect(page.locator("#details img")).to_be_in_viewport()  # brought into view, although it stands far below
    for tab in ("Classify", "Localize", "Search"):
        choose_tab(page, tab)
        expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_a_phone_what_comes_out_comes_into_view(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.locator("#search-button").click()
    expect(page.get_by_text("The description is empty")).to_be_visible()
    expect(page.locator("#search-button")).to_be_in_viewport()  # and stays there after a failure
    choose_tab(page, "Classify")
    page.locator("#classify-button").click()
    expect(page.get_by_text("There is no picture yet")).to_be_visible()
    expect(page.locator("#classify-button")).to_be_in_viewport()
    draw_tile("harbour", 3).save(tmp_path / "scene.png")
    page.locator("#classify-picture input[type=file]").set_input_files(tmp_path / "scene.png")
    expect(page.locator("#classify-picture img")).to_be_visible()
    page.locator("#classify-button").click()
    expect(page.locator("#bars li").first).to_be_in_viewport()
    choose_tab(page, "Localize")
    page.locator("#scene input[type=file]").set_input_files(tmp_path / "scene.png")
    expect(page.locator("#scene img")).to_be_visible()
    page.locator("#sentence textarea").fill("a pond")
    page.locator("#localize-settings > button").click()  # they stand between the button and the map
    page.locator("#localize-button").click()
    expect(page.frame_locator("iframe.map").get_by_alt_text("heat-map")).to_be_in_viewport()
