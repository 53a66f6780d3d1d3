"""Many descriptions at once on the Search tab: a CSV in, a table and a CSV out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from app.collections import AppState, Collections
from app.media.images import data_url, shrunk, thumbnail
from app.search.batch import Row, as_csv, read_queries, run
from app.search.controls import Controls, query_of
from app.search.html import BATCH_PX, batch_hint, batch_table
from app.server.concurrency import StopFlags
from app.server.events import INTERNAL, QUICK, UPLOAD, for_page
from app.ui import answered
from app.ui.download import download_js
from lrsclip.errors import Cancelled, TextError, TileSourceError

_START_COUNT, _MAX_COUNT = 5, 20


@dataclass(frozen=True)
class BatchPart:
    """The components that events use.

    Attributes:
        text: the answers as CSV.
        picked: the moment and the description of the row that was clicked, from the script.
    """

    file: gr.File
    count: gr.Slider
    button: gr.Button
    stop: gr.Button
    table: gr.HTML
    download: gr.Button
    text: gr.Textbox
    answered: gr.HTML
    picked: gr.Textbox


def lay_out() -> BatchPart:
    """Put the parts on the page."""
    with gr.Accordion("Many descriptions from a CSV", open=False, elem_id="batch"):
        gr.HTML(batch_hint())
        file = gr.File(
            label="CSV file", file_types=[".csv", ".tsv", ".txt"], type="filepath", height=110, elem_id="batch-file",
            elem_classes="upload-frame",
        )  # fmt: skip
        count = gr.Slider(1, _MAX_COUNT, value=_START_COUNT, step=1, label="Tiles for each description", buttons=[])
        with gr.Row(elem_classes="pills"):
            button = gr.Button("Search all", size="sm", min_width=60, elem_id="batch-button")
            stop = gr.Button("Stop", size="sm", min_width=60, elem_id="batch-stop")
        table = gr.HTML("", elem_id="batch-table", min_height=40)
        download = gr.Button("Download all as CSV", size="sm", visible=False, elem_id="batch-download")
        text = gr.Textbox(label="Answers as CSV", visible=False)
        mark = answered.lay_out("batch")
    picked = gr.Textbox(label="Picked description", visible="hidden", elem_id="batch-picked")
    return BatchPart(file, count, button, stop, table, download, text, mark, picked)


def wire(collections: Collections, demo: gr.Blocks, part: BatchPart, opened: gr.State, controls: Controls) -> None:
    """Connect the parts; work that nobody waits for any more is stopped."""
    stops = StopFlags()

    def answer(
        values: dict[Block, Any],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio finds it as a default)
    ) -> dict[Block, Any]:
        stops.start(str(request.session_hash))
        if (upload := values[part.file]) is None:
            raise TextError("there is no CSV file yet; choose one")
        own = {controls.text: "", controls.picture: None, controls.like: "", controls.picture_weight: 0.0}
        template = query_of(controls, values | own | {controls.count: values[part.count]})

        def done(number: int, of: int) -> None:
            progress((number, of), desc="searching", unit="descriptions")

        notes: list[str] = []
        state = collections.of(values[opened])
        rows = run(state, read_queries(upload, notes.append), template, done)
        return {
            part.table: batch_table(rows, _pictures(state, rows), notes),
            part.download: gr.Button(visible=True),
            part.text: as_csv(rows),
            part.answered: answered.mark("batch"),
        }

    def stop(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    demo.unload(stop)
    part.stop.click(stop, None, None, **QUICK)
    part.button.click(
        for_page(answer), {opened, part.file, part.count, *controls.inputs},
        [part.table, part.download, part.text, part.answered], show_progress_on=part.table,
        concurrency_id="batch", concurrency_limit=2, **UPLOAD, **INTERNAL,
    )  # fmt: skip
    part.download.click(None, part.text, None, js=download_js("lrsclip-batch.csv", "text/csv"), **INTERNAL)


def _pictures(state: AppState, rows: list[Row]) -> dict[int, str]:
    """Draw the best tile of each row small, as a data URL: the table needs no further request."""
    best = {row.number: row.found.hits[0].tile_id for row in rows if row.found and row.found.hits}
    drawn = {tile_id: _picture(state, tile_id) for tile_id in set(best.values())}
    return {number: drawn[tile_id] for number, tile_id in best.items()}


def _picture(state: AppState, tile_id: str) -> str:
    try:
        picture = thumbnail(state, tile_id)
    except (TileSourceError, Cancelled):  # the answers are there, and stay without it
        return ""
    return data_url(shrunk(picture, 2 * BATCH_PX), "WEBP")
