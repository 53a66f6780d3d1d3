"""The Search tab: describe, see the tiles that fit, look at one closely."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block
from PIL import Image

from app.collections import AppState, Collections
from app.maps.results_map import has_places, hits_frame
from app.media.images import LARGE_PX, shrunk, thumbnail, tile_picture
from app.search import batch_panel as page_search_batch
from app.search import link_panel as page_search_link
from app.search.batch_panel import BatchPart
from app.search.controls import (
    LIKE_PX,
    Controls,
    fresh_controls,
    lay_out_controls,
    liked_tile,
    query_of,
    wire_controls,
)
from app.search.files import found_csv, found_geojson
from app.search.html import fly_to, hit_facts, shown_tiles, summary
from app.search.link_panel import LinkPart
from app.search.service import START_IMAGE_WEIGHT, Found, Query, first_tiles, search
from app.server.events import ENCODING, INTERNAL, UPLOAD, for_page, show_js
from app.ui.download import download_js
from app.ui.html import collection_summary, empty
from lrsclip.errors import TileSourceError

_NOTHING_CHOSEN = "Click a picture to see it large, with its score and facts."
CLICK_FIRST = "no tile is chosen; click a picture first"


@dataclass(frozen=True)
class Results:
    """The hits, on the map and as pictures; `opened` holds the collection's address, `found` the hits on the page."""

    opened: gr.State
    found: gr.State
    summary: gr.HTML
    listed: gr.HTML
    places: gr.HTML
    gallery: gr.Gallery
    link: LinkPart
    as_csv: gr.Button
    as_geojson: gr.Button
    download: gr.Textbox


@dataclass(frozen=True)
class Details:
    """The tile that was clicked; `chosen` holds its id."""

    chosen: gr.State
    picture: gr.Image
    facts: gr.HTML
    fly: gr.HTML
    actions: gr.Row
    more: gr.Button
    to_localize: gr.Button
    to_classify: gr.Button


@dataclass(frozen=True)
class SearchPage:
    """The tab's components that events use."""

    controls: Controls
    results: Results
    details: Details
    batch: BatchPart

    @property
    def of_a_search(self) -> list[Block]:
        """Components that `shown` gives values for."""
        results, details = self.results, self.details
        found = [results.found, results.summary, results.listed, results.places, results.gallery]
        return [*found, details.chosen, details.picture, details.facts, details.actions]

    @property
    def of_a_collection(self) -> list[Block]:
        """Components that `fresh` gives values for."""
        return [self.results.opened, *self.of_a_search, *self.controls.of_a_collection]


def lay_out(state: AppState) -> SearchPage:
    """Put the tab's parts on the page."""
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=3, min_width=300, elem_classes="side"):
            controls = lay_out_controls(state)
            batch = page_search_batch.lay_out()
        with gr.Column(scale=6, min_width=300):
            results = _results(state)
        with gr.Column(scale=3, min_width=300, elem_id="details"):
            details = _details()
    return SearchPage(controls, results, details, batch)


def show_first_map(state: AppState, page: SearchPage) -> None:
    """Put the first map on the page, as late as can be: its ground may still be drawn (`draw_ground_ahead`)."""
    page.results.places.value = hits_frame(state, first_tiles(state).hits, found=False)


def _results(state: AppState) -> Results:
    first = first_tiles(state)
    notes = page_search_link.lay_out_notes()
    said = gr.HTML(collection_summary(state.tile_count, len(first.hits)), elem_id="summary")
    listed = gr.HTML(shown_tiles(first.hits), elem_id="shown-tiles")  # read by the script that links gallery and map
    places = gr.HTML(visible=has_places(state))  # filled by `show_first_map`
    gallery = gr.Gallery(
        [(thumbnail(state, hit.tile_id), None) for hit in first.hits],
        show_label=False,
        label="Tiles found",
        columns=4,
        height="auto",
        allow_preview=False,
        object_fit="cover",
        buttons=[],
        interactive=False,
        elem_id="gallery",
    )
    with gr.Row(elem_classes="pills"):
        link = page_search_link.lay_out(notes)
        as_csv = gr.Button("Download CSV", size="sm", min_width=60, elem_id="as-csv")
        as_geojson = gr.Button("Download GeoJSON", size="sm", min_width=60, elem_id="as-geojson")
    link.said.render()  # type: ignore[no-untyped-call]
    download = gr.Textbox(label="What is downloaded", visible=False)
    opened, found = gr.State(state.source.spec), gr.State(first)
    return Results(opened, found, said, listed, places, gallery, link, as_csv, as_geojson, download)


