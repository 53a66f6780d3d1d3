"""Work in threads of its own, so many pieces at once and so many of one client: uploads, calls, squares of the map."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from app.server.settings import in_force
from lrsclip.errors import Busy, Cancelled

Result = TypeVar("Result")


@dataclass(eq=False)
class _Turn:
    client: str
    begun: anyio.Event = field(default_factory=anyio.Event)
    waits: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class FairWork:
    """A line of its own: slow pieces leave events' threads alone, and a client's many leave places to others.

    A client that has nothing in here is let in past both bounds, up to twice each: other clients' many pieces, each of
    which may take half a minute, do not shut it out.

    Args:
        at_once: pieces that are at work.
        of_one_client: those of one client.
        most: pieces that wait or are at work, in all; None for any number, and no place past `at_once` then.
    """

    def __init__(self, at_once: int, of_one_client: int, most: int | None = None) -> None:
        self._at_once, self._of_one_client, self._most = at_once, of_one_client, most
        self._threads: anyio.CapacityLimiter | None = None  # belongs to the loop in which it is first asked for
        self._line: list[_Turn] = []  # as they came, those at work too
        self._moved_s = time.monotonic()

    @property
    def waiting(self) -> int:
        """Number of pieces that wait or are at work."""
        return len(self._line)

    @property
    def still_s(self) -> float:
        """Seconds in which no piece has ended although some wait; 0 where none does."""
        return time.monotonic() - self._moved_s if self._line else 0.0

    def held_by(self, client: str) -> int:
        """Count the pieces of a client that wait or are at work."""
        return sum(turn.client == client for turn in self._line)

    async def run(
        self, client: str, work: Callable[[], Result], gone: Callable[[], Awaitable[bool]] | None = None
    ) -> Result:
        """Do a piece of work for a client once it is its turn.

        Args:
            client: who wants it.
            work: what is done, in a thread.
            gone: tells whether nobody waits for it any more, once its turn comes.

        Raises:
            Cancelled: nobody does.
            Busy: there is no room, or it was given to a client that holds less.
        """
        if self._threads is None:
            self._threads = anyio.CapacityLimiter(self._at_once if self._most is None else 2 * self._at_once)
        self._make_room(client)
        if not self._line:
            self._moved_s = time.monotonic()
        turn = _Turn(client)
        self._line.append(turn)
        try:
            self._begin()
            with turn.waits:
                await turn.begun.wait()
            if not turn.begun.is_set():
                raise Busy("your other calls wait already, and others ask too; try again in a moment")
            if gone is not None and await gone():
                raise Cancelled("nobody waits for this any more")
            return await anyio.to_thread.run_sync(work, limiter=self._threads)  # a place is held to its end
        finally:
            self._line.remove(turn)
            self._moved_s = time.monotonic()
            self._begin()

    def _make_room(self, client: str) -> None:
        """Let a newcomer in, in the place of the last that waits of the client that holds most, if that holds more.

        Raises:
            Busy: there is no room.
        """
        if self._most is None or len(self._line) < self._most:
            return
        staying = [turn for turn in self._line if not turn.waits.cancel_called]
        held = Counter(turn.client for turn in staying)
        waiting = [turn for turn in reversed(staying) if not turn.begun.is_set()]
        last = max(waiting, key=lambda turn: held[turn.client], default=None)
        if last is not None and held[last.client] > held[client] + 1:
            last.waits.cancel()
        elif held[client] or len(staying) >= 2 * self._most:
            raise Busy("too many calls wait already; try again in a moment")

    def _begin(self) -> None:
        """Begin what may begin, in the order in which it came."""
        apart = in_force().requests_per_minute > 0  # else all may come under one name
        at_work = Counter(turn.client for turn in self._line if turn.begun.is_set())
        past = 0 if self._most is None or not apart else self._at_once
        for turn in self._line:
            if at_work.total() >= self._at_once + past:
                return
            if turn.begun.is_set() or turn.waits.cancel_called:
                continue
            own = at_work[turn.client]
            if (apart and own >= self._of_one_client) or (own and at_work.total() >= self._at_once):
                continue
            at_work[turn.client] += 1
            turn.begun.set()


TAKING_IN = FairWork(at_once=4, of_one_client=2)
"""Uploads that are looked through."""
DRAWING = FairWork(at_once=2, of_one_client=1)
"""Squares of maps that are drawn."""
HTTP_CALLS = FairWork(at_once=12, of_one_client=4, most=48)
"""Calls over plain HTTP, each with a thread of its own while it runs, and with up to 11 MB while it waits."""
CHECKING = FairWork(at_once=2, of_one_client=1)
"""Arguments of language models that are held against their schema."""
