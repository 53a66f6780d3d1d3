"""Shares of one client in open requests, in those at work, and in bodies on their way: the rest is left to others."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Literal
from weakref import WeakValueDictionary

import anyio
from starlette.types import Message, Send

from app.server.reply import Refused

Kind = Literal["call", "upload", "stream", "request", "direct"]
_WAIT_S = 5.0
_TOLD = {
    "call": "too much is on its way to this server; try again in a moment",
    "upload": "too many files are on their way to this server; try again in a moment",
    "stream": "too many streams are open; close a page and try again",
    "request": "too many requests of yours are open; wait for one of them",
    "direct": "too many requests of yours are at work; wait for one of them",
}


@dataclass
class Shares:
    """Amounts open or on their way: of each client, and of all together.

    Attributes:
        by_client: whether clients can be told apart; else only the amount of all together is bounded.
    """

    by_client: bool
    _all: Counter[str] = field(default_factory=Counter)
    _each: Counter[tuple[str, str]] = field(default_factory=Counter)

    @contextmanager
    def of(self, client: str, kind: Kind, amount: int, max_each: int, most: int | None = None) -> Iterator[None]:
        """Hold a share as long as the context lasts.

        Args:
            client: its name.
            kind: kind of the share.
            amount: bytes, or 1 of a countable kind.
            max_each: amount that one client may have; a single thing may be larger than that.
            most: amount that all may have together; None for any.

        Raises:
            Refused: there is none left.
        """
        own, all_of_it = self._each[client, kind], self._all[kind]
        if self.by_client and own and own + amount > max_each:
            raise Refused(429, _TOLD[kind], _WAIT_S)
        if most is not None and all_of_it and all_of_it + amount > most:
            raise Refused(429, _TOLD[kind], _WAIT_S)
        self._each[client, kind] += amount
        self._all[kind] += amount
        try:
            yield
        finally:
            self._all[kind] -= amount
            self._each[client, kind] -= amount
            if not self._each[client, kind]:
                del self._each[client, kind]


class Turn:
    """One request's turn at work; it ends once, with the answer's first part at the latest."""

    def __init__(self, own: anyio.Semaphore) -> None:
        self._own, self._over = own, False

    def end(self) -> None:
        """Let the next one begin."""
        if not self._over:
            self._over = True
            self._own.release()

    def ending_with(self, send: Send) -> Send:
        """Wrap the way back: what is left once an answer is ready is its reader's time."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.body":
                self.end()
            await send(message)

        return sending


class Turns:
    """Requests of a client take turns, so many at once; those of others need not wait for them."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._own: WeakValueDictionary[str, anyio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, client: str) -> AsyncIterator[Turn]:
        """Wait for a turn, and hold it until it is ended, or the context is left."""
        own = self._own.get(client) or anyio.Semaphore(self._at_once)
        self._own[client] = own
        await own.acquire()
        turn = Turn(own)
        try:
            yield turn
        finally:
            turn.end()
