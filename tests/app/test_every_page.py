"""Every page as a visitor meets it: the shipped model on the built-in landscape, by mouse, by keyboard, on a phone.

Each run leaves a picture of every page in `artifacts/pages/`, to be looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from app.cli import open_state
from tests.helpers.app_parts import running
from tests.helpers.browsing import needs_chromium, watched

pytestmark = needs_chromium
PICTURES = Path(__file__).resolve().parents[2] / "artifacts" / "pages"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]  # the rules that must hold
MAIN_CONTROLS = {
    "Search": "#search-button",
    "Classify": "#classify-button",
    "Localize": "#localize-button",
    "Learn": "#learn-run",
    "Places": "#places-look",
}
MAX_STEPS = 80  # of the Tab key, from one control to the next one wanted


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(open_state(None, "tiny")) as address:
        yield address


@pytest.fixture
def opened(browser: Browser, url: str) -> Iterator[Callable[[int, str], Page]]:
    """Opens a page of a width in a theme; at the end nothing may have gone wrong or been asked of another machine."""
    visits = ExitStack()

    def opening(width_px: int, theme: str) -> Page:
        page = browser.new_page(viewport={"width": width_px, "height": 1000})
        visits.enter_context(watched(page))
        visits.callback(page.close)  # before it is asked what went wrong
        page.goto(f"{url}?__theme={theme}")
        expect(page.locator("#description textarea")).to_be_visible()
        assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
        return page

    with visits:
        yield opening


def use_search(page: Page) -> None:
    page.get_by_role("button", name="School").click()
    expect(page.locator("#description textarea")).to_have_value(re.compile("school"))
    page.locator("#search-button").click()
    expect(page.get_by_text("best first")).to_be_visible()
    page.locator("#gallery .thumbnail-item").first.click()
    expect(page.locator("#details img")).to_be_visible()


def use_classify(page: Page) -> None:
    page.locator("#classify-strip .thumbnail-item").nth(2).click()
    expect(page.locator("#classify-picture img")).to_be_visible()
    page.locator("#classify-button").click()
    expect(page.locator("#bars li").first).to_be_visible()


def use_localize(page: Page) -> None:
    page.locator("#scene-strip .thumbnail-item").nth(2).click()
    expect(page.locator("#scene img")).to_be_visible()
    page.locator("#sentence textarea").fill("a road between houses and trees")
    page.locator("#localize-button").click()
    expect(page.frame_locator("iframe.map").get_by_alt_text("heat-map")).to_be_visible()


def use_learn(page: Page) -> None:
    page.get_by_role("button", name=re.compile("A longer description")).click()
    expect(page.locator("#learn-text textarea")).to_have_value(re.compile("farmland"))
    page.locator("#learn-run").click()
    expect(page.locator("#learn-table table").first).to_be_visible(timeout=60_000)


USES: dict[str, Callable[[Page], None]] = {
    "Search": use_search,
    "Classify": use_classify,
    "Localize": use_localize,
    "Learn": use_learn,
}


@pytest.mark.parametrize(
    ("width_px", "themes"), [(360, ("light", "dark")), (1400, ("light",)), (1920, ("dark", "light"))]
)
def test_every_page_can_be_read(opened: Callable[[int, str], Page], width_px: int, themes: tuple[str, ...]) -> None:
    """Names, labels, alternative texts and contrast by axe-core; nothing wider than the window; a picture of it."""
    page = opened(width_px, themes[0])
    PICTURES.mkdir(parents=True, exist_ok=True)
    found = []
    for tab in MAIN_CONTROLS:
        page.get_by_role("tab", name=tab, exact=True).click()
        if tab in USES:
            USES[tab](page)
        for theme in themes:
            page.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")  # as Settings does
            page.wait_for_timeout(400)  # pictures fade in; a half faded text has little contrast
            page.screenshot(path=PICTURES / f"{tab.lower()}-{width_px}-{theme}.png", full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") <= width_px, f"{tab} is wider than the window"
            for broken in Axe().run(page, options={"runOnly": WCAG}).response["violations"]:
                nodes = [node["html"][:120] for node in broken["nodes"]]
                found.append(f"{tab}, {theme}: {broken['id']}: {nodes}")
    assert not found


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until a control has the focus."""
    for _ in range(MAX_STEPS):
        if wanted.evaluate("e => e === document.activeElement || e.contains(document.activeElement)"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the Tab key does not reach {wanted}")


def test_the_keyboard_alone_finds_a_tile_and_localizes_in_it(opened: Callable[[int, str], Page]) -> None:
    page = opened(1400, "light")
    tab_to(page, page.locator("#description textarea"))
    page.keyboard.type("a harbour with ships at a quay")
    tab_to(page, page.locator("#search-button"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("best first")).to_be_visible()
    tab_to(page, page.locator("#gallery .thumbnail-item").nth(1))
    page.keyboard.press("Enter")
    expect(page.locator("#details img")).to_be_visible()
    tab_to(page, page.get_by_role("button", name="Localize this tile"))
    page.keyboard.press("Enter")
    expect(page.locator("#scene img")).to_be_visible()
    tab_to(page, page.locator("#localize-button"))
    page.keyboard.press("Enter")
    expect(page.frame_locator("iframe.map").get_by_alt_text("heat-map")).to_be_visible()


def test_the_keyboard_reaches_every_page(opened: Callable[[int, str], Page]) -> None:
    page = opened(1400, "light")
    for tab, control in MAIN_CONTROLS.items():
        button = page.get_by_role("tab", name=tab, exact=True)
        tab_to(page, button)
        page.keyboard.press("Enter")
        expect(button).to_have_attribute("aria-selected", "true")
        wanted = page.locator(control)
        expect(wanted).to_be_visible()
        tab_to(page, wanted)


def by_mouse(page: Page, control: Locator) -> None:
    control.click()


def by_keys(page: Page, control: Locator) -> None:
    expect(control).to_be_visible()
    tab_to(page, control)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("press", [by_mouse, by_keys])
def test_the_tour_of_the_readme_to_the_letter(
    opened: Callable[[int, str], Page], press: Callable[[Page, Locator], None], tmp_path: Path
) -> None:
    page = opened(1400, "light")

    def button(name: str) -> Locator:
        return page.get_by_role("button", name=name, exact=True)

    def tab(name: str) -> Locator:
        return page.get_by_role("tab", name=name, exact=True)

    # 2
    press(page, button("School"))
    expect(page.locator("#description textarea")).to_have_value(re.compile("school"))
    expect(page.locator("#meter")).to_contain_text(re.compile(r"\d+ / 248 tokens"))
    press(page, page.locator("#search-button"))
    summary, facts = page.locator("#summary"), page.locator("#facts")
    expect(summary).to_contain_text(re.compile("best first for.*school", re.DOTALL))
    expect(summary).to_contain_text(re.compile("match", re.IGNORECASE))
    expect(facts).to_contain_text(re.compile(r"Rank\s*1\b"))
    expect(page.frame_locator("iframe.places-map").locator("path").first).to_be_attached()
    # 3
    press(page, page.locator("#gallery .thumbnail-item").nth(2))
    expect(facts).to_contain_text(re.compile(r"Rank\s*3\b"))
    page.keyboard.press("ArrowLeft")
    expect(facts).to_contain_text(re.compile(r"Rank\s*2\b"))
    press(page, button("More like this"))
    expect(summary.locator(".limit")).to_have_count(1)
    exclude = page.locator("#exclude textarea, #exclude input")
    if press is by_keys:
        tab_to(page, exclude)
    else:
        exclude.click()
    page.keyboard.type("parked cars")
    page.keyboard.press("Enter")
    expect(summary).to_contain_text("parked cars")
    expect(facts).to_contain_text(re.compile(r"Rank\s*1\b"))
    page.wait_for_url(re.compile("x=parked"))
    tiles = page.locator("#shown-tiles [data-tiles]")
    found = tiles.get_attribute("data-tiles")
    elsewhere = opened(1400, "light")
    elsewhere.goto(page.url)
    expect(elsewhere.locator("#shown-tiles [data-tiles]")).to_have_attribute("data-tiles", found or "")
    # 4
    press(page, button("Classify this tile"))
    expect(page.locator("#bars li").first).to_be_visible()
    expect(page.locator("#bars")).to_contain_text("22 other classes")
    press(page, tab("Search"))
    press(page, button("Localize this tile"))
    expect(page.frame_locator("iframe.map").get_by_alt_text("heat-map")).to_be_visible()
    # 5
    press(page, tab("Learn"))
    press(page, page.get_by_role("button", name=re.compile("A longer description finds the place")))
    rank = page.locator("#learn-stage .rank b")
    expect(rank).to_have_text(re.compile(r"^[4-8]\d$"))  # processors round bfloat16 in their own ways
    for step in range(2, 7):
        press(page, page.locator("#learn-next"))
        expect(page.locator("#learn-stage .step")).to_have_text(f"Step {step} of 6")
    expect(rank).to_have_text("1")
    with page.expect_download() as begun:
        press(page, page.locator("#learn-take"))
    begun.value.save_as(tmp_path / "sheet.html")
    assert "A longer description finds the place" in (tmp_path / "sheet.html").read_text(encoding="utf-8")
