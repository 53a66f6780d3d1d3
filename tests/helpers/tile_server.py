"""A web map service on loopback, and one that misbehaves as real ones do."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image


@dataclass
class TileServer:
    """What it is asked and how it answers.

    Attributes:
        url: template of its tiles.
        moods: "z/x/y" -> how to answer it: "missing", "busy once", "busy", "stall", "html as png", "png as html",
            "huge", "cut", "drip" (a head that never ends), "patience" (asks for it in no number), "redirect ADDRESS"; a
            good picture otherwise.
        asked: how often each tile was asked for.
        times_s: when each request came.
    """

    url: str = ""
    moods: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    times_s: list[float] = field(default_factory=list)


def picture_of(name: str) -> bytes:
    """A tile whose color follows from its name."""
    zoom, x, y = (int(part) for part in name.split("/"))
    out = io.BytesIO()
    Image.new("RGB", (256, 256), (x * 7 % 256, y * 11 % 256, zoom * 13)).save(out, "PNG")
    return out.getvalue()


@contextmanager
def serve_tiles() -> Iterator[TileServer]:  # noqa: C901  (a branch for each way of failing)
    """Serve pictures of one color at /z/x/y until the end of the block."""
    told = TileServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            return

        def do_GET(self) -> None:
            name = self.path.strip("/")
            told.asked[name] += 1
            told.times_s.append(time.monotonic())
            mood = told.moods.get(name, "")
            if mood == "missing":
                self.answer(404, b"no such tile", "text/plain")
            elif mood == "busy" or (mood == "busy once" and told.asked[name] == 1):
                self.answer(503, b"later", "text/plain", {"Retry-After": "0"})
            elif mood == "stall":
                self.send_response(200)
                self.send_header("Content-Length", "5000")
                self.end_headers()
                self.wfile.flush()
                time.sleep(3)
                self.close_connection = True
            elif mood == "html as png":
                self.answer(200, b"<html>Please log in</html>", "image/png")
            elif mood == "png as html":
                self.answer(200, picture_of(name), "text/html")
            elif mood == "huge":
                self.answer(200, bytes(5_000_000), "image/png")
            elif mood == "cut":
                self.answer(200, picture_of(name)[:200], "image/png")
            elif mood == "patience":
                self.answer(503, b"later", "text/plain", {"Retry-After": "\u00b2"})
            elif mood == "drip":
                with suppress(OSError):  # the caller has gone
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                    for _ in range(60):
                        self.wfile.write(b"x")
                        self.wfile.flush()
                        time.sleep(0.1)
                self.close_connection = True
            elif mood.startswith("redirect "):
                self.answer(302, b"", "text/plain", {"Location": mood.removeprefix("redirect ")})
            else:
                self.answer(200, picture_of(name), "image/png")

        def answer(self, status: int, content: bytes, kind: str, more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            for header, value in (more or {}).items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told.url = f"http://127.0.0.1:{server.server_port}/{{z}}/{{x}}/{{y}}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
