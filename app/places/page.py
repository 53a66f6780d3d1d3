"""The Places tab: which tiles are searched, and how to open others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.events import Dependency

from app.collections import FIRST, AppState, Collections
from app.places.choose import (
    DIGITS,
    HALVES_KM,
    SERVICES,
    START_HALF_KM,
    START_ZOOM,
    ZOOMS,
    address_of,
    best_service,
    box_around,
    half_of_box,
    position_text,
    targets_of,
)
from app.places.place_map import place_frame, shown_place
from app.places.service import PRESETS, Preset, look_up, open_collection, shown_bands
from app.search.service import public_address
from app.server.concurrency import StopFlags
from app.server.events import INTERNAL, PLACES, QUICK, for_page
from app.ui.html import collection_facts, empty, hint, plan_facts
from lrsclip.errors import LRSCLIPError, TileSourceError

_HINT = "Choose a place to see how many tiles it has, before anything is downloaded."
_FORMS = """
| write | to search |
|---|---|
| `Paris`, `48.8566, 2.3522` | a city or a position, with 1 km on each side of it |
| `place:37.76,-122.45,2km@17` | a position, half the side, and the level of detail (17: tiles of some 240 m) |
| `place:box=-122.46,37.75,-122.44,37.77@17` | an area: west, south, east, north, as on the Search page |
| `place:...?service=Esri.WorldImagery` | another map service: a name of xyzservices, or an address with {z}, {x}, {y} |
| `hub:owner/name` or `hub:owner/name:split` | the pictures of a data set on the Hugging Face Hub |
| `hub:...?bands=4,3,2` | its bands 4, 3 and 2 as red, green and blue; for folders and rasters too |
| `atlas:?seed=5&tiles=1024` | a rendered landscape |
"""
_LOCAL_FORMS = """| `~/pictures` | a folder of pictures, at any depth |
| `geotiff:~/scenes/*.tif?tile_px=256` | rasters, cut into tiles |
"""
_LANDSCAPES = (("Rendered landscape", "atlas"), ("Another landscape", "atlas:?seed=5&tiles=256"))


@dataclass(frozen=True)
class Where:
    """The parts that choose a place on Earth.

    `at` holds the chosen place, latitude and longitude, or None; `picked` what was clicked or drawn on the map.
    """

    text: gr.Textbox
    targets: gr.Radio
    half_km: gr.Slider
    zoom: gr.Slider
    service: gr.Radio
    presets: list[gr.Button]
    shown: gr.HTML
    picked: gr.Textbox
    at: gr.State


@dataclass(frozen=True)
class PlacesPage:
    """The tab's parts that events speak of.

    Attributes:
        where: chooses a place on Earth.
        address: of the collection to look up or open.
        landscapes: fill in an address each.
        look: looks the address up.
        open: opens it.
        stop: stops the opening.
        plan: facts of what was looked up or opened.
        collection: address of the collection that all tabs search.
        mine: addresses that this visitor opened, a list.
        just_opened: address of a collection that was opened and is not shown yet, or None.
    """

    where: Where
    address: gr.Textbox
    landscapes: list[gr.Button]
    look: gr.Button
    open: gr.Button
    stop: gr.Button
    plan: gr.HTML
    collection: gr.Radio
    mine: gr.State
    just_opened: gr.State

    def chosen(self, collections: Collections, state: AppState, mine: list[str]) -> dict[Block, Any]:
        """Return the values after a collection was opened, or found open."""
        own = [] if state is collections.first else [state.source.spec]
        all_mine = list(dict.fromkeys([*mine, *own]))
        choice = gr.Radio(_choices(collections, all_mine), value=own[0] if own else FIRST)
        return {self.collection: choice, self.mine: all_mine}


def lay_out(collections: Collections) -> PlacesPage:
    """Put the tab's parts on the page."""
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=4, min_width=300, elem_classes="side"):
            with gr.Tabs():
                with gr.Tab("A place on Earth", id="earth"):
                    where = _where()
                with gr.Tab("Other pictures", id="others"):
                    landscapes = _others(collections)
            address = gr.Textbox(
                label="Address of the collection",
                info="Written for you; you can copy or edit it.",
                placeholder="place:37.76,-122.45,2km@17",
                lines=1,
                max_lines=2,
                elem_id="places-address",
            )
            with gr.Row():
                look = gr.Button("Look up", scale=2, min_width=100, elem_id="places-look")
                open_button = gr.Button(
                    "Open", variant="primary", scale=2, min_width=100, interactive=False, elem_id="places-open"
                )
                stop = gr.Button("Stop", scale=1, min_width=70, elem_id="places-stop")
        with gr.Column(scale=8, min_width=300):
            gr.HTML(place_frame(), elem_id="place-map")
            plan = gr.HTML(empty(_HINT), elem_id="places-plan")
            collection = gr.Radio(
                _choices(collections, []), value=FIRST, label="Now searching", elem_id="places-chosen"
            )
    return PlacesPage(
        where, address, landscapes, look, open_button, stop, plan, collection, gr.State([]), gr.State(None)
    )


