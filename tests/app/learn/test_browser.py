"""The Learn tab in a real browser: a lesson is chosen, grown, swapped, and its hand-out printed on one page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.helpers.app_parts import NASTY, running
from tests.helpers.browsing import needs_chromium, visit
from tests.helpers.learn_parts import landscape

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(landscape(tmp_path_factory.mktemp("learn-browser"))) as address:
        yield address


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with visit(browser, url, "Learn") as opened:
        yield opened


def take_sheet(page: Page, path: Path) -> str:
    with page.expect_download() as begun:
        page.locator("#learn-take").click()
    begun.value.save_as(path)
    return path.read_text(encoding="utf-8")


def pages_of(browser: Browser, sheet: Path) -> int:
    """How many pages a hand-out takes on paper of either size; nothing in it may run."""
    opened = browser.new_page()
    opened.goto(sheet.as_uri())
    assert opened.evaluate("window.ran") is None
    # what the fixed height would hide must not be there either
    hidden_px = opened.evaluate("""() => Math.max(...[...document.querySelectorAll("main, .questions")].map(
      part => part.scrollHeight - part.clientHeight))""")
    printed = [opened.pdf(format=paper, prefer_css_page_size=True) for paper in ("A4", "Letter")]
    opened.close()
    assert hidden_px <= 1
    return max(len(re.findall(rb"/Type\s*/Page\b", one)) for one in printed)


def choose(page: Page, number: int) -> None:
    page.locator(".lessons button").nth(number - 1).click()
    expect(page.locator("#learn-plan .time")).to_have_count(4)


def test_a_lesson_is_grown_step_by_step_and_printed(page: Page, browser: Browser, tmp_path: Path) -> None:
    choose(page, 2)
    expect(page.locator("#learn-tile textarea, #learn-tile input")).to_have_value("r028c021")
    page.locator("#learn-run").click()
    rows = page.locator("#learn-table tbody tr")
    expect(rows).to_have_count(1)
    expect(page.locator("#learn-stage .step")).to_have_text("Step 1 of 16")
    page.locator("#learn-next").click()
    expect(rows).to_have_count(2)
    expect(page.locator("#learn-stage .told b")).to_contain_text("a school with its grounds")
    expect(page.locator("#learn-stage del")).to_have_count(0)
    page.get_by_role("button", name="Show all").click()
    expect(rows).to_have_count(16)
    expect(page.get_by_role("button", name="Show all")).to_be_disabled()
    expect(page.locator("#learn-stage del").first).to_have_css("text-decoration-line", "line-through")
    expect(page.get_by_alt_text("heat-map of the part added in step 16")).to_have_js_property("naturalWidth", 96)
    expect(page.get_by_role("img", name=re.compile("^Rank of the true tile by step"))).to_be_visible()
    page.get_by_role("button", name="Back").click()
    expect(rows).to_have_count(15)

    told = take_sheet(page, tmp_path / "sheet.html")
    assert "What 77 tokens cannot hold" in told and told.count("<tr>") == 17
    assert pages_of(browser, tmp_path / "sheet.html") == 1
    page.evaluate("window.print = () => {}")
    page.locator("#learn-print").click()
    expect(page.locator("#learn-paper")).to_have_attribute("sandbox", "allow-same-origin allow-modals")


def test_one_thing_is_swapped(page: Page, browser: Browser, tmp_path: Path) -> None:
    choose(page, 3)
    true, false = page.locator("#learn-true textarea"), page.locator("#learn-false textarea")
    expect(true).to_have_value(re.compile("two brown storage tanks"))
    expect(false).not_to_have_value(re.compile("two brown"))
    page.get_by_label("place", exact=True).check()
    expect(false).not_to_have_value(re.compile("^$|left half"))
    false.fill(NASTY)
    page.locator("#learn-run").click()
    expect(page.locator("#learn-stage .verdict")).to_have_count(2)
    expect(page.locator("#learn-stage")).to_contain_text(NASTY)
    assert NASTY not in take_sheet(page, tmp_path / "swap.html")
    assert pages_of(browser, tmp_path / "swap.html") == 1
    false.fill("")
    page.locator("#learn-run").click()
    expect(page.get_by_text("A sentence is missing")).to_be_visible()


def test_two_wordings_of_a_picture_that_the_class_brought(page: Page, browser: Browser, tmp_path: Path) -> None:
    Image.effect_noise((300, 200), 60).convert("RGB").save(tmp_path / "ours.jpg")
    page.locator("#learn-own-fold > button").click()
    page.locator("#learn-own input[type=file]").set_input_files(tmp_path / "ours.jpg")
    expect(page.locator("#learn-tile textarea, #learn-tile input")).to_have_value("")
    expect(page.get_by_alt_text("the chosen tile")).to_be_visible()
    page.locator("#learn-text textarea").fill("Gray noise fills the picture.")
    page.get_by_label("Reword").check()
    page.locator("#learn-run").click()
    expect(page.get_by_text("There is no second text")).to_be_visible()
    page.locator("#learn-again textarea").fill("All of it is a gray blur.")
    page.locator("#learn-run").click()
    stage = page.locator("#learn-stage")
    expect(stage.locator(".card")).to_have_count(2)
    expect(stage).to_contain_text("Rank of your own picture among")
    assert "your own picture" in take_sheet(page, tmp_path / "reword.html")
    assert pages_of(browser, tmp_path / "reword.html") == 1
    page.get_by_label("Grow").check()
    page.locator("#learn-run").click()
    expect(stage).to_contain_text("Step 1 of 1")


def test_a_tile_of_the_landscape_is_told_in_other_words(page: Page) -> None:
    choose(page, 2)
    page.get_by_label("Reword").check()
    own, again = page.locator("#learn-text textarea"), page.locator("#learn-again textarea")
    expect(again).to_have_value(re.compile("industrial|factor|plant|warehouse"))
    assert own.input_value() != again.input_value()


def test_a_long_text_of_a_stranger_stays_text_and_on_one_page(page: Page, browser: Browser, tmp_path: Path) -> None:
    choose(page, 1)
    text = " ".join(f"{NASTY} and a very long part number {n} of it with many words." for n in range(20))
    page.locator("#learn-text textarea").fill(text)
    page.locator("#learn-run").click()
    expect(page.locator("#learn-stage")).to_contain_text("very long part number 0")  # not the lesson's own run
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#learn-table tbody tr")).to_have_count(16)
    expect(page.locator("#learn-table")).to_contain_text("{{7*7}}")
    take_sheet(page, tmp_path / "long.html")
    assert pages_of(browser, tmp_path / "long.html") == 1
    page.get_by_label("Reorder").check()
    page.locator("#learn-run").click()
    expect(page.locator("#learn-stage .card")).to_have_count(4)
    take_sheet(page, tmp_path / "orders.html")
    assert pages_of(browser, tmp_path / "orders.html") == 1


def test_a_tile_of_ones_own_by_keyboard_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 780})
    page.locator("#learn-run").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("No tile is chosen")).to_be_visible()
    box = page.locator("#learn-tile textarea, #learn-tile input")
    box.fill("r028c021")
    box.press("Enter")
    expect(page.locator("#learn-text textarea")).to_have_value(re.compile("industrial"))
    page.locator("#learn-run").press("Enter")
    page.locator("#learn-next").press("Space")
    expect(page.locator("#learn-table tbody tr")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    box.fill("nowhere")
    box.press("Enter")
    expect(page.get_by_text("No tile 'nowhere'")).to_be_visible()


def test_run_right_after_a_lesson_is_of_that_lesson_and_the_focus_stays(page: Page) -> None:
    at_once = "n => { document.querySelector(`#lesson-${n}`).click(); document.querySelector('#learn-run').click(); }"
    page.evaluate(at_once, 3)
    expect(page.locator("#learn-stage")).to_contain_text("The sentence alone")
    page.evaluate(at_once, 1)
    expect(page.locator("#learn-stage .step")).to_contain_text("Step 1 of")
    steps = int(page.locator("#learn-stage .step").inner_text().split()[-1])
    page.locator("#learn-next").focus()
    for step in range(2, steps + 1):
        page.keyboard.press("Enter")
        expect(page.locator("#learn-stage .step")).to_contain_text(f"Step {step} of")
    expect(page.locator("#learn-stage")).to_be_focused()  # "Next" is spent, and must not throw the reader to the top
