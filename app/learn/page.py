"""The Learn tab: a class sees why long text matters, what 77 tokens lose, and what the model does not notice."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from app.collections import AppState, Collections
from app.learn.html import grown_stage, grown_table, lesson_plan, orders_stage, swap_stage
from app.learn.lessons import LESSONS, spec_of_landscape, text_of
from app.learn.service import Grown, Orders, Part, grow, reorder, tile_text
from app.learn.sheet import Result, sheet
from app.learn.swap import prepared_pair, swap
from app.media.images import THUMB_PX, shrunk, thumbnail, tile_picture
from app.server.concurrency import StopFlags
from app.server.events import ENCODING, FILLED_JS, INTERNAL, QUICK, for_page, show_js
from app.server.upload_folder import own_folder
from app.ui.html import empty, hint, token_meter
from app.ui.tile_picker import Shown as Tiles
from app.ui.tile_picker import TileStrip
from app.ui.token_counter import meter_of
from lrsclip.atlas.statement import CLAIM_KINDS
from lrsclip.errors import TileSourceError

_START = "Choose a lesson, or a tile of your own. Then press Run."
_NO_TILE = "The description of the lesson or the tile appears here. You can change it."
_NO_TEXT = "This tile has no description. Write what it shows: two sentences or more."
_NO_PAIR = "Nothing of this kind is known of the tile. Write both sentences yourself."
_MODES = [("Grow", "grow"), ("Reorder", "order"), ("Swap", "swap")]


@dataclass(frozen=True)
class Chosen:
    """The tile that is worked with."""

    spec: str
    tile_id: str


@dataclass(frozen=True)
class Task:
    """What the visitor fills in; `chosen` holds the tile, `lesson` the number of the lesson or None."""

    lessons: list[gr.Button]
    lesson: gr.State
    chosen: gr.State
    picture: gr.Image
    strip: TileStrip
    tile_id: gr.Textbox
    another: gr.Button
    text: gr.Textbox
    meter: gr.HTML
    reading: gr.HTML
    mode: gr.Radio
    by: gr.Radio
    swaps: gr.Column
    kind: gr.Radio
    true_text: gr.Textbox
    false_text: gr.Textbox
    run: gr.Button
    stop: gr.Button

    @property
    def of_tile(self) -> list[gr.components.Component]:
        """What choosing a tile fills."""
        return [self.chosen, self.picture, self.tile_id, self.text, self.true_text, self.false_text, self.lesson]


@dataclass(frozen=True)
class Shown:
    """What the class sees; `result` holds the last run, `step` how much of it is shown."""

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

    @property
    def of_step(self) -> list[gr.components.Component]:
        """What another step changes."""
        return [self.step, self.stage, self.table, self.back, self.further, self.all]

    @property
    def of_run(self) -> list[Any]:
        """What a run changes."""
        return [self.result, *self.of_step, self.steps, self.papers, self.take]


@dataclass(frozen=True)
class LearnPage:
    """The tab's parts that events speak of."""

    task: Task
    shown: Shown

    @property
    def strip(self) -> TileStrip:
        """The tiles to choose from."""
        return self.task.strip


def lay_out(state: AppState) -> LearnPage:
    """Put the tab's parts on the page."""
    with gr.Row(elem_classes="columns", elem_id="learn"):
        with gr.Column(scale=3, min_width=300, elem_classes="side"):
            task = _task(state)
        with gr.Column(scale=9, min_width=300):
            shown = _shown()
    return LearnPage(task, shown)


def _task(state: AppState) -> Task:
    gr.HTML(hint("Lessons of 10 minutes"))
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
    with gr.Row(elem_classes="run-row"):
        run = gr.Button("Run", variant="primary", scale=3, min_width=120, elem_id="learn-run")
        stop = gr.Button("Stop", scale=1, min_width=70)
    return Task(
        lessons, gr.State(None), gr.State(None), picture, strip, tile_id, another, text, meter, reading, mode, by,
        swaps, kind, true_text, false_text, run, stop,
    )  # fmt: skip


