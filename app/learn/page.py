"""The Learn tab: a class sees why long text matters, what 77 tokens lose, and what the model does not notice."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block
from markupsafe import Markup
from PIL import Image

from app.collections import AppState, Collections
from app.learn.html import glossary, grown_stage, grown_table, lesson_plan, orders_stage, reword_stage, swap_stage
from app.learn.lessons import LESSONS, spec_of_landscape, text_of
from app.learn.reword import Reworded, other_wording, reword
from app.learn.service import Grown, Orders, Progress, grow, reorder
from app.learn.sheet import Result, sheet
from app.learn.subject import OwnPicture, Subject, name_of, picture_of, text_of_tile
from app.learn.swap import Swapped, prepared_pair, swap
from app.media.images import THUMB_PX, shrunk, thumbnail, upload_box, uploaded
from app.server.concurrency import StopFlags
from app.server.events import ENCODING, FILLED_JS, INTERNAL, QUICK, UPLOAD, click_js, for_page, show_js
from app.server.upload_folder import own_folder
from app.ui import answered
from app.ui.html import empty, hint, token_meter
from app.ui.tile_picker import StripTiles, TileStrip
from app.ui.token_counter import wire_meter
from lrsclip.atlas.statement import CLAIM_KINDS
from lrsclip.errors import TileSourceError

_START = "Choose a lesson; or a tile of your own, and press Run."
_NO_TILE = "The description of the lesson or the tile appears here. You can change it."
_NO_TEXT = "This tile has no description. Write what it shows: two sentences or more."
_NO_PAIR = "Nothing of this kind is known of the tile. Write both sentences yourself."
_MODES = [("Grow", "grow"), ("Reorder", "order"), ("Swap", "swap"), ("Reword", "reword")]


@dataclass(frozen=True)
class SubjectRef:
    """Address of the collection, and the tile or the picture that is worked with."""

    spec: str
    subject: Subject


@dataclass(frozen=True)
class Task:
    """The parts that the visitor fills in; `tile` holds a `SubjectRef` or None, `lesson` the lesson's index or None."""

    lessons: list[gr.Button]
    lesson: gr.State
    tile: gr.State
    picture: gr.Image
    strip: TileStrip
    tile_id: gr.Textbox
    another: gr.Button
    own: gr.Image
    text: gr.Textbox
    meter: gr.HTML
    reading: gr.HTML
    mode: gr.Radio
    by: gr.Radio
    swaps: gr.Column
    kind: gr.Radio
    true_text: gr.Textbox
    false_text: gr.Textbox
    rewords: gr.Column
    again: gr.Textbox
    run: gr.Button
    stop: gr.Button

    @property
    def of_a_tile(self) -> list[Block]:
        """Components that `_tile_values` gives values for."""
        texts = [self.text, self.true_text, self.false_text, self.again]
        return [self.tile, self.picture, self.tile_id, *texts, self.lesson]

    @property
    def of_a_lesson(self) -> list[Block]:
        """Components that a lesson sets beside its tile."""
        return [self.mode, self.swaps, self.rewords, self.kind]

    @property
    def inputs(self) -> set[Block]:
        """Components that a run reads."""
        texts = {self.text, self.true_text, self.false_text, self.again}
        return {self.tile, self.lesson, self.mode, self.by, self.kind, *texts}


@dataclass(frozen=True)
class Display:
    """The parts that the class looks at; `result` holds the last `Result` or None, `step` how many steps it shows."""

    plan: gr.HTML
    stage: gr.HTML
    steps: gr.Row
    back: gr.Button
    further: gr.Button
    all: gr.Button
    table: gr.HTML
    result: gr.State
    step: gr.State
    papers: gr.Row
    take: gr.DownloadButton
    paper: gr.Button
    teacher: gr.DownloadButton
    answered: gr.HTML

    @property
    def of_a_start(self) -> list[Block]:
        """Components that `_start_values` gives values for."""
        return [self.plan, self.stage, self.table, self.result, self.steps, self.papers, self.answered]

    @property
    def of_a_step(self) -> list[Block]:
        """Components that `_step_values` gives values for."""
        return [self.step, self.stage, self.table, self.back, self.further, self.all]

    @property
    def of_a_run(self) -> list[Block]:
        """Components that a run gives values for."""
        return [self.result, *self.of_a_step, self.steps, self.papers, self.take, self.teacher, self.answered]


