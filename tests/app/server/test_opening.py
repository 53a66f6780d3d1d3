"""The address answers while the server starts, and says how far it is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from app.server.opening import Opening
from tests.helpers.app_parts import write_tiles
from tests.helpers.browsing import needs_chromium

ROOT = Path(__file__).resolve().parents[3]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def opening() -> Iterator[tuple[Opening, str]]:
    port = free_port()
    answers = Opening("127.0.0.1", port)
    yield answers, f"http://127.0.0.1:{port}/"
    answers.close()


def test_health_says_503_and_what_is_being_done(opening: tuple[Opening, str]) -> None:
    answers, url = opening
    first = httpx.get(f"{url}health")
    assert (first.status_code, first.json()["status"], first.json()["seconds_left"]) == (503, "starting", None)
    answers.say("Indexing tiles", 0, 400)
    time.sleep(0.05)
    answers.say("Indexing tiles", 100, 400)
    told = httpx.get(f"{url}health").json()
    assert (told["doing"], told["done"], told["total"]) == ("Indexing tiles", 100, 400)
    assert told["seconds_left"] > 0
    page = httpx.get(f"{url}anything?at=all")
    assert page.status_code == 503
    assert page.headers["retry-after"] == "2"
    assert "LRSCLIP is starting" in page.text
    assert httpx.head(url).content == b""


@needs_chromium
def test_the_page_shows_how_far_it_is(opening: tuple[Opening, str], browser: Browser) -> None:
    answers, url = opening
    page = browser.new_page()
    page.goto(url)
    answers.say("Indexing tiles", 100, 400)
    expect(page.locator("#what")).to_have_text("Indexing tiles …")
    expect(page.locator("#left")).to_contain_text("100 of 400, about")
    expect(page.locator("#bar")).to_have_attribute("value", "100")
    page.close()


@needs_chromium
@pytest.mark.slow
def test_who_comes_early_gets_the_page_when_it_is_there(tmp_path: Path, browser: Browser) -> None:
    write_tiles(tmp_path / "tiles")
    port = free_port()
    environment = {**os.environ, "LRSCLIP_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "app.py", "--port", str(port), "--tiles", str(tmp_path / "tiles")]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    page = browser.new_page()
    try:
        seen = set()
        while 200 not in seen and server.poll() is None:
            try:
                seen.add(httpx.get(f"http://127.0.0.1:{port}/health", timeout=30).status_code)
            except httpx.TransportError:
                time.sleep(0.02)
                continue
            if seen == {503}:
                page.goto(f"http://127.0.0.1:{port}/")
        assert seen == {503, 200}
        expect(page.locator("#search-button")).to_be_visible(timeout=60_000)  # by itself
    finally:
        page.close()
        server.terminate()
        server.wait()


def test_a_port_that_is_taken_is_said_at_once(opening: tuple[Opening, str]) -> None:
    port = opening[1].rsplit(":", 1)[1].strip("/")
    ran = subprocess.run(
        [sys.executable, "app.py", "--port", port, "--tiles", "/nowhere"], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in ran.stderr
