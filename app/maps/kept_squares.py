"""Squares of maps that were drawn, kept for all: each client pushes out those that were drawn for it, and no others."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from app.fair_store import FairStore

MAX_BYTES = 24 * 2**20
"""Bytes of all squares together, those that are kept for good left out."""
_SQUARE_BYTES = 500  # of one beside its picture


@dataclass(frozen=True)
class Square:
    """A square of the map as a file.

    Attributes:
        content: WebP; None where no tile lies.
        complete: whether all of it was ready in time.
    """

    content: bytes | None
    complete: bool


class KeptSquares:
    """Squares by name; safe between threads.

    A square counts for the client for which it was drawn, and not for all that look at it: a client's flood then costs
    nobody a square but itself, and no list of clients grows with each visit.

    Args:
        max_bytes: of all together, those kept for good left out.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._squares: FairStore[Square] = FairStore(max_bytes)
        self._for_good: dict[str, Square] = {}
        self._lock = Lock()

    def get(self, name: str) -> Square | None:
        """Return the square of a name; None if it is not kept."""
        with self._lock:
            return self._for_good.get(name) or self._squares.get(name)

    def put(self, name: str, square: Square, client: str, *, for_good: bool = False) -> None:
        """Keep a square that was drawn for a client.

        Args:
            name: name of the square.
            square: the square.
            client: client for which it was drawn.
            for_good: keep it whatever comes; for squares of which there are few.
        """
        with self._lock:
            if for_good:
                self._for_good[name] = square
            else:
                self._squares.put(name, square, client, _SQUARE_BYTES + len(square.content or b""))
