"""Work in threads of its own, so many pieces at a time and so many of one client: uploads, and squares of the map."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar
from weakref import WeakValueDictionary

import anyio

from app.server.settings import in_force
from lrsclip.errors import Cancelled

Result = TypeVar("Result")


class FairWork:
    """A line of its own: slow pieces leave events' threads alone, and a client's many leave places to others.

    Args:
        at_once: pieces that are at work.
        of_one_client: those of one client.
    """

    def __init__(self, at_once: int, of_one_client: int) -> None:
        self._at_once, self._of_one_client = at_once, of_one_client
        self._places: anyio.CapacityLimiter | None = None  # belongs to the loop in which it is first asked for
        self._own: WeakValueDictionary[str, anyio.Semaphore] = WeakValueDictionary()
        self._waiting, self._moved_s = 0, time.monotonic()

    @property
    def waiting(self) -> int:
        """Number of pieces that wait or are at work."""
        return self._waiting

    @property
    def still_s(self) -> float:
        """Seconds in which no piece has ended although some wait; 0 where none does."""
        return time.monotonic() - self._moved_s if self._waiting else 0.0

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
        """
        if self._places is None:
            self._places = anyio.CapacityLimiter(self._at_once)
        if not self._waiting:
            self._moved_s = time.monotonic()
        self._waiting += 1
        try:
            async with AsyncExitStack() as turn:
                if in_force().requests_per_minute:  # else all may come under one name
                    own = self._own.get(client) or anyio.Semaphore(self._of_one_client)
                    self._own[client] = own
                    await turn.enter_async_context(own)
                if gone is not None and await gone():
                    raise Cancelled("nobody waits for this any more")
                return await anyio.to_thread.run_sync(work, limiter=self._places)  # a place is held to its end
        finally:
            self._waiting -= 1
            self._moved_s = time.monotonic()


TAKING_IN = FairWork(at_once=4, of_one_client=2)
"""Uploads that are looked through."""
DRAWING = FairWork(at_once=2, of_one_client=1)
"""Squares of maps that are drawn."""
HTTP_CALLS = FairWork(at_once=12, of_one_client=4)
"""Calls over plain HTTP, each with a thread of its own while it runs."""
