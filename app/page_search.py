"""The Search tab: describe, see the tiles that fit, look at one closely."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from PIL import Image

from app.events import ENCODING, INTERNAL, QUICK, for_page
from app.hits_map import has_places, hits_frame
from app.meter import meter_of
from app.page_classify import ClassifyPage
from app.page_localise import LocalisePage
from app.pictures import LARGE_PX, shrunk, thumbnail, tile_picture
from app.scenes import with_tile
from app.search import EXAMPLES, MAX_HITS, START_HITS, Found, find, first_tiles
from app.state import AppState, Collections
from app.words import collection_summary, empty, search_summary, tile_facts, token_meter
from lrsclip.errors import TileSourceError

_NOTHING_CHOSEN = "Click a picture to see it large, with its score and facts."
_CLICK_FIRST = "no tile is chosen; click a picture first"


@dataclass(frozen=True)
class Controls:
    """What the visitor fills in."""

    text: gr.Textbox
    meter: gr.HTML
    reading: gr.HTML
    button: gr.Button
    examples: list[gr.Button]
    count: gr.Slider


@dataclass(frozen=True)
class Results:
    """The tiles found, on the map and as pictures; `opened` holds the collection's address, `found` what is shown."""

    opened: gr.State
    found: gr.State
    summary: gr.HTML
    places: gr.HTML
    gallery: gr.Gallery


@dataclass(frozen=True)
class Details:
    """The tile that was clicked; `chosen` holds its id."""

    chosen: gr.State
    picture: gr.Image
    facts: gr.HTML
    fly: gr.HTML
    actions: gr.Row
    to_localise: gr.Button
    to_classify: gr.Button


@dataclass(frozen=True)
class SearchPage:
    """The tab's parts that events speak of."""

    controls: Controls
    results: Results
    details: Details

    @property
    def all_of_a_collection(self) -> list[gr.components.Component | gr.Row]:
        """What `fresh` gives values for, in its order."""
        results, details = self.results, self.details
        shown = [results.opened, results.found, results.summary, results.places, results.gallery]
        return [*shown, details.chosen, details.picture, details.facts, details.actions]


def lay_out(state: AppState) -> SearchPage:
    """Put the tab's parts on the page."""
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=3, min_width=300, elem_classes="side"):
            controls = _controls(state)
        with gr.Column(scale=6, min_width=300):
            results = _results(state)
        with gr.Column(scale=3, min_width=300, elem_id="details"):
            details = _details()
    return SearchPage(controls, results, details)


def _controls(state: AppState) -> Controls:
    text = gr.Textbox(
        label="Description",
        placeholder="What should the picture show? Several sentences are welcome.",
        lines=8,
        max_lines=14,
        autofocus=True,
        elem_id="description",
    )
    meter = gr.HTML(token_meter(None, state.bundle.context_length), elem_id="meter")
    button = gr.Button("Search", variant="primary", elem_id="search-button")
    read = gr.HTML("", elem_id="reading", elem_classes="if-any")
    with gr.Row(elem_classes="pills"):
        gr.HTML('<p class="hint">Examples</p>')
        examples = [gr.Button(example.title, size="sm", min_width=60) for example in EXAMPLES]
    count = gr.Slider(1, MAX_HITS, value=START_HITS, step=1, label="How many pictures", buttons=[])
    return Controls(text, meter, read, button, examples, count)


def _results(state: AppState) -> Results:
    first = first_tiles(state)
    summary = gr.HTML(collection_summary(state.tile_count, len(first.hits)))
    places = gr.HTML(hits_frame(state, first.hits, found=False), visible=has_places(state))
    gallery = gr.Gallery(
        [(thumbnail(state, hit.tile_id), None) for hit in first.hits],
        show_label=False,
        columns=4,
        height="auto",
        allow_preview=False,
        object_fit="cover",
        buttons=[],
        interactive=False,
        elem_id="gallery",
    )
    return Results(gr.State(state.source.spec), gr.State(first), summary, places, gallery)


def fresh(state: AppState) -> tuple[Any, ...]:
    """The tab as it looks before any search of a collection."""
    first = first_tiles(state)
    gallery = gr.Gallery([(thumbnail(state, hit.tile_id), None) for hit in first.hits], selected_index=None)
    places = gr.HTML(hits_frame(state, first.hits, found=False), visible=has_places(state))
    summary = collection_summary(state.tile_count, len(first.hits))
    return state.source.spec, first, summary, places, gallery, *_nothing_chosen()


def _nothing_chosen() -> tuple[Any, ...]:
    return None, gr.Image(None, visible=False), empty(_NOTHING_CHOSEN), gr.Row(visible=False)


