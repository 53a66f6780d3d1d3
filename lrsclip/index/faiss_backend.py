"""Choice of the FAISS index by size: exact and flat while that is quick, then smaller, then approximate.

Whatever finds the candidates, `TileIndex` scores them once more in float64, so the scores and the order of the hits
are exact; only the choice of tiles can be approximate, and that from `FP16_UP_TO` vectors on.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from lrsclip.io.atomic import write_atomically
from lrsclip.io.user_cache import user_cache
from lrsclip.vectors import unit

log = logging.getLogger(__name__)
faiss: Any = _faiss  # its types know only a part of it
EngineKind = Literal["flat", "fp16", "hnsw", "ivf"]
FLAT_UP_TO, FP16_UP_TO = 100_000, 300_000
_LINKS = 32  # of a node in HNSW's graph; twice as many on the ground floor
_BUILD_DEPTH, _SEARCH_DEPTH = 80, 128
_HNSW_UP_TO = 500_000  # its graph takes minutes to build beyond
_PROBED_SHARE = 1 / 32
_TRAINED_PER_LIST = 64
_EXACT_ROWS = 50_000  # a filter that leaves so few is searched one by one
_CHUNK = 65_536
_SCORES_AT_ONCE = 2**26  # numbers, a quarter of a gigabyte
NEAR_TIE_COS = {"flat": 1e-5, "fp16": 2e-3, "hnsw": 2e-3, "ivf": 2e-3}
"""Wider than the rounding of a kind's inner products: candidates closer than this may be in the wrong order."""


@dataclass(frozen=True)
class EnginePlan:
    """A plan for searching so many vectors.

    Attributes:
        kind: "flat" (exact, float32), "fp16" (exact but for rounding, half the memory), "hnsw" or "ivf" (approximate).
        lists: of "ivf", number of lists that the vectors are sorted into.
        probed: of "ivf", number of lists that a search looks through.
        memory_bytes: memory of the engine, beside the vectors themselves.
    """

    kind: EngineKind
    lists: int = 0
    probed: int = 0
    memory_bytes: int = 0


def plan_of(count: int, dimension: int, memory_bytes: int | None = None) -> EnginePlan:
    """Choose an engine by count, dimension and memory.

    Args:
        count: N, number of vectors.
        dimension: D, length of a vector.
        memory_bytes: memory that may be used; None for half of the machine's.
    """
    room = _half_of_memory() if memory_bytes is None else memory_bytes
    flat, half = 4 * dimension * count, 2 * dimension * count
    if count <= FLAT_UP_TO and flat <= room:
        return EnginePlan("flat", memory_bytes=flat)
    if count <= FP16_UP_TO:
        return EnginePlan("fp16", memory_bytes=half)
    graph = half + int(count * _LINKS * 2 * 4 * 1.1)
    if count <= _HNSW_UP_TO and graph <= room:
        return EnginePlan("hnsw", memory_bytes=graph)
    lists = 2 ** round(math.log2(4 * math.sqrt(count)))
    return EnginePlan("ivf", lists, max(8, round(lists * _PROBED_SHARE)), half + 8 * count)


def _half_of_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):  # not every system has these numbers
        return 4 * 2**30


