"""A real browser for the tests of the page, and an eye on it: what it asks for, and what goes wrong in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

# First the one without a window's own pages: it opens ours in half the time.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
NO_CHROMIUM = "no chromium on PATH; on Debian: apt-get install chromium-headless-shell"
expect.set_options(timeout=20_000)  # Playwright's five seconds are short where two browsers share two cores
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window; the test is skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    # No sandbox of its own: inside a container Chromium may not make one. No name is resolved, so that a request to
    # elsewhere fails even where there is a network.
    arguments = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@contextmanager
def watched(visitor: Page | BrowserContext, *, console: bool = True) -> Iterator[None]:
    """While it lasts nothing may go wrong in a page, and nothing may be asked of another machine.

    Args:
        visitor: a page, or all pages of a visitor.
        console: whether an error on the console counts; a refused upload leaves one.
    """
    asked: list[str] = []
    wrong: list[str] = []

    def told(message: Any) -> None:
        if console and message.type == "error":
            wrong.append(message.text)

    visitor.on("request", lambda request: asked.append(request.url))
    visitor.on("console", told)
    if isinstance(visitor, Page):
        visitor.on("pageerror", lambda error: wrong.append(f"{error}\n{error.stack}"))
    else:
        visitor.on("weberror", lambda error: wrong.append(f"{error.error}\n{getattr(error.error, 'stack', '')}"))
    yield
    assert asked, "no page was opened"
    assert not [address for address in asked if urlsplit(address).hostname not in ("127.0.0.1", None)]
    assert not wrong, wrong


@contextmanager
def visit(browser: Browser, url: str, tab: str = "Search", *, show_all: bool = False) -> Iterator[Page]:
    """A visitor with a page of their own on a tab; nothing may go wrong, run, or be asked of another machine.

    Args:
        browser: the browser.
        url: address of the page.
        tab: the tab's name.
        show_all: near-duplicates are not hidden; to random weights all tiles look nearly the same.
    """
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    with watched(page):
        page.goto(url)
        expect(page.locator("#description textarea")).to_be_visible()
        if show_all:
            page.locator("#more-settings > button").click()
            page.get_by_label("Hide near-duplicates").uncheck()
        page.get_by_role("tab", name=tab, exact=True).click()
        yield page
        ran = page.evaluate("window.ran")  # what `NASTY` would set
        page.close()
    assert ran is None, "what was typed was run"
