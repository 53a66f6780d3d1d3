"""Small tools for sharing between threads: recent results, room shared out, work that one can stop."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Event, Lock
from typing import Generic, TypeVar

from app.server.encoder_queue import STOP
from app.server.request_log import CURRENT, current_client
from lrsclip.errors import Cancelled

Value = TypeVar("Value")
_MAX_FLAGS = 1000
_LOOK_S = 0.25
_HALF_LIFE_S, _FORGOTTEN_S = 30.0, 600.0
_PATIENCE_S = 5.0  # for which a large share lets small ones pass


class LruCache(Generic[Value]):
    """The last few results of something slow, by key; safe between threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, Future[Value]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value kept under `key`, made if it is not there; other callers wait until it is.

        Raises:
            Cancelled: nobody waits for the work any more.
        """
        while True:
            with self._lock:
                found = self._kept.get(key)
                if found is None:
                    found, mine = Future[Value](), True
                    self._kept[key] = found
                    if len(self._kept) > self._size:
                        self._kept.popitem(last=False)
                else:
                    mine = False
                    self._kept.move_to_end(key)
            if mine:
                return self._made(key, found, make)
            _wait(found)
            if found.exception() is None:
                return found.result()
            # The one that made it failed, perhaps because its caller left: that is no answer for this caller.

    def drop(self, key: Hashable) -> None:
        """Forget the value kept under `key`, if there is one."""
        with self._lock:
            self._kept.pop(key, None)

    def _made(self, key: Hashable, place: Future[Value], make: Callable[[], Value]) -> Value:
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                if self._kept.get(key) is place:
                    del self._kept[key]
            place.set_exception(error)
            raise
        place.set_result(value)
        return value


def _wait(future: Future[Value]) -> None:
    """Wait until a future is done, or this thread's caller has gone."""
    stop = STOP.get()
    while not wait([future], None if stop is None else _LOOK_S).done:
        if stop is not None and stop.is_set():
            raise Cancelled("the work was stopped before it was done")


@dataclass(eq=False)
class _Waiter:
    client: str
    share: int
    since_s: float


class WeightedSemaphore:
    """A limited amount of something, shared between threads.

    A large share counts as four fifths of all at most, so that something small need not wait for its end. Whatever fits
    goes first, until one has waited for long: then it has its turn, and a client comes after those that had less of
    late. Half of what one had is forgotten every half a minute.
    """

    def __init__(self, most: int) -> None:
        self._most, self._used = most, 0
        self._waiting: list[_Waiter] = []
        self._had: dict[str, tuple[float, float]] = {}  # shares of late and when they were counted, by client
        self._changed = Condition()

    @contextmanager
    def of(self, share: int) -> Iterator[None]:
        """Wait until a share is free, and hold it as long as the context lasts.

        Raises:
            Cancelled: nobody waits for the work any more.
        """
        share, stop = min(share, self._most * 4 // 5), STOP.get()
        if stop is not None and stop.is_set():  # of a list of pieces, the rest is for nobody
            raise Cancelled("the work was stopped before its turn came")
        own = _Waiter(current_client(), share, time.monotonic())
        with self._changed:
            self._waiting.append(own)
            try:
                while not self._may_go(own):
                    if stop is not None and stop.is_set():
                        raise Cancelled("the work was stopped before its turn came")
                    self._changed.wait(_LOOK_S)
                self._used += share
                now_s = time.monotonic()
                self._had[own.client] = self._had_by(own.client, now_s) + share, now_s
                self._had = {client: had for client, had in self._had.items() if now_s - had[1] < _FORGOTTEN_S}
            finally:
                self._waiting.remove(own)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._used -= share
                self._changed.notify_all()

    def _had_by(self, client: str, now_s: float) -> float:
        had, then_s = self._had.get(client, (0.0, now_s))
        return had * 0.5 ** ((now_s - then_s) / _HALF_LIFE_S)

    def _may_go(self, own: _Waiter) -> bool:
        if self._used + own.share > self._most:
            return False
        now_s = time.monotonic()
        had, places = dict[str, float](), dict[_Waiter, tuple[float, int]]()
        for number, one in enumerate(self._waiting):
            before = had.setdefault(one.client, self._had_by(one.client, now_s))
            places[one] = before, number
            had[one.client] = before + one.share
        return not any(place < places[own] and now_s - one.since_s > _PATIENCE_S for one, place in places.items())


class StopFlags:
    """One stop flag for each browser session: users stop their own work alone."""

    def __init__(self) -> None:
        self._flags: OrderedDict[str, Event] = OrderedDict()
        self._lock = Lock()

    def start(self, session: str) -> Event:
        """Make a fresh flag for a new piece of work; the session's earlier work, if any is left, is told to stop.

        The flag also counts for this thread's work on the shared model until its event ends.
        """
        with self._lock:
            if session in self._flags:
                self._flags.pop(session).set()
            call = CURRENT.get()
            flag = self._flags[session] = Event() if call is None else call.gone  # set too if its caller leaves
            if len(self._flags) > _MAX_FLAGS:  # of programs that never say goodbye; far more than can be at work
                self._flags.popitem(last=False)
        STOP.set(flag)
        return flag

    def stop(self, session: str) -> None:
        """Tell the session's work to stop; nothing happens if there is none."""
        with self._lock:
            flag = self._flags.pop(session, None)
        if flag is not None:
            flag.set()
