"""Hand-over between tabs: a found tile to be classified or localized, and the collection of all tabs."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.blocks import Block

from app.classify.page import ClassifyPage
from app.collections import AppState, Collections
from app.localize.page import LocalizePage
from app.media.images import tile_picture
from app.places.page import PlacesPage
from app.search.page import CLICK_FIRST, SearchPage, fresh
from app.search.service import Found
from app.server.events import INTERNAL, for_page
from app.ui.html import header
from app.ui.tile_picker import TileStrip
from lrsclip.errors import TileSourceError


def wire_tiles(
    collections: Collections, page: SearchPage, classify: ClassifyPage, localize: LocalizePage, tabs: gr.Tabs
) -> None:
    """Connect the buttons under the tile that is open on the Search tab with the tabs that they lead to."""
    results, details, text = page.results, page.details, page.controls.text

    def chosen_tile(found: Found, tile_id: str | None) -> tuple[AppState, str]:
        if tile_id is None:
            raise TileSourceError(CLICK_FIRST)
        return collections.of(found.spec), tile_id

    def chosen_scene(values: dict[Block, Any]) -> dict[Block, Any]:
        state, tile_id = chosen_tile(values[results.found], values[details.chosen])
        scene = localize.scene.with_tile(state, tile_id)
        return {**scene, localize.text: values[text], tabs: gr.Tabs(selected="localize")}

    def chosen_picture(values: dict[Block, Any]) -> dict[Block, Any]:
        state, tile_id = chosen_tile(values[results.found], values[details.chosen])
        return {classify.picture: tile_picture(state, tile_id), tabs: gr.Tabs(selected="classify")}

    details.to_localize.click(
        for_page(chosen_scene), {results.found, details.chosen, text},
        [*localize.scene.parts, localize.text, tabs], **INTERNAL,
    )  # fmt: skip
    details.to_classify.click(
        for_page(chosen_picture), {results.found, details.chosen}, [classify.picture, tabs], **INTERNAL
    )


def wire_collection(
    collections: Collections, places: PlacesPage, search: SearchPage, strips: list[TileStrip], head: gr.HTML
) -> None:
    """Show the collection that is chosen under Places on every tab."""

    def show(spec: str) -> dict[Block, Any]:
        state = collections.of(spec)
        values = {head: header(state), **fresh(search, state)}
        for strip in strips:
            values |= strip.fresh(state)
        return values

    of_strips = [part for strip in strips for part in strip.parts]
    outputs = [head, *search.of_a_collection, *of_strips]
    places.collection.change(for_page(show), places.collection, outputs, **INTERNAL)
