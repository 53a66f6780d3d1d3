"""Hand-over between tabs: a found tile to be classified or localized, the collection of all tabs, and the address."""

from __future__ import annotations

from itertools import count
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component
from gradio.events import Dependency

from app.classify.page import ClassifyPage
from app.collections import AppState, Collections
from app.localize.page import LocalizePage
from app.places.page import PlacesPage
from app.search.html import note
from app.search.link import LONGEST_ADDRESS, MAX_PARAMETERS, Link, read_parameters
from app.search.link_panel import OWN, PRIVATE, SEARCH_IF_ASKED, collection_of, restored_controls
from app.search.page import CLICK_FIRST, SearchPage, fresh
from app.search.service import Found
from app.server.events import INTERNAL, QUICK, click_js, for_page
from app.ui.html import header
from app.ui.tile_picker import TileStrip
from lrsclip.errors import TileSourceError


def wire_tiles(
    collections: Collections, page: SearchPage, classify: ClassifyPage, localize: LocalizePage, tabs: gr.Tabs
) -> None:
    """Connect the buttons under the tile that is open on the Search tab with the tabs that they lead to."""
    results, details, text = page.results, page.details, page.controls.text
    # They change where a tile was handed over, and not where that failed.
    to_localize, to_classify = (gr.Textbox(label=name, visible="hidden") for name in ("To localize", "To classify"))
    handed = count(1)

    def chosen_tile(found: Found, tile_id: str | None) -> tuple[AppState, str]:
        if tile_id is None:
            raise TileSourceError(CLICK_FIRST)
        return collections.of(found.spec), tile_id

    def chosen_scene(values: dict[Block, Any]) -> dict[Block, Any]:
        state, tile_id = chosen_tile(values[results.found], values[details.chosen])
        scene = localize.scene.with_tile(state, tile_id)
        text_of_search = {localize.text: values[text], tabs: gr.Tabs(selected="localize")}
        return {**scene, **text_of_search, to_localize: str(next(handed))}

    def chosen_picture(values: dict[Block, Any]) -> dict[Block, Any]:
        state, tile_id = chosen_tile(values[results.found], values[details.chosen])
        picture = {**classify.picture.with_tile(state, tile_id), tabs: gr.Tabs(selected="classify")}
        return {**picture, to_classify: str(next(handed))}

    details.to_localize.click(
        for_page(chosen_scene), {results.found, details.chosen, text},
        [*localize.scene.parts, localize.text, tabs, to_localize], **INTERNAL,
    )  # fmt: skip
    details.to_classify.click(
        for_page(chosen_picture),
        {results.found, details.chosen},
        [*classify.picture.parts, tabs, to_classify],
        **INTERNAL,
    )
    to_localize.change(None, None, None, js=click_js("localize-button"))
    to_classify.change(None, None, None, js=click_js("classify-button"))


def wire_collection(
    collections: Collections, places: PlacesPage, opened: Dependency, search: SearchPage, strips: list[TileStrip],
    head: gr.HTML,
) -> None:  # fmt: skip
    """Show the collection that is chosen under Places on every tab, and one once it is `opened`."""

    def show(spec: str) -> dict[Block, Any]:
        return _on_all_tabs(collections, collections.of(spec), search, strips, head)

    def show_new(spec: str | None) -> Any:  # an opening that failed ends here too, with nothing new
        return gr.skip() if spec is None else {places.just_opened: None, **show(spec)}

    outputs = [head, *search.of_a_collection, *_parts_of(strips)]
    places.collection.input(for_page(show), places.collection, outputs, **INTERNAL)
    opened.success(for_page(show_new), places.just_opened, [places.just_opened, *outputs], **INTERNAL)


def wire_links(
    collections: Collections, demo: gr.Blocks, places: PlacesPage, search: SearchPage, strips: list[TileStrip],
    head: gr.HTML, tabs: gr.Tabs,
) -> None:  # fmt: skip
    """Bring back the collection, the search and the tab of the page's address, when it loads and when one goes back."""
    link_part, controls = search.results.link, search.controls

    def at_load(values: dict[Block, Any], request: gr.Request) -> Any:
        link = read_parameters(dict(request.query_params))
        return gr.skip() if link is None else restored(values, link, keep_typed=True)

    def gone_back(values: dict[Block, Any]) -> Any:
        address = values[link_part.visited].partition("#")[0].lstrip("?")[:LONGEST_ADDRESS]
        try:
            given = dict(parse_qsl(address, max_num_fields=MAX_PARAMETERS))
        except ValueError:  # no address of this page
            given = {}
        return restored(values, read_parameters(given) or Link(), keep_typed=False)

    def restored(values: dict[Block, Any], link: Link, *, keep_typed: bool) -> dict[Block, Any]:
        state, told = collection_of(collections, link, values[places.mine])
        now = state or collections.of(values[search.results.opened])
        given, faults = restored_controls(controls, now, link, keep_typed=keep_typed)
        asks = state is not None and (link.query.has_text or bool(given[controls.like]))
        moved = now.source.spec != values[search.results.opened]
        changed: dict[Block, Any] = {}
        if moved or (not asks and not keep_typed):
            changed = _on_all_tabs(collections, now, search, strips, head)
        if moved:
            changed |= places.chosen(collections, now, values[places.mine])
        if state is None and not link.spec.startswith((OWN, PRIVATE)):
            changed[places.address] = link.spec
        return {
            **changed,
            **given,
            tabs: gr.Tabs(selected=link.tab),
            link_part.notes: note(" ".join(filter(None, (told, faults)))),
            link_part.arrived: "asked" if asks else "",
        }

    parts = [head, *search.of_a_collection, *_parts_of(strips), *controls.of_a_link]
    parts += [places.address, places.collection, places.mine, tabs, link_part.notes, link_part.arrived]
    outputs = list(dict.fromkeys(parts))
    known: set[Block] = {search.results.opened, places.mine}
    search_if_asked: dict[str, Any] = {"fn": None, "inputs": link_part.arrived, "outputs": None, "js": SEARCH_IF_ASKED}
    demo.load(for_page(at_load), known, outputs, **QUICK).then(**search_if_asked, **QUICK)
    # in the queue: it may draw all tabs anew
    back = link_part.visited.change(
        for_page(gone_back), {*known, link_part.visited}, outputs, show_progress="hidden", **INTERNAL
    )
    back.then(**search_if_asked, **QUICK)


def _on_all_tabs(
    collections: Collections, state: AppState, search: SearchPage, strips: list[TileStrip], head: gr.HTML
) -> dict[Block, Any]:
    values = {head: header(state), **fresh(collections, search, state)}
    for strip in strips:
        values |= strip.fresh(state)
    return values


def _parts_of(strips: list[TileStrip]) -> list[Component]:
    return [part for strip in strips for part in strip.parts]
