"""The Places tab: which tiles are searched, and how to open others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from app.collections import FIRST, Collections
from app.places.service import SUGGESTIONS, look_up, open_collection
from app.search.service import public_address
from app.server.concurrency import StopFlags
from app.server.events import INTERNAL, PLACES, QUICK, for_page
from app.ui.html import collection_facts, empty, hint, plan_facts

_HINT = "Look a place up to see how many tiles it has, before anything is fetched."
_FORMS = """
| write | to search |
|---|---|
| `place:37.76,-122.45,2km@17` | a place on Earth: latitude, longitude, half the side, zoom (17: tiles of some 240 m) |
| `place:29.73,-95.27,29.74,-95.25@17` | a box: south, west, north, east |
| `place:...?service=Esri.WorldImagery` | another map service: a name of xyzservices, or an address with {z}, {x}, {y} |
| `hub:owner/name` or `hub:owner/name:split` | the pictures of a data set on the Hugging Face Hub |
| `atlas:?seed=5&tiles=1024` | a rendered landscape |
"""
_LOCAL_FORMS = """| `~/pictures` | a folder of pictures, at any depth |
| `geotiff:~/scenes/*.tif?tile_px=256` | rasters, cut into tiles |
"""


@dataclass(frozen=True)
class PlacesPage:
    """The tab's parts that events speak of.

    Attributes:
        address: of the collection to look up or open.
        suggestions: fill in an address each.
        look: looks the address up.
        open: opens it.
        stop: stops the opening.
        plan: facts of what was looked up or opened.
        collection: address of the collection that all tabs search.
        mine: addresses that this visitor opened, a list.
    """

    address: gr.Textbox
    suggestions: list[gr.Button]
    look: gr.Button
    open: gr.Button
    stop: gr.Button
    plan: gr.HTML
    collection: gr.Radio
    mine: gr.State


def lay_out(collections: Collections) -> PlacesPage:
    """Put the tab's parts on the page."""
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=5, min_width=300, elem_classes="side"):
            address = gr.Textbox(
                label="Tiles",
                placeholder="place:37.76,-122.45,2km@17",
                lines=1,
                max_lines=1,
                elem_id="places-address",
            )
            with gr.Row():
                look = gr.Button("Look up", scale=2, min_width=100, elem_id="places-look")
                open_button = gr.Button(
                    "Open", variant="primary", scale=2, min_width=100, interactive=False, elem_id="places-open"
                )
                stop = gr.Button("Stop", scale=1, min_width=70, elem_id="places-stop")
            with gr.Row(elem_classes="pills"):
                gr.HTML(hint("For example"))
                suggestions = [gr.Button(one.title, size="sm", min_width=60) for one in SUGGESTIONS]
            with gr.Accordion("What can be written here", open=False):
                gr.Markdown(_FORMS + ("" if collections.untrusted else _LOCAL_FORMS), elem_classes="forms")
        with gr.Column(scale=5, min_width=300):
            plan = gr.HTML(empty(_HINT), elem_id="places-plan")
            collection = gr.Radio(_choices(collections, []), value=FIRST, label="Searched now", elem_id="places-chosen")
    return PlacesPage(address, suggestions, look, open_button, stop, plan, collection, gr.State([]))


def _choices(collections: Collections, mine: list[str]) -> list[tuple[str, str]]:
    """Return the first collection and those that this visitor opened, as pairs of a label and the value sent for it."""
    spec = collections.first.source.spec
    label = public_address(spec) if collections.untrusted else spec
    return [(label or "the tiles of this page", FIRST), *((one, one) for one in mine)]


def wire(collections: Collections, demo: gr.Blocks, page: PlacesPage) -> None:
    """Connect the tab's parts; opening that nobody waits for any more is stopped."""
    stops = StopFlags()

    def look(spec: str) -> dict[Block, Any]:
        plan = look_up(collections, spec)
        facts = plan_facts(plan.source.spec, len(plan.source), plan.first, plan.work)
        return {page.plan: facts, page.open: gr.Button(interactive=True)}

    def opened(
        values: dict[Block, Any],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio finds it as a default)
    ) -> dict[Block, Any]:
        def on_progress(what: str, done: int, total: int) -> None:
            progress((done, total), desc=what, unit="tiles")

        flag = stops.start(str(request.session_hash))
        state = open_collection(collections, values[page.address], on_progress, flag)
        facts = collection_facts(state.source.spec, state.tile_count, [s.reason for s in state.index.manifest.skipped])
        own = [] if state is collections.first else [state.source.spec]
        mine = list(dict.fromkeys([*values[page.mine], *own]))
        choice = gr.Radio(_choices(collections, mine), value=own[0] if own else FIRST)
        return {page.plan: facts, page.collection: choice, page.mine: mine}

    def forget_plan() -> dict[Block, Any]:
        return {page.open: gr.Button(interactive=False), page.plan: empty(_HINT)}

    def stop(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    for button, suggestion in zip(page.suggestions, SUGGESTIONS, strict=True):
        button.click(_giving(suggestion.spec), None, page.address, **QUICK)
    page.address.change(forget_plan, None, [page.open, page.plan], **QUICK)
    gr.on(
        [page.look.click, page.address.submit], for_page(look), page.address, [page.plan, page.open],
        show_progress_on=page.plan, **INTERNAL,
    )  # fmt: skip
    page.open.click(
        for_page(opened), {page.address, page.mine}, [page.plan, page.collection, page.mine],
        show_progress_on=page.plan, **PLACES, **INTERNAL,
    )  # fmt: skip
    page.stop.click(stop, None, None, **QUICK)
    demo.unload(stop)


def _giving(text: str) -> Any:
    return lambda: text
