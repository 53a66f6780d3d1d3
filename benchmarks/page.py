"""What the page sends and how long one waits: `python -m benchmarks.page [--tiles SPEC] [--record FILE]`.

A server and a browser on this machine. Bytes are those on the wire, of the first page beside Gradio's own files, and of
one search with its thumbnails and the squares of the map; times run from the click to the gallery, and to the map at
rest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.helpers.browsing import chromium
from train.provenance import provenance

ROOT = Path(__file__).resolve().parents[1]
_PORT = 7868
_TEXTS = (
    "Two white school buildings beside a red running track with a green pitch",
    "A marina with many white boats at wooden piers below a town",
    "Round white storage tanks beside a railway line",
    "A large stadium with a full parking lot",
    "An airport with planes at the terminal",
)
_AT_REST = """() => new Promise((done) => {
  let last = performance.now();
  const seen = new PerformanceObserver((list) => {
    if (list.getEntries().some((entry) => entry.name.includes("/ground/"))) last = performance.now();
  });
  seen.observe({type: "resource"});
  const begun = performance.now();
  const look = () => {
    if (performance.now() - Math.max(last, begun + 900) > 300) { seen.disconnect(); done(last); }
    else setTimeout(look, 50);
  };
  look();
})"""


def measure(url: str, runs: int) -> dict[str, float]:
    """Open the page and search; return bytes and seconds."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        wire = _Wire(page)
        page.goto(url)
        expect(page.locator("#gallery .thumbnail-item").first).to_be_visible()
        page.wait_for_timeout(4000)
        own = sum(size for address, size in wire.sizes.items() if not _is_gradio(address, url))
        html = next(size for address, size in wire.sizes.items() if address == url)
        galleries, rests, sent, squares = [], [], [], []
        for text in _TEXTS[:runs]:
            wire.sizes.clear()
            page.fill("#description textarea", text)
            page.evaluate("() => { window.began = performance.now(); }")
            page.evaluate("() => document.getElementById('search-button').click()")
            page.wait_for_function("(text) => document.querySelector('#summary q')?.textContent === text", arg=text)
            galleries.append(page.evaluate("performance.now() - window.began") / 1000)
            rests.append((page.evaluate(_AT_REST) - page.evaluate("window.began")) / 1000)
            page.wait_for_timeout(500)
            squares.append(sum(size for address, size in wire.sizes.items() if "/ground/" in address))
            sent.append(sum(wire.sizes.values()))
        page.close()
    return {
        "first page, its HTML, bytes on the wire": html,
        "first page beside Gradio's files, bytes": own,
        "one search, bytes (median)": statistics.median(sent),
        "of these the map's squares": statistics.median(squares),
        "click to gallery, s (median)": statistics.median(galleries),
        "click to the map at rest, s (median)": statistics.median(rests),
    }


class _Wire:
    """Bytes on the wire by address, as the browser's network says."""

    def __init__(self, page: Page) -> None:
        self.sizes: dict[str, float] = {}
        self._names: dict[str, str] = {}
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.responseReceived", self._named)
        session.on("Network.loadingFinished", self._finished)
        session.on("Network.dataReceived", self._received)

    def _named(self, told: dict[str, Any]) -> None:
        self._names[told["requestId"]] = told["response"]["url"]

    def _finished(self, told: dict[str, Any]) -> None:
        if (name := self._names.get(told["requestId"])) is not None:
            self.sizes[name] = max(self.sizes.get(name, 0), told["encodedDataLength"])

    def _received(self, told: dict[str, Any]) -> None:
        name = self._names.get(told["requestId"], "")
        if "/queue/data" in name:  # a stream, which does not finish
            self.sizes[name] = self.sizes.get(name, 0) + told["dataLength"]


def _is_gradio(address: str, url: str) -> bool:
    path = address.removeprefix(url)
    return path.startswith(("static/", "assets/", "svelte/", "gradio_api/theme.css", "theme.css", "manifest.json"))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description="What the page sends and costs.")
    parser.add_argument("--tiles", default="atlas", help="the collection (default: the landscape)")
    parser.add_argument("--runs", type=int, default=len(_TEXTS), help=f"searches, up to {len(_TEXTS)}")
    args = parser.parse_args(argv)
    command = [sys.executable, "app.py", "--port", str(_PORT), "--tiles", args.tiles]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    url = f"http://127.0.0.1:{_PORT}/"
    try:
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"{url}health", timeout=5).read()
                break
            except (urllib.error.URLError, OSError):
                if server.poll() is not None:
                    return 2
                time.sleep(0.25)
        time.sleep(5)  # until the ground is read ahead
        told = measure(url, max(1, min(args.runs, len(_TEXTS))))
    finally:
        server.terminate()
        server.wait()
    print(json.dumps({"tiles": args.tiles, **told, **provenance()}, indent=1, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