def _shown() -> Shown:
    plan = gr.HTML("", elem_id="learn-plan", elem_classes="if-any")
    stage = gr.HTML(empty(_START), elem_id="learn-stage")
    with gr.Row(visible=False, elem_classes="steps-row") as steps:
        back = gr.Button("Back", scale=1, min_width=90)
        further = gr.Button("Next", variant="primary", scale=3, min_width=160, elem_id="learn-next")
        everything = gr.Button("Show all", scale=1, min_width=100)
    table = gr.HTML("", elem_id="learn-table")
    with gr.Row(visible=False, elem_classes="papers") as papers:
        take = gr.DownloadButton("Download the hand-out", elem_id="learn-take")
        paper = gr.Button("Print the hand-out", elem_id="learn-print")
    return Shown(plan, stage, steps, back, further, everything, table, gr.State(None), gr.State(1), papers, take, paper)


def wire(collections: Collections, demo: gr.Blocks, page: LearnPage) -> None:
    """Connect the tab's parts; work that nobody waits for any more is stopped."""
    _wire_choice(collections, page)
    _wire_run(collections, demo, page)
    _wire_steps(collections, page)


def _tile_values(
    collections: Collections, spec: str, tile_id: str, text: str | None, kind: str, lesson: int | None
) -> tuple[Any, ...]:
    """Values for what choosing a tile fills."""
    state = collections.of(spec)
    picture = shrunk(tile_picture(state, tile_id), THUMB_PX)
    told = tile_text(state, tile_id) if text is None else text
    true_text, false_text = prepared_pair(state, tile_id, kind) or ("", "")
    shown = gr.Textbox(told, placeholder=_NO_TEXT)
    return Chosen(spec, tile_id), gr.Image(picture, visible=True), tile_id, shown, true_text, false_text, lesson


def _wire_choice(collections: Collections, page: LearnPage) -> None:
    task, shown = page.task, page.shown
    cleared = [shown.plan, shown.stage, shown.table, shown.result, shown.steps, shown.papers]

    def blank(plan: str = "") -> tuple[Any, ...]:
        return plan, empty(_START), "", None, gr.Row(visible=False), gr.Row(visible=False)

    def begin(number: int) -> tuple[Any, ...]:
        lesson = LESSONS[number]
        spec = spec_of_landscape(collections)
        text = text_of(collections, lesson)
        values = _tile_values(collections, spec, lesson.tile_id, text, lesson.kind, number)
        modes = gr.Radio(value=lesson.mode), gr.Column(visible=lesson.mode == "swap"), gr.Radio(value=lesson.kind)
        return *values, *modes, *blank(lesson_plan(lesson))

    def begins(number: int) -> Any:
        return for_page(lambda: begin(number))

    for number, button in enumerate(task.lessons):
        button.click(
            begins(number), None, [*task.of_tile, task.mode, task.swaps, task.kind, *cleared],
            show_progress="hidden", **INTERNAL,
        ).then(None, None, None, js=FILLED_JS.replace("ID", f"lesson-{number + 1}"))  # fmt: skip

    def take(where: Tiles, kind: str, event: gr.SelectData) -> tuple[Any, ...]:
        tile_id = where.clicked(event)
        return *_tile_values(collections, where.spec, tile_id, None, kind, None), *blank()

    def named(tile_id: str, chosen: Chosen | None, where: Tiles, kind: str) -> tuple[Any, ...]:
        spec = chosen.spec if chosen is not None else where.spec
        return *_tile_values(collections, spec, tile_id.strip(), None, kind, None), *blank()

    def surprise(where: Tiles, kind: str) -> tuple[Any, ...]:
        tile_id = random.choice(collections.of(where.spec).tile_ids())
        return *_tile_values(collections, where.spec, tile_id, None, kind, None), *blank()

    def pair(chosen: Chosen | None, kind: str) -> tuple[str, str]:
        found = None if chosen is None else prepared_pair(collections.of(chosen.spec), chosen.tile_id, kind)
        if chosen is not None and found is None:
            gr.Info(_NO_PAIR)
        return found or ("", "")

    filled: dict[str, Any] = {"outputs": [*task.of_tile, *cleared], "show_progress": "hidden", **INTERNAL}
    where = task.strip.shown
    task.strip.gallery.select(for_page(take), [where, task.kind], **filled)
    task.tile_id.submit(for_page(named), [task.tile_id, task.chosen, where, task.kind], **filled)
    task.another.click(for_page(surprise), [where, task.kind], **filled).then(
        None, None, None, js=FILLED_JS.replace("ID", "learn-another")
    )
    task.kind.input(
        for_page(pair), [task.chosen, task.kind], [task.true_text, task.false_text], show_progress="hidden", **INTERNAL
    )
    task.text.change(meter_of(collections.first), task.text, [task.meter, task.reading], **QUICK)
    task.mode.change(
        lambda mode: (gr.Column(visible=mode == "swap"), gr.Radio(visible=mode == "grow")),
        task.mode, [task.swaps, task.by], **QUICK,
    )  # fmt: skip


