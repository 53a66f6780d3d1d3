"""The Places tab: which tiles are searched, and how to open others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

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
    """The tab's parts that events speak of; `mine` holds the addresses that this visitor opened."""

    address: gr.Textbox
    suggestions: list[gr.Button]
    look: gr.Button
    open: gr.Button
    stop: gr.Button
    plan: gr.HTML
    chosen: gr.Radio
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
                opened = gr.Button(
                    "Open", variant="primary", scale=2, min_width=100, interactive=False, elem_id="places-open"
                )
                stop = gr.Button("Stop", scale=1, min_width=70, elem_id="places-stop")
            with gr.Row(elem_classes="pills"):
                gr.HTML(hint("For example"))
                suggestions = [gr.Button(one.title, size="sm", min_width=60) for one in SUGGESTIONS]
            with gr.Accordion("What can be written here", open=False):
                gr.Markdown(_FORMS + ("" if collections.guests else _LOCAL_FORMS), elem_classes="forms")
        with gr.Column(scale=5, min_width=300):
            plan = gr.HTML(empty(_HINT), elem_id="places-plan")
            chosen = gr.Radio(_choices(collections, []), value=FIRST, label="Searched now", elem_id="places-chosen")
    return PlacesPage(address, suggestions, look, opened, stop, plan, chosen, gr.State([]))


def _choices(collections: Collections, mine: list[str]) -> list[tuple[str, str]]:
    """The first collection and those that this visitor opened, as (what is shown, what is sent)."""
    spec = collections.first.source.spec
    shown = public_address(spec) if collections.guests else spec
    shown = shown or "the tiles of this page"
    return [(shown, FIRST), *((one, one) for one in mine)]


def wire(
    collections: Collections,
    demo: gr.Blocks,
    page: PlacesPage,
) -> None:
    """Connect the tab's parts; opening that nobody waits for any more is stopped."""
    stops = StopFlags()

    def look(spec: str) -> tuple[Any, ...]:
        plan = look_up(collections, spec)
        return plan_facts(plan.source.spec, len(plan.source), plan.first, plan.work), gr.Button(interactive=True)

    def opened(
        spec: str,
        mine: list[str],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio finds it as a default)
    ) -> Any:
        def told(what: str, done: int, total: int) -> None:
            progress((done, total), desc=what, unit="tiles")

        state = open_collection(collections, spec, told, stops.start(str(request.session_hash)))
        facts = collection_facts(state.source.spec, state.tile_count, [s.reason for s in state.index.manifest.skipped])
        own = [] if state is collections.first else [state.source.spec]
        mine = list(dict.fromkeys([*mine, *own]))
        return facts, gr.Radio(_choices(collections, mine), value=own[0] if own else FIRST), mine

    def stop(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    for button, suggestion in zip(page.suggestions, SUGGESTIONS, strict=True):
        button.click(_giving(suggestion.spec), None, page.address, **QUICK)
    page.address.change(lambda: (gr.Button(interactive=False), empty(_HINT)), None, [page.open, page.plan], **QUICK)
    gr.on(
        [page.look.click, page.address.submit], for_page(look), page.address, [page.plan, page.open],
        show_progress_on=page.plan, **INTERNAL,
    )  # fmt: skip
    page.open.click(
        for_page(opened), [page.address, page.mine], [page.plan, page.chosen, page.mine],
        show_progress_on=page.plan, **PLACES, **INTERNAL,
    )  # fmt: skip
    page.stop.click(stop, None, None, **QUICK)
    demo.unload(stop)


def _giving(text: str) -> Any:
    return lambda: text
