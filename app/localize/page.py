"""The Localize tab: a scene, a sentence, and a map of where in the scene the sentence is true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from app.collections import AppState, Collections
from app.localize.answers import Answers
from app.localize.examples import STARTS, best_tile
from app.localize.exports import Downloads
from app.localize.heatmap_map import map_frame
from app.localize.html import answer_facts
from app.localize.service import Question, ask, ground_of, method_of, palette_of, scales_of, threshold_of
from app.maps.basemap import BaseMap
from app.media.scene_input import SceneBox, opened
from app.server.concurrency import StopFlags
from app.server.events import ENCODING, FILLED_JS, INTERNAL, QUICK, SCENES, UPLOAD, for_page, show_js
from app.ui import answered
from app.ui.html import beside, empty, hint, token_meter
from app.ui.tile_picker import StripTiles, TileStrip
from app.ui.token_counter import wire_meter
from lrsclip.errors import PictureError

_NOTHING_YET = (
    "Nothing is chosen yet. Upload a scene or take a tile, write what to look for and press Localize; or take an "
    "example. The map appears here."
)
_ONE_CLAUSE = "The sentence has only one clause, so there is nothing to show apart."


@dataclass(frozen=True)
class Settings:
    """Settings of the maps."""

    compare: gr.Textbox
    exclude: gr.Textbox
    by_clause: gr.Checkbox
    method: gr.Radio
    scales: gr.Textbox
    threshold: gr.Textbox
    palette: gr.Radio

    @property
    def inputs(self) -> set[Component]:
        """Components that `question_of` reads."""
        texts = {self.compare, self.exclude, self.scales, self.threshold}
        return {*texts, self.by_clause, self.method, self.palette}


@dataclass(frozen=True)
class Files:
    """Files to download: `answer` holds the name of the `Answer` that they are made of, `box` lists them."""

    answer: gr.State
    button: gr.Button
    box: gr.File


@dataclass(frozen=True)
class LocalizePage:
    """The tab's parts that events speak of."""

    scene: SceneBox
    strip: TileStrip
    text: gr.Textbox
    starts: list[gr.Button]
    meter: gr.HTML
    reading: gr.HTML
    settings: Settings
    button: gr.Button
    stop: gr.Button
    map: gr.HTML
    files: Files
    answered: gr.HTML


def lay_out(state: AppState) -> LocalizePage:
    """Put the tab's parts on the page."""
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=3, min_width=300, elem_classes="side"):
            scene = SceneBox.lay_out(label="Scene (a picture or a GeoTIFF)", height=240, elem_id="scene")
            strip = TileStrip.lay_out(state, "scene-strip")
            text = gr.Textbox(
                label="Sentence",
                placeholder="What to look for, such as: white boats moored at a pier",
                lines=3,
                max_lines=10,
                elem_id="sentence",
            )
            meter = gr.HTML(token_meter(None, state.bundle.context_length), elem_id="sentence-meter")
            with gr.Row(elem_classes="pills"):
                gr.HTML(hint("Examples with a tile"))
                starts = [
                    gr.Button(
                        start.title, size="sm", min_width=60, elem_id=f"start-{n}",
                        elem_classes="fills-localize-button",
                    )
                    for n, start in enumerate(STARTS)
                ]  # fmt: skip
            with gr.Row():
                button = gr.Button("Localize", variant="primary", scale=3, min_width=120, elem_id="localize-button")
                stop = gr.Button("Stop", scale=1, min_width=70)
            reading = gr.HTML("", elem_classes="if-any")
            settings = _settings()
        with gr.Column(scale=8, min_width=300):
            map_html = gr.HTML(empty(_NOTHING_YET), elem_id="map")
            files = _files()
    mark = answered.lay_out("localize")
    return LocalizePage(scene, strip, text, starts, meter, reading, settings, button, stop, map_html, files, mark)


def _settings() -> Settings:
    with gr.Accordion("Settings", open=False, elem_id="localize-settings"):
        compare = gr.Textbox(
            label="Compare with", info="A second sentence, for a map beside the first.", elem_id="compare"
        )
        exclude = gr.Textbox(
            label="Leave out", info="Not like this: subtracted from the score.", elem_id="scene-exclude"
        )
        by_clause = gr.Checkbox(
            label="One map per clause", info="A small map for each part of the sentence.", elem_id="by-clause"
        )
        method = gr.Radio(
            [("Dense (fast)", "dense"), ("Windows", "windows")], value="dense", label="Method", elem_id="method"
        )
        scales = gr.Textbox(
            label="Window sizes in px", placeholder="automatic", info="Such as 48, 96.", elem_id="scales"
        )
        threshold = gr.Textbox(  # no gr.Number: that shows 0 where nothing is given
            label="Outline areas above this score", placeholder="automatic", info="Such as 0.3.", elem_id="threshold"
        )
        palette = gr.Radio(
            [("Viridis", "viridis"), ("Cividis", "cividis")], value="viridis", label="Colors", elem_id="palette"
        )
    return Settings(compare, exclude, by_clause, method, scales, threshold, palette)


