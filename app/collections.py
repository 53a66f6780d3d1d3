"""State that the whole app shares: the model, and the tile collections that are open, each with its index."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np

from app.fair_store import FairStore
from app.server.concurrency import LruCache
from lrsclip import LRSCLIP
from lrsclip.errors import TileSourceError
from lrsclip.index import TileIndex
from lrsclip.tiles import TileSource

FIRST = ""
"""Stands for the address of the first collection, which may be a folder that visitors need not know."""
_LOOKED_THROUGH = 512  # tiles of a collection, to choose a varied few from
_VARIED: LruCache[tuple[str, ...]] = LruCache(32)
_MAX_OPEN = 6  # collections beside the first; each costs the memory of its vectors


@dataclass(frozen=True)
class AppState:
    """Model, index and tiles that belong together.

    Attributes:
        bundle: the loaded checkpoint.
        index: the tiles' vectors, built by that checkpoint; may hold tiles of other sources too.
        source: source of the tiles' pictures.
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
        """Number of indexed tiles of this source."""
        return len(self.tile_ids()) if self.shares_index else len(self.index)

    def tile_ids(self) -> list[str]:
        """List the ids of the indexed tiles of this source, in the order of the rows."""
        if not self.shares_index:
            return self.index.tile_ids()
        return [row.tile.tile_id for row in self.index.data.rows if row.source_spec == self.source.spec]

    def varied(self, count: int) -> tuple[str, ...]:
        """Choose tiles that differ: each the one least like those before it, among those with the longest captions.

        Of a collection that has no more of them all are taken, in the order of the rows.
        """
        key = (self.source.spec, self.index.manifest.created, self.tile_count, count)
        return _VARIED.get(key, lambda: self._chosen_varied(count))

    def _chosen_varied(self, count: int) -> tuple[str, ...]:
        all_ids = self.tile_ids()
        if len(all_ids) <= count:
            return tuple(all_ids)
        some = all_ids[:: max(1, len(all_ids) // _LOOKED_THROUGH)]
        ranked = sorted(
            some, key=lambda tile_id: -len(self.index.tile(tile_id).caption or "")
        )  # equals keep their order
        rich = ranked[: max(count, len(ranked) // 3)]
        vectors = np.stack([self.index.vector(tile_id) for tile_id in rich])
        chosen, nearest_cos = [0], vectors @ vectors[0]
        nearest_cos[0] = np.inf
        while len(chosen) < count:
            chosen.append(int(nearest_cos.argmin()))
            nearest_cos = np.maximum(nearest_cos, vectors @ vectors[chosen[-1]])
            nearest_cos[chosen] = np.inf  # of tiles that all look alike, none is taken twice
        return tuple(rich[number] for number in chosen)


class Collections:
    """The tile collections that are open: the one the server began with, and those that visitors opened since.

    Args:
        first: the collection the server began with; never closed.
        untrusted: whether visitors are strangers, who may not open files of this machine.
    """

    def __init__(self, first: AppState, untrusted: bool = False) -> None:
        self.first, self.untrusted = first, untrusted
        self._open: FairStore[AppState] = FairStore(_MAX_OPEN)
        self._lock = Lock()

    def of(self, spec: str) -> AppState:
        """Return the open collection at an address, or FIRST.

        Raises:
            TileSourceError: it was closed, because others were opened since.
        """
        with self._lock:
            if spec in (FIRST, self.first.source.spec):
                return self.first
            if (state := self._open.get(spec)) is not None:
                return state
        raise TileSourceError(f"{spec} was closed, because other collections were opened; open it again under Places")

    def add(self, state: AppState, client: str = "") -> None:
        """Open a collection for a client; if there are too many, one of the client that opened most is closed."""
        with self._lock:
            self._open.put(state.source.spec, state, client)

    def opened(self) -> list[AppState]:
        """List all open collections, the first one first."""
        with self._lock:
            return [self.first, *self._open.values()]

    def specs(self) -> list[str]:
        """List the addresses of all open collections, the first one first."""
        with self._lock:
            return [self.first.source.spec, *(state.source.spec for state in self._open.values())]
