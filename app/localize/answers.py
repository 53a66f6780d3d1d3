"""The answers of which files can still be made, kept on the server; a page holds a name of its own answer alone.

An answer has up to thirty megabytes of maps. In a page's state it would stay until four hundred others came.
"""

from __future__ import annotations

import secrets
from collections import Counter, OrderedDict
from dataclasses import dataclass
from threading import Lock

from app.localize.service import Answer
from app.server.request_log import CURRENT

MAX_BYTES = 256 * 2**20
"""Bytes of all answers together."""
_POINT_BYTES = 200  # of a corner of a region, with its share of objects


@dataclass(frozen=True)
class _Entry:
    client: str
    session: str
    answer: Answer
    size_bytes: int


class Answers:
    """The last answers; beyond a limit the oldest of the client that holds most go.

    Args:
        max_bytes: of all together.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = Lock()

    def put(self, session: str, answer: Answer) -> str:
        """Keep an answer in place of the one that its session had; return its name, which nobody can guess."""
        call = CURRENT.get()
        entry = _Entry(call.client if call is not None else "", session, answer, _size_bytes(answer))
        name = secrets.token_hex(16)
        with self._lock:
            self._drop(session)
            self._entries[name] = entry
            held = Counter[str]()
            for one in self._entries.values():
                held[one.client] += one.size_bytes
            while held.total() > self._max_bytes:
                client = held.most_common(1)[0][0]
                oldest = next(key for key, one in self._entries.items() if one.client == client)
                held[client] -= self._entries.pop(oldest).size_bytes
        return name

    def get(self, name: str | None) -> Answer | None:
        """Return the answer of a name; None if it went, or there never was one."""
        with self._lock:
            entry = self._entries.get(name or "")
        return None if entry is None else entry.answer

    def drop(self, session: str) -> None:
        """Forget a session's answer."""
        with self._lock:
            self._drop(session)

    def _drop(self, session: str) -> None:
        for name in [name for name, one in self._entries.items() if one.session == session]:
            del self._entries[name]


def _size_bytes(answer: Answer) -> int:
    maps = [finding.heatmap for finding in answer.findings] + list(answer.clauses)
    cells = sum(one.cells.values_cos.nbytes for one in maps)
    corners = sum(
        len(ring.coords)
        for finding in answer.findings
        for region in finding.regions.regions
        for ring in (region.outline.exterior, *region.outline.interiors)
    )
    return cells + corners * _POINT_BYTES
