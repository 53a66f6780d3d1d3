"""Which FAISS index searches so many vectors: exact and flat while that is quick, then smaller, then approximate.

Whatever finds the candidates, `TileIndex` scores them once more in float64, so the scores and the order of what is
found are exact; only which tiles are found can be approximate, and that from `FP16_UP_TO` vectors on.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from lrsclip.errors import IndexDamagedError
from lrsclip.files import write_atomically

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
NEAR_TIE_COS = {"flat": 1e-5, "fp16": 2e-3, "hnsw": 2e-3, "ivf": 2e-3}
"""Wider than the rounding of a kind's inner products: candidates closer than this may be in the wrong order."""


@dataclass(frozen=True)
class EnginePlan:
    """How vectors are to be searched.

    Attributes:
        kind: "flat" (exact, float32), "fp16" (exact but for rounding, half the memory), "hnsw" or "ivf" (approximate).
        lists: of "ivf", into how many the vectors are sorted.
        probed: of "ivf", how many of them a search looks through.
        memory_bytes: what it takes, beside the vectors themselves.
    """

    kind: EngineKind
    lists: int = 0
    probed: int = 0
    memory_bytes: int = 0


def plan_of(count: int, dimension: int, memory_bytes: int | None = None) -> EnginePlan:
    """Choose by count, dimension and memory.

    Args:
        count: vectors.
        dimension: D.
        memory_bytes: what may be used; None for half of what the machine has.
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
    except (ValueError, OSError, AttributeError):  # not told on every system
        return 4 * 2**30


class Engine:
    """Finds candidates among vectors.

    Args:
        vectors: (N, D) float16, of length one but for rounding.
        plan: how.
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
        """Candidates of each query, best first.

        Args:
            queries: (Q, D) of length one.
            k: how many, at most N.
            among: rows that may be found; None for all.

        Returns:
            Scores and rows, both (Q, k); row -1 where fewer were found.
        """
        if among is None:
            scores, rows = self.index.search(queries, k, params=self._parameters(None))
        elif self.plan.kind != "flat" and len(among) <= _EXACT_ROWS:
            # Few of many: a graph would hardly come across them.
            scores, near = faiss.knn(
                queries, unit(self._vectors[among]), min(k, len(among)), faiss.METRIC_INNER_PRODUCT
            )
            rows = among[near]
        else:
            chosen = np.zeros(len(self._vectors), np.bool_)
            chosen[among] = True
            bits = np.packbits(chosen, bitorder="little")  # held here: FAISS keeps a pointer alone
            selector = faiss.IDSelectorBitmap(bits)
            scores, rows = self.index.search(queries, k, params=self._parameters(selector))
        return scores, rows

    def _parameters(self, selector: Any) -> Any:
        if self.plan.kind == "ivf":
            return faiss.SearchParametersIVF(sel=selector, nprobe=self.plan.probed)
        if self.plan.kind == "hnsw":
            return faiss.SearchParametersHNSW(sel=selector, efSearch=_SEARCH_DEPTH)
        return None if selector is None else faiss.SearchParameters(sel=selector)


def unit(vectors: NDArray[np.float16]) -> NDArray[np.float32]:
    """The same as float32 and of length one: float16 made them a little longer or shorter."""
    exact = vectors.astype(np.float32)
    exact /= np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-12)
    return exact


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


def _read(path: Path, shape: tuple[int, ...]) -> Any | None:
    """A kept index, if it is one of so many vectors."""
    try:
        index = faiss.deserialize_index(np.fromfile(path, np.uint8))
    except (OSError, RuntimeError, MemoryError):
        return None
    return index if (index.ntotal, index.d) == shape else None


def _write(index: Any, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, faiss.serialize_index(index).data)
    except OSError as error:
        raise IndexDamagedError(f"cannot write {path} ({error}); free space or allow writing") from error
