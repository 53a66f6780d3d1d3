"""The Search tab: describe, see the tiles that fit, look at one closely."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block
from PIL import Image

from app.collections import AppState, Collections
from app.maps.ground import read_ahead
from app.maps.results_map import has_places, hits_frame, hits_message
from app.media.images import LARGE_PX, gallery_file, shrunk, tile_picture
from app.search import batch_panel as page_search_batch
from app.search import link_panel as page_search_link
from app.search.batch_panel import BatchPart
from app.search.controls import (
    LIKE_PX,
    Controls,
    cleared,
    fresh_controls,
    lay_out_controls,
    liked_tile,
    query_of,
    wire_controls,
)
from app.search.files import found_csv, found_geojson
from app.search.html import fly_to, hit_facts, shown_tiles, summary
from app.search.link_panel import LinkPart
from app.search.service import (
    MAX_EXPORTED,
    MAX_HITS,
    MORE_HITS,
    START_IMAGE_WEIGHT,
    Found,
    Query,
    all_above,
    first_tiles,
    more,
    search,
)
from app.server.events import ENCODING, INTERNAL, UPLOAD, for_page, show_js
from app.ui.download import download_js
from app.ui.html import collection_summary, empty
from lrsclip.errors import PictureError, TileSourceError
from lrsclip.index import Hit
from lrsclip.numbers import whole_of

_MORE = f"Show {MORE_HITS} more"
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
    more: gr.Button
    everything: gr.Checkbox
    as_csv: gr.Button
    as_geojson: gr.Button
    download: gr.Textbox


@dataclass(frozen=True)
class Details:
    """The tile that was clicked; `chosen` holds its id, `picked` its place in the gallery as the script says it."""

    chosen: gr.State
    picked: gr.Textbox
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
        found = [results.found, results.summary, results.listed, results.gallery, results.more]
        return [*found, details.chosen, details.picture, details.facts, details.actions]

    @property
    def of_a_collection(self) -> list[Block]:
        """Components that `fresh` gives values for."""
        return [self.results.opened, self.results.places, *self.of_a_search, *self.controls.of_a_collection]


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


def _results(state: AppState) -> Results:
    first = first_tiles(state)
    notes = page_search_link.lay_out_notes()
    said = gr.HTML(collection_summary(state.tile_count, len(first.hits)), elem_id="summary")
    # read by the script that links gallery and map
    listed = gr.HTML(shown_tiles(first.hits, hits_message(state, first.hits, found=False), ""), elem_id="shown-tiles")
    places = gr.HTML(hits_frame(), visible=has_places(state))
    gallery = gr.Gallery(
        [(gallery_file(state, hit.tile_id), None) for hit in first.hits],
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
        more = gr.Button(_MORE, size="sm", min_width=60, visible=_has_more(state, first), elem_id="more")
        link = page_search_link.lay_out(notes)
        as_csv = gr.Button("Download CSV", size="sm", min_width=60, elem_id="as-csv")
        as_geojson = gr.Button("Download GeoJSON", size="sm", min_width=60, elem_id="as-geojson")
        everything = gr.Checkbox(
            False, label=f"all tiles above the minimum score, not the shown ones alone (at most {MAX_EXPORTED:,})",
            container=False, elem_id="everything",
        )  # fmt: skip
    link.said.render()  # type: ignore[no-untyped-call]
    download = gr.Textbox(label="What is downloaded", visible=False)
    opened, found = gr.State(state.source.spec), gr.State(first)
    return Results(
        opened, found, said, listed, places, gallery, link, more, everything, as_csv, as_geojson, download
    )  # fmt: skip


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
    picked = gr.Textbox(label="Picked", visible="hidden", elem_id="picked-hit")
    return Details(gr.State(None), picked, picture, facts, fly, actions, more, to_localize, to_classify)


def fresh(collections: Collections, page: SearchPage, state: AppState) -> dict[Block, Any]:
    """Return the values of the tab as it looks before any search of a collection."""
    first = first_tiles(state)
    gallery = gr.Gallery([(gallery_file(state, hit.tile_id), None) for hit in first.hits], selected_index=None)
    read_ahead(state)
    return {
        page.results.opened: state.source.spec,
        page.results.found: first,
        page.results.summary: collection_summary(state.tile_count, len(first.hits)),
        page.results.listed: shown_tiles(
            first.hits,
            hits_message(state, first.hits, found=False),
            page_search_link.parameters_of(collections, state, first),
        ),
        page.results.places: gr.HTML(visible=has_places(state)),
        page.results.gallery: gallery,
        page.results.more: gr.Button(visible=_has_more(state, first)),
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


def shown(collections: Collections, page: SearchPage, state: AppState, query: Query) -> dict[Block, Any]:
    """Search, and return the values that show the result, the best hit opened.

    Raises:
        LRSCLIPError: the question makes no sense.
    """
    return _listed(collections, page, state, search(state, query), chosen=0)


def _listed(
    collections: Collections, page: SearchPage, state: AppState, found: Found, chosen: int | None, *, fly: bool = True
) -> dict[Block, Any]:
    started = time.perf_counter()
    hits, query = found.hits, found.query
    captions = (f"{hit.rank}  ·  {hit.score_cos:.3f}" if found.searched else None for hit in hits)
    pictures = [(gallery_file(state, hit.tile_id), caption) for hit, caption in zip(hits, captions, strict=True)]
    pictures_ms = 1000 * (time.perf_counter() - started)
    # The upload itself is not kept with the hits: it may be large, and every visitor has one.
    small = shrunk(query.image, LIKE_PX) if isinstance(query.image, Image.Image) else None
    found = replace(found, query=replace(query, image=small), pictures_ms=pictures_ms)
    message = hits_message(state, hits, found=found.searched, area=query.area) | {"stay": not fly}
    opened = _nothing_chosen(page.details)
    if chosen is not None and chosen < len(hits):
        with suppress(PictureError):  # a lost file: the other results stay, and a click on it shows the error
            opened = _chosen(page.details, state, found, hits[chosen])
    said = summary(found, state.tile_count) if found.searched else collection_summary(state.tile_count, len(hits))
    return {
        page.results.found: found,
        page.results.summary: said,
        page.results.listed: shown_tiles(hits, message, page_search_link.parameters_of(collections, state, found)),
        page.results.gallery: gr.Gallery(pictures, selected_index=None),
        page.results.more: gr.Button(visible=_has_more(state, found)),
        **opened,
    }


def _has_more(state: AppState, found: Found) -> bool:
    if not found.searched:
        return len(found.hits) < min(MAX_HITS, state.tile_count)
    return len(found.hits) == found.query.k < min(MAX_HITS, state.tile_count)


def _chosen(details: Details, state: AppState, found: Found, hit: Hit) -> dict[Block, Any]:
    """Return the values that show a tile closely.

    Raises:
        PictureError: its file is gone or damaged.
    """
    large = shrunk(tile_picture(state, hit.tile_id), LARGE_PX)
    facts = hit_facts(state, state.index.tile(hit.tile_id), hit if found.searched else None)
    return {
        details.chosen: hit.tile_id,
        details.picture: gr.Image(large, visible=True),
        details.facts: facts,
        details.actions: gr.Row(visible=True),
    }


def wire(collections: Collections, demo: gr.Blocks, page: SearchPage) -> None:
    """Connect the tab's parts."""
    wire_controls(collections, page.controls)
    _wire_search(collections, page)
    _wire_choice(collections, page)
    _wire_like(collections, page)
    _wire_limits(collections, page)
    _wire_files(collections, page.results)
    page_search_batch.wire(collections, demo, page.batch, page.results.opened, page.controls)
    _wire_batch_row(collections, page)
    page_search_link.wire(collections, page.results.link, page.results.opened, page.controls)
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
        return shown(collections, page, collections.of(values[page.results.opened]), query_of(page.controls, values))

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

    def choose(found: Found, said: str) -> dict[Block, Any]:
        number = whole_of(said.partition(" ")[0])
        if number is None or not 0 <= number < len(found.hits):  # a click while other tiles were on their way
            raise TileSourceError(CLICK_FIRST)
        hit = found.hits[number]
        return _chosen(details, collections.of(found.spec), found, hit) | {details.fly: fly_to(hit.tile_id)}

    def further(found: Found) -> dict[Block, Any]:
        state = collections.of(found.spec)
        values = _listed(collections, page, state, more(state, found), chosen=None, fly=False)
        kept = (details.chosen, details.picture, details.facts, details.actions)  # what is looked at stays open
        return {part: value for part, value in values.items() if part not in kept}

    chosen = [details.chosen, details.picture, details.facts, details.fly, details.actions]
    # Not the gallery's own event: of several quick ones Gradio repeats the first, and this has the last.
    picked = details.picked.change(
        for_page(choose), [results.found, details.picked], chosen, show_progress="hidden", **INTERNAL
    )
    picked.then(None, None, None, js=_SHOW_DETAILS)
    results.more.click(for_page(further), results.found, page.of_a_search, show_progress_on=results.gallery, **INTERNAL)