def _details() -> Details:
    picture = gr.Image(
        show_label=False,
        interactive=False,
        visible=False,
        buttons=["fullscreen", "download"],
        alt_text="the chosen tile",
        elem_classes="details-picture",
    )
    facts = gr.HTML(empty(_NOTHING_CHOSEN), elem_id="facts")
    fly = gr.HTML("", elem_id="fly")  # tells the script below where the map shall go
    with gr.Row(visible=False) as actions:
        to_localise = gr.Button("Localise this tile", size="sm", min_width=120)
        to_classify = gr.Button("Classify this tile", size="sm", min_width=120)
    return Details(gr.State(None), picture, facts, fly, actions, to_localise, to_classify)


def wire(
    collections: Collections, page: SearchPage, tabs: gr.Tabs, classify: ClassifyPage, localise: LocalisePage
) -> None:
    """Connect the tab's parts, and its way to the other two tabs."""
    _wire_search(collections, page)
    _wire_choice(collections, page)
    _wire_hand_over(collections, page, tabs, classify, localise)


def _wire_search(collections: Collections, page: SearchPage) -> None:
    controls, results = page.controls, page.results

    def search(spec: str, text: str, count: float) -> tuple[Any, ...]:
        state = collections.of(spec)
        found = find(state, text, int(count))
        shown = [(thumbnail(state, hit.tile_id), f"{hit.rank}  ·  {hit.score_cos:.3f}") for hit in found.hits]
        summary = search_summary(found.hits, state.tile_count, found.text_ms, found.index_ms)
        gallery = gr.Gallery(shown, selected_index=None)
        return found, summary, hits_frame(state, found.hits, found=True), gallery, *_nothing_chosen()

    controls.text.change(meter_of(collections.first), controls.text, [controls.meter, controls.reading], **QUICK)
    for button, example in zip(controls.examples, EXAMPLES, strict=True):
        button.click(_giving(example.text), None, controls.text, **QUICK)
    gr.on(
        [controls.button.click, controls.text.submit],
        for_page(search),
        [results.opened, controls.text, controls.count],
        page.all_of_a_collection[1:],
        show_progress_on=results.gallery,
        **ENCODING,
        **INTERNAL,
    )


def _wire_choice(collections: Collections, page: SearchPage) -> None:
    results, details = page.results, page.details

    def choose(found: Found, event: gr.SelectData) -> tuple[Any, ...]:
        state, hit = collections.of(found.spec), found.hits[int(event.index)]
        large = shrunk(tile_picture(state, hit.tile_id), LARGE_PX)
        facts = tile_facts(state.index.tile(hit.tile_id), hit if found.text else None)
        fly = f'<i data-tile="{escape(hit.tile_id, quote=True)}"></i>'
        return hit.tile_id, gr.Image(large, visible=True), facts, fly, gr.Row(visible=True)

    shown = [details.chosen, details.picture, details.facts, details.fly, details.actions]
    chosen = results.gallery.select(for_page(choose), results.found, shown, show_progress="hidden", **INTERNAL)
    chosen.then(None, None, None, js=_SHOW_DETAILS)


def _wire_hand_over(
    collections: Collections, page: SearchPage, tabs: gr.Tabs, classify: ClassifyPage, localise: LocalisePage
) -> None:
    details = page.details

    def chosen_picture(found: Found, tile_id: str | None) -> Image.Image:
        if tile_id is None:
            raise TileSourceError(_CLICK_FIRST)
        return tile_picture(collections.of(found.spec), tile_id)

    def chosen_scene(found: Found, tile_id: str | None, text: str) -> tuple[Any, ...]:
        if tile_id is None:
            raise TileSourceError(_CLICK_FIRST)
        return *with_tile(collections.of(found.spec), tile_id), text, gr.Tabs(selected="localise")

    details.to_localise.click(
        for_page(chosen_scene),
        [page.results.found, details.chosen, page.controls.text],
        [*localise.scene.parts, localise.text, tabs],
        **INTERNAL,
    )
    details.to_classify.click(
        for_page(lambda found, tile_id: (chosen_picture(found, tile_id), gr.Tabs(selected="classify"))),
        [page.results.found, details.chosen],
        [classify.picture, tabs],
        **INTERNAL,
    )


# On a narrow screen the details stand below the gallery: bring them into view.
_SHOW_DETAILS = """() => {
  const details = document.getElementById("details");
  const map = document.querySelector("iframe.places-map");
  const tile = document.querySelector("#fly [data-tile]");
  if (map && tile) map.contentWindow.postMessage({tile: tile.dataset.tile}, "*");
  if (details.getBoundingClientRect().top > window.innerHeight * 0.8) details.scrollIntoView({behavior: "smooth"});
}"""


def _giving(text: str) -> Any:
    return lambda: text
