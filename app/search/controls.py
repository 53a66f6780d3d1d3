"""The left side of the Search tab: the visitor's input, and the query made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from app.collections import AppState, Collections
from app.maps.results_map import has_places
from app.media.images import data_url, shrunk, thumbnail, upload_box, uploaded
from app.search.html import EXCLUDE_WHY, like_note
from app.search.service import EXAMPLES, MAX_HITS, START_EXCLUDE_WEIGHT, START_HITS, START_IMAGE_WEIGHT, Query
from app.server.events import FILLED_JS, QUICK
from app.server.upload_folder import Upload
from app.ui.html import hint, token_meter, why
from app.ui.token_counter import wire_meter
from lrsclip.index import parse_area

LIKE_PX = 72  # of the picture beside the controls
_LIMITS = ("like", "exclude", "area", "least", "duplicates")


@dataclass(frozen=True)
class Controls:
    """The components of the visitor's input.

    `like` holds the id of the tile that is searched by; `clear` the buttons, which nobody sees, that chips over the
    results press, by what they take away.
    """

    text: gr.Textbox
    meter: gr.HTML
    reading: gr.HTML
    button: gr.Button
    examples: list[gr.Button]
    count: gr.Slider
    exclude: gr.Textbox
    exclude_weight: gr.Slider
    picture: gr.Image
    like: gr.State
    like_note: gr.HTML
    forget: gr.Button
    picture_weight: gr.Slider
    by_picture: gr.Accordion
    area: gr.Textbox
    area_buttons: gr.Row
    take_view: gr.Button
    draw: gr.Button
    polygon: gr.Button
    clear_area: gr.Button
    by_area: gr.Accordion
    least: gr.Slider
    hide: gr.Checkbox
    clear: dict[str, gr.Button]

    @property
    def inputs(self) -> set[Component]:
        """Components that `query_of` reads; events with them pass `UPLOAD`."""
        image = {self.picture, self.like, self.picture_weight}
        return {self.text, self.exclude, self.exclude_weight, *image, self.count, self.least, self.hide, self.area}

    @property
    def of_limits(self) -> list[Block]:
        """Components that `cleared` gives values for."""
        return [self.like, self.like_note, self.forget, self.picture, self.picture_weight, self.exclude, self.area,
                self.least, self.hide]  # fmt: skip

    @property
    def of_a_link(self) -> list[Block]:
        """Components that a link restores."""
        folds = [self.by_picture, self.by_area]
        return [self.text, self.exclude_weight, self.count, *self.of_limits, *folds]

    @property
    def of_a_collection(self) -> list[Block]:
        """Components that `fresh_controls` gives values for."""
        return [self.like, self.like_note, self.forget, self.area, self.area_buttons]


def query_of(controls: Controls, values: Mapping[Block, Any]) -> Query:
    """Make the query of the controls' values; an emptied number box counts as its start value.

    Args:
        controls: the components.
        values: of `controls.inputs`, by component.

    Raises:
        LRSCLIPError: a number, the image or the area makes no sense.
    """
    upload: Upload | None = values[controls.picture]
    area = parse_area(values[controls.area] or "")
    exclude_weight, image_weight = values[controls.exclude_weight], values[controls.picture_weight]
    return Query(
        text=values[controls.text] or "",
        exclude=values[controls.exclude] or "",
        exclude_weight=START_EXCLUDE_WEIGHT if exclude_weight is None else float(exclude_weight),
        like=values[controls.like] or "",
        image=uploaded(upload) if upload is not None else None,
        image_weight=START_IMAGE_WEIGHT if image_weight is None else float(image_weight),
        k=START_HITS if values[controls.count] is None else int(values[controls.count]),
        min_score_cos=float(values[controls.least] or 0) or None,
        hide_duplicates=bool(values[controls.hide]),
        bbox_lonlat=area.bbox_lonlat,
        polygon_lonlat=area.polygon_lonlat,
    )


def liked_tile(state: AppState, tile_id: str) -> str:
    """Render the tile that is searched by, as it stands beside the controls."""
    return like_note(tile_id, data_url(shrunk(thumbnail(state, tile_id), LIKE_PX), "JPEG"))


def fresh_controls(controls: Controls, state: AppState) -> dict[Block, Any]:
    """Return the values of all components that depend on the collection, as before any search of it."""
    no_area = {controls.area: "", controls.area_buttons: gr.Row(visible=has_places(state))}
    return _nothing_liked(controls) | no_area


def lay_out_controls(state: AppState) -> Controls:
    """Put the controls on the page."""
    text = gr.Textbox(
        label="Description",
        placeholder="What should the picture show? Several sentences are welcome.",
        lines=8,
        max_lines=14,
        autofocus=True,
        elem_id="description",
    )
    meter = gr.HTML(token_meter(None, state.bundle.context_length), elem_id="meter")
    button = gr.Button("Search", variant="primary", elem_id="search-button")
    reading = gr.HTML("", elem_id="reading", elem_classes="if-any")
    with gr.Row(elem_classes="pills"):
        gr.HTML(hint("Examples"))
        examples = [
            gr.Button(
                example.title, size="sm", min_width=60, elem_id=f"example-{n}", elem_classes="fills-search-button"
            )
            for n, example in enumerate(EXAMPLES)
        ]
    count = gr.Slider(1, MAX_HITS, value=START_HITS, step=1, label="How many pictures", buttons=[])
    with gr.Group(elem_classes="plain"):
        exclude = gr.Textbox(
            label="Leave out", placeholder="for example: parked cars", lines=1, max_lines=4, elem_id="exclude"
        )
        gr.HTML(why(EXCLUDE_WHY))
    by_picture, picture_parts = _by_picture()
    by_area, (area, area_buttons, take_view, draw, polygon, anywhere) = _by_area(state)
    with gr.Accordion("More settings", open=False, elem_id="more-settings"):
        least = gr.Slider(
            0, 1, value=0, step=0.01, label="Minimum score", info="0: no limit.", buttons=[], elem_id="least"
        )
        exclude_weight = gr.Slider(
            0, 1, value=START_EXCLUDE_WEIGHT, step=0.05, label="Strength of leaving out", buttons=[]
        )
        hide = gr.Checkbox(True, label="Hide near-duplicates", elem_id="hide")
    clear = {name: gr.Button(f"Remove {name}", visible="hidden", elem_id=f"clear-{name}") for name in _LIMITS}
    return Controls(
        text, meter, reading, button, examples, count, exclude, exclude_weight, *picture_parts, by_picture,
        area, area_buttons, take_view, draw, polygon, anywhere, by_area, least, hide, clear,
    )  # fmt: skip


def _by_picture() -> tuple[gr.Accordion, tuple[gr.Image, gr.State, gr.HTML, gr.Button, gr.Slider]]:
    with gr.Accordion("Search by picture", open=False, elem_id="by-picture") as accordion:
        picture = upload_box(label="Picture", height=200, elem_id="search-picture")
        like_note = gr.HTML("", elem_id="like", elem_classes="if-any")
        forget = gr.Button("Forget this tile", size="sm", visible=False, elem_id="forget")
        weight = gr.Slider(
            0,
            1,
            value=START_IMAGE_WEIGHT,
            step=0.05,
            label="Balance",
            info="0: the text alone, 1: the picture alone.",
            buttons=[],
            elem_id="picture-weight",
        )
    return accordion, (picture, gr.State(""), like_note, forget, weight)


def _by_area(
    state: AppState,
) -> tuple[gr.Accordion, tuple[gr.Textbox, gr.Row, gr.Button, gr.Button, gr.Button, gr.Button]]:
    with gr.Accordion("Area", open=False, elem_id="by-area") as accordion:
        area = gr.Textbox(
            label="West, south, east, north",
            info="In degrees; or longitude and latitude of a polygon's corners. A tile counts if its center is inside.",
            placeholder="-95.4, 29.7, -95.3, 29.8",
            lines=1,
            max_lines=1,
            elem_id="area",
        )
        with gr.Row(elem_classes="pills", visible=has_places(state)) as buttons:
            take_view = gr.Button("Take the map's view", size="sm", min_width=60, elem_id="take-view")
            draw = gr.Button("Draw a box", size="sm", min_width=60, elem_id="draw-area")
            polygon = gr.Button("Draw a polygon", size="sm", min_width=60, elem_id="draw-polygon")
            clear = gr.Button("Anywhere", size="sm", min_width=60, elem_id="clear-area")
    return accordion, (area, buttons, take_view, draw, polygon, clear)


def wire_controls(collections: Collections, controls: Controls) -> None:
    """Connect the events that concern the controls alone."""
    wire_meter(collections.first, controls.text, controls.meter, controls.reading)
    liked = [controls.like, controls.like_note, controls.forget]
    pictures = [*liked, controls.picture, controls.picture_weight]

    def forget_tile() -> dict[Block, Any]:
        return _nothing_liked(controls)

    def forget_picture() -> dict[Block, Any]:
        return _nothing_liked(controls) | {controls.picture: None, controls.picture_weight: START_IMAGE_WEIGHT}

    for n, (button, example) in enumerate(zip(controls.examples, EXAMPLES, strict=True)):
        # in the browser, without a way to the server: the text is there at once
        button.click(None, None, controls.text, js=_giving(example.text), **QUICK).then(
            forget_picture, None, pictures, **QUICK
        ).then(None, None, None, js=FILLED_JS.replace("ID", f"example-{n}"), **QUICK)
    for event in (controls.forget.click, controls.picture.upload):
        event(forget_tile, None, liked, **QUICK)
    controls.take_view.click(None, None, None, js=_ask_map("view"), **QUICK)
    controls.draw.click(None, None, None, js=_ask_map("draw"), **QUICK)
    controls.polygon.click(None, None, None, js=_ask_map("polygon"), **QUICK)
    controls.clear_area.click(None, None, controls.area, js=_ask_map("clear", "''"), **QUICK).then(
        None, None, None, js="() => window.lrsclipSearchAgain?.()", **QUICK
    )


def cleared(controls: Controls, limit: str) -> dict[Block, Any]:
    """Return the values without one of the limits in force."""
    if limit == "like":
        return _nothing_liked(controls) | {controls.picture: None, controls.picture_weight: START_IMAGE_WEIGHT}
    one: dict[str, tuple[Component, Any]] = {
        "exclude": (controls.exclude, ""),
        "area": (controls.area, ""),
        "least": (controls.least, 0),
        "duplicates": (controls.hide, True),
    }
    component, value = one[limit]
    return {component: value}


def _nothing_liked(controls: Controls) -> dict[Block, Any]:
    return {controls.like: "", controls.like_note: "", controls.forget: gr.Button(visible=False)}


def _ask_map(what: str, answer: str = "[]") -> str:
    # in focus, so that it hears Escape
    scroll = (
        'map.scrollIntoView({block: "center"}); map.focus({preventScroll: true});'
        if what in ("draw", "polygon")
        else ""
    )
    return (
        '() => { const map = document.querySelector("iframe.places-map"); '
        f'if (map) {{ {scroll} map.contentWindow.postMessage({{ask: "{what}"}}, "*"); }} return {answer}; }}'
    )


def _giving(text: str) -> str:
    return f"() => {json.dumps(text)}"
