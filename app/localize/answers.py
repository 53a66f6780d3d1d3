"""The answers of which files can still be made, kept on the server; a page holds a name of its own answer alone.

An answer has up to thirty megabytes of maps. In a page's state it would stay until four hundred others came.
"""

from __future__ import annotations

import secrets
from threading import Lock

from app.fair_store import FairStore
from app.localize.service import Answer
from app.server.request_log import current_client

MAX_BYTES = 256 * 2**20
"""Bytes of all answers together."""
_ANSWER_BYTES, _CHARACTER_BYTES, _COPIES = 20_000, 4, 4  # of an answer without maps; a text stands in several places
_POINT_BYTES = 200  # of a corner of a region, with its share of objects


class Answers:
    """The last answers, one of each browser session; each client pushes out its own.

    Args:
        max_bytes: of all together.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._answers: FairStore[tuple[str, Answer]] = FairStore(max_bytes)  # by session, with their names
        self._lock = Lock()

    def put(self, session: str, answer: Answer) -> str:
        """Keep an answer in place of the one that its session had; return its name, which nobody can guess."""
        name = secrets.token_hex(16)
        with self._lock:
            self._answers.put(session, (name, answer), current_client(), _size_bytes(answer))
        return name

    def get(self, session: str, name: str | None) -> Answer | None:
        """Return the answer of a name; None if it went, or there never was one."""
        with self._lock:
            found = self._answers.get(session)
        return found[1] if found is not None and found[0] == name else None

    def drop(self, session: str) -> None:
        """Forget a session's answer."""
        with self._lock:
            self._answers.pop(session)


def _size_bytes(answer: Answer) -> int:
    maps = [finding.heatmap for finding in answer.findings] + list(answer.clauses)
    cells = sum(one.cells.values_cos.nbytes for one in maps)
    corners = sum(
        len(ring.coords)
        for finding in answer.findings
        for region in finding.regions.regions
        for ring in (region.outline.exterior, *region.outline.interiors)
    )
    asked = answer.question
    told = sum(map(len, (asked.text, asked.compare, asked.exclude))) * _CHARACTER_BYTES * _COPIES
    return _ANSWER_BYTES + told + cells + corners * _POINT_BYTES