def _where() -> Where:
    text = gr.Textbox(
        label="Where",
        placeholder="Lisbon · 38.71, -9.14 · a link of a map",
        info="A city, coordinates in any notation, or click on the map.",
        lines=1,
        max_lines=1,
        elem_id="places-where",
    )
    targets = gr.Radio([], label="Which one?", visible=False, elem_id="places-targets")
    with gr.Row():
        half_km = gr.Slider(
            *HALVES_KM, value=START_HALF_KM, step=0.05, label="Half the side, km", buttons=[], elem_id="places-half"
        )
        zoom = gr.Slider(
            *ZOOMS, value=START_ZOOM, step=1, label="Level of detail", info="17: 1 m a pixel", buttons=[],
            elem_id="places-zoom",
        )  # fmt: skip
    service = gr.Radio(
        [(one.title, one.name) for one in SERVICES], value=SERVICES[0].name, label="Imagery", elem_id="places-service"
    )
    with gr.Row(elem_classes="pills"):
        gr.HTML(hint("For example"))
        presets = [
            gr.Button(one.title, size="sm", min_width=60, elem_id=f"place-{number}")
            for number, one in enumerate(PRESETS)
        ]
    shown = gr.HTML(shown_place(None, fly=False), elem_id="shown-place")
    picked = gr.Textbox(label="Picked on the map", visible="hidden", elem_id="places-picked")
    return Where(text, targets, half_km, zoom, service, presets, shown, picked, gr.State(None))


def _others(collections: Collections) -> list[gr.Button]:
    with gr.Row(elem_classes="pills"):
        buttons = [
            gr.Button(title, size="sm", min_width=60, elem_id=f"landscape-{number}")
            for number, (title, _) in enumerate(_LANDSCAPES)
        ]
    gr.Markdown(_FORMS + ("" if collections.untrusted else _LOCAL_FORMS), elem_classes="forms")
    return buttons


def _choices(collections: Collections, mine: list[str]) -> list[tuple[str, str]]:
    """Return the first collection and those that this visitor opened, as pairs of a label and the value sent for it."""
    spec = collections.first.source.spec
    label = public_address(spec) if collections.untrusted else spec
    return [(label or "the tiles of this page", FIRST), *((one, one) for one in mine)]


