"""Search over tile vectors with FAISS, on a GPU where FAISS has one; `faiss_backend` chooses the engine by size."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrsclip.errors import IndexArgumentError, IndexMismatchError, TileSourceError
from lrsclip.index.build_parts import PartStore, directory_lock
from lrsclip.index.faiss_backend import NEAR_TIE_COS, Engine, forget_kept, kept_path, plan_of
from lrsclip.index.filters import SearchFilter, centers_of, distinct
from lrsclip.index.refresh import Pace, Progress, refresh, without
from lrsclip.index.schema import ImageEncoder, IndexData, Manifest, ModelMark
from lrsclip.index.storage import has_index, new_manifest, read_index, read_manifest, require_room, write_index
from lrsclip.tiles.base import Tile, TileSource
from lrsclip.vectors import unit

_GPU_MAX_K = 2048  # a limit of FAISS on the GPU
_MARGIN = 32
_WIDER = 16  # times as many candidates are asked for, once, before all rows are looked at
_SCORED_AT_ONCE = 16_384


@dataclass(frozen=True)
class Hit:
    """One tile of a search result.

    Attributes:
        tile_id: id of the tile.
        score_cos: cosine with the query, -1 to 1.
        rank: place in the list, 1 is the best.
    """

    tile_id: str
    score_cos: float
    rank: int


@dataclass(frozen=True)
class _State:
    """All of an index at one moment; replaced as a whole, so that searches in other threads never see a mixture."""

    data: IndexData
    manifest: Manifest
    place: dict[str, int]
    engine: Engine
    on_gpu: Any | None

    @cached_property
    def middles(self) -> NDArray[np.float64]:
        """Centers of the tiles, (N, 2); see `middles_of`."""
        return centers_of(self.data)


class TileIndex:
    """Vectors of tiles, searchable by cosine. Made by `build_index` or `TileIndex.load`; safe to search from threads.

    Args:
        data: rows and vectors.
        manifest: the description of them.
    """

    def __init__(self, data: IndexData, manifest: Manifest) -> None:
        self._state = _state(data, manifest)
        self._on_disk = manifest  # of the state that the one in memory came from; without hashes if there is none
        self._gpu_turn = threading.Lock()
        self._changing = threading.Lock()  # of two changes at a time one would be lost

    @classmethod
    def load(cls, directory: str | os.PathLike[str], bundle: ImageEncoder) -> TileIndex:
        """Read an index from its folder.

        Args:
            directory: the folder.
            bundle: the model that will encode the queries.

        Raises:
            IndexMismatchError: another model built the index; the message names both.
            IndexDamagedError: there is none, or its files are missing, cut or not those of its manifest.
        """
        manifest, data = read_index(Path(directory), ModelMark.of(bundle))
        return cls(data, manifest)

    @property
    def manifest(self) -> Manifest:
        """Model, sources, count, skipped pictures, versions; with the files' hashes once saved."""
        return self._state.manifest

    @property
    def data(self) -> IndexData:
        """Rows and (N, D) float16 vectors."""
        return self._state.data

    def __len__(self) -> int:
        """Count the tiles, N."""
        return len(self._state.data.rows)

    def tile_ids(self) -> list[str]:
        """List the ids of all tiles, in the order of the rows."""
        return list(self._state.place)

    def tile(self, tile_id: str) -> Tile:
        """Look up the facts of a tile as they were when it was indexed; needs no source.

        Raises:
            TileSourceError: it is not in the index.
        """
        state = self._state
        return state.data.rows[_place(state, tile_id)].tile

    def source_spec(self, tile_id: str) -> str:
        """Look up the address of the source that has the tile's picture.

        Raises:
            TileSourceError: it is not in the index.
        """
        state = self._state
        return state.data.rows[_place(state, tile_id)].source_spec

    def count(self, within: SearchFilter | None = None) -> int:
        """Count the tiles that a search restricted to `within` can find.

        Raises:
            IndexArgumentError: it has no such source.
        """
        state = self._state
        return len(state.data.rows) if within is None else len(within.rows_of(state.data, state.middles))

    def vector(self, tile_id: str) -> NDArray[np.float32]:
        """Look up a tile's vector, (D,) float32 of length one, to search for similar tiles.

        Raises:
            TileSourceError: it is not in the index.
        """
        state = self._state
        return unit(state.data.vectors[[_place(state, tile_id)]])[0]

    def search(
        self, vectors: ArrayLike, k: int, *, within: SearchFilter | None = None, hide_duplicates: bool = False
    ) -> list[list[Hit]]:
        """Find the k tiles nearest to each query; exactly, up to `faiss_backend.FP16_UP_TO` tiles.

        Equal scores stand in the order of the rows, whatever FAISS, the machine and the batch do with them: the
        candidates are scored once more in float64 and rounded to float32.

        Args:
            vectors: (Q, D) float32 queries; their length does not matter.
            k: hits for each; all tiles if there are fewer.
            within: limits of the search, applied before and not after the k are chosen.
            hide_duplicates: leave out tiles that look the same as a better hit.

        Returns:
            Q lists of min(k, N) hits, best first; fewer where a filter or duplicates leave fewer.

        Raises:
            IndexArgumentError: k is below one, or the queries are not finite vectors other than zero.
            IndexMismatchError: the queries are not of the index's dimension.
        """
        state = self._state
        if k < 1:
            raise IndexArgumentError(f"k is {k}; ask for 1 hit or more")
        queries = _unit_queries(vectors, state.manifest.model)
        if not len(queries):
            return []
        among = None if within is None else within.rows_of(state.data, state.middles)
        count = len(state.data.rows) if among is None else len(among)
        if count == 0:
            return [[] for _ in queries]
        k, near_tie_cos = min(k, count), NEAR_TIE_COS[state.engine.plan.kind]
        found: list[list[Hit] | None] = [None] * len(queries)
        wanted = min(count, (4 * k if hide_duplicates else k) + _MARGIN)
        for width in sorted({wanted, min(count, _WIDER * wanted)}):
            if not (open_ := [number for number, hits in enumerate(found) if hits is None]):
                break
            scores, places = self._candidates(state, queries[open_].astype(np.float32), width, among)
            for number, row_scores, row_places in zip(open_, scores, places, strict=True):
                hits = _hits(state, queries[number], row_places, k, hide_duplicates)
                # Ties may reach beyond the candidates: without the rest of them, the choice would be chance.
                if width == count or (len(hits) == k and row_scores[-1] < hits[-1].score_cos - near_tie_cos):
                    found[number] = hits
        return [
            _hits_of_all(state, queries[number], among, k, hide_duplicates) if hits is None else hits
            for number, hits in enumerate(found)
        ]

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the index to a folder; an LRSCLIP index there counts until this one takes its place.

        Raises:
            IndexDamagedError: the folder cannot be written to, or holds another program's manifest.json.
        """
        directory = Path(directory)
        require_room(directory)
        with self._changing, directory_lock(directory, None):
            self._on_disk = write_index(directory, self._state.data, self._state.manifest)
            self._state = replace(self._state, manifest=self._on_disk)

    def add(
        self,
        source: TileSource,
        bundle: ImageEncoder,
        *,
        directory: str | os.PathLike[str] | None = None,
        batch_size: int = 64,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Take in another source's tiles, or bring one that is in up to date. Searches go on meanwhile.

        Ids must differ from those of the other sources, or a hit's picture would be ambiguous: clashes are refused.

        Args:
            source: the tiles.
            bundle: the model that built the index.
            directory: the index's folder: finished tiles are kept there as in `build_index`, and the index is saved
                there at the end, on top of other processes' changes there since. None: in memory only, until `save`.
            batch_size: tiles per call of the encoder.
            progress: called with tiles done and tiles in all.
            stop: set it to end early; the index then is as it was.

        Raises:
            IndexMismatchError: another model built the index, or the folder's index was changed by another process
                while this one had changes that are in memory only.
            TileSourceError: ids clash, or no picture can be read.
            Cancelled: stop was set.
            IndexDamagedError: the folder cannot be written to.
            IndexArgumentError: batch_size is below one.
        """
        model, pace = self._state.manifest.model, Pace(batch_size, progress, stop)
        model.require(ModelMark.of(bundle), "the index")
        if directory is None:
            self._change(None, lambda data: refresh(data, source, bundle, parts=None, pace=pace))
            return
        parts = PartStore(Path(directory), model, source.spec)
        self._change(Path(directory), lambda data: refresh(data, source, bundle, parts=parts, pace=pace), stop, parts)

    def remove(self, source_spec: str, *, directory: str | os.PathLike[str] | None = None) -> None:
        """Drop a source's tiles. Searches go on meanwhile.

        Args:
            source_spec: its address, as the manifest has it.
            directory: the index's folder, where the rest is saved, with other processes' changes there since; None:
                in memory only, until `save`.

        Raises:
            IndexArgumentError: there is no such source, or it is the only one.
            IndexMismatchError: as for `add`.
            IndexDamagedError: the folder cannot be written to.
        """
        self._change(None if directory is None else Path(directory), lambda data: without(data, source_spec))

    def _change(
        self,
        directory: Path | None,
        change: Callable[[IndexData], IndexData],
        stop: threading.Event | None = None,
        parts: PartStore | None = None,
    ) -> None:
        """Change the index in memory, or in a folder under its lock and then in memory."""
        if directory is not None:
            require_room(directory)
        with self._changing:
            if directory is None:
                data = change(self._state.data)
                if data is not self._state.data:
                    self._state = _state(data, new_manifest(data, self._state.manifest.model))
                return
            with directory_lock(directory, stop):
                manifest, before = self._latest(directory)
                data, old = change(before), manifest.vectors_sha256
                if data is not before:
                    manifest = new_manifest(data, manifest.model)
                if not manifest.vectors_sha256 or not has_index(directory):
                    manifest = write_index(directory, data, manifest)
                if parts is not None:
                    parts.clear()
            if old and old != manifest.vectors_sha256:
                forget_kept(old)
            self._on_disk = manifest
            if data is not self._state.data or manifest != self._state.manifest:
                self._state = _state(data, manifest)

    def _latest(self, directory: Path) -> tuple[Manifest, IndexData]:
        """Return the index in memory, or the folder's where another process has changed that since."""
        state = self._state
        if not has_index(directory) or (there := read_manifest(directory)) == self._on_disk:
            return state.manifest, state.data
        if not state.manifest.vectors_sha256:
            raise IndexMismatchError(
                f"the index in {directory} is not the one that this one, with its changes in memory, came from "
                f"(it was saved {there.created}); load it again and repeat the changes with directory="
            )
        return read_index(directory, state.manifest.model)

    def _candidates(
        self, state: _State, queries: NDArray[np.float32], k: int, among: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if state.on_gpu is None or k > _GPU_MAX_K or among is not None:  # FAISS on the GPU knows no selectors
            return state.engine.search(queries, k, among)
        with self._gpu_turn:  # and takes one search at a time
            scores, places = state.on_gpu.search(queries, k)
        return scores, places


def _state(data: IndexData, manifest: Manifest) -> _State:
    plan = plan_of(len(data.rows), manifest.model.dimension)
    kept = kept_path(manifest.vectors_sha256, plan.kind) if manifest.vectors_sha256 else None
    engine = Engine(data.vectors, plan, kept)
    place = {row.tile.tile_id: number for number, row in enumerate(data.rows)}
    return _State(data, manifest, place, engine, _gpu_copy(engine.index) if plan.kind == "flat" else None)


def _gpu_copy(on_cpu: Any) -> Any | None:
    # faiss-cpu lacks the functions, and on ZeroGPU the main process must not touch CUDA.
    if os.environ.get("SPACES_ZERO_GPU") or not hasattr(faiss, "index_cpu_to_gpu"):
        return None
    if not hasattr(faiss, "get_num_gpus") or faiss.get_num_gpus() < 1:
        return None
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, on_cpu)


