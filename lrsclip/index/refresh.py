"""Update of an index from its source: keep unchanged tiles, encode new or changed ones, drop vanished ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrsclip.errors import Cancelled, IndexArgumentError, TileSourceError
from lrsclip.index.build_parts import Encoded, PartStore
from lrsclip.index.encode import encode_tiles, fingerprint_of
from lrsclip.index.schema import ImageEncoder, IndexData, Row, Skipped, build_command
from lrsclip.tiles.base import Partial, TileSource

Progress = Callable[[int, int], None]
_TOLD_EVERY = 1000
_FILE = "file"  # the state of a file without tiles: opening the source looks at it anew every time


@dataclass(frozen=True)
class Pace:
    """The pace of long work: batch size, progress and stop.

    Attributes:
        batch_size: tiles per call of the encoder.
        progress: called with tiles done and tiles in all, at the start and after every batch.
        stop: set it to end early.
    """

    batch_size: int = 64
    progress: Progress | None = None
    stop: threading.Event | None = None

    def __post_init__(self) -> None:
        """Refuse batches without tiles.

        Raises:
            IndexArgumentError: batch_size is below one.
        """
        if self.batch_size < 1:
            raise IndexArgumentError(f"batch_size is {self.batch_size}; give 1 or more")

    def report(self, done: int, total: int) -> None:
        """Report progress to the caller, if it listens."""
        if self.progress is not None:
            self.progress(done, total)


def is_current(data: IndexData, source: TileSource, *, retry: bool = True, pace: Pace | None = None) -> bool:
    """Tell whether an index holds exactly the source's readable tiles, in their order and in their present state.

    Args:
        data: the index's.
        source: the tiles.
        retry: whether skipped tiles without a fingerprint count as changed: they may be readable by now.
        pace: receiver of the progress.
    """
    listed, left_out = _listing(source, pace), _left_out(source)
    bad = {one.tile_id: one.fingerprint for one in data.skipped if one.source_spec == source.spec}
    good = [(row.tile.tile_id, row.fingerprint) for row in data.rows if row.source_spec == source.spec]
    return (
        source.spec in data.source_specs
        and good == [pair for pair in listed.items() if pair[0] not in bad]
        and bad == {name: mark for name, mark in (listed | left_out).items() if name in bad or name in left_out}
        and not (retry and None in bad.values())
    )


def refresh(
    data: IndexData | None,
    source: TileSource,
    bundle: ImageEncoder,
    *,
    parts: PartStore | None,
    pace: Pace,
) -> IndexData:
    """Build index data that hold the source as it is now; leave tiles of other sources as they are.

    Args:
        data: the index so far, None for none.
        source: the source to bring in.
        bundle: the model that made `data`.
        parts: store of finished tiles in case this does not come to its end; None keeps nothing.
        pace: batch size, progress and stop.

    Returns:
        `data` itself if nothing changed.

    Raises:
        Cancelled: stop was set before the end.
        TileSourceError: no picture can be read, or ids clash with another source's.
    """
    listed = _listing(source, pace)
    _refuse_clashes(data, source, listed)
    shelf = _Shelf(source.spec, listed, bundle.embed_dim)
    if data is not None:
        shelf.put(data.rows, data.vectors)
    for part in parts.read() if parts is not None else []:
        shelf.put(part.rows, part.vectors)
    skipped = _encode_missing(source, bundle, listed, shelf, parts, pace)
    mine = shelf.in_order()
    if not mine.rows:
        raise TileSourceError(
            f"none of the {len(listed)} pictures of {source.spec} can be read ({skipped[0].reason}); replace them"
        )
    files = source.left_out.items() if isinstance(source, Partial) else ()
    skipped += tuple(Skipped(name, reason, source.spec, _FILE) for name, reason in files)
    return _merged(data, source.spec, mine, skipped)


class _Shelf:
    """The vectors of one source's tiles, each tile once and only in its present state."""

    def __init__(self, source_spec: str, listed: dict[str, str | None], dimension: int) -> None:
        self._source_spec = source_spec
        self._listed = listed
        self._rows: list[Row] = []
        self._chunks: list[NDArray[np.float16]] = [np.zeros((0, dimension), np.float16)]
        self._place: dict[str, int] = {}

    def __contains__(self, tile_id: str) -> bool:
        return tile_id in self._place

    def put(self, rows: Sequence[Row], vectors: NDArray[np.float16], *, fresh: bool = False) -> None:
        """Take in rows that belong here; fresh ones even if their picture has changed again since the listing."""
        wanted = [number for number, row in enumerate(rows) if fresh or self._fits(row)]
        for number in wanted:
            self._place[rows[number].tile.tile_id] = len(self._rows)
            self._rows.append(rows[number])
        self._chunks.append(vectors[wanted])

    def in_order(self) -> Encoded:
        """Return all tiles in the order of the source."""
        places = [self._place[tile_id] for tile_id in self._listed if tile_id in self._place]
        return Encoded(tuple(self._rows[place] for place in places), np.concatenate(self._chunks)[places])

    def _fits(self, row: Row) -> bool:
        tile_id = row.tile.tile_id
        known = row.source_spec == self._source_spec and tile_id in self._listed
        return known and row.fingerprint == self._listed[tile_id]


