"""The Classify tab: a picture, class names in plain words, and how the picture's probability spreads over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.classify import RSICD_LABELS, score_classes
from app.events import ENCODING, INTERNAL, UPLOAD, for_page
from app.pictures import upload_box, uploaded
from app.state import AppState, Collections
from app.strip import TileStrip
from app.words import class_bars, empty
from lrsclip.classify import DEFAULT_TEMPLATES


@dataclass(frozen=True)
class ClassifyPage:
    """The tab's parts that events speak of."""

    picture: gr.Image
    strip: TileStrip
    labels: gr.Textbox
    templates: gr.Textbox
    shown: gr.Slider
    button: gr.Button
    bars: gr.HTML


def lay_out(state: AppState) -> ClassifyPage:
    """Put the tab's parts on the page."""
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=4, min_width=300):
            picture = upload_box(label="Picture", height=300, elem_id="classify-picture")
            strip = TileStrip.lay_out(state, "classify-strip")
        with gr.Column(scale=3, min_width=300):
            labels = gr.Textbox(
                "\n".join(RSICD_LABELS),
                label="Class names",
                info="One a line, in plain words.",
                lines=10,
                max_lines=14,
                elem_id="labels",
            )
            with gr.Accordion("Prompt templates", open=False):
                templates = gr.Textbox(
                    "\n".join(DEFAULT_TEMPLATES),
                    show_label=False,
                    info="One a line; {} stands for the class name.",
                    lines=3,
                )
            button = gr.Button("Classify", variant="primary", elem_id="classify-button")
        with gr.Column(scale=5, min_width=300):
            bars = gr.HTML(empty("Upload a picture or take a tile, then classify."), elem_id="bars")
            shown = gr.Slider(3, 30, value=8, step=1, label="Classes shown", buttons=[])
    return ClassifyPage(picture, strip, labels, templates, shown, button, bars)


def wire(collections: Collections, page: ClassifyPage) -> None:
    """Connect the tab's parts."""
    state = collections.first  # all collections share its model

    def classify(upload: dict[str, Any] | None, labels: str, templates: str, shown: float) -> str:
        return class_bars(score_classes(state, uploaded(upload), labels, templates), int(shown))

    inputs = [page.picture, page.labels, page.templates, page.shown]
    page.button.click(for_page(classify), inputs, page.bars, **UPLOAD, **ENCODING, **INTERNAL)
    page.strip.wire(collections, page.picture)