def _place(state: _State, tile_id: str) -> int:
    if tile_id not in state.place:
        raise TileSourceError(f"no tile {tile_id!r} in the index; build the index again if it was added since")
    return state.place[tile_id]


def _unit_queries(vectors: ArrayLike, model: ModelMark) -> NDArray[np.float64]:
    queries = np.asarray(vectors, dtype=np.float64)
    if queries.ndim != 2 or queries.shape[1] != model.dimension:
        raise IndexMismatchError(
            f"queries have shape {queries.shape}, the index needs (Q, {model.dimension}); "
            f"encode them with the model that built it, {model.name}"
        )
    lengths = np.linalg.norm(queries, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths <= 0).any():
        raise IndexArgumentError("a query vector is zero or not finite; pass vectors as the encoder gives them")
    made: NDArray[np.float64] = queries / lengths
    return made


def _hits(
    state: _State, query: NDArray[np.float64], places: NDArray[np.int64], k: int, hide_duplicates: bool
) -> list[Hit]:
    scores = np.empty(len(places), np.float32)
    for start in range(0, len(places), _SCORED_AT_ONCE):
        some = unit(state.data.vectors[places[start : start + _SCORED_AT_ONCE]]).astype(np.float64)
        # einsum and not @: it sums every row in the same order, so equal vectors get equal scores to the last bit.
        scores[start : start + _SCORED_AT_ONCE] = np.clip(np.einsum("cd,d->c", some, query), -1.0, 1.0)
    best = np.lexsort((places, -scores))
    best = best[distinct(unit(state.data.vectors[places[best]]), k)] if hide_duplicates else best[:k]
    rows = state.data.rows
    return [
        Hit(rows[places[number]].tile.tile_id, float(scores[number]), rank) for rank, number in enumerate(best, start=1)
    ]


