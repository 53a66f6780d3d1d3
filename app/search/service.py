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
from app.ui.bbox import Box
from lrsclip import retrieval
from lrsclip.calibration.match import Match
from lrsclip.errors import IndexArgumentError
from lrsclip.index import Hit, SearchFilter
from lrsclip.tiles import is_for_untrusted
from lrsclip.vectors import Floats

MAX_HITS = 60
START_HITS = 12
START_EXCLUDE_WEIGHT = retrieval.Query.exclude_weight
START_IMAGE_WEIGHT = retrieval.Query.image_weight
_CENTROIDS: LruCache[Floats] = LruCache(8)


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
    encoded = time.perf_counter()
    center = _CENTROIDS.get(
        (state.source.spec, state.index.manifest.created),
        lambda: retrieval.collection_centroid(state.index, asked.source_specs),
    )
    result = retrieval.search_encoded(state.index, state.bundle, asked, vectors, center)
    times_ms = 1000 * (encoded - started), 1000 * (time.perf_counter() - encoded)
    return Found(query, result.hits, *times_ms, state.source.spec, result.match, result.best_cos)


def within(state: AppState, bbox_lonlat: Box | None) -> SearchFilter | None:
    """Build the filter that keeps a search to the open collection and an area; None where all tiles may be found."""
    return retrieval.Query(bbox_lonlat=bbox_lonlat, source_specs=_sources(state)).within


def _sources(state: AppState) -> tuple[str, ...] | None:
    return (state.source.spec,) if state.shares_index else None


def first_tiles(state: AppState) -> Found:
    """Return the first tiles of the collection, to look at before any search; they have ranks but no scores."""
    first = state.tile_ids()[:START_HITS]
    hits = tuple(Hit(tile_id, math.nan, rank) for rank, tile_id in enumerate(first, 1))
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
