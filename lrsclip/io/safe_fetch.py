"""Fetching from addresses that a stranger may have typed.

Only http and https; no private, loopback or otherwise special address unless the operator allows it; every hop of a
redirect is checked again, and so are the addresses of a name, at the moment of connecting (a name that answers
differently the second time gains nothing); sizes and times have limits.
"""

from __future__ import annotations

import os
import socket
import ssl
import string
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpcore

from lrsclip.errors import AddressError, FetchError
from lrsclip.io.addresses import is_public
from lrsclip.numbers import whole_of

ALLOW_PRIVATE = "LRSCLIP_ALLOW_PRIVATE"
"""Environment variable: 1 lets addresses of this machine and its private network through."""
_REDIRECTS = 5
_WAIT_S = {"connect": 10.0, "read": 10.0, "write": 10.0, "pool": 30.0}
_AGENT = "lrsclip (open search in aerial imagery)"


@dataclass(frozen=True)
class Fetched:
    """The answer of a server.

    Attributes:
        status: HTTP status.
        content: body.
        retry_after_s: seconds that the server asks to wait, where it does.
    """

    status: int
    content: bytes
    retry_after_s: float | None = None


def private_allowed() -> bool:
    """Tell whether the operator lets private addresses through."""
    return os.environ.get(ALLOW_PRIVATE, "") == "1"


def fetch(url: str, *, max_bytes: int, max_s: float = 30.0) -> Fetched:
    """Fetch an address with GET, following redirects.

    Args:
        url: http or https.
        max_bytes: larger answers are refused.
        max_s: seconds for the whole exchange.

    Returns:
        The answer, whatever its status.

    Raises:
        AddressError: the address, or one it leads to, may not be asked.
        FetchError: nothing usable came back; worth trying again.
    """
    _NOW.deadline = time.monotonic() + max_s
    for _ in range(_REDIRECTS + 1):
        _check_form(url)
        try:
            answer = _get(url, max_bytes)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            raise FetchError(f"{_host(url)} does not answer ({type(error).__name__}: {error})") from error
        if isinstance(answer, Fetched):
            return answer
        try:
            url = urljoin(url, answer)
        except ValueError as error:
            raise AddressError(f"{_host(url)} redirects to {answer!r}, which is no web address") from error
    raise FetchError(f"{_host(url)} redirects more than {_REDIRECTS} times")


def _get(url: str, max_bytes: int) -> Fetched | str:
    """Request an address once; return the answer, or the address of a redirect."""
    with _pool(private_allowed()).stream(
        "GET", url, headers={"User-Agent": _AGENT}, extensions={"timeout": _WAIT_S}
    ) as response:
        headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        if response.status in (301, 302, 303, 307, 308) and b"location" in headers:
            return quote(headers[b"location"].encode("latin-1"), safe=string.punctuation)
        body = bytearray()
        for part in response.iter_stream():
            body += part
            if len(body) > max_bytes:
                raise FetchError(f"{_host(url)} sent more than {max_bytes:,} bytes")
        wait = whole_of(headers.get(b"retry-after", ""))
        return Fetched(response.status, bytes(body), float(wait) if wait is not None and wait >= 0 else None)


def _check_form(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise AddressError(f"{url!r} is no web address ({error})") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise AddressError(f"{url!r} is no web address; it must begin with http:// or https://")
    if not url.isascii():
        raise AddressError(
            f"{url!r} holds letters beyond ASCII; write a host in its xn-- form, and the rest with per cent signs"
        )
    if parts.username or parts.password:
        raise AddressError(f"the address of {parts.hostname} holds a name or password; leave it out")


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


class _Timed(httpcore.NetworkStream):
    """A connection none of whose waits ends later than the fetch that it is used for.

    httpcore's own limits are for a single wait, and a server that sends a byte now and then never reaches them.
    """

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left_s(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left_s(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Timed(self._inner.start_tls(ssl_context, server_hostname, _left_s(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left_s(timeout: float | None) -> float:
    """Limit a wait in seconds to the rest of this thread's fetch."""
    left = _NOW.deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("it took too long")
    return left if timeout is None else min(timeout, left)


_NOW = threading.local()
"""`deadline` of the fetch that a thread is at; connections go from one fetch to the next."""


class _Guard(httpcore.NetworkBackend):
    """A network backend that connects to a name's addresses only if all of them may be asked."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private, self._inner = allow_private, httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name {host} is not known: {error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        refused = [] if self._allow_private else [address for address in addresses if not is_public(address)]
        if refused:
            raise AddressError(
                f"{host} has an address of this machine or its own network; such addresses are asked only "
                f"where the operator allows it (--allow-private, or {ALLOW_PRIVATE}=1)"
            )
        return self._first(addresses, port, timeout, local_address, socket_options)

    def _first(self, addresses: Sequence[str], port: int, timeout: float | None, *rest: Any) -> httpcore.NetworkStream:
        for address in addresses[:-1]:
            try:
                return _Timed(self._inner.connect_tcp(address, port, _left_s(timeout), *rest))
            except (httpcore.NetworkError, httpcore.TimeoutException):
                continue  # a host without IPv6 still has its IPv4 address
        return _Timed(self._inner.connect_tcp(addresses[-1], port, _left_s(timeout), *rest))

    def connect_unix_socket(self, path: str, *_args: Any, **_options: Any) -> httpcore.NetworkStream:
        raise AddressError(f"{path} is a socket of this machine")

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@lru_cache(maxsize=2)
def _pool(allow_private: bool) -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(max_connections=8, keepalive_expiry=15, network_backend=_Guard(allow_private))
