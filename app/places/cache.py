"""Room on disk for the collections that visitors open: drawn landscapes, fetched tiles, and their indexes.

All of it can be made again. Indexes of the operator's own lie in the same cache, and stay.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from app.collections import AppState
from lrsclip import LRSCLIP
from lrsclip.errors import TileSourceError
from lrsclip.index import default_cache_dir
from lrsclip.io.user_cache import user_cache
from lrsclip.tiles import TileSource
from lrsclip.tiles.atlas import AtlasTiles
from lrsclip.tiles.xyz import PlaceTiles

_MIB = 2**20
_RESERVED_BYTES = 400 * _MIB
"""Room for one collection of a visitor: 4,096 tiles of a web map, or drawn ones with their texts."""
_LOCK = threading.Lock()
_OPENING: list[tuple[TileSource, LRSCLIP]] = []


@dataclass(frozen=True)
class _Entry:
    """A folder or file that can be removed on its own; `size` is in bytes."""

    changed_s: float
    size: int
    path: Path


def index_dir(source: TileSource, bundle: LRSCLIP) -> Path:
    """Return the folder for the index of a visitor's collection."""
    return user_cache() / "visitors" / default_cache_dir(source, bundle).name


@contextmanager
def kept_while_opening(source: TileSource, bundle: LRSCLIP) -> Iterator[None]:
    """Keep the files of a collection as long as its tiles are brought and indexed."""
    own = (source, bundle)
    with _LOCK:
        _OPENING.append(own)
    try:
        yield
    finally:
        with _LOCK:
            _OPENING[:] = [one for one in _OPENING if one is not own]


def make_room(max_bytes: int, opened: Collection[AppState], *, for_another: bool = False) -> None:
    """Remove collections that were used longest ago until visitors' ones fit; open ones and those on their way stay.

    Args:
        max_bytes: of all collections together.
        opened: those that are open.
        for_another: keep room for one more.

    Raises:
        TileSourceError: there is none for one more.
    """
    wanted = max_bytes - (min(_RESERVED_BYTES, max_bytes // 2) if for_another else 0)
    with _LOCK:
        entries = sorted(_entries(), key=lambda entry: entry.changed_s)
        total = sum(entry.size for entry in entries)
        in_use = {path for state in opened for path in _places_of(state.source, state.bundle)}
        in_use |= {path for source, bundle in _OPENING for path in _places_of(source, bundle)}
        for entry in entries:
            if total <= wanted:
                return
            if entry.path in in_use:
                continue
            shutil.rmtree(entry.path, ignore_errors=True) if entry.path.is_dir() else entry.path.unlink(missing_ok=True)
            total -= entry.size
    if for_another and total > wanted:
        raise TileSourceError("this server has no room for another collection at the moment; try again later")


def _places_of(source: TileSource, bundle: LRSCLIP) -> list[Path]:
    drawn = [source.folder] if isinstance(source, AtlasTiles) else []
    fetched = source.files() if isinstance(source, PlaceTiles) else []
    return [index_dir(source, bundle), *drawn, *fetched]


def _entries() -> list[_Entry]:
    cache = user_cache()
    folders = [*cache.glob("visitors/*"), *cache.glob("atlas-*")]
    tiles = [path for path in cache.glob("places/*/*/*/*") if path.is_file()]
    entries = []
    for path, parts in [
        *((folder, list(folder.rglob("*"))) for folder in folders),
        *((tile, [tile]) for tile in tiles),
    ]:
        with suppress(OSError):  # gone meanwhile
            facts = [part.stat() for part in parts] or [path.stat()]
            entries.append(_Entry(max(one.st_mtime for one in facts), sum(one.st_size for one in facts), path))
    return entries
