"""The Search page's work: a query to ranked tiles within the page's limits, with the time of each stage."""

from __future__ import annotations

import math
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

from app.collections import AppState
from app.server.concurrency import LruCache
from app.server.queued_model import check_length
from app.server.settings import in_force
from lrsclip import retrieval
from lrsclip.calibration.match import Match
from lrsclip.errors import IndexArgumentError
from lrsclip.index import Hit
from lrsclip.tiles import is_for_untrusted
from lrsclip.vectors import Floats

MAX_HITS = 300
MORE_HITS = 24
MAX_EXPORTED = 10_000
START_HITS = 12
START_EXCLUDE_WEIGHT = retrieval.Query.exclude_weight
START_IMAGE_WEIGHT = retrieval.Query.image_weight
_CENTROIDS: LruCache[Floats] = LruCache(8)
_FIRST: LruCache[tuple[str, ...]] = LruCache(16)


@dataclass(frozen=True)
class Query(retrieval.Query):
    """A query as the page takes it: not too many tiles, and of the open collection alone.

    Raises:
        IndexArgumentError: a number is out of range, or the area is no box.
    """

    k: int = field(default=START_HITS, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing, and more tiles than the page shows."""
        if not 1 <= self.k <= MAX_HITS:
            raise IndexArgumentError(f"k is {self.k}; ask for 1 to {MAX_HITS} tiles")
        super().__post_init__()


@dataclass(frozen=True)
class Found:
    """The result of one search.

    Attributes:
        query: the query.
        hits: best first.
        text_ms: time to encode the query.
        index_ms: time to search the index, and to judge the hits.
        spec: address of the collection that was searched.
        match: fit of the best tile to the description; None where nobody can tell.
        best_cos: score of the best tile before any bar; None where there was none to score.
        pictures_ms: time to make the hits' pictures small; filled in by the page.
        searched: whether this is the answer to a search, and not the tiles shown before any.
        vectors: of the query, from which more hits can be found.
    """

    query: Query
    hits: tuple[Hit, ...]
    text_ms: float
    index_ms: float
    spec: str
    match: Match | None = None
    best_cos: float | None = None
    pictures_ms: float = 0.0
    searched: bool = True
    vectors: retrieval.QueryVectors | None = field(default=None, repr=False)


def search(state: AppState, query: Query) -> Found:
    """Find the tiles of the open collection that fit a query best.

    Raises:
        TextError: there is nothing to search for, the exclusion leaves nothing of it, or a text is far too long.
        TileSourceError: the tile to be like is not in this collection.
    """
    check_length((query.text, query.exclude), in_force().max_text)  # also of a text not encoded: the answer keeps it
    asked = replace(query, source_specs=_sources(state))
    started = time.perf_counter()
    vectors = retrieval.encode_query(state.index, state.bundle, asked)
    return _ranked(state, query, vectors, 1000 * (time.perf_counter() - started))


def more(state: AppState, found: Found) -> Found:
    """Find `MORE_HITS` more tiles than before, up to `MAX_HITS`; nothing is encoded again."""
    count = min(MAX_HITS, len(found.hits) + MORE_HITS)
    if found.vectors is None:
        return _first(state, count)
    return _ranked(state, replace(found.query, k=count), found.vectors, 0.0)


def all_above(state: AppState, found: Found) -> Found:
    """Find all tiles above the minimum score, or all there are without one: `MAX_EXPORTED` at most."""
    if found.vectors is None:
        return _first(state, MAX_EXPORTED)
    asked = found.query
    every = retrieval.Query(
        asked.text, image=asked.image, like=asked.like, image_weight=asked.image_weight, k=MAX_EXPORTED,
        min_score_cos=asked.min_score_cos, bbox_lonlat=asked.bbox_lonlat, polygon_lonlat=asked.polygon_lonlat,
        source_specs=_sources(state), hide_duplicates=False,
    )  # fmt: skip
    hits = retrieval.search_encoded(state.index, state.bundle, every, found.vectors, _center(state)).hits
    return replace(found, hits=hits)


def _ranked(state: AppState, query: Query, vectors: retrieval.QueryVectors, text_ms: float) -> Found:
    started = time.perf_counter()
    asked = replace(query, source_specs=_sources(state))
    result = retrieval.search_encoded(state.index, state.bundle, asked, vectors, _center(state))
    index_ms = 1000 * (time.perf_counter() - started)
    spec = state.source.spec
    return Found(query, result.hits, text_ms, index_ms, spec, result.match, result.best_cos, vectors=vectors)


def _center(state: AppState) -> Floats:
    return _CENTROIDS.get(
        (state.source.spec, state.index.manifest.created),
        lambda: retrieval.collection_centroid(state.index, _sources(state)),
    )


def _sources(state: AppState) -> tuple[str, ...] | None:
    return (state.source.spec,) if state.shares_index else None


def first_tiles(state: AppState) -> Found:
    """Return a varied few of the collection, to look at before any search; they have ranks but no scores."""
    return _first(state, START_HITS)


def _first(state: AppState, count: int) -> Found:
    key = state.source.spec, state.index.manifest.created
    ids = list(_FIRST.get(key, lambda: state.varied(START_HITS)))
    if count > len(ids):
        known = set(ids)
        ids += [tile_id for tile_id in state.tile_ids() if tile_id not in known][: count - len(ids)]
    hits = tuple(Hit(tile_id, math.nan, rank) for rank, tile_id in enumerate(ids, 1))
    return Found(Query(), hits, 0.0, 0.0, state.source.spec, searched=False)


def public_address(spec: str) -> str:
    """Return a collection's address if strangers may know it, else "": it may be a folder, or hold a service's key."""
    return spec if is_for_untrusted(spec) and "//" not in unquote(spec) else ""


@dataclass(frozen=True)
class Example:
    """A description that a visitor can start from."""

    title: str
    text: str


def _read_examples() -> tuple[Example, ...]:
    listed: list[Mapping[str, str]] = tomllib.loads(
        (Path(__file__).parent / "examples.toml").read_text(encoding="utf-8")
    )["example"]
    return tuple(Example(one["title"], " ".join(one["text"].split())) for one in listed)


EXAMPLES = _read_examples()
