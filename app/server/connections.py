"""Connections to the server: the number that may be open, and the time that one may stay silent.

Uvicorn waits for ever for the first word of a connection, and every open one takes a file handle: a thousand silent
ones would keep everybody else out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.server import request_log
from app.server.rate_limit import network_of
from app.server.request_log import log_event

HEAD_S = 15.0
"""Seconds in which the head of a request must be there."""
UNREAD_S = 60.0
"""Seconds in which some of an answer must be read."""
_MIN_CONNECTIONS, _MAX_CONNECTIONS = 128, 4096
_KEPT_HANDLES = 256  # for files, and for the server's requests to itself
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 5\r\n\r\n"
_UNHEARD = logging.getLogger("app.server.unheard")
_UNHEARD.propagate = False
_UNHEARD.addHandler(logging.NullHandler())


@dataclass
class OpenConnections:
    """The connections of one server.

    Attributes:
        most: connections that may be open.
        max_each: connections of one address; 0 for no limit, as behind a proxy, through which all come.
        head_s: seconds in which the head of a request must be there.
        unread_s: seconds in which some of an answer must be read.
    """

    most: int
    max_each: int = 0
    head_s: float = HEAD_S
    unread_s: float = UNREAD_S
    _each: Counter[str] = field(default_factory=Counter)

    def admit(self, address: str) -> bool:
        """Count a connection, unless there are too many; return whether it was admitted."""
        if self._each.total() >= self.most or (self.max_each and self._each[address] >= self.max_each):
            return False
        self._each[address] += 1
        return True

    def release(self, address: str) -> None:
        """Stop counting a connection that was admitted."""
        self._each[address] -= 1
        if self._each[address] <= 0:
            del self._each[address]

    def __len__(self) -> int:
        return self._each.total()


def max_connections() -> int:
    """Return the number of connections that the process' handles allow; raise the system's limit for it."""
    try:
        import resource
    except ImportError:  # Windows, where sockets are no file handles
        return _MAX_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_CONNECTIONS + _KEPT_HANDLES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):  # macOS allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return _MAX_CONNECTIONS
    return max(_MIN_CONNECTIONS, min(_MAX_CONNECTIONS, soft - _KEPT_HANDLES))


class CountedConnection(H11Protocol):
    """A connection that is counted, and closed if no request comes over it."""

    open_connections: OpenConnections
    """Of the server; set by `counted`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection in, or close it at once."""
        if request_log.is_on():  # uvicorn has words of its own for bytes that are no request
            self.logger = _UNHEARD
        super().connection_made(transport)  # type: ignore[arg-type]
        self._address = network_of(self.client[0]) if self.client else ""
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._admitted = self.open_connections.admit(self._address)
        if not self._admitted:
            log_event("request", "refused", code=503)
            self.transport.write(_BUSY)
            self.transport.close()
            return
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take in the bytes sent; between requests the clock runs."""
        if not self._admitted:
            return
        super().data_received(data)
        answered = self.cycle is not None and self.cycle.response_complete  # bytes that come now belong to no request
        if self.conn.their_state is h11.IDLE or answered:
            self._wait_for_head()
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no request."""
        log_event("request", "refused", code=400)
        super().send_400_response(msg)

    def pause_writing(self) -> None:
        """Wait until the answer so far is read, but not for ever."""
        super().pause_writing()
        if self._unread_timer is None:
            self._unread_timer = self.loop.call_later(self.open_connections.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on sending."""
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection."""
        for timer in (self._head_timer, self._unread_timer):
            if timer is not None:
                timer.cancel()
        if self._admitted:
            self._admitted = False
            self.open_connections.release(self._address)
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.open_connections.head_s, self.transport.close)


def counted(open_connections: OpenConnections) -> type[Any]:
    """Make the connection class of a server with this count."""
    return type("CountedConnection", (CountedConnection,), {"open_connections": open_connections})