@dataclass(frozen=True)
class LearnPage:
    """The tab's parts that events speak of."""

    task: Task
    display: Display

    @property
    def strip(self) -> TileStrip:
        """The tiles to choose from."""
        return self.task.strip


def lay_out(state: AppState) -> LearnPage:
    """Put the tab's parts on the page."""
    plan = gr.HTML("", elem_id="learn-plan", elem_classes="if-any")  # first, on a phone too
    with gr.Row(elem_classes="columns", elem_id="learn"):
        with gr.Column(scale=3, min_width=300, elem_classes="side"):
            task = _task(state)
        with gr.Column(scale=9, min_width=300):
            display = _display(plan)
    return LearnPage(task, display)


def _task(state: AppState) -> Task:
    gr.HTML(hint("Three 10-minute lessons"))
    with gr.Column(elem_classes="lessons"):
        lessons = [
            gr.Button(f"{n}  {lesson.title}", size="lg", elem_id=f"lesson-{n}", elem_classes="fills-learn-run")
            for n, lesson in enumerate(LESSONS, 1)
        ]
    picture = gr.Image(
        label="Tile", interactive=False, visible=False, buttons=[], alt_text="the chosen tile", height=200
    )
    strip = TileStrip.lay_out(state, "learn-strip")
    with gr.Row(elem_classes="tile-row"):
        tile_id = gr.Textbox(label="Tile", placeholder="its name", scale=3, min_width=120, elem_id="learn-tile")
        another = gr.Button(
            "Another tile", size="sm", scale=1, min_width=110, elem_id="learn-another", elem_classes="fills-learn-run"
        )
    with gr.Accordion("A picture of your own", open=False, elem_id="learn-own-fold"):
        gr.HTML(hint("It is ranked among the tiles as if it were one of them. Take a view from above; describe it."))
        own = upload_box(label="Picture", height=160, elem_id="learn-own")
    text = gr.Textbox(label="Description", placeholder=_NO_TILE, lines=5, max_lines=12, elem_id="learn-text")
    meter = gr.HTML(token_meter(None, state.bundle.context_length), elem_id="learn-meter")
    reading = gr.HTML("", elem_classes="if-any")
    mode = gr.Radio(_MODES, value="grow", label="What to try", elem_id="learn-mode")
    by = gr.Radio(
        [("sentences", "sentences"), ("clauses", "clauses")], value="sentences", label="Add", elem_id="learn-by"
    )
    with gr.Column(visible=False, elem_id="learn-swaps") as swaps:
        kind = gr.Radio(list(CLAIM_KINDS), value="count", label="What is swapped", elem_id="learn-kind")
        true_text = gr.Textbox(label="True sentence", lines=2, elem_id="learn-true")
        false_text = gr.Textbox(label="False sentence", lines=2, elem_id="learn-false")
    with gr.Column(visible=False, elem_id="learn-rewords") as rewords:
        again = gr.Textbox(
            label="The same in other words", lines=5, max_lines=12, elem_id="learn-again",
            info="As true as the description, and told by somebody else.",
        )  # fmt: skip
    with gr.Row(elem_classes="run-row"):
        run = gr.Button("Run", variant="primary", scale=3, min_width=120, elem_id="learn-run")
        stop = gr.Button("Stop", scale=1, min_width=70)
    return Task(
        lessons, gr.State(None), gr.State(None), picture, strip, tile_id, another, own, text, meter, reading, mode, by,
        swaps, kind, true_text, false_text, rewords, again, run, stop,
    )  # fmt: skip


def _display(plan: gr.HTML) -> Display:
    stage = gr.HTML(empty(_START), elem_id="learn-stage")
    with gr.Row(visible=False, elem_classes="steps-row") as steps:
        back = gr.Button("Back", scale=1, min_width=90, elem_id="learn-back")
        further = gr.Button("Next", variant="primary", scale=3, min_width=160, elem_id="learn-next")
        everything = gr.Button("Show all", scale=1, min_width=100, elem_id="learn-all")
    table = gr.HTML("", elem_id="learn-table")
    with gr.Row(visible=False, elem_classes="papers") as papers:
        take = gr.DownloadButton("Download the hand-out", elem_id="learn-take")
        paper = gr.Button("Print the hand-out", elem_id="learn-print")
        teacher = gr.DownloadButton("Teacher's sheet", elem_id="learn-teacher")
    gr.HTML(glossary(), elem_id="learn-glossary")
    result, step = gr.State(None), gr.State(1)
    mark = answered.lay_out("learn")
    return Display(
        plan, stage, steps, back, further, everything, table, result, step, papers, take, paper, teacher, mark
    )  # fmt: skip