def _wire_run(collections: Collections, demo: gr.Blocks, page: LearnPage) -> None:
    task, shown, stops = page.task, page.shown, StopFlags()

    def run(
        chosen: Chosen | None,
        lesson: int | None,
        text: str,
        mode: str,
        by: Part,
        kind: str,
        true_text: str,
        false_text: str,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio finds it as a default)
    ) -> Any:
        if chosen is None:
            raise TileSourceError("no tile is chosen; choose a lesson or one of the tiles")
        state, stop = collections.of(chosen.spec), stops.start(str(request.session_hash))

        def told(done: int, total: int) -> None:
            progress((done, total), desc="Reading", unit="texts")

        result: Result
        if mode == "swap":
            result = swap(state, chosen.tile_id, true_text or "", false_text or "", kind or "", text or "")
        elif mode == "order":
            result = reorder(state, chosen.tile_id, text or "", progress=told, stop=stop)
        else:
            result = grow(state, chosen.tile_id, text or "", by, progress=told, stop=stop)
        written = sheet(
            result,
            picture=tile_picture(state, chosen.tile_id),
            lesson=None if lesson is None else LESSONS[lesson],
            model=state.bundle.name,
            source=state.index.tile(chosen.tile_id).attribution or "the server's own tiles",
        )
        path = own_folder().new_place("hand-out.html")
        path.write_text(written, encoding="utf-8")
        many = isinstance(result, Grown) and len(result.steps) > 1
        papers = gr.Row(visible=True), gr.DownloadButton(value=str(path))
        return result, *_step_values(collections, result, 1), gr.Row(visible=many), *papers

    def stop(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    asked = [task.chosen, task.lesson, task.text, task.mode, task.by, task.kind, task.true_text, task.false_text]
    done = task.run.click(for_page(run), asked, shown.of_run, show_progress_on=shown.stage, **ENCODING, **INTERNAL)
    done.success(None, None, None, js=_SHOW_STAGE)
    task.stop.click(stop, None, None, **QUICK)
    shown.paper.click(None, shown.take, None, js=_PRINT)
    demo.unload(stop)


def _step_values(collections: Collections, result: Result, step: int) -> tuple[Any, ...]:
    """Values for what another step changes."""
    state = collections.of(result.spec)
    if not isinstance(result, Grown):
        stage = orders_stage(result) if isinstance(result, Orders) else swap_stage(result)
        return step, stage, "", gr.Button(), gr.Button(), gr.Button()
    step = min(max(1, step), len(result.steps))
    picture, last = tile_picture(state, result.tile_id), step == len(result.steps)
    stage = grown_stage(result, step, picture, _first(state, result, step))
    buttons = gr.Button(interactive=step > 1), gr.Button(interactive=not last), gr.Button(interactive=not last)
    return step, stage, grown_table(result, step, picture), *buttons


def _first(state: AppState, grown: Grown, step: int) -> Image.Image | None:
    found = grown.steps[step - 1].wide.standing.first_id
    return None if found == grown.tile_id else thumbnail(state, found)


def _wire_steps(collections: Collections, page: LearnPage) -> None:
    shown = page.shown

    def move(by: int) -> Any:
        def moved(result: Result | None, step: int) -> Any:
            return gr.skip() if result is None else _step_values(collections, result, step + by)

        return for_page(moved)

    for button, by in ((shown.back, -1), (shown.further, 1), (shown.all, 1000)):
        pressed = button.click(  # in the queue, so that it can be said if the collection was closed
            move(by), [shown.result, shown.step], shown.of_step, show_progress="hidden", **INTERNAL
        )
        pressed.then(None, None, None, js=_KEEP_FOCUS, **QUICK)


_SHOW_STAGE = show_js("learn-stage", 0.4)  # low, because a projector's window is low too
# A button that cannot be pressed any further loses the focus, and who works with keys would begin at the page's top.
# The stage before the buttons takes it: on another button, one more Enter would undo the step.
_KEEP_FOCUS = """() => setTimeout(() => {
  const lost = !document.activeElement || document.activeElement === document.body || document.activeElement.disabled;
  const stage = document.getElementById("learn-stage");
  if (!lost || !stage) return;
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
