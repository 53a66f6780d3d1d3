"""A bounded store whose clients push out their own entries: the one that holds most loses its oldest."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass
class _Entry(Generic[Value]):
    value: Value
    size: int
    clients: set[str] = field(default_factory=set)


class FairStore(Generic[Value]):
    """Values by key, the one used longest ago first; to be used under its owner's lock.

    Args:
        max_size: of all values together, in the unit of `put`.
    """

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._entries: OrderedDict[str, _Entry[Value]] = OrderedDict()
        self._size = 0
        self._held = Counter[str]()  # by client; no client without anything, or it would grow with all that ever came

    @property
    def size(self) -> int:
        """Size of all values together."""
        return self._size

    def put(self, key: str, value: Value, client: str, size: int = 1) -> list[Value]:
        """Keep a value for a client, and return those that had to go.

        A value that is there already counts for its other clients as well, and is not lost to one of them alone.
        """
        before = self._taken(key)
        entry = self._entries[key] = _Entry(value, size, {client} if before is None else {*before.clients, client})
        self._count(entry, 1)
        gone = []
        while len(self._entries) > 1 and self._size > self._max_size:
            if (first := self._taken(self._first_to_go(key))) is not None:
                gone.append(first.value)
        return gone

    def get(self, key: str) -> Value | None:
        """Return the value of a key, which is then the one used last; None if there is none."""
        if (entry := self._entries.get(key)) is None:
            return None
        self._entries.move_to_end(key)
        return entry.value

    def pop(self, key: str) -> Value | None:
        """Take a value out; None if there is none."""
        entry = self._taken(key)
        return None if entry is None else entry.value

    def values(self) -> list[Value]:
        """List all values."""
        return [entry.value for entry in self._entries.values()]

    def _taken(self, key: str) -> _Entry[Value] | None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._count(entry, -1)
        return entry

    def _count(self, entry: _Entry[Value], sign: int) -> None:
        self._size += sign * entry.size
        for client in entry.clients:
            self._held[client] += sign * entry.size
            if self._held[client] <= 0:
                del self._held[client]

    def _first_to_go(self, newest: str) -> str:
        most = max(self._held.values(), default=0)
        client = next(
            client for entry in self._entries.values() for client in sorted(entry.clients) if self._held[client] == most
        )
        shared = newest
        for key, entry in self._entries.items():
            if client in entry.clients and key != newest:
                if len(entry.clients) == 1:
                    return key
                shared = key if shared == newest else shared
        return shared
