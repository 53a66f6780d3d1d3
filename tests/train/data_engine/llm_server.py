"""A language model on loopback that speaks /v1/chat/completions, misbehaves as told, and keeps the books."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = json.dumps({"short": "A harbour with two piers.", "long": "A harbour. Two piers reach into dark water."})


@dataclass(frozen=True)
class Ask:
    """One request as it arrived; `number` counts from 0."""

    number: int
    key: str
    body: dict[str, Any]
    headers: dict[str, str]  # names in small letters
    at: float

    @property
    def last_words(self) -> str:
        """The last message."""
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else content[0]["text"]


@dataclass(frozen=True)
class Reply:
    """What to do with a request; without arguments it is answered well."""

    content: str | None = GOOD
    status: int = 200
    error: str = ""
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    usage: dict[str, int] | None = field(default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 50})
    finish: str = "stop"
    raw: bytes | None = None
    wait_s: float = 0.0
    hang: bool = False
    drip: bool = False
    cut: bool = False

    def written(self) -> bytes:
        """The body."""
        if self.raw is not None:
            return self.raw
        if self.status != 200:
            return json.dumps({"error": {"message": self.error, "code": self.code, "type": "error"}}).encode()
        message = {"role": "assistant", "content": self.content}
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        answer: dict[str, Any] = {"id": "1", "object": "chat.completion", "model": "served", "choices": [choice]}
        return json.dumps(answer | ({"usage": self.usage} if self.usage else {})).encode()


class LlmServer:
    """The books of a server.

    Attributes:
        url: where it is.
        asks: every request in order.
        peak: most requests at once.
        answered: good answers, by idempotency key.
        paid: of these, those that were worked out anew; one that is asked for again is sent again for nothing.
    """

    def __init__(self, behave: Callable[[Ask], Reply]) -> None:
        self.url = ""
        self.behave = behave
        self.asks: list[Ask] = []
        self.peak = 0
        self.answered: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()
        self.closing = threading.Event()
        self._kept: dict[str, Reply] = {}
        self._now = 0
        self._lock = threading.Lock()

    @property
    def keys(self) -> list[str]:
        """Idempotency keys of all requests in order."""
        return [ask.key for ask in self.asks]

    def enter(self, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        """Count a request and say what to do."""
        with self._lock:
            self._now += 1
            self.peak = max(self.peak, self._now)
            ask = Ask(len(self.asks), headers.get("idempotency-key", ""), body, headers, time.monotonic())
            self.asks.append(ask)
            reply = self.behave(ask)
            if reply.status == 200 and reply.raw is None and not reply.hang:
                self.answered[ask.key] += 1
                if ask.key in self._kept:
                    return replace(self._kept[ask.key], wait_s=reply.wait_s, cut=reply.cut, drip=reply.drip)
                self.paid[ask.key] += 1
                if ask.key:
                    self._kept[ask.key] = reply
            return reply

    def leave(self) -> None:
        """A request is done with."""
        with self._lock:
            self._now -= 1


@contextmanager
def serve_llm(behave: Callable[[Ask], Reply] = lambda _: Reply()) -> Iterator[LlmServer]:
    """Serve on a free port."""
    books = LlmServer(behave)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            return

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/v1/chat/completions":
                return self.send(Reply(status=404, error="no such path"))
            reply = books.enter(body, {name.lower(): value for name, value in self.headers.items()})
            try:
                if reply.wait_s or reply.hang:
                    books.closing.wait(30 if reply.hang else reply.wait_s)
                with suppress(OSError):  # the caller was killed, or has waited long enough
                    self.send(reply)
            finally:
                books.leave()
            return None

        def send(self, reply: Reply) -> None:
            content = reply.written()
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content) + (1000 if reply.cut or reply.drip else 0)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            while reply.drip and not books.closing.wait(0.02):
                self.wfile.write(b" ")
                self.wfile.flush()
            self.close_connection = self.close_connection or reply.cut

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            return  # killed clients reset connections

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    books.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield books
    finally:
        books.closing.set()
        server.shutdown()
        server.server_close()