def wire(collections: Collections, demo: gr.Blocks, page: PlacesPage) -> Dependency:
    """Connect the tab's parts; opening that nobody waits for any more is stopped.

    Returns:
        The event of a collection that was opened.
    """
    stops = StopFlags()
    _wire_where(collections, page)

    def look(spec: str) -> dict[Block, Any]:
        return _looked_up(collections, page, spec)

    def opened(
        values: dict[Block, Any],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio finds it as a default)
    ) -> dict[Block, Any]:
        def on_progress(what: str, done: int, total: int) -> None:
            progress((done, total), desc=what, unit="tiles")

        flag = stops.start(str(request.session_hash))
        state = open_collection(collections, values[page.address], on_progress, flag)
        skipped = [one.reason for one in state.index.manifest.skipped]
        facts = collection_facts(state.source.spec, state.tile_count, skipped, shown_bands(state.source))
        return {
            page.plan: facts,
            page.just_opened: FIRST if state is collections.first else state.source.spec,
            **page.chosen(collections, state, values[page.mine]),
        }

    def forget_plan() -> dict[Block, Any]:
        return {page.open: gr.Button(interactive=False), page.plan: empty(_HINT)}

    def stop(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    looked_up = [page.address, page.plan, page.open]
    for button, (_, spec) in zip(page.landscapes, _LANDSCAPES, strict=True):
        button.click(for_page(_looking(collections, page, spec)), None, looked_up, show_progress="hidden", **INTERNAL)
    page.address.input(forget_plan, None, [page.open, page.plan], **QUICK)
    gr.on(
        [page.look.click, page.address.submit], for_page(look), page.address, looked_up,
        show_progress_on=page.plan, **INTERNAL,
    )  # fmt: skip
    event = page.open.click(
        for_page(opened), {page.address, page.mine}, [page.plan, page.collection, page.mine, page.just_opened],
        show_progress_on=page.plan, **PLACES, **INTERNAL,
    )  # fmt: skip
    page.stop.click(stop, None, None, **QUICK)
    demo.unload(stop)
    demo.load(None, None, None, js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"))
    return event


def _looking(collections: Collections, page: PlacesPage, spec: str) -> Any:
    return lambda: _looked_up(collections, page, spec)


def _looked_up(collections: Collections, page: PlacesPage, spec: str) -> dict[Block, Any]:
    plan = look_up(collections, spec)
    facts = plan_facts(plan.source.spec, len(plan.source), plan.first, plan.work, plan.note, plan.shown)
    written = plan.source.spec if collections.untrusted or ":" in spec else spec
    return {page.address: written, page.plan: facts, page.open: gr.Button(interactive=True)}


def _wire_where(collections: Collections, page: PlacesPage) -> None:
    """Let every way to choose a place write its address, look it up, and show it on the map."""
    where = page.where
    outputs: list[Block] = [
        where.at, where.text, where.targets, where.half_km, where.zoom, where.service, where.shown,
        page.address, page.plan, page.open,
    ]  # fmt: skip

    def shown_at(
        latitude: float, longitude: float, half_km: float, zoom: float, service: str = "", *, fly: bool
    ) -> dict[Block, Any]:
        service = service or best_service(latitude, longitude)
        spec = address_of(latitude, longitude, half_km, int(zoom), service)
        values: dict[Block, Any] = {
            where.at: (latitude, longitude),
            where.service: service,
            where.shown: shown_place(box_around(latitude, longitude, half_km), fly=fly),
        }
        try:
            return values | _looked_up(collections, page, spec)
        except LRSCLIPError as error:  # too many tiles, as a rule: the box is shown all the same
            said = empty(f"{str(error)[:1].upper()}{str(error)[1:]}.")
            return values | {page.address: spec, page.plan: said, page.open: gr.Button(interactive=False)}

    def typed(text: str, half_km: float, zoom: float) -> dict[Block, Any]:
        targets = targets_of(text or "")
        if not targets:
            raise TileSourceError(
                f"no city, coordinates or map link in {' '.join((text or '').split())[:60]!r}; write a city of 15,000 "
                "inhabitants or more, such as Lisbon, or latitude and longitude, such as 38.71, -9.14"
            )
        choices = [(one.label, position_text(one.latitude, one.longitude)) for one in targets]
        several = len(targets) > 1
        return {
            where.targets: gr.Radio(choices, value=choices[0][1] if several else None, visible=several),
            **shown_at(targets[0].latitude, targets[0].longitude, half_km, zoom, fly=True),
        }

    def left(text: str, at: tuple[float, float] | None, half_km: float, zoom: float) -> Any:
        """Look up what was written once one goes on, unless it is looked at already or means no place."""
        targets = targets_of(text or "")
        if not targets or (at is not None and any((one.latitude, one.longitude) == at for one in targets)):
            return gr.skip()
        return typed(text, half_km, zoom)

    def changed(at: tuple[float, float] | None, half_km: float, zoom: float, service: str) -> Any:
        return gr.skip() if at is None else shown_at(*at, half_km, zoom, service, fly=False)

    def another(target: str, half_km: float, zoom: float) -> dict[Block, Any]:
        first = targets_of(target)[0]
        return shown_at(first.latitude, first.longitude, half_km, zoom, fly=True)

    def picked(said: str, half_km: float, zoom: float) -> dict[Block, Any]:
        latitude, longitude, half_km = _on_the_map(said, half_km)
        return {
            where.text: position_text(latitude, longitude),
            where.targets: gr.Radio([], value=None, visible=False),
            where.half_km: half_km,
            **shown_at(latitude, longitude, half_km, zoom, fly=False),
        }

    def chosen(preset: Preset) -> dict[Block, Any]:
        first = targets_of(preset.where)[0]
        return {
            where.text: preset.where,
            where.targets: gr.Radio([], value=None, visible=False),
            where.half_km: preset.half_km,
            where.zoom: preset.zoom,
            **shown_at(first.latitude, first.longitude, preset.half_km, preset.zoom, fly=True),
        }

    settings: dict[str, Any] = {"outputs": outputs, "show_progress": "hidden", **INTERNAL}
    where.text.submit(for_page(typed), [where.text, where.half_km, where.zoom], **settings)
    where.text.blur(for_page(left), [where.text, where.at, where.half_km, where.zoom], **settings)
    where.targets.input(for_page(another), [where.targets, where.half_km, where.zoom], **settings)
    gr.on(
        [where.half_km.release, where.zoom.release, where.service.input], for_page(changed),
        [where.at, where.half_km, where.zoom, where.service], **settings,
    )  # fmt: skip
    where.picked.change(for_page(picked), [where.picked, where.half_km, where.zoom], **settings)
    for button, preset in zip(where.presets, PRESETS, strict=True):
        button.click(for_page(partial(chosen, preset)), None, **settings)


def _on_the_map(said: str, half_km: float) -> tuple[float, float, float]:
    """Read what was clicked or drawn: latitude, longitude, and half of the side in km.

    Raises:
        TileSourceError: it is neither a place nor a box.
    """
    try:
        numbers = [float(number) for number in json.loads(said)]
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise TileSourceError("this is no place on the map; click again") from error
    if len(numbers) == 4:
        latitude, longitude, half_km = half_of_box(*numbers)
        return round(latitude, DIGITS), round(longitude, DIGITS), half_km
    if len(numbers) != 2 or not (abs(numbers[0]) <= 85 and abs(numbers[1]) <= 180):
        raise TileSourceError("this is no place on the map; click again")
    return round(numbers[0], DIGITS), round(numbers[1], DIGITS), half_km