def _encode_missing(
    source: TileSource,
    bundle: ImageEncoder,
    listed: dict[str, str | None],
    shelf: _Shelf,
    parts: PartStore | None,
    pace: Pace,
) -> tuple[Skipped, ...]:
    skipped: list[Skipped] = []
    todo = [tile_id for tile_id in listed if tile_id not in shelf]
    total, done = len(listed), len(listed) - len(todo)
    pace.report(done, total)
    try:
        with closing(encode_tiles(source, bundle, todo, batch_size=pace.batch_size, stop=pace.stop)) as batches:
            for batch in batches:
                shelf.put(batch.rows, batch.vectors, fresh=True)
                skipped += batch.skipped
                if parts is not None:
                    parts.add(batch)
                done += len(batch.rows) + len(batch.skipped)
                pace.report(done, total)
    finally:
        # Whatever ended the loop, also a crash of the encoder: finished tiles are not encoded twice.
        if parts is not None:
            parts.flush()
    if done < total:
        after = "build again to go on from there" if parts is not None else "the index is as it was"
        raise Cancelled(f"stopped after {done} of {total} tiles of {source.spec}; {after}")
    return tuple(skipped)


def _merged(data: IndexData | None, spec: str, mine: Encoded, skipped: tuple[Skipped, ...]) -> IndexData:
    if data is None:
        return IndexData(mine.rows, mine.vectors, (spec,), skipped)
    specs = data.source_specs if spec in data.source_specs else (*data.source_specs, spec)
    others = [number for number, row in enumerate(data.rows) if row.source_spec != spec]
    rows = [*(data.rows[number] for number in others), *mine.rows]
    vectors = np.concatenate([data.vectors[others], mine.vectors])
    # By source, and within one as it was: the order, and with it that of ties, never depends on the way here.
    order = sorted(range(len(rows)), key=lambda number: specs.index(rows[number].source_spec))
    all_skipped = (*(one for one in data.skipped if one.source_spec != spec), *skipped)
    merged_rows = tuple(rows[number] for number in order)
    if (merged_rows, specs, all_skipped) == (data.rows, data.source_specs, data.skipped):
        return data
    return IndexData(merged_rows, vectors[order], specs, all_skipped)


def without(data: IndexData, source_spec: str) -> IndexData:
    """Drop one source from index data.

    Raises:
        IndexArgumentError: there is no such source, or it is the only one.
    """
    if source_spec not in data.source_specs:
        known = ", ".join(data.source_specs)
        raise IndexArgumentError(f"the index has no source {source_spec}; it has {known}")
    if len(data.source_specs) == 1:
        raise IndexArgumentError(f"{source_spec} is the only source of the index; delete its folder instead")
    kept = [number for number, row in enumerate(data.rows) if row.source_spec != source_spec]
    return IndexData(
        tuple(data.rows[number] for number in kept),
        data.vectors[kept],
        tuple(spec for spec in data.source_specs if spec != source_spec),
        tuple(one for one in data.skipped if one.source_spec != source_spec),
    )


def _left_out(source: TileSource) -> dict[str, str | None]:
    return dict.fromkeys(source.left_out, _FILE) if isinstance(source, Partial) else {}


def _listing(source: TileSource, pace: Pace | None) -> dict[str, str | None]:
    tile_ids = source.tile_ids()
    listed: dict[str, str | None] = {}
    for number, tile_id in enumerate(tile_ids, 1):
        listed[tile_id] = fingerprint_of(source, tile_id)
        if pace is not None and number % _TOLD_EVERY == 0:
            pace.report(0, len(tile_ids))  # nothing is done yet, but users see that it goes on
    if len(listed) != len(tile_ids):
        raise TileSourceError(f"{source.spec} lists {len(tile_ids) - len(listed)} tile ids twice; ids must be unique")
    return listed


def _refuse_clashes(data: IndexData | None, source: TileSource, listed: dict[str, str | None]) -> None:
    rows = data.rows if data is not None else ()
    clash = [row for row in rows if row.source_spec != source.spec and row.tile.tile_id in listed]
    if clash:
        raise TileSourceError(
            f"{len(clash)} tile ids of {source.spec} are in the index already from {clash[0].source_spec}, for "
            f"instance {clash[0].tile.tile_id!r}; build a second index of it in another folder (`{build_command()}`)"
        )
