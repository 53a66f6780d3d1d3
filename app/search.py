"""The Search page's work: a description to ranked tiles, with the time each stage took."""

from __future__ import annotations

import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from app.state import AppState
from lrsclip.errors import TextError
from lrsclip.index import Hit, SearchFilter

MAX_HITS = 60
START_HITS = 12


@dataclass(frozen=True)
class Found:
    """The result of one search.

    Attributes:
        text: the description.
        hits: best first.
        text_ms: time to encode the description.
        index_ms: time to search the index.
        spec: address of the collection that was searched.
    """

    text: str
    hits: tuple[Hit, ...]
    text_ms: float
    index_ms: float
    spec: str


def find(state: AppState, text: str, k: int) -> Found:
    """Find the k tiles that fit a description best.

    Raises:
        TextError: the description is empty.
        IndexArgumentError: k is below one.
    """
    if not text.strip():
        raise TextError("the description is empty; write what the picture should show")
    started = time.perf_counter()
    vectors = state.bundle.encode_text([text])
    encoded = time.perf_counter()
    # A filter only where it is needed: FAISS on a GPU knows none.
    within = SearchFilter(source_specs=(state.source.spec,)) if state.shares_index else None
    hits = state.index.search(vectors, k, within=within)[0]
    searched = time.perf_counter()
    return Found(text, tuple(hits), 1000 * (encoded - started), 1000 * (searched - encoded), state.source.spec)


def first_tiles(state: AppState) -> Found:
    """The first tiles of the collection, to look at before any search; they have ranks but no scores."""
    first = state.tile_ids()[:START_HITS]
    return Found(
        "",
        tuple(Hit(tile_id, float("nan"), rank) for rank, tile_id in enumerate(first, 1)),
        0.0,
        0.0,
        state.source.spec,
    )


@dataclass(frozen=True)
class Example:
    """A description that a visitor can start from."""

    title: str
    text: str


def _read_examples() -> tuple[Example, ...]:
    listed = tomllib.loads((Path(__file__).parent / "examples.toml").read_text(encoding="utf-8"))["example"]
    return tuple(Example(one["title"], " ".join(one["text"].split())) for one in listed)


EXAMPLES = _read_examples()
