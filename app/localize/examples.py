"""Sentences to start from on the Localize page, each with the tile of the open collection that fits it best."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from app.collections import AppState
from app.search.service import Query, search
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
        TileSourceError: the collection is empty, or probably has nothing like it.
    """
    found = search(state, Query(text, k=1))
    if not found.hits:
        raise TileSourceError("the collection has no tiles; upload a picture instead")
    if found.match is not None and found.match.verdict == "no":
        raise TileSourceError(
            f"no tile of this collection seems to show “{text}”; take one of the tiles and write what you see in it"
        )
    return found.hits[0].tile_id
