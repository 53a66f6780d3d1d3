"""What stands before Gradio: limits on how much one client may ask and send. Plain ASGI, so streams stay streams."""

from __future__ import annotations

import ipaddress
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import calls

_MOST_CLIENTS = 10_000
_LONGEST_NAME = 64
_MIB = 2**20
_JSON_BYTES = 8 * _MIB  # of a call: texts, settings, and what a page hands back to the server
_FORM_BYTES = _MIB  # around the file that is sent
_FILES = 8  # of one upload
_BYTES_A_REQUEST = 4 * _MIB  # an upload counts as so many requests as it has of these, since it is kept for hours
_UPLOAD = "/gradio_api/upload"
_TYPING = "/gradio_api/run/"  # what runs at each key that is pressed
_COSTS = {"/gradio_api/queue/join": 1.0, "/gradio_api/call/": 1.0, _UPLOAD: 1.0, _TYPING: 0.1}
_COSTS |= {"/gradio_api/api/": 1.0, "/gradio_api/mcp": 1.0}
# Doors of Gradio that no page here uses: the first writes what a visitor typed to disk, for ever and as often as asked.
_CLOSED = ("/gradio_api/deep_link", "/gradio_api/process_recording", "/gradio_api/vibe-")
_NETWORK_BITS = 64  # of an IPv6 address: whoever has one has all that begin like it


class Buckets:
    """A token bucket for each client: a minute's worth of requests at once, then as many a minute.

    Args:
        per_minute: requests; 0 for no limit.
        clock: seconds, for tests.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests left, and when that was
        self._lock = Lock()

    def wait_s(self, client: str, cost: float = 1.0) -> float:
        """0 if the client may go on; otherwise how long it has to wait."""
        if not self._per_minute:
            return 0.0
        now, cost = self._clock(), min(cost, self._per_minute)
        with self._lock:
            left, then = self._left.pop(client, (float(self._per_minute), now))
            left = min(self._per_minute, left + (now - then) * self._per_minute / 60)
            allowed = left >= cost
            self._left[client] = (left - cost if allowed else left, now)
            while len(self._left) > _MOST_CLIENTS:
                self._left.popitem(last=False)  # whoever has been quiet longest: his bucket is fullest
        return 0.0 if allowed else (cost - left) * 60 / self._per_minute

    def __len__(self) -> int:
        """Clients that are remembered."""
        return len(self._left)


class Guard:
    """ASGI middleware that refuses with 429 what comes too often, and with 413 what is too large.

    Args:
        app: what it stands before.
        per_minute: requests of a client; 0 for no limit.
        max_upload_bytes: of a file.
        proxies: how many of the operator's stand before the server and add to X-Forwarded-For.
    """

    def __init__(self, app: ASGIApp, *, per_minute: int, max_upload_bytes: int, proxies: int = 0) -> None:
        self._app, self._proxies = app, proxies
        self._buckets = Buckets(per_minute)
        self._upload_bytes = _FILES * max_upload_bytes + _FORM_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] == "http" and str(scope["path"]).startswith(_CLOSED):
            await _refuse(send, 404, "there is nothing here")
            return
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH", "DELETE"):
            await self._app(scope, receive, send)
            return
        path = str(scope["path"])
        cost = next((cost for start, cost in _COSTS.items() if path.startswith(start)), 0.0)
        most = self._upload_bytes if path.startswith(_UPLOAD) else _JSON_BYTES
        said = _header(scope, b"content-length")
        if said.isdigit() and int(said) > most:
            await _refuse(send, 413, f"this is over the limit of {most // _MIB} MB; send less at once")
            return
        if path.startswith(_UPLOAD):
            cost = max(cost, (int(said) if said.isdigit() else most) / _BYTES_A_REQUEST)
        if wait_s := self._buckets.wait_s(client_of(scope, self._proxies), cost) if cost else 0.0:
            await _refuse(send, 429, "too many requests; wait a moment and try again", wait_s)
            return
        await self._app(scope, _measured(receive, most), send)


def _measured(receive: Receive, most: int) -> Receive:
    got = 0

    async def counted() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > most:
            # As if the client had hung up: what is read of it so far is dropped by whoever reads.
            return {"type": "http.disconnect"}
        return message

    return counted


def client_of(scope: Scope, proxies: int) -> str:
    """Who asks: the address of the connection, or what the outermost of our own proxies saw."""
    direct = _network(str((scope.get("client") or ("unknown",))[0]))
    if not proxies:
        return direct
    told = [part.strip() for part in _header(scope, b"x-forwarded-for").split(",") if part.strip()]
    return _network(told[-proxies]) if len(told) >= proxies else direct


def _network(address: str) -> str:
    """An address as it counts: of IPv6 the network, as one client has more addresses there than could be counted."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:_LONGEST_NAME]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), _NETWORK_BITS), strict=False))


def _header(scope: Scope, name: bytes) -> str:
    values: list[tuple[bytes, bytes]] = scope["headers"]
    return ",".join(value.decode("latin-1") for key, value in values if key.lower() == name)


async def _refuse(send: Send, status: int, sentence: str, wait_s: float = 0.0) -> None:
    calls.tell("request", "refused", code=status)
    body = json.dumps({"detail": sentence, "error": sentence}).encode()
    headers: list[Any] = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if wait_s:
        headers.append((b"retry-after", str(max(1, round(wait_s))).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
