"""The whole page: header, five tabs, the endpoints for programs, and the server's start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gradio as gr
from starlette.types import ASGIApp

from app import endpoints as api
from app import hand_over
from app.classify import page as page_classify
from app.collections import AppState, Collections
from app.http_api import http_api
from app.learn import page as page_learn
from app.localize import page as page_localize
from app.maps.basemap import BaseMap
from app.maps.ground import SQUARES, ground_route, read_ahead
from app.media.upload_route import upload_route
from app.places import page as page_places
from app.search import page as page_search
from app.server.checked_blocks import CheckedBlocks
from app.server.connections import OpenConnections, counted, max_connections
from app.server.ending import stay
from app.server.front_door import FrontDoor, Known, Limits
from app.server.gradio_import import bring_mcp
from app.server.gradio_patches import patch_gradio, share_the_queue, tell_when_callers_leave
from app.server.health import health_route
from app.server.hosts import ANY, hosts_of
from app.server.janitor import keeping_tidy
from app.server.queued_model import SharedModel
from app.server.settings import in_force
from app.server.upload_folder import own_folder
from app.server.zero_gpu import lent_model, on_zero_gpu
from app.ui import answered
from app.ui.html import header
from app.ui.render import own_file, render
from lrsclip.io.quiet_decoders import silence_libtiff

TITLE = "LRSCLIP: find and pinpoint long descriptions in satellite and aerial pictures"
QUEUE_SIZE = 128  # events that wait; each holds its values
_MAX_SESSIONS = 400  # whose state is kept, some 160 kB each; a call of a program is one too
_MAX_CONNECTIONS_EACH = 512  # of one address: a class behind one has some six for each page
_MIB = 2**20
_UI = Path(__file__).parent / "ui"


def build(state: AppState, *, untrusted: bool = True, base: BaseMap | None = None) -> CheckedBlocks:
    """Build the app around a model, an index and its tiles; `serve` starts it.

    Args:
        state: model, index and tiles to begin with.
        untrusted: whether strangers will use it, who may not open this machine's files.
        base: an online map to offer under scenes whose place is known.

    Raises:
        UploadFolderError: there is no folder for visitors' files.
    """
    folder = own_folder()  # before any component, which notes where files are kept
    patch_gradio(folder.drafts)
    share = lent_model if on_zero_gpu() else SharedModel.of
    shared = share(state.bundle, in_force().max_text)
    state = replace(state, bundle=shared)
    read_ahead(state)
    collections = Collections(state, untrusted)
    demo: CheckedBlocks
    with CheckedBlocks(folder, state, untrusted, title=TITLE, analytics_enabled=False, fill_width=True) as demo:
        api.add_endpoints(state)  # first, so that the events below cannot take the endpoints' names
        head = gr.HTML(header(state))
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Search", id="search"):
                search = page_search.lay_out(state)
            with gr.Tab("Classify", id="classify"):
                classify = page_classify.lay_out(state)
            with gr.Tab("Localize", id="localize"):
                localize = page_localize.lay_out(state)
            with gr.Tab("Learn", id="learn"):
                learn = page_learn.lay_out(state)
            with gr.Tab("Places", id="places"):
                places = page_places.lay_out(collections)
        page_search.wire(collections, demo, search)
        page_classify.wire(collections, classify)
        page_localize.wire(collections, demo, localize, base)
        page_learn.wire(collections, demo, learn)
        place_opened = page_places.wire(collections, demo, places)
        hand_over.wire_tiles(collections, search, classify, localize, tabs)
        strips = [classify.strip, localize.strip, learn.strip]
        hand_over.wire_collection(collections, places, place_opened, search, strips, head)
        hand_over.wire_links(collections, demo, places, search, strips, head, tabs)
    # Nothing past the queue, whose lanes bound the events at once; events at each key never stand in it.
    demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=8, api_open=False)
    demo.check_functions()
    demo.routes = (ground_route(collections), http_api(demo))
    share_the_queue(demo)
    tell_when_callers_leave(demo)
    return demo


def serve(
    demo: CheckedBlocks,
    *,
    host: str,
    port: int | None,
    share: bool = False,
    block: bool = True,
    mcp: bool = False,
    once_up: Callable[[], None] | None = None,
) -> str:
    """Start the server, with the limits of the settings in force; return its address.

    Args:
        demo: the app that `build` returned.
        host: address to listen on.
        port: port to listen on; None takes a free one.
        share: open a public tunnel through Gradio's servers.
        block: stay here until the server ends.
        mcp: offer the endpoints to language models too.
        once_up: called once the server answers.

    Returns:
        The address to open.

    Raises:
        OSError: the port is taken.
        KeyboardInterrupt: Ctrl-C ended it.
    """
    settings = in_force()
    one, all_files = settings.max_upload_mb * _MIB, settings.max_uploads_mb * _MIB
    hosts = hosts_of(settings.hosts) or ((ANY,) if demo.untrusted else ())
    limits = Limits(settings.requests_per_minute, one, settings.trust_proxy, hosts, all_files)

    def front_door(inner: ASGIApp) -> FrontDoor:
        return FrontDoor(inner, limits=limits, known=Known.of(demo), is_up=lambda: demo.is_up)

    demo.front_door = front_door
    each = 0 if settings.trust_proxy or not settings.requests_per_minute else _MAX_CONNECTIONS_EACH
    demo.connection = counted(OpenConnections(max_connections(), each))
    demo.folder.keep_own()
    demo.is_up = False
    silence_libtiff()
    if mcp:
        bring_mcp()
    _, url, _ = demo.launch(
        server_name=host,
        server_port=port,
        share=share,
        prevent_thread_lock=True,
        quiet=not block,
        ssr_mode=False,
        show_error=False,
        footer_links=["api"],
        run_history=False,
        i18n=gr.I18n(en={"common.complete": "Done"}),  # Gradio reads the name of its text to screen readers
        max_file_size=one,
        state_session_capacity=_MAX_SESSIONS,
        mcp_server=mcp,
        app_kwargs={
            # these come before Gradio's own
            "routes": [health_route(demo), upload_route(demo.folder, one, all_files), *demo.routes],
            "lifespan": keeping_tidy(demo, all_files),
        },
        favicon_path=_UI / "favicon.svg",
        theme=theme(),
        css="\n".join(part.read_text(encoding="utf-8") for part in sorted((_UI / "styles").glob("*.css"))),
        head=_head(),
    )
    demo.is_up = True
    if once_up is not None:
        once_up()
    if block:
        stay(demo)
    return str(url)


def _head() -> str:
    """Render the page's head: a style out of reach of `css`, and scripts for early clicks and answers gone stale."""
    return render(
        "ui/head.html",
        script=own_file(_UI / "click_order.js"),
        stale=own_file(answered.SCRIPT),
        answers=answered.watched(),
        squares=own_file(SQUARES),
    )


def theme() -> gr.themes.Base:
    """Build the theme: quiet colors, and only fonts that Gradio itself carries: nothing is fetched from elsewhere."""
    sans = gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700))
    return gr.themes.Base(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        radius_size="md",
        font=[sans, "system-ui", "sans-serif"],
        font_mono=[gr.themes.LocalFont("IBM Plex Mono", weights=(400,)), "ui-monospace", "monospace"],
    ).set(
        body_background_fill="white",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        color_accent="*primary_700",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_padding="0px",
        block_shadow="none",
        block_title_text_weight="700",
        block_title_text_color="*body_text_color",
        block_label_text_weight="400",
        input_background_fill="white",
        input_background_fill_dark="*neutral_900",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_color_focus="*primary_600",
        button_large_text_weight="700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_hover="*neutral_200",
        slider_color="*primary_600",
    )
