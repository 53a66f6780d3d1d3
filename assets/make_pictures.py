"""Make the README's pictures: `python -m assets.make_pictures`.

Starts the demo on the atlas, with the shipped checkpoint, and photographs each page in Chromium; and draws one tile of
each kind of site.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from app.build import build, serve
from app.cli import open_state
from lrsclip.atlas.geometry import middle
from lrsclip.atlas.rendering import render
from lrsclip.atlas.scenes import PX_M, SCENE_PX
from lrsclip.tiles.atlas import TILE_PX, AtlasTiles

expect.set_options(timeout=60_000)  # a heat-map takes a while where other work is going on
FOLDER = Path(__file__).parent / "readme"
QUERY = (
    "A school seen from above. Long school buildings stand around a paved square in the north. In the south lies a "
    "football pitch within a red running track, and a basketball court can be seen in the east. There are many cars."
)
SHEET_COLUMNS, SHEET_PX = 10, 144
SENTENCE, COMPARED = "an oil storage area with large circular tanks", "a port with cranes and ships"
LESSON = "What 77 tokens cannot hold"
WINDOW: ViewportSize = {"width": 1440, "height": 860}
LEARN_PX = 1420  # high enough for the two heat-maps
SCENE_CORNER_M = 6000, 0  # a scene with a port in its corner and without a tank farm, which the page should tell


def search(page: Page, text: str) -> None:
    """Search for a text on the page, and open the best hit."""
    page.locator("#description textarea").fill(text)
    page.locator("#search-button").click()
    expect(page.get_by_text("best first")).to_be_visible()
    page.locator("#gallery .thumbnail-item").first.click()
    expect(page.get_by_text("Localize this tile")).to_be_visible()


def contact_sheet() -> None:
    """Draw one tile of every kind of site."""
    source = AtlasTiles()
    first: dict[str, tuple[float, float]] = {}
    for site in source.country.sites(0, 0, source.side * source.tile_m, source.side * source.tile_m):
        first.setdefault(site.use, middle(site.outline))
    rows = -(-len(first) // SHEET_COLUMNS)
    sheet = Image.new("RGB", (SHEET_COLUMNS * SHEET_PX, rows * SHEET_PX), "white")
    for number, use in enumerate(sorted(first)):
        x, y = (round(at - TILE_PX / 2) for at in first[use])
        tile = render(source.country, x, y, TILE_PX, TILE_PX).resize((SHEET_PX - 4, SHEET_PX - 4))
        sheet.paste(tile, (number % SHEET_COLUMNS * SHEET_PX + 2, number // SHEET_COLUMNS * SHEET_PX + 2))
    sheet.save(FOLDER / "atlas.jpg", quality=82)


def shoot(page: Page, name: str) -> None:
    """Write one picture of the window, from the page's top, once everything has come to rest."""
    page.wait_for_timeout(1500)
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_timeout(300)
    page.screenshot(path=FOLDER / f"{name}.jpg", type="jpeg", quality=82)


def main() -> int:
    """Write all pictures; return the exit code."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("error: no chromium on PATH; on Debian: apt-get install chromium", file=sys.stderr)
        return 2
    FOLDER.mkdir(exist_ok=True)
    contact_sheet()
    demo = build(open_state(None, "tiny"))
    url = serve(demo, host="127.0.0.1", port=None, block=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=WINDOW)
        page.goto(url)
        search(page, QUERY)
        shoot(page, "search")
        page.get_by_text("Classify this tile").click()
        page.locator("#classify-button").click()
        expect(page.locator("#bars li").first).to_be_visible()
        shoot(page, "classify")
        page.get_by_role("tab", name="Learn").click()
        page.get_by_role("button", name=LESSON).click()
        expect(page.locator("#learn-text textarea")).not_to_have_value("")
        expect(page.locator("#learn-stage .step")).to_contain_text("Step 1 of", timeout=60_000)  # it runs at once
        page.get_by_role("button", name="Show all").click()
        expect(page.locator("#learn-table tbody tr")).to_have_count(16)
        page.set_viewport_size({"width": 1440, "height": LEARN_PX})
        page.wait_for_timeout(1000)
        shoot(page, "learn")
        page.set_viewport_size(WINDOW)
        page.get_by_role("tab", name="Localize").click()
        with TemporaryDirectory() as folder:
            scene = Path(folder) / "scene.jpg"
            size_m = SCENE_PX * PX_M
            render(AtlasTiles().country, *SCENE_CORNER_M, size_m, size_m, PX_M).save(scene, quality=92)
            page.locator("#scene input[type=file]").set_input_files(scene)
            expect(page.locator("#scene img")).to_be_visible()
            page.locator("#sentence textarea").fill(SENTENCE)
            page.get_by_role("button", name="Settings").click()
            page.get_by_label("Compare with").fill(COMPARED)
            page.locator("#localize-button").click()
            expect(page.locator("#map")).to_contain_text("windows in")
        shoot(page, "localize")
        browser.close()
    demo.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