def _files() -> Files:
    button = gr.Button("Make files to download", size="sm", visible=False, elem_id="make-files")
    box = gr.File(
        label="GeoTIFF, regions as GeoJSON, picture with world file",
        file_count="multiple",
        interactive=False,
        visible=False,
        elem_id="files",
    )
    return Files(gr.State(None), button, box)


def wire(collections: Collections, demo: gr.Blocks, page: LocalizePage, base: BaseMap | None = None) -> None:
    """Connect the tab's parts; work that nobody waits for any more is stopped. `base` is an online map to offer."""
    stops, state = StopFlags(), collections.first  # all collections share its model
    answers, downloads = Answers(), Downloads()

    def localize(
        values: dict[Block, Any],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio finds it as a default)
    ) -> dict[Block, Any]:
        question, bands = question_of(page, values), values[page.scene.bands] or ""

        def on_progress(done: int, total: int) -> None:
            progress((done, total), desc="Looking through the windows", unit="windows")

        with opened(collections, values[page.scene.image], values[page.scene.ref], bands) as scene:
            answer = ask(state, scene, question, progress=on_progress, stop=stops.start(str(request.session_hash)))
            ground = ground_of(scene, base)
        if question.by_clause and not answer.clauses:
            gr.Info(_ONE_CLAUSE)
        return {
            page.map: beside(map_frame(answer, ground), answer_facts(answer)),
            files.answer: answers.put(str(request.session_hash), answer),
            files.button: gr.Button(visible=True),
            files.box: gr.File(None, visible=False),
            page.answered: answered.mark("localize"),
        }

    def stop(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    def leave(request: gr.Request) -> None:
        stop(request)
        answers.drop(str(request.session_hash))
        downloads.drop(str(request.session_hash))

    files = page.files
    wire_meter(state, page.text, page.meter, page.reading)
    pressed = [page.button.click, page.text.submit]
    gr.on(pressed, None, None, None, js=_SHOW_PROGRESS, **QUICK)
    gr.on(
        pressed, for_page(localize),
        {*page.scene.parts, page.text, *page.settings.inputs},
        [page.map, files.answer, files.button, files.box, page.answered],
        show_progress_on=page.map, **UPLOAD, **SCENES, **INTERNAL,
    ).success(None, None, None, js=show_js("map", 0.6))  # fmt: skip
    page.stop.click(stop, None, None, **QUICK)
    _wire_files(files, answers, downloads, state.bundle.name)
    demo.unload(leave)
    page.strip.wire(collections, page.scene.parts, page.scene.with_tile)
    _wire_starts(collections, page)


def question_of(page: LocalizePage, values: Mapping[Block, Any]) -> Question:
    """Make the question of the tab's values.

    Args:
        page: the components.
        values: of `page.text` and `page.settings.inputs`, by component.

    Raises:
        PictureError: the method, the window sizes, the threshold or the colors make no sense.
    """
    settings = page.settings
    return Question(
        values[page.text] or "",
        compare=values[settings.compare] or "",
        exclude=values[settings.exclude] or "",
        by_clause=bool(values[settings.by_clause]),
        method=method_of(values[settings.method]),
        scales_px=scales_of(values[settings.scales] or ""),
        threshold_cos=threshold_of(values[settings.threshold]),
        palette=palette_of(values[settings.palette]),
    )


def _wire_files(files: Files, answers: Answers, downloads: Downloads, model: str) -> None:
    def make_files(name: str | None, request: gr.Request) -> Any:
        if (answer := answers.get(str(request.session_hash), name)) is None:
            raise PictureError(
                "the map was put away meanwhile; localize again" if name else "there is no map yet; localize first"
            )
        return gr.File(downloads.write(str(request.session_hash), answer, model), visible=True)

    files.button.click(for_page(make_files), files.answer, files.box, **INTERNAL)


def _wire_starts(collections: Collections, page: LocalizePage) -> None:
    for n, (start, button) in enumerate(zip(STARTS, page.starts, strict=True)):
        button.click(
            for_page(_start_handler(collections, page, start.text)), page.strip.tiles, [page.text, *page.scene.parts],
            show_progress="hidden", **ENCODING, **INTERNAL,
        ).then(None, None, None, js=FILLED_JS.replace("ID", f"start-{n}"))  # fmt: skip


def _start_handler(collections: Collections, page: LocalizePage, text: str) -> Callable[[StripTiles], dict[Block, Any]]:
    def take(tiles: StripTiles) -> dict[Block, Any]:
        state = collections.of(tiles.spec)
        return {page.text: text, **page.scene.with_tile(state, best_tile(state, text))}

    return take


# Progress stands where the map will, out of sight with the settings open or on a narrow screen. The page moves
# no further than it must, so that Stop stays in view.
_SHOW_PROGRESS = """() => {
  const map = document.getElementById("map");
  const { top } = map.getBoundingClientRect();
  if (top < 0 || top > window.innerHeight * 0.6) map.scrollIntoView({behavior: "smooth", block: "nearest"});
}"""
