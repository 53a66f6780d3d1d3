"""The rate limit: a bucket of requests for each client, and a client's name behind the operator's proxies."""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from starlette.types import Scope

CLIENT = "lrsclip.client"
"""Key of a request's scope: who asks, once the front door knows."""
CHARGE = "lrsclip.charge"
"""Key of a request's scope: charges its client for more requests; returns 0, or the seconds that it has to wait."""
INNER_HEADER, INNER_TOKEN = b"x-lrsclip-inner", secrets.token_hex(32)
"""What the server's own requests to itself carry: those that it makes for language models, which it has charged."""
LANGUAGE_MODELS = "language models"
"""Client of such a request that does not say for whom it is made."""
_MAX_CLIENTS = 10_000
_LONGEST_NAME = 64
_WITH_PORT = re.compile(r"\[([0-9a-fA-F:.]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+", re.ASCII)
_NETWORK_BITS = 64  # of an IPv6 address: a client with one has all that begin like it


class Buckets:
    """A token bucket for each client: a minute's worth of requests at once, then as many a minute.

    Args:
        per_minute: requests; 0 for no limit.
        clock: seconds, for tests.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests left, and the time of that count
        self._lock = Lock()

    def wait_s(self, client: str, cost: float = 1.0) -> float:
        """Charge a request; return 0 if the client may go on, otherwise the seconds it has to wait."""
        if not self._per_minute:
            return 0.0
        now, cost = self._clock(), min(cost, self._per_minute)
        with self._lock:
            left, then = self._left.pop(client, (float(self._per_minute), now))
            left = min(self._per_minute, left + (now - then) * self._per_minute / 60)
            allowed = left >= cost
            self._left[client] = (left - cost if allowed else left, now)
            while len(self._left) > _MAX_CLIENTS:
                self._left.popitem(last=False)  # the client that has been quiet longest has the fullest bucket
        return 0.0 if allowed else (cost - left) * 60 / self._per_minute

    def __len__(self) -> int:
        """Return the number of clients that are remembered."""
        return len(self._left)


def client_of(scope: Scope, proxies: int) -> str:
    """Return a request's client: the connection's address, or the one seen by the outermost of our own proxies."""
    direct = network_of(str((scope.get("client") or ("unknown",))[0]))
    if not proxies:
        return direct
    told = [part.strip() for part in header_of(scope, b"x-forwarded-for").split(",") if part.strip()]
    return network_of(told[-proxies]) if len(told) >= proxies else direct


def network_of(address: str) -> str:
    """Return an address as it counts: of IPv6 the network, since one client has more addresses than memory holds."""
    if (with_port := _WITH_PORT.fullmatch(address)) is not None:  # as some proxies write it
        address = with_port[1] or with_port[2]
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:_LONGEST_NAME]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), _NETWORK_BITS), strict=False))


def header_of(scope: Scope, name: bytes) -> str:
    """Join all values of a header, with commas between them."""
    values: list[tuple[bytes, bytes]] = scope["headers"]
    return ",".join(value.decode("latin-1") for key, value in values if key.lower() == name)
