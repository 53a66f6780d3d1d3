"""Callers that still wait for an answer: work ends when its caller has gone, and unfetched answers are dropped."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from app.server.encoder_queue import STOP
from app.server.request_log import CURRENT, Call


@dataclass
class Outcome:
    """The outcome of a request, as far as its caller is to blame."""

    refused: bool = False


OUTCOME: ContextVar[Outcome | None] = ContextVar("outcome", default=None)
"""Of the request that a task answers; None outside one."""


def mark_refused() -> None:
    """Note that the answer to the request at hand names something for its caller to change."""
    if (outcome := OUTCOME.get()) is not None:
        outcome.refused = True


class Callers:
    """The calls that run, and the streams on which their callers wait."""

    def __init__(self) -> None:
        self._calls: set[Call] = set()
        self._streams: Counter[str] = Counter()
        self._pages: Counter[str] = Counter()
        self._alone_since: dict[str, float] = {}
        self._asked_by: dict[str, str] = {}
        self._lock = threading.Lock()
        self.last_end_s = time.monotonic()

    @contextmanager
    def calling(self, call: Call) -> Iterator[Call]:
        """Count a call as long as it runs; its work on the model stops when its caller has gone."""
        with self._lock:
            self._calls.add(call)
            if call.event_id is not None:
                self._asked_by[call.event_id] = call.client
        tokens = CURRENT.set(call), STOP.set(call.gone)
        try:
            yield call
        except BaseException:
            call.gone.set()  # a task that is canceled leaves its thread behind
            raise
        finally:
            CURRENT.reset(tokens[0])
            STOP.reset(tokens[1])
            with self._lock:
                self._calls.discard(call)
                self.last_end_s = time.monotonic()

    def running(self) -> list[Call]:
        """List the calls at work."""
        with self._lock:
            return list(self._calls)

    def unread_by(self, client: str, open_events: Collection[str]) -> int:
        """Count the answers that are ready for a client and not read.

        Args:
            client: its name.
            open_events: events of all clients whose answers are not read; others are forgotten here.
        """
        self.forget_read(open_events)
        with self._lock:
            running = {call.event_id for call in self._calls}
            return sum(own == client and event not in running for event, own in self._asked_by.items())

    def forget_read(self, open_events: Collection[str]) -> None:
        """Forget the events whose answers have been read or dropped: those that are not among `open_events`."""
        with self._lock:
            self._asked_by = {event: own for event, own in self._asked_by.items() if event in open_events}

    def asked_by(self, client: str) -> set[str]:
        """Return the events that a client has asked for and whose answers it has not read, as far as is known."""
        with self._lock:
            return {event for event, own in self._asked_by.items() if own == client}

    def left(self, session: str | None = None, event_id: str | None = None) -> None:
        """Tell the work of a session, or one call, that nobody waits for it."""
        for call in self.running():
            if (session is not None and call.session == session) or (
                event_id is not None and call.event_id == event_id
            ):
                call.gone.set()

    def end_all(self) -> None:
        """Tell all work that nobody will hear of it, because the server ends."""
        for call in self.running():
            call.gone.set()

    @contextmanager
    def listening(self, session: str) -> Iterator[None]:
        """Count a stream on which a session waits for answers, as long as it is open."""
        with self._lock:
            self._streams[session] += 1
            self._alone_since.pop(session, None)
        try:
            yield
        finally:
            with self._lock:
                self._streams[session] -= 1
                if self._streams[session] <= 0:
                    del self._streams[session]

    @contextmanager
    def open_page(self, session: str) -> Iterator[None]:
        """Count a page as long as its heartbeat lasts."""
        with self._lock:
            self._pages[session] += 1
        try:
            yield
        finally:
            with self._lock:
                self._pages[session] -= 1
                if self._pages[session] <= 0:
                    del self._pages[session]

    def is_there(self, session: str) -> bool:
        """Return whether a session has a page or a stream open."""
        return session in self._pages or session in self._streams

    def unheard(self, sessions: list[str], patience_s: float) -> list[str]:
        """Return the sessions that have had no stream for a while, as far as this object saw.

        Args:
            sessions: all sessions that have calls or answers waiting.
            patience_s: seconds for which one may have none, since a program may ask first and listen later.
        """
        now_s = time.monotonic()
        with self._lock:
            alone = [session for session in sessions if session not in self._streams]
            self._alone_since = {session: self._alone_since.get(session, now_s) for session in alone}
            return [session for session in alone if now_s - self._alone_since[session] >= patience_s]