def _wire_like(collections: Collections, page: SearchPage) -> None:
    controls, results, details = page.controls, page.results, page.details

    def like(found: Found, tile_id: str | None) -> dict[Block, Any]:
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
        for_page(like), [results.found, details.chosen], [*liked, controls.by_picture], show_progress="hidden",
        **INTERNAL,
    ).success(**_searching(collections, page)).success(None, None, None, js=_SHOW_RESULTS)  # fmt: skip


def _wire_limits(collections: Collections, page: SearchPage) -> None:
    """Let a click on a chip over the results take its limit away, and search again if there is still a question."""
    controls = page.controls

    def without(values: dict[Block, Any], limit: str) -> dict[Block, Any]:
        gone = cleared(controls, limit)
        plain = {part: value for part, value in gone.items() if part in controls.inputs}
        state, query = collections.of(values[page.results.opened]), query_of(controls, values | plain)
        if not query.has_text and not query.has_image:
            return fresh(collections, page, state) | gone
        return gone | shown(collections, page, state, query)

    outputs = list(dict.fromkeys([*page.of_a_collection, *controls.of_limits]))
    for limit, button in controls.clear.items():
        button.click(
            for_page(partial(without, limit=limit)), {page.results.opened, *controls.inputs}, outputs,
            show_progress_on=page.results.gallery, **UPLOAD, **ENCODING, **INTERNAL,
        )  # fmt: skip