def _details() -> Details:
    picture = gr.Image(
        show_label=False,
        label="The chosen tile",
        interactive=False,
        visible=False,
        buttons=["fullscreen", "download"],
        alt_text="the chosen tile",
        elem_classes="details-picture",
    )
    facts = gr.HTML(empty(_NOTHING_CHOSEN), elem_id="facts")
    fly = gr.HTML("", elem_id="fly")  # tells the script below where the map shall go
    with gr.Row(visible=False) as actions:
        more = gr.Button("More like this", size="sm", min_width=250, elem_id="more-like-this")
        to_localize = gr.Button("Localize this tile", size="sm", min_width=120)
        to_classify = gr.Button("Classify this tile", size="sm", min_width=120)
    return Details(gr.State(None), picture, facts, fly, actions, more, to_localize, to_classify)


def fresh(page: SearchPage, state: AppState) -> dict[Block, Any]:
    """Return the values of the tab as it looks before any search of a collection."""
    first = first_tiles(state)
    gallery = gr.Gallery([(thumbnail(state, hit.tile_id), None) for hit in first.hits], selected_index=None)
    places = gr.HTML(hits_frame(state, first.hits, found=False), visible=has_places(state))
    return {
        page.results.opened: state.source.spec,
        page.results.found: first,
        page.results.summary: collection_summary(state.tile_count, len(first.hits)),
        page.results.listed: shown_tiles(first.hits),
        page.results.places: places,
        page.results.gallery: gallery,
        **_nothing_chosen(page.details),
        **fresh_controls(page.controls, state),
    }


def _nothing_chosen(details: Details) -> dict[Block, Any]:
    return {
        details.chosen: None,
        details.picture: gr.Image(None, visible=False),
        details.facts: empty(_NOTHING_CHOSEN),
        details.actions: gr.Row(visible=False),
    }


def shown(page: SearchPage, state: AppState, query: Query) -> dict[Block, Any]:
    """Search, and return the values that show the result.

    Raises:
        LRSCLIPError: the question makes no sense.
    """
    found = search(state, query)
    started = time.perf_counter()
    pictures = [(thumbnail(state, hit.tile_id), f"{hit.rank}  ·  {hit.score_cos:.3f}") for hit in found.hits]
    pictures_ms = 1000 * (time.perf_counter() - started)
    # The upload itself is not kept with the hits: it may be large, and every visitor has one.
    small = shrunk(query.image, LIKE_PX) if isinstance(query.image, Image.Image) else None
    found = replace(found, query=replace(query, image=small), pictures_ms=pictures_ms)
    places = hits_frame(state, found.hits, found=True, area_lonlat=query.bbox_lonlat)
    return {
        page.results.found: found,
        page.results.summary: summary(found, state.tile_count),
        page.results.listed: shown_tiles(found.hits),
        page.results.places: places,
        page.results.gallery: gr.Gallery(pictures, selected_index=None),
        **_nothing_chosen(page.details),
    }


def wire(
    collections: Collections,
    demo: gr.Blocks,
    page: SearchPage,
    tabs: gr.Tabs,
) -> None:
    """Connect the tab's parts."""
    wire_controls(collections, page.controls)
    _wire_search(collections, page)
    _wire_choice(collections, page)
    _wire_like(collections, page)
    _wire_files(collections, page.results)
    page_search_batch.wire(collections, demo, page.batch, page.results.opened, page.controls)
    page_search_link.wire(collections, demo, page.results.link, page.results.opened, page.controls, tabs)
    demo.load(None, None, None, js=_page_script())


