"""Room on disk for the collections that visitors open: drawn landscapes, fetched tiles, and their indexes.

All of it can be made again. Indexes of the operator's own lie in the same cache, and stay.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.collections import AppState
from lrsclip import LRSCLIP
from lrsclip.errors import TileSourceError
from lrsclip.index import default_cache_dir
from lrsclip.io.user_cache import user_cache
from lrsclip.tiles import TileSource
from lrsclip.tiles.atlas import AtlasTiles

_MIB = 2**20
_RESERVED_BYTES = 400 * _MIB
"""What one collection of a visitor may take: 4,096 tiles of a web map, or drawn ones with their texts."""
_STILL_IN_USE_S = 600.0
_LOCK = threading.Lock()


@dataclass(frozen=True)
class _Kept:
    """Something that can be removed on its own: a folder, or a file."""

    changed_s: float
    size: int
    path: Path


def index_dir(source: TileSource, bundle: LRSCLIP) -> Path:
    """Where the index of a visitor's collection is kept."""
    return user_cache() / "visitors" / default_cache_dir(source, bundle).name


def make_room(most_bytes: int, opened: Collection[AppState], *, for_another: bool = False) -> None:
    """Remove what was used longest ago until visitors' collections fit; what is open or was just made stays.

    Args:
        most_bytes: of all collections together.
        opened: those that are open.
        for_another: keep room for one more.

    Raises:
        TileSourceError: there is none for one more.
    """
    wanted = most_bytes - (min(_RESERVED_BYTES, most_bytes // 2) if for_another else 0)
    with _LOCK:
        kept = sorted(_kept(), key=lambda one: one.changed_s)
        total = sum(one.size for one in kept)
        in_use = {path for state in opened for path in _places_of(state)}
        for one in kept:
            if total <= wanted:
                return
            if one.path in in_use or time.time() - one.changed_s < _STILL_IN_USE_S:
                continue
            shutil.rmtree(one.path, ignore_errors=True) if one.path.is_dir() else one.path.unlink(missing_ok=True)
            total -= one.size
    if for_another and total > wanted:
        raise TileSourceError("this server has no room for another collection at the moment; try again later")


def _places_of(state: AppState) -> list[Path]:
    drawn = [state.source.folder] if isinstance(state.source, AtlasTiles) else []
    return [index_dir(state.source, state.bundle), *drawn]


def _kept() -> list[_Kept]:
    cache = user_cache()
    folders = [*cache.glob("visitors/*"), *cache.glob("atlas-*")]
    tiles = [path for path in cache.glob("places/*/*/*/*") if path.is_file()]
    found = []
    for path, parts in [
        *((folder, list(folder.rglob("*"))) for folder in folders),
        *((tile, [tile]) for tile in tiles),
    ]:
        with suppress(OSError):  # gone meanwhile
            facts = [part.stat() for part in parts] or [path.stat()]
            found.append(_Kept(max(one.st_mtime for one in facts), sum(one.st_size for one in facts), path))
    return found
