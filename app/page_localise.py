"""The Localise tab: a scene, a sentence, and a map of where in the scene the sentence is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.events import ENCODING, INTERNAL, QUICK, UPLOAD, for_page
from app.folium_map import heatmap_iframe
from app.localise import heat
from app.meter import meter_of
from app.pictures import upload_box, uploaded
from app.state import AppState, Collections, Stops
from app.strip import TileStrip
from app.words import beside, empty, heatmap_facts, token_meter
from lrsclip.errors import Cancelled


@dataclass(frozen=True)
class LocalisePage:
    """The tab's parts that events speak of."""

    scene: gr.Image
    strip: TileStrip
    text: gr.Textbox
    meter: gr.HTML
    reading: gr.HTML
    button: gr.Button
    stop: gr.Button
    map: gr.HTML


def lay_out(state: AppState) -> LocalisePage:
    """Put the tab's parts on the page."""
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=3, min_width=300, elem_classes="side"):
            scene = upload_box(label="Scene", height=240, elem_id="scene")
            strip = TileStrip.lay_out(state, "scene-strip")
            text = gr.Textbox(
                label="Sentence",
                placeholder="What to look for, such as: white boats moored at a pier",
                lines=3,
                max_lines=10,
                elem_id="sentence",
            )
            meter = gr.HTML(token_meter(None, state.bundle.context_length), elem_id="sentence-meter")
            with gr.Row():
                button = gr.Button("Localise", variant="primary", scale=3, min_width=120, elem_id="localise-button")
                stop = gr.Button("Stop", scale=1, min_width=70)
            read = gr.HTML("", elem_classes="if-any")
        with gr.Column(scale=8, min_width=300):
            shown = gr.HTML(empty("Choose a scene and say what to look for: the map appears here."), elem_id="map")
    return LocalisePage(scene, strip, text, meter, read, button, stop, shown)


def wire(collections: Collections, demo: gr.Blocks, page: LocalisePage) -> None:
    """Connect the tab's parts; work that nobody waits for any more is stopped."""
    stops, state = Stops(), collections.first  # all collections share its model

    def localise(
        upload: dict[str, Any] | None,
        text: str,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio finds it as a default)
    ) -> Any:
        scene = uploaded(upload)

        def show(done: int, total: int) -> None:
            progress((done, total), desc="Looking through the windows", unit="windows")

        try:
            heatmap = heat(state, scene, text, progress=show, stop=stops.start(str(request.session_hash)))
        except Cancelled:
            gr.Info("Stopped. Localise again to start over.")
            return gr.skip()
        return beside(heatmap_iframe(scene, heatmap, text), heatmap_facts(heatmap))

    def stop(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    page.text.change(meter_of(state), page.text, [page.meter, page.reading], **QUICK)
    gr.on(
        [page.button.click, page.text.submit], for_page(localise), [page.scene, page.text], page.map,
        show_progress_on=page.map, **UPLOAD, **ENCODING, **INTERNAL,
    )  # fmt: skip
    page.stop.click(stop, None, None, **QUICK)
    demo.unload(stop)
    page.strip.wire(collections, page.scene)