def wire(collections: Collections, demo: gr.Blocks, page: LearnPage) -> None:
    """Connect the tab's parts; work that nobody waits for any more is stopped."""
    _wire_lessons(collections, page)
    _wire_tiles(collections, page)
    _wire_task(collections, page.task)
    _wire_run(collections, demo, page)
    _wire_steps(collections, page.display)


def _tile_values(
    task: Task,
    state: AppState,
    subject: Subject,
    *,
    kind: str,
    text: str | None = None,
    lesson: int | None = None,
) -> dict[Block, Any]:
    """Return the values of the task that put a tile or a picture into it.

    Args:
        task: the components.
        state: the collection.
        subject: the tile or the picture.
        kind: of the claim that is swapped.
        text: the description; None for the one that is known of the tile.
        lesson: index of the lesson that begins; None for a tile of the visitor's own.
    """
    picture = shrunk(picture_of(state, subject), THUMB_PX)
    description = text_of_tile(state, subject) if text is None else text
    true_text, false_text = prepared_pair(state, subject, kind) or ("", "")
    return {
        task.tile: SubjectRef(state.source.spec, subject),
        task.picture: gr.Image(picture, visible=True),
        task.tile_id: "" if isinstance(subject, OwnPicture) else subject,
        task.text: gr.Textbox(description, placeholder=_NO_TEXT),
        task.true_text: true_text,
        task.false_text: false_text,
        task.again: other_wording(state, subject),
        task.lesson: lesson,
    }


def _start_values(display: Display, plan: str = "") -> dict[Block, Any]:
    """Return the values of the display before a run; `plan` is that of a lesson, as HTML."""
    return {
        display.plan: plan,
        display.stage: empty(_START),
        display.table: "",
        display.result: None,
        display.steps: gr.Row(visible=False),
        display.papers: gr.Row(visible=False),
        display.answered: answered.no_answer("learn"),
    }


def _wire_lessons(collections: Collections, page: LearnPage) -> None:
    task, display = page.task, page.display

    def begin(number: int) -> dict[Block, Any]:
        lesson = LESSONS[number]
        state, text = collections.of(spec_of_landscape(collections)), text_of(collections, lesson)
        return {
            **_tile_values(task, state, lesson.tile_id, kind=lesson.kind, text=text, lesson=number),
            task.mode: gr.Radio(value=lesson.mode),
            task.swaps: gr.Column(visible=lesson.mode == "swap"),
            task.rewords: gr.Column(visible=lesson.mode == "reword"),
            task.kind: gr.Radio(value=lesson.kind),
            **_start_values(display, lesson_plan(lesson)),
        }

    def begins(number: int) -> Any:
        return for_page(lambda: begin(number))

    for number, button in enumerate(task.lessons):
        button.click(
            begins(number), None, [*task.of_a_tile, *task.of_a_lesson, *display.of_a_start],
            show_progress="hidden", **INTERNAL,
        ).then(None, None, None, js=FILLED_JS.replace("ID", f"lesson-{number + 1}")).then(
            None, None, None, js=click_js("learn-run")
        )  # fmt: skip


def _wire_tiles(collections: Collections, page: LearnPage) -> None:
    task, display, tiles = page.task, page.display, page.strip.tiles

    def own_tile(spec: str, subject: Subject, kind: str) -> dict[Block, Any]:
        return {**_tile_values(task, collections.of(spec), subject, kind=kind), **_start_values(display)}

    def brought(values: dict[Block, Any]) -> dict[Block, Any]:
        return own_tile(values[tiles].spec, OwnPicture.of(uploaded(values[task.own])), values[task.kind])

    def take(values: dict[Block, Any], event: gr.SelectData) -> dict[Block, Any]:
        strip: StripTiles = values[tiles]
        return own_tile(strip.spec, strip.clicked(event), values[task.kind])

    def named(values: dict[Block, Any]) -> dict[Block, Any]:
        ref: SubjectRef | StripTiles = values[task.tile] or values[tiles]
        return own_tile(ref.spec, values[task.tile_id].strip(), values[task.kind])

    def surprise(values: dict[Block, Any]) -> dict[Block, Any]:
        spec = values[tiles].spec
        return own_tile(spec, random.choice(collections.of(spec).tile_ids()), values[task.kind])

    outputs = [*task.of_a_tile, *display.of_a_start]
    filled: dict[str, Any] = {"outputs": outputs, "show_progress": "hidden", **INTERNAL}
    task.strip.gallery.select(for_page(take), {tiles, task.kind}, **filled)
    task.tile_id.submit(for_page(named), {task.tile_id, task.tile, tiles, task.kind}, **filled)
    task.own.upload(for_page(brought), {task.own, tiles, task.kind}, **filled, **UPLOAD)
    task.another.click(for_page(surprise), {tiles, task.kind}, **filled).then(
        None, None, None, js=FILLED_JS.replace("ID", "learn-another")
    )


