"""Small tools for sharing between threads: recent results, room shared out, work that one can stop."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import Condition, Event, Lock
from typing import Generic, TypeVar

from app.server.encoder_queue import STOP
from app.server.request_log import CURRENT
from lrsclip.errors import Cancelled

Value = TypeVar("Value")
_MOST_FLAGS = 1000
_LOOK_S = 0.25


class LruCache(Generic[Value]):
    """The last few results of something slow, by key; safe between threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value kept under `key`; make it if it is not there."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        value = make()  # outside the lock: it may take seconds, and making it twice does no harm
        with self._lock:
            self._kept[key] = value
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return value


class WeightedSemaphore:
    """A limited amount of something, shared between threads.

    A large share counts as four fifths of all at most, so that something small need not wait for its end.
    """

    def __init__(self, most: int) -> None:
        self._most, self._used = most, 0
        self._changed = Condition()

    @contextmanager
    def of(self, share: int) -> Iterator[None]:
        """Wait until a share is free, and hold it as long as the context lasts.

        Raises:
            Cancelled: nobody waits for the work any more.
        """
        share, stop = min(share, self._most * 4 // 5), STOP.get()
        with self._changed:
            while self._used + share > self._most:
                if stop is not None and stop.is_set():
                    raise Cancelled("the work was stopped before its turn came")
                self._changed.wait(_LOOK_S)
            self._used += share
        try:
            yield
        finally:
            with self._changed:
                self._used -= share
                self._changed.notify_all()


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
            if len(self._flags) > _MOST_FLAGS:  # of programs that never say goodbye; far more than can be at work
                self._flags.popitem(last=False)
        STOP.set(flag)
        return flag

    def stop(self, session: str) -> None:
        """Tell the session's work to stop; nothing happens if there is none."""
        with self._lock:
            flag = self._flags.pop(session, None)
        if flag is not None:
            flag.set()