class Engine:
    """A FAISS index that finds candidates among vectors.

    Args:
        vectors: (N, D) float16, of length one but for rounding.
        plan: kind and sizes of the index.
        kept: a FAISS file to read in place of building, or to write after it; used for the approximate kinds alone.
    """

    def __init__(self, vectors: NDArray[np.float16], plan: EnginePlan, kept: Path | None = None) -> None:
        self.plan, self._vectors = plan, vectors
        approximate = plan.kind in ("hnsw", "ivf")
        read = _read(kept, vectors.shape) if approximate and kept is not None else None
        self.index = read if read is not None else _built(vectors, plan)
        if approximate and read is None and kept is not None:
            _write(self.index, kept)

    def search(
        self, queries: NDArray[np.float32], k: int, among: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find candidates of each query, best first.

        Args:
            queries: (Q, D) float32 of length one.
            k: number of candidates, at most N.
            among: rows that may be found; None for all.

        Returns:
            Scores and rows, both (Q, k); row -1 only where k is more than there are.
        """
        approximate = self.plan.kind in ("hnsw", "ivf")
        if among is None:
            scores, rows = self.index.search(queries, k, params=self._parameters(None))
        elif self.plan.kind != "flat" and len(among) <= _EXACT_ROWS:
            # Few of many: a graph would hardly come across them.
            return self._exact_search(queries, k, among)
        else:
            chosen = np.zeros(len(self._vectors), np.bool_)
            chosen[among] = True
            bits = np.packbits(chosen, bitorder="little")  # held here: FAISS keeps a pointer alone
            selector = faiss.IDSelectorBitmap(bits)
            scores, rows = self.index.search(queries, k, params=self._parameters(selector))
        if approximate and len(few := np.flatnonzero(rows[:, -1] < 0)):
            # The probed lists, or the visited part of the graph, hold too few: the rest lies elsewhere.
            scores[few], rows[few] = self._exact_search(queries[few], k, among)
        return scores, rows

    def scores(self, queries: NDArray[np.float32], among: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Score every query with every row (inner product, exact but for rounding); (Q, N), or (Q, n) among n rows."""
        count = len(self._vectors) if among is None else len(among)
        found = np.empty((len(queries), count), np.float32)
        for start in range(0, count, _CHUNK):
            these = slice(start, start + _CHUNK) if among is None else among[start : start + _CHUNK]
            some = self._vectors[these].astype(np.float32)
            lengths = np.sqrt(np.einsum("nd,nd->n", some, some))  # divided by afterwards: that is one pass less
            found[:, start : start + _CHUNK] = queries @ some.T / np.maximum(lengths, 1e-12)
        return found

    def _exact_search(
        self, queries: NDArray[np.float32], k: int, among: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Search like `search`, from the scores of all rows; return scores and rows, both (Q, k)."""
        count = len(self._vectors) if among is None else len(among)
        best, rows = np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1, np.int64)
        least = max(0, count - k)
        step = max(1, _SCORES_AT_ONCE // count)
        for start in range(0, len(queries), step):
            scores = self.scores(queries[start : start + step], among)
            # argpartition and not argsort: most of the rows need no order
            near = np.argpartition(scores, least, axis=1)[:, least:] if least else np.arange(count)[None]
            kept = np.take_along_axis(scores, np.broadcast_to(near, (len(scores), near.shape[1])), axis=1)
            order = np.argsort(-kept, axis=1)
            best[start : start + step, : count - least] = np.take_along_axis(kept, order, axis=1)
            places = np.take_along_axis(np.broadcast_to(near, order.shape), order, axis=1)
            rows[start : start + step, : count - least] = places if among is None else among[places]
        return best, rows

    def _parameters(self, selector: Any) -> Any:
        if self.plan.kind == "ivf":
            return faiss.SearchParametersIVF(sel=selector, nprobe=self.plan.probed)
        if self.plan.kind == "hnsw":
            return faiss.SearchParametersHNSW(sel=selector, efSearch=_SEARCH_DEPTH)
        return None if selector is None else faiss.SearchParameters(sel=selector)


def _built(vectors: NDArray[np.float16], plan: EnginePlan) -> Any:
    dimension, inner = vectors.shape[1], faiss.METRIC_INNER_PRODUCT
    half = faiss.ScalarQuantizer.QT_fp16
    if plan.kind == "flat":
        index = faiss.IndexFlatIP(dimension)
    elif plan.kind == "fp16":
        index = faiss.IndexScalarQuantizer(dimension, half, inner)
    elif plan.kind == "hnsw":
        index = faiss.IndexHNSWSQ(dimension, half, _LINKS, inner)
        index.hnsw.efConstruction = _BUILD_DEPTH
    else:
        coarse = faiss.IndexFlatIP(dimension)
        index = faiss.IndexIVFScalarQuantizer(coarse, dimension, plan.lists, half, inner, False)
        index.own_fields = True
        coarse.this.disown()
        some = np.random.default_rng(0).permutation(len(vectors))[: plan.lists * _TRAINED_PER_LIST]
        index.train(unit(vectors[np.sort(some)]))
    if not index.is_trained:
        index.train(unit(vectors[:1]))  # fp16 has nothing to learn and wants to be asked all the same
    for start in range(0, len(vectors), _CHUNK):
        index.add(unit(vectors[start : start + _CHUNK]))
    return index


def kept_path(vectors_sha256: str, kind: EngineKind) -> Path:
    """Name the file in which the FAISS index of a saved index is kept.

    In the cache and not beside the vectors: FAISS does not guard its own files against forgery.
    """
    return user_cache() / "search" / f"{vectors_sha256}-{kind}.faiss"


def forget_kept(vectors_sha256: str) -> None:
    """Delete the kept FAISS files of vectors that are out of date; warn about a file that cannot be deleted."""
    kinds: tuple[EngineKind, ...] = ("hnsw", "ivf")
    for path in (kept_path(vectors_sha256, kind) for kind in kinds):
        try:
            path.unlink(missing_ok=True)
            _hash_path(path).unlink(missing_ok=True)
        except OSError as error:
            log.warning("cannot delete %s (%s), which is out of date; delete it by hand", path, error)


def _hash_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _read(path: Path, shape: tuple[int, ...]) -> Any | None:
    """Read a kept index, if it is whole and of `shape` (N, D); else None."""
    try:
        content = np.fromfile(path, np.uint8)
        if hashlib.sha256(content.data).hexdigest() != _hash_path(path).read_text(encoding="ascii"):
            return None
        index = faiss.deserialize_index(content)
    except (OSError, ValueError, RuntimeError, MemoryError):
        return None
    return index if (index.ntotal, index.d) == shape else None


def _write(index: Any, path: Path) -> None:
    """Keep an index; only warn where that is not possible, since nothing but time is lost."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = faiss.serialize_index(index).data
        write_atomically(path, content)
        write_atomically(_hash_path(path), hashlib.sha256(content).hexdigest().encode("ascii"))
    except OSError as error:
        log.warning("cannot write %s (%s), so searching starts slowly; free space or allow writing", path, error)
