"""The doors that are open, and the cost of each for a client: all others of Gradio are closed.

Gradio brings some sixty routes, for recording, editing, monitoring and proxying too. The page and its programs need
these; a door that a later Gradio adds stays shut until somebody opens it here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from app.server.shares import Kind

API = "/gradio_api"
Body = Literal["", "plain", "join", "call", "named_call", "cancel", "upload", "mcp"]
_GET, _POST = frozenset({"GET", "HEAD"}), frozenset({"POST"})
_LISTEN = frozenset({"GET"})  # HEAD listens to nothing, and would count as a listener
_SESSION = r"[A-Za-z0-9_-]{1,64}"
_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
_FILE = r"[A-Za-z0-9_@+-][A-Za-z0-9_@.+-]{0,127}"  # no name begins with a dot


@dataclass(frozen=True)
class Door:
    """A route that is open.

    Attributes:
        pattern: of the whole path; its groups `session`, `event`, `name` and `file` are checked further.
        methods: HTTP methods; OPTIONS is answered everywhere.
        cost: requests that one counts as.
        body: the kind of body it takes.
        stream: whether the answer lasts as long as its caller listens.
        direct: whether it may run a function outside the queue, in a thread that others wait for.
    """

    pattern: re.Pattern[str]
    methods: frozenset[str]
    cost: float
    body: Body = ""
    stream: bool = False
    direct: bool = False

    @property
    def share(self) -> Kind:
        """Kind of the share that an open request takes."""
        return "direct" if self.direct else "stream" if self.stream else "request"


def _door(path: str, methods: frozenset[str], cost: float, body: Body = "", **more: bool) -> Door:
    return Door(re.compile(path, re.ASCII), methods, cost, body, **more)


# Requests at each key that is pressed, and the hundred small files of a page, count little.
_LITTLE = 0.02
DOORS: tuple[Door, ...] = (
    _door("/", _GET, 1),
    _door("/config/?", _GET, 1),
    _door("/health", _GET, 0.1),
    _door("/api/v1/openapi.json", _GET, 1),
    _door(r"/api/v1/[a-z_]{1,32}", _POST, 1, "plain"),
    _door(r"/ground/([0-9a-f]{16}|world)/\d{1,2}/\d{1,7}/\d{1,7}\.webp", _GET, 0.1),
    _door("/(theme.css|favicon.ico|robots.txt|manifest.json)", _GET, _LITTLE),
    _door(rf"/(static|assets|svelte)(/{_FILE}){{1,8}}", _GET, _LITTLE),
    _door(rf"{API}/(info|startup-events|app_id)/?", _GET, 1),
    _door(rf"{API}/theme.css", _GET, _LITTLE),
    _door(rf"{API}/file=(?P<file>.{{1,4096}})", _GET, _LITTLE),
    _door(rf"{API}/heartbeat/(?P<session>{_SESSION})", _LISTEN, 0.1, stream=True),
    _door(rf"{API}/queue/data", _LISTEN, 0.1, stream=True),
    _door(rf"{API}/call/(v2/)?{_NAME}/(?P<event>[0-9a-f-]{{1,64}})", _LISTEN, 0.1, stream=True),
    _door(rf"{API}/upload_progress", _LISTEN, 0.1, stream=True),
    _door(rf"{API}/queue/join", _POST, 1, "join"),
    _door(rf"{API}/run/(?P<name>{_NAME})/?", _POST, 0.1, "join", direct=True),
    _door(rf"{API}/api/(?P<name>{_NAME})/?", _POST, 1, "join", direct=True),
    _door(rf"{API}/call/v2/(?P<name>{_NAME})/?", _POST, 1, "named_call"),
    _door(rf"{API}/call/(?P<name>{_NAME})/?", _POST, 1, "call"),
    _door(rf"{API}/cancel", _POST, 0.1, "cancel"),
    _door(rf"{API}/upload", _POST, 1, "upload"),
    _door(rf"{API}/mcp(/(sse|schema|messages)?)?/?", _LISTEN, 0.1, stream=True),
    _door(rf"{API}/mcp(/(messages)?)?/?", frozenset({"POST", "DELETE"}), 1, "mcp"),
)


def door_of(path: str) -> tuple[tuple[Door, ...], re.Match[str] | None]:
    """Return the doors at a path, one for each set of methods, and the first match; none for a path that is closed."""
    found = [(door, match) for door in DOORS if (match := door.pattern.fullmatch(path))]
    return tuple(door for door, _ in found), found[0][1] if found else None
