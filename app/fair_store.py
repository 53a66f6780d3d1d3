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

    def put(self, key: str, value: Value, client: str, size: int = 1) -> list[Value]:
        """Keep a value for a client, and return those that had to go.

        A value that is there already counts for its other clients as well, and is not lost to one of them alone.
        """
        before = self._entries.pop(key, None)
        entry = self._entries[key] = _Entry(value, size, set() if before is None else before.clients)
        entry.clients.add(client)
        gone = []
        while len(self._entries) > 1 and sum(one.size for one in self._entries.values()) > self._max_size:
            gone.append(self._entries.pop(self._first_to_go(key)).value)
        return gone

    def get(self, key: str) -> Value | None:
        """Return the value of a key, which is then the one used last; None if there is none."""
        if (entry := self._entries.get(key)) is None:
            return None
        self._entries.move_to_end(key)
        return entry.value

    def pop(self, key: str) -> Value | None:
        """Take a value out; None if there is none."""
        entry = self._entries.pop(key, None)
        return None if entry is None else entry.value

    def values(self) -> list[Value]:
        """List all values."""
        return [entry.value for entry in self._entries.values()]

    def _first_to_go(self, newest: str) -> str:
        held = Counter[str]()
        for entry in self._entries.values():
            for client in entry.clients:
                held[client] += entry.size
        client = held.most_common(1)[0][0]
        own = [key for key, entry in self._entries.items() if client in entry.clients and key != newest] or [newest]
        return next((key for key in own if len(self._entries[key].clients) == 1), own[0])
