"""The Places page's work: an address to a collection of tiles that can be searched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from app.collections import AppState, Collections
from app.places.cache import index_dir, kept_while_opening, make_room
from app.places.choose import coverage_note, understood
from app.server.request_log import current_client
from app.server.settings import in_force
from lrsclip.errors import LRSCLIPError, TileSourceError
from lrsclip.index import build_index, default_cache_dir
from lrsclip.tiles import Planned, Preparable, Tile, TileSource, open_tiles
from lrsclip.tiles.base import summary_of_tile
from lrsclip.tiles.xyz import PlaceTiles

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
        note: a warning, such as of a service without pictures of the place; empty for none.
        shown: which bands of its first tile are shown, and how; empty where it only has plain pictures.
    """

    source: TileSource
    first: Tile | None
    work: str
    note: str = ""
    shown: str = ""


@dataclass(frozen=True)
class Preset:
    """A telling place that a visitor can start from.

    Attributes:
        title: on the button.
        where: as a visitor would write it.
        half_km: half of a side of the box around it.
        zoom: level of detail.
    """

    title: str
    where: str
    half_km: float = 1.0
    zoom: int = 17


PRESETS = (
    Preset("Ocean Beach, San Francisco", "37.760, -122.505", 0.8),
    Preset("Houston ship channel", "29.735, -95.265"),
    Preset("Central Park, New York", "40.7825, -73.9655"),
    Preset("O'Hare airport, Chicago", "41.978, -87.905", 1.5, 16),
    Preset("Center-pivot fields, Kansas", "37.60, -100.95", 3.0, 15),
    Preset("Las Vegas suburbs", "36.13, -115.31", 1.0),
    Preset("Port of Los Angeles", "33.745, -118.26", 1.2),
    Preset("Oil tanks, Cushing", "35.945, -96.75", 1.5, 16),
    Preset("Solar farm, Nevada", "35.80, -114.98", 1.5, 16),
    Preset("Mississippi delta", "29.15, -89.25", 3.0, 15),
    Preset("Palm Jumeirah, Dubai", "25.112, 55.139", 2.0, 16),
    Preset("Rice terraces, Bali", "-8.368, 115.137", 1.0),
)
"""The first has open imagery; those outside the United States are fetched from a worldwide service."""


def look_up(collections: Collections, spec: str) -> Plan:
    """List a collection's tiles and plan the work of opening it; fetch no picture.

    Args:
        collections: the app's.
        spec: address of the collection; a city or coordinates stand for the place around them.

    Raises:
        TileSourceError: the address is none, or there are too many tiles.
    """
    source = _opened(collections, spec)
    work = source.plan() if isinstance(source, Planned) else ""
    first, shown = None, ""
    # one that has a plan and no preparation fetches a tile to tell of it
    if isinstance(source, Preparable) or not work:
        with suppress(LRSCLIPError, IndexError):  # opening it says why
            first = source.tile(source.tile_ids()[0])
            shown = shown_bands(source)
    return Plan(source, first, work, coverage_note(source) if isinstance(source, PlaceTiles) else "", shown)


def shown_bands(source: TileSource) -> str:
    """Say which bands the first tile of a collection shows, and how; "" where its tiles are plain pictures."""
    with suppress(LRSCLIPError, IndexError):
        return summary_of_tile(source, source.tile_ids()[0])
    return ""


def _opened(collections: Collections, spec: str) -> TileSource:
    try:
        return open_tiles(spec, untrusted=collections.untrusted)
    except TileSourceError:
        if (place := understood(spec)) == spec:
            raise
        return open_tiles(place, untrusted=collections.untrusted)


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
    source = _opened(collections, spec)
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
        source.prepare(lambda done, total: progress("Loading tiles", done, total), stop)
    index = build_index(
        source,
        bundle,
        index_dir(source, bundle) if collections.untrusted else default_cache_dir(source, bundle),
        progress=lambda done, total: progress("Indexing tiles", done, total),
        stop=stop,
    )
    if not len(index):
        raise TileSourceError(f"{source.spec} has no tile that can be read")
    state = AppState(bundle, index, source)
    collections.add(state, current_client())
    return state
