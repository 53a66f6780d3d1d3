"""The address answers while the server starts: a page that says what is being loaded, drawn or indexed, and how far.

It begins before the large imports, so that nobody meets a dead port. `/health` says 503 and the same as JSON. Strangers
may come from the first second, so their connections are few, end soon, and do not outlive the page.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from app.fair_store import FairStore
from app.server.settings import SettingError, Settings

_PAGE = Path(__file__).with_name("opening.html")
_HEAD_S = 10.0  # in which all of a request is there, and then its answer read
_MAX_HEAD_BYTES = 32 * 1024
_MAX_OPEN = 64  # connections, each with a thread
_LAST_S = 0.2  # for answers at hand when the server takes over
_FEW = 3  # pieces of work after which a guess at the rest begins


@dataclass(frozen=True)
class Doing:
    """What the server does before it is there.

    Attributes:
        what: in words.
        done: pieces that are done.
        total: pieces in all; 0 where that is not known.
        since_s: `time.monotonic()` of its beginning.
    """

    what: str
    done: int
    total: int
    since_s: float

    def facts(self) -> dict[str, object]:
        """Describe it for programs; `seconds_left` is a guess, None where there is nothing to guess from."""
        spent_s = time.monotonic() - self.since_s
        known = self.total > self.done >= _FEW
        left_s = spent_s / self.done * (self.total - self.done) if known else None
        return {
            "status": "starting",
            "doing": self.what,
            "done": self.done,
            "total": self.total,
            "seconds_left": None if left_s is None else round(left_s, 1),
        }


class Opening:
    """The answers of a server that starts.

    Args:
        host: address to listen on.
        port: port to listen on.
        head_s: seconds in which all of a request's head must be there.

    Raises:
        OSError: the port is taken, or may not be used.
    """

    def __init__(self, host: str, port: int, head_s: float = _HEAD_S) -> None:
        self._doing = Doing("Loading the program", 0, 0, time.monotonic())
        page = _PAGE.read_bytes()
        opening = self

        class Handler(BaseHTTPRequestHandler):
            timeout = _HEAD_S  # for the answer to be read
            server_version, sys_version = "LRSCLIP", ""

            def setup(self) -> None:
                super().setup()
                head = _head_of(self.connection, head_s)
                self.connection.settimeout(self.timeout)
                self.rfile.close()
                self.rfile = io.BytesIO(head)

            def do_GET(self) -> None:
                health = self.path.partition("?")[0] == "/health"
                body = json.dumps(opening.facts()).encode() if health else page
                self.send_response(503)
                self.send_header("Content-Type", "application/json" if health else "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("Retry-After", "2")
                self.send_header("Content-Security-Policy", _POLICY)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                """Say nothing: nothing of a caller's is worth a line yet."""

        bare = host.removeprefix("[").removesuffix("]")
        family = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM)[0][0]
        kind = type("_ServerOfFamily", (_Server,), {"address_family": family})
        self._server = kind((bare, port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="opening", daemon=True).start()

    def facts(self) -> dict[str, object]:
        """Describe what the server does at the moment."""
        return self._doing.facts()

    def say(self, what: str, done: int = 0, total: int = 0) -> None:
        """Tell what is being done, and how far that is."""
        before = self._doing
        self._doing = Doing(what, done, total, before.since_s if before.what == what else time.monotonic())

    def close(self) -> None:
        """Leave the port to the server itself."""
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # on Windows it would share the port with another server
    request_queue_size = 128  # while Python is busy with imports, nobody is let in

    def __init__(self, *given: Any) -> None:
        self._open: FairStore[socket.socket] = FairStore(_MAX_OPEN)
        self._lock = threading.Lock()
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count a connection; of too many, the oldest of the address that has most ends."""
        with self._lock:
            for one in self._open.put(str(id(request)), request, str(client_address[0])):
                _end(one)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, which is counted no longer."""
        with self._lock:  # what is in the store is not closed yet, so that its number is no other's
            self._open.pop(str(id(request)))
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End all connections; answers at hand have a moment."""
        until_s = time.monotonic() + _LAST_S
        while time.monotonic() < until_s and self._open.size:
            time.sleep(0.01)
        with self._lock:
            for one in self._open.values():
                _end(one)

    def handle_error(self, *_: object) -> None:
        """Say nothing of callers that hang up."""


def _end(connection: socket.socket) -> None:
    """End a connection, whose thread then closes it."""
    with suppress(OSError):  # its caller was faster
        connection.shutdown(socket.SHUT_RDWR)


def _head_of(connection: socket.socket, within_s: float) -> bytes:
    """Read the head of a request; return nothing if it is not there in time or too long, which ends the connection."""
    until_s, head = time.monotonic() + within_s, b""
    with suppress(OSError):
        while (left_s := until_s - time.monotonic()) > 0 and len(head) <= _MAX_HEAD_BYTES:
            connection.settimeout(left_s)
            part = connection.recv(8192)
            head += part
            if not part or b"\r\n\r\n" in head or b"\n\n" in head:
                return head
    return b""


_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
_BEGUN: list[Opening] = []


def begin(argv: Sequence[str]) -> None:
    """Begin to answer at the address that the command line and the settings name.

    Nothing happens where they name none that makes sense, which the program itself then says.

    Raises:
        OSError: the port is taken.
    """
    if _BEGUN or any(one in ("-h", "--help") for one in argv):
        return
    try:
        settings = Settings.from_environment()
    except SettingError:
        return
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--host", default=settings.host)
    parser.add_argument("--port", type=int, default=settings.port)
    try:
        args, _ = parser.parse_known_args(argv)
    except (argparse.ArgumentError, SystemExit):
        return
    if 1 <= args.port <= 65_535:
        _BEGUN.append(Opening(args.host, args.port))


def said(what: str, done: int = 0, total: int = 0) -> None:
    """Tell what is being done, if anybody answers."""
    if _BEGUN:
        _BEGUN[0].say(what, done, total)


def end() -> None:
    """Leave the port to the server itself; does nothing if nobody answers."""
    while _BEGUN:
        _BEGUN.pop().close()
