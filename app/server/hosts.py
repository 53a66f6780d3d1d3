"""Names under which the server may be asked, so that a page elsewhere cannot give itself out as ours.

A browser sends the name that it was given. A foreign page can have its own name lead to this machine (DNS rebinding)
and then speaks to the server as if it were the server's own page; only the Host header tells.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

ANY = "*"
_NAME_AND_PORT = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?", re.ASCII)


def hosts_of(text: str) -> tuple[str, ...]:
    """Split a setting into names, with commas or blanks between them, in small letters."""
    return tuple(text.lower().replace(",", " ").split())


def may_be_asked(host: str, allowed: tuple[str, ...]) -> bool:
    """Return whether a Host header names this server.

    An IP address does in any case, because no page can take one for its own name, and so does localhost.

    Args:
        host: the header.
        allowed: further names; ANY for all.
    """
    match = _NAME_AND_PORT.fullmatch(host.strip())
    if match is None:
        return False
    name = match["name"].strip("[]").lower().rstrip(".")
    if ANY in allowed or name in allowed or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_own_page(origin: str, host: str, allowed: tuple[str, ...]) -> bool:
    """Return whether an Origin header is that of a page of this server, or of no page at all.

    Args:
        origin: the header; empty where a program asks.
        host: the Host header of the same request.
        allowed: as of `may_be_asked`.
    """
    if not origin or ANY in allowed:
        return True
    try:
        netloc = urlsplit(origin).netloc
    except ValueError:
        return False
    return netloc.lower() == host.strip().lower() or netloc.lower() in allowed
