"""A strip of tiles under a picture box: click one instead of uploading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from app.collections import AppState, Collections
from app.media.images import thumbnail, tile_picture
from app.server.events import INTERNAL, for_page
from app.ui.html import hint
from lrsclip.errors import TileSourceError

TILES = 6
_LOOKED_THROUGH = 512  # tiles of a collection, to choose those from


@dataclass(frozen=True)
class Shown:
    """Which tiles the strip shows.

    Attributes:
        spec: address of their collection.
        tile_ids: in the order of the strip.
    """

    spec: str
    tile_ids: tuple[str, ...]

    def clicked(self, event: gr.SelectData) -> str:
        """The tile that was clicked.

        Raises:
            TileSourceError: the strip has none of that number, as after a click while other tiles were on their way.
        """
        if event.index >= len(self.tile_ids):
            raise TileSourceError("no tile stands there; click one of those shown")
        return self.tile_ids[event.index]


def spread(state: AppState) -> Shown:
    """Tiles that differ as much as they can: each the one least like those before it, among those told most of."""
    all_ids = state.tile_ids()
    some = all_ids[:: max(1, len(all_ids) // _LOOKED_THROUGH)]
    told = sorted(some, key=lambda tile_id: -len(state.index.tile(tile_id).caption or ""))  # keeps the order of equals
    rich = told[: max(TILES, len(told) // 3)]
    vectors = np.stack([state.index.vector(tile_id) for tile_id in rich])
    chosen, nearest_cos = [0], vectors @ vectors[0]
    while len(chosen) < min(TILES, len(rich)):
        chosen.append(int(nearest_cos.argmin()))
        nearest_cos = np.maximum(nearest_cos, vectors @ vectors[chosen[-1]])
    return Shown(state.source.spec, tuple(rich[number] for number in chosen))


@dataclass(frozen=True)
class TileStrip:
    """The strip; `shown` holds which tiles are in it."""

    gallery: gr.Gallery
    shown: gr.State

    @classmethod
    def lay_out(cls, state: AppState, elem_id: str) -> TileStrip:
        """Show some of a collection's tiles."""
        shown = spread(state)
        gr.HTML(hint("or take one of the tiles"))
        gallery = gr.Gallery(
            _pictures(state, shown),
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
        return cls(gallery, gr.State(shown))

    def wire(
        self,
        collections: Collections,
        target: gr.components.Component | Sequence[gr.components.Component],
        given: Callable[[AppState, str], Any] = tile_picture,
    ) -> None:
        """A click puts the tile into `target`.

        Args:
            collections: the app's.
            target: what is filled.
            given: the value of `target` for a tile of a collection, or its values.
        """

        def take(shown: Shown, event: gr.SelectData) -> Any:
            return given(collections.of(shown.spec), shown.clicked(event))

        self.gallery.select(for_page(take), self.shown, target, show_progress="hidden", **INTERNAL)


def fresh(state: AppState) -> tuple[Any, ...]:
    """Values for a strip's gallery and `shown` when another collection is searched."""
    shown = spread(state)
    return gr.Gallery(_pictures(state, shown), selected_index=None), shown


def _pictures(state: AppState, shown: Shown) -> list[tuple[Image.Image, None]]:
    return [(thumbnail(state, tile_id), None) for tile_id in shown.tile_ids]
