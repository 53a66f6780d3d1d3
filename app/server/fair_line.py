"""A line of events in which clients take turns: a client with many events waits behind the first of every other.

What runs is shared as well: one client has half of a lane at most, and half of all places, so that its long events
leave places to others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
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

    def first(self, busy: Collection[str] = ()) -> Any | None:
        """Return the first event of a client that is not among the busy ones; None if there is none."""
        return next((event for event in self if _client_of(event) not in busy), None)


def busy_clients(running: Sequence[Any], lane_id: str, most: int | None, places: int) -> set[str]:
    """Return the clients that have their share of what may run at once.

    Args:
        running: the events that run, of every lane.
        lane_id: the lane in which another one may begin.
        most: number of events that run in it at most; None for any.
        places: number of events that run at most in all lanes.
    """
    everywhere = Counter(map(_client_of, running))
    here = Counter(_client_of(event) for event in running if event.concurrency_id == lane_id)
    share = _share(places if most is None else most)
    return {client for client in everywhere if everywhere[client] >= _share(places) or here[client] >= share}


def _share(most: int) -> int:
    return (most + 1) // 2


def _client_of(event: Any) -> str:
    return str(event.request.scope.get(CLIENT, ""))
