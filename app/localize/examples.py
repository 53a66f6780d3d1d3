"""Sentences to start from on the Localize page, each with the tile of the open collection that fits it best."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from app.collections import AppState
from app.search.service import within
from lrsclip.errors import TileSourceError


@dataclass(frozen=True)
class Start:
    """A sentence to start from, and what its button says."""

    title: str
    text: str


STARTS = tuple(
    Start(one["title"], one["text"])
    for one in tomllib.loads((Path(__file__).parent / "examples.toml").read_text(encoding="utf-8"))["example"]
)


def best_tile(state: AppState, text: str) -> str:
    """Return the id of the tile that fits a sentence best.

    Raises:
        TileSourceError: the collection is empty.
    """
    hits = state.index.search(state.bundle.encode_text([text]), 1, within=within(state, None))[0]
    if not hits:
        raise TileSourceError("the collection has no tiles; upload a picture instead")
    return hits[0].tile_id