def _wire_batch_row(collections: Collections, page: SearchPage) -> None:
    """Let a click on a description of the batch search for it alone, as the batch did: without any picture."""
    controls, picked = page.controls, page.batch.picked

    def again(values: dict[Block, Any]) -> dict[Block, Any]:
        given = cleared(controls, "like") | {controls.text: (values[picked] or "").partition(" ")[2]}
        plain = {part: value for part, value in given.items() if part in controls.inputs}
        state = collections.of(values[page.results.opened])
        return given | shown(collections, page, state, query_of(controls, values | plain))

    picked.change(
        for_page(again), {page.results.opened, picked, *controls.inputs},
        list(dict.fromkeys([*page.of_a_search, controls.text, *controls.of_limits])),
        show_progress_on=page.results.gallery, **UPLOAD, **ENCODING, **INTERNAL,
    ).success(None, None, None, js=_SHOW_RESULTS)  # fmt: skip


def _wire_files(collections: Collections, results: Results) -> None:
    makers = (
        (results.as_csv, found_csv, "lrsclip-search.csv", "text/csv"),
        (results.as_geojson, found_geojson, "lrsclip-search.geojson", "application/geo+json"),
    )
    for button, make, name, kind in makers:

        def written(found: Found, everything: bool, make: Any = make) -> str:
            state = collections.of(found.spec)
            text: str = make(state, all_above(state, found) if everything else found)
            return text

        button.click(
            for_page(written), [results.found, results.everything], results.download, show_progress="hidden", **INTERNAL
        ).success(None, results.download, None, js=download_js(name, kind))


# On a narrow screen the details stand below the gallery: bring them into view.
_SHOW_DETAILS = """() => {
  const details = document.getElementById("details");
  const map = document.querySelector("iframe.places-map");
  const tile = document.querySelector("#fly [data-tile]");
  if (map && tile) map.contentWindow.postMessage({tile: tile.dataset.tile}, "*");
  if (tile) window.lrsclipLooksAt?.(tile.dataset.tile);
  if (details.getBoundingClientRect().top > window.innerHeight * 0.8) details.scrollIntoView({behavior: "smooth"});
}"""
_SHOW_RESULTS = show_js("summary", 0.8)
