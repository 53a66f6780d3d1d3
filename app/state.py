"""What the whole app shares: the model, and the tile collections that are open, each with its index."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Event, Lock
from typing import Generic, TypeVar

from app.calls import CURRENT
from app.encoder_queue import STOP
from lrsclip import LRSCLIP
from lrsclip.errors import TileSourceError
from lrsclip.index import TileIndex
from lrsclip.tiles import TileSource

Value = TypeVar("Value")
FIRST = ""
"""Stands for the address of the first collection, which may be a folder that visitors need not know."""
_MOST_FLAGS = 1000
_MOST_OPEN = 6  # collections beside the first; each costs the memory of its vectors


@dataclass(frozen=True)
class AppState:
    """Model, index and tiles that belong together.

    Attributes:
        bundle: the loaded checkpoint.
        index: the tiles' vectors, built by that checkpoint; may hold tiles of other sources too.
        source: where the tiles' pictures come from.
    """

    bundle: LRSCLIP
    index: TileIndex
    source: TileSource

    @property
    def shares_index(self) -> bool:
        """Whether the index holds tiles of other sources too, whose pictures are not to be had here."""
        return self.index.manifest.source_specs != (self.source.spec,)

    @property
    def tile_count(self) -> int:
        """How many tiles of this source are indexed."""
        return len(self.tile_ids()) if self.shares_index else len(self.index)

    def tile_ids(self) -> list[str]:
        """Ids of the indexed tiles of this source, in the order of the rows."""
        if not self.shares_index:
            return self.index.tile_ids()
        return [row.tile.tile_id for row in self.index.data.rows if row.source_spec == self.source.spec]


class Collections:
    """The tile collections that are open: the one the server began with, and those that visitors opened since.

    Args:
        first: what the server began with; never closed.
        guests: whether visitors are strangers, who may not open files of this machine.
    """

    def __init__(self, first: AppState, guests: bool = False) -> None:
        self.first, self.guests = first, guests
        self._open: OrderedDict[str, AppState] = OrderedDict()
        self._lock = Lock()

    def of(self, spec: str) -> AppState:
        """The open collection at an address, or FIRST.

        Raises:
            TileSourceError: it was closed, because others were opened since.
        """
        with self._lock:
            if spec in (FIRST, self.first.source.spec):
                return self.first
            if spec in self._open:
                self._open.move_to_end(spec)
                return self._open[spec]
        raise TileSourceError(f"{spec} was closed, because other collections were opened; open it again under Places")

    def add(self, state: AppState) -> None:
        """Open a collection; the one that was used longest ago is closed if there are too many."""
        with self._lock:
            self._open[state.source.spec] = state
            self._open.move_to_end(state.source.spec)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)

    def opened(self) -> list[AppState]:
        """All that are open, the first one first."""
        with self._lock:
            return [self.first, *self._open.values()]

    def specs(self) -> list[str]:
        """Addresses of all that are open, the first one first."""
        with self._lock:
            return [self.first.source.spec, *self._open]


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


class Budget:
    """So much of something at once, shared between threads; whoever asks for more than there is has it alone."""

    def __init__(self, most: int) -> None:
        self._most, self._used = most, 0
        self._changed = Condition()

    @contextmanager
    def of(self, share: int) -> Iterator[None]:
        """Wait until a share is free, and have it as long as the context lasts."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + share <= self._most)
            self._used += share
        try:
            yield
        finally:
            with self._changed:
                self._used -= share
                self._changed.notify_all()


class Stops:
    """One stop flag per browser session, so that a visitor can only stop his own work."""

    def __init__(self) -> None:
        self._flags: OrderedDict[str, Event] = OrderedDict()
        self._lock = Lock()

    def start(self, session: str) -> Event:
        """A fresh flag for a new piece of work; the session's earlier work, if any is left, is told to stop.

        The flag also counts for what this thread asks of the shared model until its event ends.
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
