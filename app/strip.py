"""A strip of tiles under a picture box: click one instead of uploading."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
from PIL import Image

from app.events import INTERNAL, for_page
from app.pictures import thumbnail, tile_picture
from app.state import AppState

TILES = 6


@dataclass(frozen=True)
class TileStrip:
    """The strip and the tiles in it."""

    gallery: gr.Gallery
    tile_ids: tuple[str, ...]

    @classmethod
    def lay_out(cls, state: AppState, elem_id: str) -> TileStrip:
        """Show tiles spread evenly over the collection, so that they differ."""
        all_ids = state.index.tile_ids()
        step = max(1, len(all_ids) // TILES)
        tile_ids = tuple(all_ids[::step][:TILES])
        gr.HTML('<p class="hint">or take one of the tiles</p>')
        gallery = gr.Gallery(
            [(thumbnail(state, tile_id), None) for tile_id in tile_ids],
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
        return cls(gallery, tile_ids)

    def wire(self, state: AppState, target: gr.Image) -> None:
        """A click puts the tile into `target`."""

        def take(event: gr.SelectData) -> Image.Image:
            return tile_picture(state, self.tile_ids[int(event.index)])

        self.gallery.select(for_page(take), None, target, show_progress="hidden", **INTERNAL)
