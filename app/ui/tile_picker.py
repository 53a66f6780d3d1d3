"""A strip of tiles under a picture box: click one instead of uploading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from app.collections import AppState, Collections
from app.media.images import gallery_file
from app.server.events import INTERNAL, for_page
from app.ui.html import hint
from lrsclip.errors import TileSourceError

TILES = 6


@dataclass(frozen=True)
class StripTiles:
    """The tiles of a strip.

    Attributes:
        spec: address of their collection.
        tile_ids: in the order of the strip.
    """

    spec: str
    tile_ids: tuple[str, ...]

    def clicked(self, event: gr.SelectData) -> str:
        """Return the id of the tile that was clicked.

        Raises:
            TileSourceError: the strip has none of that number, as after a click while other tiles were on their way.
        """
        if event.index >= len(self.tile_ids):
            raise TileSourceError("no tile stands there; click one of those shown")
        return self.tile_ids[event.index]


def spread(state: AppState) -> StripTiles:
    """Choose tiles that differ; see `AppState.varied`."""
    return StripTiles(state.source.spec, state.varied(TILES))


@dataclass(frozen=True)
class TileStrip:
    """The strip; `tiles` holds its `StripTiles`."""

    gallery: gr.Gallery
    tiles: gr.State

    @classmethod
    def lay_out(cls, state: AppState, elem_id: str) -> TileStrip:
        """Put the strip on the page, with some of a collection's tiles."""
        tiles = spread(state)
        gr.HTML(hint("or take one of the tiles"))
        gallery = gr.Gallery(
            _pictures(state, tiles),
            label="Tiles to take",
            show_label=False,
            columns=TILES,
            height="auto",
            allow_preview=False,
            object_fit="cover",
            buttons=[],
            interactive=False,
            elem_id=elem_id,
            elem_classes="strip",
        )
        return cls(gallery, gr.State(tiles))

    @property
    def parts(self) -> list[Component]:
        """Components that `fresh` gives values for."""
        return [self.gallery, self.tiles]

    def fresh(self, state: AppState) -> dict[Block, Any]:
        """Return the values of the strip with tiles of another collection."""
        tiles = spread(state)
        return {self.gallery: gr.Gallery(_pictures(state, tiles), selected_index=None), self.tiles: tiles}

    def wire(
        self,
        collections: Collections,
        outputs: list[Component],
        with_tile: Callable[[AppState, str], dict[Block, Any]],
    ) -> None:
        """Let a click put the tile into other components.

        Args:
            collections: the app's.
            outputs: components that are filled.
            with_tile: returns their values for a collection and the id of one of its tiles.
        """

        def take(tiles: StripTiles, event: gr.SelectData) -> dict[Block, Any]:
            return with_tile(collections.of(tiles.spec), tiles.clicked(event))

        self.gallery.select(for_page(take), self.tiles, outputs, show_progress="hidden", **INTERNAL)


def _pictures(state: AppState, tiles: StripTiles) -> list[tuple[str, None]]:
    """Return files that are made once: pictures would be encoded anew for each visitor."""
    return [(gallery_file(state, tile_id), None) for tile_id in tiles.tile_ids]