def _hits_of_all(
    state: _State, query: NDArray[np.float64], among: NDArray[np.int64] | None, k: int, hide_duplicates: bool
) -> list[Hit]:
    """Find the hits among all rows that may be found, whatever their ties: rescore those near the last one alone."""
    scores = state.engine.scores(query[None].astype(np.float32), among)[0]
    places = np.arange(len(scores)) if among is None else among
    tie_cos, wanted = NEAR_TIE_COS["flat"], min(len(scores), 4 * k + _MARGIN) if hide_duplicates else k
    while True:
        last = int(np.argpartition(scores, len(scores) - wanted)[len(scores) - wanted])
        least = float(scores[last])
        near = np.flatnonzero(scores >= least - 2 * tie_cos)
        if len(near) > 2 * wanted:
            # Mostly one picture many times over: after the first k rows of it, none can be a hit.
            vectors = state.data.vectors.view(np.uint16)  # compared bit by bit, which is faster
            equal = near[(vectors[places[near]] == vectors[places[last]]).all(axis=1)]
            if len(equal) > k:
                scores, places = np.delete(scores, equal[k:]), np.delete(places, equal[k:])
                wanted = min(wanted, len(scores))
                continue
        hits = _hits(state, query, places[near], k, hide_duplicates)
        # The rows left out score less than `least` by more than any rounding.
        if len(near) == len(scores) or (len(hits) == k and hits[-1].score_cos >= least - tie_cos):
            return hits
        wanted = min(len(scores), 4 * wanted)
