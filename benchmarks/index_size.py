"""Searching 1e4, 1e5 and 1e6 vectors as the index does, against FAISS' flat float32: `python -m benchmarks.index_size`.

The vectors lie in clumps, as those of pictures do: clump middles, and tiles around them. Both sides search the same
vectors in one process, alternating; the figures are the ratio of the medians, and the share of the true ten nearest
(recall@10). A search is of one query, as on the page.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from lrsclip.index.faiss_backend import Engine, plan_of
from lrsclip.vectors import unit
from train.provenance import provenance

DIMENSION, QUERIES, K = 256, 50, 10
_CLUMPS, _SPREAD, _CHUNK = 2000, 0.9, 100_000


def clumps(count: int, seed: int) -> NDArray[np.float16]:
    """Draw (count, DIMENSION) float16 vectors of length one, in clumps."""
    middles = np.random.default_rng(7).normal(size=(_CLUMPS, DIMENSION)).astype(np.float32)
    random, parts = np.random.default_rng(seed), []
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        vectors = middles[random.integers(_CLUMPS, size=size)]
        vectors += _SPREAD * random.normal(size=vectors.shape).astype(np.float32)
        parts.append((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16))
    return np.concatenate(parts)


def milliseconds(search: Callable[[], object]) -> float:
    """Time one search in milliseconds."""
    started = time.perf_counter()
    search()
    return (time.perf_counter() - started) * 1000


def compare(count: int) -> str:
    """Measure both sides at one size; return a row of the table."""
    vectors, queries = clumps(count, 0), unit(clumps(QUERIES, 1))
    exact: Any = faiss.IndexFlatIP(DIMENSION)
    for start in range(0, count, _CHUNK):
        exact.add(unit(vectors[start : start + _CHUNK]))
    plan = plan_of(count, DIMENSION)
    started = time.perf_counter()
    engine = Engine(vectors, plan)
    built_s = time.perf_counter() - started
    slow, fast, found = [], [], 0
    for query in queries[:, None]:
        slow.append(milliseconds(lambda query=query: exact.search(query, K)))  # type: ignore[misc]
        fast.append(milliseconds(lambda query=query: engine.search(query, K)))  # type: ignore[misc]
        found += len(set(exact.search(query, K)[1][0].tolist()) & set(engine.search(query, K)[1][0].tolist()))
    a, b = statistics.median(slow), statistics.median(fast)
    memory = plan.memory_bytes / (4 * DIMENSION * count)
    return (
        f"| {count:,} | {plan.kind} | {a:.2f} ms | {b:.2f} ms | {a / b:.1f} x | {found / QUERIES / K:.3f} | "
        f"{memory:.2f} | {built_s:.1f} s |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index_size")
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 200_000, 1_000_000])
    args = parser.parse_args()
    facts = provenance()
    print(f"{DIMENSION} dimensions, {facts['cpu']}, faiss {faiss.__version__}, {facts['date']}\n")
    print("| vectors | chosen | flat float32 | chosen, a query | ratio | recall@10 | memory | built in |")
    print("|---|---|---|---|---|---|---|---|")
    for count in args.counts:
        print(compare(count), flush=True)


if __name__ == "__main__":
    main()
