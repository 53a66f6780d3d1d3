"""The Classify tab: one picture or several, class names in plain words, and how sure the model is of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block
from markupsafe import Markup

from app.classify.html import table, verdict
from app.classify.label_sets import FIRST_SET, LABEL_SETS, OWN, about, set_of
from app.classify.service import judge_many, judge_one
from app.collections import AppState, Collections
from app.media.picture_input import PictureBox
from app.server.events import ENCODING, INTERNAL, QUICK, UPLOAD, for_page, show_js
from app.server.values import MAX_PICTURES
from app.ui import answered
from app.ui.html import empty, hint
from app.ui.tile_picker import TileStrip
from lrsclip.calibration.labels import Classification
from lrsclip.zero_shot.classifier import DEFAULT_TEMPLATES

PICTURE_FILES = ["image", ".tif", ".tiff"]
_START_COUNT = 8  # classes
_LONGEST_OWN = 50_000  # characters that are kept as long as a visitor stays
_TEMPLATES = "\n".join(DEFAULT_TEMPLATES)


@dataclass(frozen=True)
class Names:
    """The class names that a picture is held against.

    Attributes:
        label_set: title of the label set.
        about: a sentence about that set.
        own: the names that the visitor typed last, to come back to.
        labels: class names, one a line.
        templates: phrasings, one a line.
        reset: brings the templates back.
    """

    label_set: gr.Dropdown
    about: gr.HTML
    own: gr.State
    labels: gr.Textbox
    templates: gr.Textbox
    reset: gr.Button


@dataclass(frozen=True)
class Several:
    """Several pictures at once: their tab, box and button, and where the table and the mark of its answer stand."""

    tab: gr.Tab
    files: gr.File
    button: gr.Button
    column: gr.Column
    table: gr.HTML
    answered: gr.HTML


@dataclass(frozen=True)
class ClassifyPage:
    """The tab's parts that events speak of.

    Attributes:
        tab: for one picture.
        picture: the picture.
        strip: tiles to take instead.
        names: the class names.
        button: classifies the picture.
        column: holds `count` and `bars`.
        count: how many classes the bars show.
        bars: the best classes as bars.
        classification: the `Classification` that the bars show, or None.
        answered: the mark of the bars' answer.
        several: the parts for several pictures.
    """

    tab: gr.Tab
    picture: PictureBox
    strip: TileStrip
    names: Names
    button: gr.Button
    column: gr.Column
    count: gr.Slider
    bars: gr.HTML
    classification: gr.State
    answered: gr.HTML
    several: Several


def lay_out(state: AppState) -> ClassifyPage:
    """Put the tab's parts on the page."""
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=4, min_width=280), gr.Tabs():
            with gr.Tab("One picture") as tab:
                picture = PictureBox.lay_out("classify-picture", label="Picture", height=300)
                strip = TileStrip.lay_out(state, "classify-strip")
            with gr.Tab("Several pictures") as several_tab:
                files = gr.File(
                    label=f"Pictures, at most {MAX_PICTURES} at once",
                    file_count="multiple",
                    file_types=PICTURE_FILES,
                    elem_classes="upload-frame",
                    height=300,
                    elem_id="classify-files",
                )
        with gr.Column(scale=3, min_width=280):
            names = _names()
            button = gr.Button("Classify", variant="primary", elem_id="classify-button")
            all_button = gr.Button("Classify all", variant="primary", visible=False, elem_id="classify-all-button")
        with gr.Column(scale=5, min_width=280):
            with gr.Column() as column:
                bars = gr.HTML(empty("Upload a picture or take a tile, then classify."), elem_id="bars")
                count = gr.Slider(
                    3, 30, value=_START_COUNT, step=1, label="Classes shown", buttons=[], elem_id="classes-shown"
                )
            with gr.Column(visible=False) as many_column:
                many = gr.HTML(empty("Upload pictures, then classify: the table appears here."), elem_id="classified")
    several = Several(several_tab, files, all_button, many_column, many, answered.lay_out("classify-all"))
    of_one = answered.lay_out("classify")
    return ClassifyPage(tab, picture, strip, names, button, column, count, bars, gr.State(None), of_one, several)


