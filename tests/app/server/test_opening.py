"""The address answers while the server starts, and says how far it is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from app.server.opening import Opening, _Server
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


def begun(port: int, words: bytes = b"GET /", source: str = "127.0.0.1") -> socket.socket:
    """A connection that has said something and means to go on."""
    one = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
    one.sendall(words)
    return one


def is_open(one: socket.socket, wait_s: float = 0.0) -> bool:
    """Whether nobody has hung up; waits for that so long."""
    one.settimeout(max(wait_s, 0.001))
    try:
        return one.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionError:
        return False


def test_a_head_that_trickles_is_not_waited_for() -> None:
    port = free_port()
    answers = Opening("127.0.0.1", port, head_s=0.6)
    try:
        with begun(port) as one:
            began = time.monotonic()
            while time.monotonic() - began < 8:
                try:
                    one.sendall(b"a")
                except ConnectionError:
                    break
                if not is_open(one, 0.1):
                    break
            assert 0.4 < time.monotonic() - began < 6
    finally:
        answers.close()


def test_a_head_without_end_is_not_read_to_its_end(opening: tuple[Opening, str]) -> None:
    with begun(int(opening[1].rstrip("/").rsplit(":", 1)[1])) as one:
        try:
            for number in range(1000):
                one.sendall(b"a" * 1000 + b"\r\nx-%d: " % number)
        except ConnectionError:
            return
        assert not is_open(one, 5)


def test_the_opening_has_few_connections_and_who_has_most_loses_the_oldest(opening: tuple[Opening, str]) -> None:
    port = int(opening[1].rstrip("/").rsplit(":", 1)[1])
    with ExitStack() as open_ones:
        other = open_ones.enter_context(begun(port, source="127.0.0.2"))
        mine = [open_ones.enter_context(begun(port)) for _ in range(80)]
        assert httpx.get(f"{opening[1]}health", timeout=20).status_code == 503
        first = mine[:17]  # 80 and the other and the one that was answered are 18 too many
        deadline = time.monotonic() + 10
        while any(is_open(one) for one in first) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(is_open(one) for one in first)
        assert all(is_open(one) for one in mine[20:]) and is_open(other)


def test_no_connection_outlives_the_opening() -> None:
    port, before = free_port(), threading.active_count()
    answers = Opening("127.0.0.1", port)
    with ExitStack() as open_ones:
        mine = [open_ones.enter_context(begun(port)) for _ in range(20)]
        assert httpx.get(f"http://127.0.0.1:{port}/", timeout=20).status_code == 503
        began = time.monotonic()
        answers.close()
        assert not any(is_open(one, 2) for one in mine)
        while threading.active_count() > before and time.monotonic() - began < 5:
            time.sleep(0.02)
        assert threading.active_count() <= before
    Opening("127.0.0.1", port).close()


def test_who_comes_while_python_is_busy_waits_in_line() -> None:
    """Nobody is let in here: the system itself holds so many, and has the rest ask again after seconds."""
    with _Server(("127.0.0.1", 0), BaseHTTPRequestHandler) as server, ExitStack() as open_ones:
        for _ in range(100):
            one = socket.create_connection(server.server_address[:2], timeout=2)  # type: ignore[arg-type]
            open_ones.enter_context(one)
