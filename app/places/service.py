"""The Places page's work: an address to a collection of tiles that can be searched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from app.collections import AppState, Collections
from app.places.cache import index_dir, kept_while_opening, make_room
from app.server.request_log import current_client
from app.server.settings import in_force
from lrsclip.errors import LRSCLIPError, TileSourceError
from lrsclip.index import build_index, default_cache_dir
from lrsclip.tiles import Planned, Preparable, Tile, TileSource, open_tiles

_MIB = 2**20
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and how much there is to do."""


@dataclass(frozen=True)
class Plan:
    """The work of opening a collection.

    Attributes:
        source: its tiles, listed and nothing fetched yet.
        first: facts of the first tile; None where they are not known.
        work: what is to be drawn or fetched, as a sentence; empty for nothing.
    """

    source: TileSource
    first: Tile | None
    work: str


@dataclass(frozen=True)
class Suggestion:
    """An address that a visitor can start from."""

    title: str
    spec: str


SUGGESTIONS = (
    Suggestion("Rendered landscape", "atlas"),
    Suggestion("Another landscape", "atlas:?seed=5&tiles=256"),
    Suggestion("San Francisco, Ocean Beach", "place:37.760,-122.505,0.8km@17"),
    Suggestion("Houston, ship channel", "place:29.735,-95.265,1km@17"),
    Suggestion("Central Park", "place:40.7825,-73.9655,1km@17"),
)


def look_up(collections: Collections, spec: str) -> Plan:
    """List a collection's tiles and plan the work of opening it; fetch no picture.

    Raises:
        TileSourceError: the address is none, or there are too many tiles.
    """
    source = open_tiles(spec, untrusted=collections.untrusted)
    work = source.plan() if isinstance(source, Planned) else ""
    first = None
    # one that has a plan and no preparation fetches a tile to tell of it
    if isinstance(source, Preparable) or not work:
        with suppress(LRSCLIPError, IndexError):  # opening it says why
            first = source.tile(source.tile_ids()[0])
    return Plan(source, first, work)


def open_collection(collections: Collections, spec: str, progress: Progress, stop: threading.Event) -> AppState:
    """Draw or fetch a collection's tiles, index them, and keep them open.

    Args:
        collections: the app's; the collection is added to them.
        spec: address of the collection.
        progress: called with what is being done, how much is done, and how much there is to do.
        stop: set it to end early.

    Raises:
        TileSourceError: the address is none, its tiles cannot be had, or the disk has no room for a visitor's.
        Cancelled: `stop` was set; what was done is kept for the next time.
    """
    source = open_tiles(spec, untrusted=collections.untrusted)
    if source.spec in collections.specs():
        return collections.of(source.spec)
    if not collections.untrusted:
        return _open(collections, source, progress, stop)
    max_bytes = in_force().max_cache_mb * _MIB
    make_room(max_bytes, collections.opened(), for_another=True)
    try:
        with kept_while_opening(source, collections.first.bundle):
            return _open(collections, source, progress, stop)
    finally:  # also of one that was stopped or failed
        make_room(max_bytes, collections.opened())


def _open(collections: Collections, source: TileSource, progress: Progress, stop: threading.Event) -> AppState:
    bundle = collections.first.bundle
    if isinstance(source, Preparable):
        source.prepare(lambda done, total: progress("Bringing the tiles", done, total), stop)
    index = build_index(
        source,
        bundle,
        index_dir(source, bundle) if collections.untrusted else default_cache_dir(source, bundle),
        progress=lambda done, total: progress("Looking at the tiles", done, total),
        stop=stop,
    )
    if not len(index):
        raise TileSourceError(f"{source.spec} has no tile that can be read")
    state = AppState(bundle, index, source)
    collections.add(state, current_client())
    return state