def _page_script() -> str:
    script = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
    return script.replace("HALF", str(START_IMAGE_WEIGHT))


def _wire_search(collections: Collections, page: SearchPage) -> None:
    controls = page.controls
    pressed = [controls.button.click, controls.text.submit, controls.exclude.submit]
    gr.on(pressed, **_searching(collections, page)).success(None, None, None, js=_SHOW_RESULTS)


def _searching(collections: Collections, page: SearchPage) -> dict[str, Any]:
    """Build the arguments of an event that searches by the controls' values."""

    def asked(values: dict[Block, Any]) -> dict[Block, Any]:
        return shown(page, collections.of(values[page.results.opened]), query_of(page.controls, values))

    return {
        "fn": for_page(asked),
        "inputs": {page.results.opened, *page.controls.inputs},
        "outputs": page.of_a_search,
        "show_progress_on": page.results.gallery,
        **UPLOAD,
        **ENCODING,
        **INTERNAL,
    }


def _wire_choice(collections: Collections, page: SearchPage) -> None:
    results, details = page.results, page.details

    def choose(found: Found, event: gr.SelectData) -> dict[Block, Any]:
        if event.index >= len(found.hits):  # a click while other tiles were on their way
            raise TileSourceError(CLICK_FIRST)
        state, hit = collections.of(found.spec), found.hits[event.index]
        large = shrunk(tile_picture(state, hit.tile_id), LARGE_PX)
        facts = hit_facts(state, state.index.tile(hit.tile_id), hit if found.searched else None)
        return {
            details.chosen: hit.tile_id,
            details.picture: gr.Image(large, visible=True),
            details.facts: facts,
            details.fly: fly_to(hit.tile_id),
            details.actions: gr.Row(visible=True),
        }

    chosen = [details.chosen, details.picture, details.facts, details.fly, details.actions]
    picked = results.gallery.select(for_page(choose), results.found, chosen, show_progress="hidden", **INTERNAL)
    picked.then(None, None, None, js=_SHOW_DETAILS)


def _wire_like(collections: Collections, page: SearchPage) -> None:
    controls, results, details = page.controls, page.results, page.details

    def more(found: Found, tile_id: str | None) -> dict[Block, Any]:
        if tile_id is None:
            raise TileSourceError(CLICK_FIRST)
        note = liked_tile(collections.of(found.spec), tile_id)
        return {
            controls.like: tile_id,
            controls.like_note: note,
            controls.forget: gr.Button(visible=True),
            controls.picture: None,
            controls.picture_weight: 1.0,
            controls.by_picture: gr.Accordion(open=True),
        }

    liked = [controls.like, controls.like_note, controls.forget, controls.picture, controls.picture_weight]
    details.more.click(
        for_page(more), [results.found, details.chosen], [*liked, controls.by_picture], show_progress="hidden",
        **INTERNAL,
    ).success(**_searching(collections, page)).success(None, None, None, js=_SHOW_RESULTS)  # fmt: skip


def _wire_files(collections: Collections, results: Results) -> None:
    makers = (
        (results.as_csv, found_csv, "lrsclip-search.csv", "text/csv"),
        (results.as_geojson, found_geojson, "lrsclip-search.geojson", "application/geo+json"),
    )
    for button, make, name, kind in makers:

        def written(found: Found, make: Any = make) -> str:
            text: str = make(collections.of(found.spec), found)
            return text

        button.click(for_page(written), results.found, results.download, show_progress="hidden", **INTERNAL).success(
            None, results.download, None, js=download_js(name, kind)
        )


# On a narrow screen the details stand below the gallery: bring them into view.
_SHOW_DETAILS = """() => {
  const details = document.getElementById("details");
  const map = document.querySelector("iframe.places-map");
  const tile = document.querySelector("#fly [data-tile]");
  if (map && tile) map.contentWindow.postMessage({tile: tile.dataset.tile}, "*");
  if (details.getBoundingClientRect().top > window.innerHeight * 0.8) details.scrollIntoView({behavior: "smooth"});
}"""
_SHOW_RESULTS = show_js("summary", 0.8)
