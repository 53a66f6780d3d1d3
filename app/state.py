"""What the whole app shares: the model, the index and the tiles. Read-only once the server runs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Event, Lock
from typing import Generic, TypeVar

from lrsclip import LRSCLIP
from lrsclip.index import TileIndex
from lrsclip.tiles import TileSource

Value = TypeVar("Value")


@dataclass(frozen=True)
class AppState:
    """Model, index and tiles that belong together.

    Attributes:
        bundle: the loaded checkpoint.
        index: the tiles' vectors, built by that checkpoint.
        source: where the tiles' pictures come from.
    """

    bundle: LRSCLIP
    index: TileIndex
    source: TileSource


class Recent(Generic[Value]):
    """The last few results of something slow, by key; safe between threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """What is kept under `key`, made now if it is not there."""
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


class Stops:
    """One stop flag per browser session, so that a visitor can only stop his own work."""

    def __init__(self) -> None:
        self._flags: dict[str, Event] = {}
        self._lock = Lock()

    def start(self, session: str) -> Event:
        """A fresh flag for a new piece of work; the session's earlier work, if any is left, is told to stop."""
        with self._lock:
            if session in self._flags:
                self._flags[session].set()
            self._flags[session] = Event()
            return self._flags[session]

    def stop(self, session: str) -> None:
        """Tell the session's work to stop; nothing happens if there is none."""
        with self._lock:
            flag = self._flags.pop(session, None)
        if flag is not None:
            flag.set()
