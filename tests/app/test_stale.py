"""Nothing stale: what is shown answers what stands in the boxes, or is dimmed, on every page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from app.collections import AppState
from app.ui.answered import ANSWERS
from tests.helpers.app_parts import landscape_state
from tests.helpers.browsing import needs_chromium, visit, watched

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    """An app over six rendered tiles, with random weights."""
    return landscape_state(tmp_path_factory.mktemp("atlas"), 6)


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """The page on its first tab."""
    with visit(browser, url) as page:
        yield page


def expect_stale(part: Locator) -> None:
    expect(part).to_have_attribute("data-stale", "")
    expect(part.locator("> *").first).to_have_css("opacity", "0.35")


def expect_fresh(part: Locator) -> None:
    expect(part).not_to_have_attribute("data-stale", "")


def picture(path: Path, color: str) -> Path:
    Image.new("RGB", (64, 64), color).save(path)
    return path


def test_bars_of_another_picture_or_of_other_names_are_dimmed(browser: Browser, url: str, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    with watched(page, console=False):  # a refused upload leaves an error
        page.goto(url)
        page.get_by_role("tab", name="Classify").click()
        bars, box = page.locator("#bars"), page.locator("#classify-picture")
        expect_fresh(bars)
        box.locator("input[type=file]").set_input_files(picture(tmp_path / "a.png", "red"))
        expect(box.locator("img")).to_be_visible()
        page.locator("#classify-button").click()
        expect(bars.locator("li").first).to_be_visible()
        expect_fresh(bars)
        names = page.locator("#labels textarea")
        known = names.input_value()
        names.fill("harbor\nforest")
        expect_stale(bars)
        names.fill(known)  # as it was when the bars were made
        expect_fresh(bars)
        names.fill("")
        expect_stale(bars)
        page.locator("#classify-button").click()  # refused: the old bars are no answer to this
        expect(page.get_by_text("one a line").first).to_be_visible()
        page.wait_for_timeout(500)
        expect_stale(bars)
        names.fill("harbor\nforest")
        page.locator("#classify-button").click()
        expect(bars.locator("li")).to_have_count(2)
        expect_fresh(bars)
        page.get_by_label("Remove Image").or_(page.get_by_label("Clear")).first.click()
        expect_stale(bars)
        box.locator("input[type=file]").set_input_files(picture(tmp_path / "b.png", "blue"))
        expect(box.locator("img")).to_be_visible()
        expect_stale(bars)
        page.locator("#classify-button").click()
        expect_fresh(bars)
        page.close()


def test_the_map_names_its_sentence_and_is_dimmed_for_another_one(page: Page) -> None:
    page.locator("#description textarea").fill("a pond")
    page.locator("#search-button").click()
    page.get_by_role("button", name="Localize this tile").click()
    view = page.locator("#map")
    inside = page.frame_locator("iframe.map")
    expect(inside.locator(".caption")).to_have_text("a pond")  # it ran at once
    expect_fresh(view)
    page.locator("#sentence textarea").fill("a beach")
    expect_stale(view)
    page.locator("#localize-button").click()
    expect(inside.locator(".caption")).to_have_text("a beach")
    expect_fresh(view)


def test_a_tile_is_classified_at_once(page: Page) -> None:
    page.locator("#description textarea").fill("a pond")
    page.locator("#search-button").click()
    page.get_by_role("button", name="Classify this tile").click()
    expect(page.locator("#bars li").first).to_be_visible()
    expect_fresh(page.locator("#bars"))


def test_the_steps_of_another_description_are_dimmed(page: Page) -> None:
    page.get_by_role("tab", name="Learn").click()
    page.locator("#learn-strip .thumbnail-item").first.click()
    text = page.locator("#learn-text textarea")
    expect(text).not_to_have_value("")
    page.locator("#learn-run").click()
    stage = page.locator("#learn-stage")
    expect(stage).to_contain_text("of 6 tiles")
    expect_fresh(stage)
    page.locator("#learn-next").click()
    expect_fresh(stage)
    text.fill("A pond. A road.")
    expect_stale(stage)


def test_the_table_of_another_file_is_dimmed(page: Page, tmp_path: Path) -> None:
    (tmp_path / "many.csv").write_text("query\na pond\n", encoding="utf-8")
    (tmp_path / "none.csv").write_text("query\n", encoding="utf-8")
    page.locator("#batch > button").click()
    files = page.locator("#batch-file input[type=file]")
    files.set_input_files(tmp_path / "many.csv")
    expect(page.locator("#batch-file")).to_contain_text("many")
    page.locator("#batch-button").click()
    table = page.locator("#batch-table")
    expect(table).to_contain_text("a pond")
    expect_fresh(table)
    page.locator("#batch-file").get_by_label("Remove this file").or_(
        page.locator("#batch-file").get_by_label("Clear")
    ).first.click()
    page.locator("#batch-file input[type=file]").set_input_files(tmp_path / "none.csv")
    expect(page.locator("#batch-file")).to_contain_text("none")
    expect_stale(table)


def test_every_answer_s_parts_are_on_the_page(page: Page) -> None:
    for name in ("Classify", "Localize", "Learn", "Search"):
        page.get_by_role("tab", name=name, exact=True).click()
    for answer in ANSWERS.values():
        for part in (answer.button, *answer.shown[:1]):
            if part not in ("classify-all-button", "classified", "batch-table", "batch-button"):  # in folds
                expect(page.locator(f"#{part}")).to_be_attached()
