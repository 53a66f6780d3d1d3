"""Make the README's pictures: `python -m assets.make_pictures`.

Starts the demo on the tiles that the project paints itself, with the shipped checkpoint, and photographs each page in
Chromium.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from app.cli import open_state
from app.pages import build, serve

FOLDER = Path(__file__).parent / "readme"
QUERY = (
    "A marina seen from above: four long piers run out from a concrete quay into dark calm water, and dozens of small "
    "white boats are moored close together on both sides of each pier. A road with parked cars follows the quay."
)
SENTENCE = "houses among green trees"


def search(page: Page, text: str) -> None:
    """Search, and open the best hit."""
    page.locator("#description textarea").fill(text)
    page.locator("#search-button").click()
    expect(page.get_by_text("best first")).to_be_visible()
    page.locator("#gallery .thumbnail-item").first.click()
    expect(page.get_by_text("Localise this tile")).to_be_visible()


def shoot(page: Page, name: str) -> None:
    """Write one picture, once everything has come to rest."""
    page.wait_for_timeout(1500)
    page.screenshot(path=FOLDER / f"{name}.jpg", type="jpeg", quality=82)


def main() -> int:
    """Write all pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("error: no chromium on PATH; on Debian: apt-get install chromium", file=sys.stderr)
        return 2
    FOLDER.mkdir(exist_ok=True)
    demo = build(open_state(None, "tiny"))
    url = serve(demo, host="127.0.0.1", port=None, block=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 860})
        page.goto(url)
        search(page, QUERY)
        shoot(page, "search")
        page.get_by_text("Classify this tile").click()
        page.locator("#classify-button").click()
        expect(page.locator("#bars li").first).to_be_visible()
        shoot(page, "classify")
        page.get_by_role("tab", name="Search").click()
        search(page, "a long bridge with cars over a river")
        page.get_by_text("Localise this tile").click()
        page.locator("#sentence textarea").fill(SENTENCE)
        page.locator("#localise-button").click()
        expect(page.locator("#map")).to_contain_text("windows encoded")
        shoot(page, "localise")
        browser.close()
    demo.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
