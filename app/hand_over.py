"""Hand-over between tabs: a found tile to be classified or localized, and the collection of all tabs."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.blocks import Block
from PIL import Image

from app.classify.page import ClassifyPage
from app.collections import Collections
from app.localize.page import LocalizePage
from app.media.images import tile_picture
from app.media.scene_input import with_tile
from app.places.page import PlacesPage
from app.search.page import CLICK_FIRST, SearchPage, fresh
from app.search.service import Found
from app.server.events import INTERNAL, for_page
from app.ui import tile_picker
from app.ui.html import header
from app.ui.tile_picker import TileStrip
from lrsclip.errors import TileSourceError


def wire_tiles(
    collections: Collections, page: SearchPage, classify: ClassifyPage, localize: LocalizePage, tabs: gr.Tabs
) -> None:
    """Connect the buttons under a found tile with the tabs that they open."""
    details = page.details

    def chosen_picture(found: Found, tile_id: str | None) -> Image.Image:
        if tile_id is None:
            raise TileSourceError(CLICK_FIRST)
        return tile_picture(collections.of(found.spec), tile_id)

    def chosen_scene(found: Found, tile_id: str | None, text: str) -> tuple[Any, ...]:
        if tile_id is None:
            raise TileSourceError(CLICK_FIRST)
        return *with_tile(collections.of(found.spec), tile_id), text, gr.Tabs(selected="localize")

    details.to_localize.click(
        for_page(chosen_scene),
        [page.results.found, details.chosen, page.controls.text],
        [*localize.scene.parts, localize.text, tabs],
        **INTERNAL,
    )
    details.to_classify.click(
        for_page(lambda found, tile_id: (chosen_picture(found, tile_id), gr.Tabs(selected="classify"))),
        [page.results.found, details.chosen],
        [classify.picture, tabs],
        **INTERNAL,
    )


def wire_collection(
    collections: Collections, places: PlacesPage, search: SearchPage, strips: list[TileStrip], head: gr.HTML
) -> None:
    """Show the collection that is chosen under Places on every tab."""

    def show(spec: str) -> dict[Block, Any]:
        state = collections.of(spec)
        values = {head: header(state), **fresh(search, state)}
        for strip in strips:
            values[strip.gallery], values[strip.shown] = tile_picker.fresh(state)
        return values

    of_strips = [part for one in strips for part in (one.gallery, one.shown)]
    places.chosen.change(for_page(show), places.chosen, [head, *search.of_a_collection, *of_strips], **INTERNAL)