def _wire_task(collections: Collections, task: Task) -> None:
    def pair(ref: SubjectRef | None, kind: str) -> dict[Block, Any]:
        sentences = None if ref is None else prepared_pair(collections.of(ref.spec), ref.subject, kind)
        if ref is not None and sentences is None:
            gr.Info(_NO_PAIR)
        true_text, false_text = sentences or ("", "")
        return {task.true_text: true_text, task.false_text: false_text}

    def choose_mode(mode: str) -> dict[Block, Any]:
        return {
            task.swaps: gr.Column(visible=mode == "swap"),
            task.rewords: gr.Column(visible=mode == "reword"),
            task.by: gr.Radio(visible=mode == "grow"),
        }

    task.kind.input(
        for_page(pair), [task.tile, task.kind], [task.true_text, task.false_text], show_progress="hidden", **INTERNAL
    )
    wire_meter(collections.first, task.text, task.meter, task.reading)
    task.mode.change(choose_mode, task.mode, [task.swaps, task.rewords, task.by], **QUICK)


def _wire_run(collections: Collections, demo: gr.Blocks, page: LearnPage) -> None:
    task, display, stops = page.task, page.display, StopFlags()

    def run(
        values: dict[Block, Any],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio finds it as a default)
    ) -> dict[Block, Any]:
        ref: SubjectRef | None = values[task.tile]
        if ref is None:
            raise TileSourceError("no tile is chosen; choose a lesson or one of the tiles")
        state, flag = collections.of(ref.spec), stops.start(str(request.session_hash))

        def on_progress(done: int, total: int) -> None:
            progress((done, total), desc="Reading", unit="texts")

        result = _result(task, state, values, on_progress, flag)
        path, answers = (_hand_out(state, result, values[task.lesson], teacher=one) for one in (False, True))
        return {
            display.result: result,
            **_step_values(display, state, result, 1),
            display.steps: gr.Row(visible=isinstance(result, Grown) and len(result.steps) > 1),
            display.papers: gr.Row(visible=True),
            display.take: gr.DownloadButton(value=str(path)),
            display.teacher: gr.DownloadButton(value=str(answers)),
            display.answered: answered.mark("learn"),
        }

    def stop(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    task.run.click(
        for_page(run),
        task.inputs,
        display.of_a_run,
        show_progress_on=display.stage,
        trigger_mode="always_last",
        **ENCODING,
        **INTERNAL,
    ).success(None, None, None, js=_SHOW_STAGE)
    task.stop.click(stop, None, None, **QUICK)
    display.paper.click(None, display.take, None, js=_PRINT)
    demo.unload(stop)


def _result(
    task: Task, state: AppState, values: Mapping[Block, Any], on_progress: Progress, stop: threading.Event
) -> Result:
    """Grow, reorder, swap or reword the description, as the task's mode says.

    Args:
        task: the components.
        state: the tile's collection.
        values: of `task.inputs`, by component.
        on_progress: called with texts read and texts in all.
        stop: set it to end early.

    Raises:
        LRSCLIPError: a text or the tile makes no sense, or `stop` was set.
    """
    subject, text = values[task.tile].subject, values[task.text] or ""
    if values[task.mode] == "swap":
        pair = values[task.true_text] or "", values[task.false_text] or ""
        return swap(state, subject, *pair, values[task.kind] or "", text)
    if values[task.mode] == "reword":
        return reword(state, subject, text, values[task.again] or "")
    if values[task.mode] == "order":
        orders = reorder(state, subject, text, progress=on_progress, stop=stop)
        return replace(orders, grown=grow(state, subject, text, stop=stop))
    return grow(state, subject, text, values[task.by], progress=on_progress, stop=stop)


def _hand_out(state: AppState, result: Result, lesson: int | None, *, teacher: bool) -> Path:
    """Write the hand-out of a result to a file that Gradio serves.

    Args:
        state: the collection.
        result: of a run on one of its tiles.
        lesson: index of the lesson that it belongs to, or None.
        teacher: whether it has the answers.
    """
    html = sheet(
        result,
        picture=picture_of(state, result.subject),
        lesson=None if lesson is None else LESSONS[lesson],
        teacher=teacher,
        model=state.bundle.name,
        source=_source(state, result.subject),
    )
    own_folder().trim_made()
    path = own_folder().new_place("teacher-sheet.html" if teacher else "hand-out.html")
    path.write_text(html, encoding="utf-8")
    return path


def _source(state: AppState, subject: Subject) -> str:
    """Say who made the picture."""
    if isinstance(subject, OwnPicture):
        return name_of(subject)
    return state.index.tile(subject).attribution or "the server's own tiles"


def _step_values(display: Display, state: AppState, result: Result, step: int) -> dict[Block, Any]:
    """Return the values of the display at a step of a result.

    Args:
        display: the components.
        state: the result's collection.
        result: of a run.
        step: number of steps on display, from 1; clipped to those of the result.
    """
    if not isinstance(result, Grown):
        return {display.step: step, display.stage: _stage_of(result), display.table: ""}
    step = min(max(1, step), len(result.steps))
    picture, last = picture_of(state, result.subject), step == len(result.steps)
    return {
        display.step: step,
        display.stage: grown_stage(result, step, picture, _first(state, result, step)),
        display.table: grown_table(result, step, picture),
        display.back: gr.Button(interactive=step > 1),
        display.further: gr.Button(interactive=not last),
        display.all: gr.Button(interactive=not last),
    }


def _stage_of(result: Orders | Reworded | Swapped) -> Markup:
    """Draw a result without steps."""
    if isinstance(result, Orders):
        return orders_stage(result)
    return reword_stage(result) if isinstance(result, Reworded) else swap_stage(result)


def _first(state: AppState, grown: Grown, step: int) -> Image.Image | None:
    """Return a thumbnail of the tile that ranks first at a step, from 1; None if it is the right one."""
    first_id = grown.steps[step - 1].wide.standing.first_id
    return None if first_id == grown.name else thumbnail(state, first_id)


def _wire_steps(collections: Collections, display: Display) -> None:
    def move(by: int) -> Any:
        def moved(result: Result | None, step: int) -> dict[Block, Any]:
            if result is None:
                return gr.skip()
            return _step_values(display, collections.of(result.spec), result, step + by)

        return for_page(moved)

    for button, by in ((display.back, -1), (display.further, 1), (display.all, 1000)):
        pressed = button.click(  # in the queue, so that it can be said if the collection was closed
            move(by), [display.result, display.step], display.of_a_step, show_progress="hidden", **INTERNAL
        )
        pressed.then(None, None, None, js=_KEEP_FOCUS.replace("ID", str(button.elem_id)), **QUICK)


_SHOW_STAGE = show_js("learn-stage", 0.4)  # low, because a projector's window is low too
# A button that cannot be pressed any further loses the focus, and who works with keys would begin at the page's top.
# The stage before the buttons takes it: on another button, one more Enter would undo the step. A button that was only
# drawn anew gets it back.
_KEEP_FOCUS = """() => setTimeout(() => {
  const lost = !document.activeElement || document.activeElement === document.body || document.activeElement.disabled;
  const stage = document.getElementById("learn-stage");
  if (!lost || !stage) return;
  const own = document.getElementById("ID");
  if (own && !own.disabled) return own.focus({preventScroll: true});
  stage.tabIndex = -1;
  stage.focus({preventScroll: true});
}, 50)"""
# Printed from a frame in which no script can run, so that nothing has to be opened or saved first.
_PRINT = """async (file) => {
  if (!file) return;
  const page = await (await fetch(file.url)).text();
  document.getElementById("learn-paper")?.remove();
  const frame = document.createElement("iframe");
  frame.id = "learn-paper";
  frame.title = "Hand-out to print";
  frame.setAttribute("sandbox", "allow-same-origin allow-modals");
  frame.style.cssText = "position:fixed;width:0;height:0;border:0;";
  frame.srcdoc = page;
  frame.onload = () => frame.contentWindow.print();
  document.body.append(frame);
}"""