def _names() -> Names:
    label_set = gr.Dropdown(
        [*LABEL_SETS, OWN], value=FIRST_SET.title, label="Label set", filterable=False, elem_id="label-set"
    )
    note = gr.HTML(_hint(FIRST_SET.title), elem_id="label-set-about")
    labels = gr.Textbox(
        FIRST_SET.text,
        label="Class names",
        info="One a line, in plain words. Edit freely.",
        lines=9,
        max_lines=12,
        elem_id="labels",
    )
    templates = gr.Textbox(
        _TEMPLATES,
        label="Templates",
        info="The sentences the model reads, one a line; {} stands for the class name. Several are averaged.",
        lines=2,
        max_lines=8,
        elem_id="templates",
    )
    reset = gr.Button("Reset templates", size="sm", elem_id="templates-reset")
    return Names(label_set, note, gr.State(""), labels, templates, reset)


def _hint(title: str) -> Markup:
    return hint(about(title))


def wire(collections: Collections, page: ClassifyPage) -> None:
    """Connect the tab's parts."""
    _wire_one(collections.first, page)  # all collections share its model
    _wire_several(collections.first, page)
    page.strip.wire(collections, page.picture.parts, page.picture.with_tile)
    _wire_names(page.names)
    _wire_tabs(page)


def _wire_one(state: AppState, page: ClassifyPage) -> None:
    names = page.names

    def classify(values: dict[Block, Any]) -> dict[Block, Any]:
        labels, templates = values[names.labels], values[names.templates]
        picture, _ = page.picture.read(values)  # which of its bands are shown stands beside it
        classification = judge_one(state, picture, labels or "", templates or "")
        bars = verdict(classification, int(values[page.count] or _START_COUNT))
        return {page.bars: bars, page.classification: classification, page.answered: answered.mark("classify")}

    def show(classification: Classification | None, count: float | None) -> Any:
        return gr.skip() if classification is None else verdict(classification, int(count or _START_COUNT))

    page.button.click(
        for_page(classify), {*page.picture.parts, names.labels, names.templates, page.count},
        [page.bars, page.classification, page.answered], **UPLOAD, **ENCODING, **INTERNAL,
    ).success(None, None, None, js=show_js("bars", 0.6))  # fmt: skip
    page.count.release(show, [page.classification, page.count], page.bars, **QUICK)


def _wire_several(state: AppState, page: ClassifyPage) -> None:
    names, several = page.names, page.several

    def classify_all(values: dict[Block, Any]) -> dict[Block, Any]:
        labels, templates = values[names.labels] or "", values[names.templates] or ""
        answer = table(judge_many(state, values[several.files], labels, templates))
        return {several.table: answer, several.answered: answered.mark("classify-all")}

    several.button.click(
        for_page(classify_all), {several.files, names.labels, names.templates}, [several.table, several.answered],
        **UPLOAD, **ENCODING, **INTERNAL,
    ).success(None, None, None, js=show_js("classified", 0.6))  # fmt: skip


def _wire_names(names: Names) -> None:
    def choose(title: str, own: str) -> dict[Block, Any]:
        text = own if title == OWN else LABEL_SETS[title].text
        # with nothing of one's own yet, the names that stand there are a better start than an empty box
        values: dict[Block, Any] = {names.about: _hint(title)}
        return values | {names.labels: text} if text.strip() else values

    def typed(text: str) -> dict[Block, Any]:
        title = set_of(text or "")
        own = title == OWN and len(text) <= _LONGEST_OWN
        values: dict[Block, Any] = {names.label_set: title, names.about: _hint(title)}
        return values | {names.own: text} if own else values

    names.label_set.input(choose, [names.label_set, names.own], [names.labels, names.about], **QUICK)
    # not `input`, which does not hear of a text that was pasted or filled in as a whole
    names.labels.change(
        typed, names.labels, [names.label_set, names.about, names.own], trigger_mode="always_last", **QUICK
    )
    names.reset.click(lambda: _TEMPLATES, None, names.templates, **QUICK)


def _wire_tabs(page: ClassifyPage) -> None:
    of_one, of_several = (page.button, page.column), (page.several.button, page.several.column)
    parts: list[Block] = [*of_one, *of_several]

    def alone(visible: Sequence[Block]) -> dict[Block, Any]:
        return {part: gr.update(visible=part in visible) for part in parts}

    page.tab.select(lambda: alone(of_one), None, parts, **QUICK)
    page.several.tab.select(lambda: alone(of_several), None, parts, **QUICK)
