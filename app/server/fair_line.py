"""A line of events in which clients take turns: a client with many events waits behind the first of every other."""

from __future__ import annotations

from collections import Counter
from typing import Any

from app.server.rate_limit import CLIENT


class FairLine(list[Any]):
    """The events that wait in one lane of Gradio's queue.

    A client's first event goes before the second one of any other, its second one before all third ones, and so on; so
    one that sends sixty at once holds up another client by one event, not by sixty.
    """

    def append(self, event: Any) -> None:
        """Let an event wait at its turn."""
        client = _client_of(event)
        turn = sum(_client_of(other) == client for other in self)
        waiting: Counter[str] = Counter()
        for place, other in enumerate(self):
            if waiting[_client_of(other)] > turn:
                self.insert(place, event)
                return
            waiting[_client_of(other)] += 1
        super().append(event)


def _client_of(event: Any) -> str:
    return str(event.request.scope.get(CLIENT, ""))
