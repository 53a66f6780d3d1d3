"""The Classify tab: one picture or several, class names in plain words, and how sure the model is of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from app.classify.html import table, verdict
from app.classify.label_sets import FIRST_SET, LABEL_SETS, OWN, about, set_of
from app.classify.service import MAX_PICTURES, judge_many, judge_one
from app.collections import AppState, Collections
from app.media.images import upload_box, uploaded
from app.server.events import ENCODING, INTERNAL, QUICK, UPLOAD, for_page, show_js
from app.server.upload_folder import Upload
from app.ui.html import empty, hint
from app.ui.tile_picker import TileStrip
from lrsclip.calibration.labels import Classification
from lrsclip.zero_shot.classifier import DEFAULT_TEMPLATES

PICTURE_FILES = ["image", ".tif", ".tiff"]
_SHOWN = 8  # classes
_LONGEST_OWN = 50_000  # characters that are kept as long as a visitor stays
_TEMPLATES = "\n".join(DEFAULT_TEMPLATES)


@dataclass(frozen=True)
class Names:
    """What the picture is held against.

    Attributes:
        chosen: title of the label set.
        about: what that set is.
        own: what the visitor typed last, to come back to.
        labels: class names, one a line.
        templates: phrasings, one a line.
        reset: brings the templates back.
    """

    chosen: gr.Dropdown
    about: gr.HTML
    own: gr.State
    labels: gr.Textbox
    templates: gr.Textbox
    reset: gr.Button


@dataclass(frozen=True)
class Several:
    """Several pictures at once: their tab, box and button, and where the table stands."""

    tab: gr.Tab
    files: gr.File
    button: gr.Button
    column: gr.Column
    table: gr.HTML


@dataclass(frozen=True)
class ClassifyPage:
    """The tab's parts that events speak of; `column` is where the answer for one picture stands, `said` holds it."""

    tab: gr.Tab
    picture: gr.Image
    strip: TileStrip
    names: Names
    button: gr.Button
    column: gr.Column
    shown: gr.Slider
    bars: gr.HTML
    said: gr.State
    several: Several


def lay_out(state: AppState) -> ClassifyPage:
    """Put the tab's parts on the page."""
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=4, min_width=280), gr.Tabs():
            with gr.Tab("One picture") as tab:
                picture = upload_box(label="Picture", height=300, elem_id="classify-picture")
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
                shown = gr.Slider(
                    3, 30, value=_SHOWN, step=1, label="Classes shown", buttons=[], elem_id="classes-shown"
                )
            with gr.Column(visible=False) as many_column:
                many = gr.HTML(empty("Upload pictures, then classify: the table appears here."), elem_id="classified")
    several = Several(several_tab, files, all_button, many_column, many)
    return ClassifyPage(tab, picture, strip, names, button, column, shown, bars, gr.State(None), several)


def _names() -> Names:
    chosen = gr.Dropdown(
        [*LABEL_SETS, OWN], value=FIRST_SET.title, label="Label set", filterable=False, elem_id="label-set"
    )
    told = gr.HTML(_hint(FIRST_SET.title), elem_id="label-set-about")
    labels = gr.Textbox(
        FIRST_SET.text,
        label="Class names",
        info="One a line, in plain words. Editing them makes the set your own.",
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
    return Names(chosen, told, gr.State(""), labels, templates, reset)


def _hint(title: str) -> Markup:
    return hint(about(title))


def wire(collections: Collections, page: ClassifyPage) -> None:
    """Connect the tab's parts."""
    state = collections.first  # all collections share its model

    def classify(upload: Upload | None, labels: str, templates: str, shown: float | None) -> tuple[str, Classification]:
        said = judge_one(state, uploaded(upload), labels or "", templates or "")
        return verdict(said, int(shown or _SHOWN)), said

    def show(said: Classification | None, shown: float | None) -> Any:
        return gr.skip() if said is None else verdict(said, int(shown or _SHOWN))

    def classify_all(uploads: tuple[Upload, ...] | None, labels: str, templates: str) -> str:
        return table(judge_many(state, uploads, labels or "", templates or ""))

    names, several = page.names, page.several
    inputs = [page.picture, names.labels, names.templates, page.shown]
    judged = page.button.click(for_page(classify), inputs, [page.bars, page.said], **UPLOAD, **ENCODING, **INTERNAL)
    judged.success(None, None, None, js=show_js("bars", 0.6))
    page.shown.release(show, [page.said, page.shown], page.bars, **QUICK)
    many = [several.files, names.labels, names.templates]
    all_judged = several.button.click(for_page(classify_all), many, several.table, **UPLOAD, **ENCODING, **INTERNAL)
    all_judged.success(None, None, None, js=show_js("classified", 0.6))
    page.strip.wire(collections, page.picture)
    _wire_names(names)
    both = [page.button, page.column, several.button, several.column]
    page.tab.select(lambda: _visible(True, True, False, False), None, both, **QUICK)
    several.tab.select(lambda: _visible(False, False, True, True), None, both, **QUICK)


def _wire_names(names: Names) -> None:
    def choose(title: str, own: str) -> Any:
        text = own if title == OWN else LABEL_SETS[title].text
        # with nothing of one's own yet, the names that stand there are a better start than an empty box
        return (text if text.strip() else gr.skip()), _hint(title)

    def typed(text: str) -> Any:
        title = set_of(text or "")
        own = title == OWN and len(text) <= _LONGEST_OWN
        return title, _hint(title), text if own else gr.skip()

    names.chosen.input(choose, [names.chosen, names.own], [names.labels, names.about], **QUICK)
    # not `input`, which does not hear of a text that was pasted or filled in as a whole
    names.labels.change(
        typed, names.labels, [names.chosen, names.about, names.own], trigger_mode="always_last", **QUICK
    )
    names.reset.click(lambda: _TEMPLATES, None, names.templates, **QUICK)


def _visible(*shown: bool) -> Any:
    return tuple(gr.update(visible=value) for value in shown)
