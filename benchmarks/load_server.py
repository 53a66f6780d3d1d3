"""The server under load: 10,921 tiles made of the built-in 1,024. Started by `benchmarks.load`.

The vectors are those of the landscape, repeated with noise, and a tile's picture is the one that its vector came from:
the search has its full size, and no hour goes into drawing. The pictures are read from disk like any others.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from PIL import Image

from app.build import build, serve
from app.cli import few_arenas, open_state
from app.collections import AppState
from app.server import request_log
from app.server.settings import Settings, use
from lrsclip.index import TileIndex
from lrsclip.index.schema import IndexData, Row
from lrsclip.index.storage import new_manifest
from lrsclip.tiles import Tile, TileSource

_NOISE = 0.02  # of each of 256 numbers of a vector of length one: neighbors stay neighbors


class RepeatedTiles:
    """A source that has each tile of another one several times, under other names."""

    def __init__(self, source: TileSource, count: int) -> None:
        self._source, self._own = source, source.tile_ids()
        self._ids = [f"{number:05d}-{self._own[number % len(self._own)]}" for number in range(count)]

    @property
    def spec(self) -> str:
        """Address, which opens nothing."""
        return f"repeated:{self._source.spec}"

    def __len__(self) -> int:
        """Count the tiles."""
        return len(self._ids)

    def tile_ids(self) -> list[str]:
        """List the ids."""
        return list(self._ids)

    def tile(self, tile_id: str) -> Tile:
        """Look up the facts of the tile it repeats."""
        return replace(self._source.tile(tile_id.partition("-")[2]), tile_id=tile_id)

    def picture(self, tile_id: str) -> Image.Image:
        """Read the picture of the tile it repeats."""
        return self._source.picture(tile_id.partition("-")[2])


def repeated(state: AppState, count: int) -> AppState:
    """Copy the state with `count` tiles."""
    source = RepeatedTiles(state.source, count)
    rows, vectors = state.index.data.rows, state.index.data.vectors.astype(np.float32)
    places = np.arange(count) % len(rows)
    noisy = vectors[places] + np.random.default_rng(0).normal(0, _NOISE, (count, vectors.shape[1]))
    noisy[: len(rows)] = vectors
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    own = tuple(
        Row(replace(rows[place].tile, tile_id=tile_id), source.spec)
        for place, tile_id in zip(places.tolist(), source.tile_ids(), strict=True)
    )
    data = IndexData(own, noisy.astype(np.float16), (source.spec,), ())
    index = TileIndex(data, new_manifest(data, state.index.manifest.model))
    return AppState(state.bundle, index, source)


def main() -> None:
    """Serve until ended from outside."""
    parser = argparse.ArgumentParser(description="The server of the load test.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tiles", type=int, required=True)
    args = parser.parse_args()
    use(Settings.from_environment())
    few_arenas()
    request_log.log_to_stderr()
    serve(build(repeated(open_state(None, "tiny"), args.tiles)), host="127.0.0.1", port=args.port)


if __name__ == "__main__":
    main()
