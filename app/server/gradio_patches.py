"""Changes inside Gradio, all in one place. Made against Gradio 6.31; each change looks for the name that it replaces.

A Gradio that has it under another name ends the start with an error that names this file, and nothing is served
without the change.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from functools import lru_cache, partial
from importlib.util import find_spec
from json import dumps
from pathlib import Path
from threading import Thread, local
from types import SimpleNamespace
from typing import Any, NoReturn

import gradio as gr
from gradio import http_server, networking, processing_utils, queueing, route_utils, routes
from gradio.components import State
from gradio.state_holder import SessionState, StateHolder
from gradio_client.utils import is_file_obj_with_meta

from app.server import request_log
from app.server.api_snippets import cli_snippet, code_snippets
from app.server.checked_blocks import CheckedBlocks
from app.server.events import PLACES
from app.server.fair_line import FairLine, busy_clients
from app.server.rate_limit import INNER_HEADER, INNER_TOKEN
from app.server.request_log import log_event
from app.server.settings import in_force
from app.server.tool_calls import bound_calls, bounded_schema, unchecked_server

MAX_FILES = 32
"""Files of one upload."""
_MAX_PROGRESS = 1000  # uploads whose progress is noted; far more than can be on their way
_LOOK_S = 0.05
_ANY_BYTES = 2**31


@lru_cache(maxsize=1)
def patch_gradio(drafts: Path) -> None:
    """Make the changes, once a process.

    Args:
        drafts: the folder of files that are on their way.

    Raises:
        RuntimeError: this Gradio is built otherwise.
    """
    _make_the_app_once()
    _ask_not_oneself()
    _stand_before_all()
    _keep_no_values()
    _keep_open_sessions()
    _count_nothing()
    _count_connections()
    _take_few_parts()
    _forget_uploads()
    _fetch_nothing()
    _log_instead_of_traces()
    _show_code_that_runs()
    _keep_no_addresses()
    if find_spec("mcp") is not None:
        _keep_drafts_of_models(drafts)
    # They warn of each damaged form and each unknown tool, and the warning shows its content.
    for name in ("python_multipart", "mcp"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _make_the_app_once() -> None:
    """Leave out the three web apps that Gradio makes before the one that serves: each takes 0.1 s."""
    make = _there(routes.App, "create_app")

    def make_at_launch(blocks: Any, *rest: Any, **settings: Any) -> Any:
        if isinstance(blocks, CheckedBlocks) and not rest and settings == {"mcp_server": False}:
            return None
        return make(blocks, *rest, **settings)

    routes.App.create_app = staticmethod(make_at_launch)  # type: ignore[method-assign]


def _ask_not_oneself() -> None:
    """Leave out the question at the end of the start whether the server answers within three seconds.

    Whoever keeps it busy at that moment would end it.
    """
    _there(networking, "url_ok")
    networking.url_ok = lambda url: True


def _keep_no_addresses() -> None:
    """Write *Use via API* anew for each reader: Gradio keeps that of the first, with the name that they asked."""
    _there(routes.App, "create_app")
    routes.App.api_info = _ReadOnce()  # type: ignore[assignment]


class _ReadOnce:
    """An attribute that holds what the same thread has put there, until it is read."""

    def __init__(self) -> None:
        self._own = local()

    def __get__(self, _owner: Any, _kind: Any = None) -> Any:
        """Return the value, and forget it."""
        value, self._own.value = getattr(self._own, "value", None), None
        return value

    def __set__(self, _owner: Any, value: Any) -> None:
        """Keep a value for the next reading."""
        self._own.value = value


def _stand_before_all() -> None:
    """Let an app have a front door before its own middleware, which answers and fails on its own."""
    build = _there(routes.App, "build_middleware_stack")

    def build_behind(self: Any) -> Any:
        stack, before = build(self), getattr(self.blocks, "front_door", None)
        return stack if before is None else before(stack)

    routes.App.build_middleware_stack = build_behind  # type: ignore[method-assign]


def _count_connections() -> None:
    """Let an app choose the connection class of its server."""
    begin = _there(http_server.Server, "__init__")

    def begin_counting(self: Any, config: Any, *rest: Any, **more: Any) -> None:
        blocks = getattr(getattr(config.app, "blocks", None), "connection", None)
        if blocks is not None:
            config.http = blocks
        begin(self, config, *rest, **more)

    http_server.Server.__init__ = begin_counting  # type: ignore[method-assign]


def _take_few_parts() -> None:
    """Let a form have few parts, counted as they come: each file of one holds a handle until all are there."""
    parser = _there(route_utils, "GradioMultiPartParser")

    class FewParts(parser):  # type: ignore[misc, valid-type]
        """The parser of Gradio with a limit of our own."""

        def __init__(self, *rest: Any, **settings: Any) -> None:
            super().__init__(*rest, **{**settings, "max_files": MAX_FILES, "max_fields": MAX_FILES})

    route_utils.GradioMultiPartParser = FewParts  # type: ignore[misc]


def _keep_no_values() -> None:
    """Keep no copy of a session's values, which only Gradio's deep links would read.

    A map has a megabyte, and 400 sessions are kept; and making the copies took a session 60 ms.
    """
    for name in ("_update_value_in_config", "_update_config"):
        _there(SessionState, name)
        setattr(SessionState, name, lambda *_: None)
    _there(SessionState, "__init__")

    def begin(self: Any, blocks: Any) -> None:
        self.blocks_config = copy(blocks.default_config)
        self.config_values, self.state_data, self._state_ttl = {}, {}, {}
        self.is_closed, self.STATE_TTL_WHEN_CLOSED = False, 3600

    def put(self: Any, key: int, value: Any) -> None:
        if isinstance(self.blocks_config.blocks.get(key), State):
            self._state_ttl[key] = (self.blocks_config.blocks[key].time_to_live, datetime.now())
            self.state_data[key] = value
        else:
            self.blocks_config.blocks[key] = value

    SessionState.__init__, SessionState.__setitem__ = begin, put  # type: ignore[method-assign]


def _keep_open_sessions() -> None:
    """Drop a session that nobody has open before the one used longest ago: made-up ones cost nothing."""
    _there(StateHolder, "update")

    def update(self: Any, session: str) -> None:
        with self.lock:
            if session in self.session_data:
                self.session_data.move_to_end(session)
            if len(self.session_data) > self.capacity:
                callers = getattr(self.blocks, "callers", None)
                idle = (one for one in self.session_data if one != session and not (callers and callers.is_there(one)))
                gone = next(idle, None) or next(iter(self.session_data))
                del self.session_data[gone]
                self.time_last_used.pop(gone, None)

    StateHolder.update = update  # type: ignore[method-assign, assignment]


def _keep_drafts_of_models(drafts: Path) -> None:
    """Keep pictures of language models among the drafts, send them on as our own, and describe them right."""
    from gradio import mcp

    _there(mcp, "DEFAULT_TEMP_DIR")
    mcp.DEFAULT_TEMP_DIR = str(drafts)
    ask = _there(mcp.GradioMCPServer, "_get_or_create_client")
    make = _there(mcp.GradioMCPServer, "create_mcp_server")
    _there(mcp.GradioMCPServer, "_execute_tool_without_progress")
    tell = _there(mcp.GradioMCPServer, "_execute_tool_with_progress")

    async def wait_without_a_thread(_self: Any, job: Any) -> list[Any]:
        with _ended_with_caller(job):
            while not job.done():  # Gradio took one of the forty threads of events for as long as the call lasts
                await asyncio.sleep(_LOOK_S)
        return [job.result()]

    async def tell_until_the_caller_leaves(self: Any, job: Any, token: str | int) -> Any:
        with _ended_with_caller(job):
            return await tell(self, job, token)

    def make_bounded(self: Any) -> Any:
        # The front door bounds bodies, for a picture of 8 MiB; a bound in here would answer below that, and no JSON.
        for name in ("StreamableHTTPSessionManager", "SseServerTransport"):
            setattr(self, name, partial(_there(self, name), max_request_body_size=_ANY_BYTES))
        self.Server = unchecked_server(_there(self, "Server"))
        server = make(self)
        handlers = _there(server, "request_handlers")
        bound_calls(server, handlers, lambda name: dict(self.get_input_schema(name)[0]))
        return server

    write = _there(mcp.GradioMCPServer, "postprocess_output_data")

    def write_json(self: Any, data: Any, root_url: str) -> Any:
        # Gradio would write Python's own form, with single quotes, None and True, which no JSON reader takes
        plain = [value if is_file_obj_with_meta(value) else dumps(value) for value in data]
        return write(self, plain, root_url)

    describe = _there(mcp.GradioMCPServer, "get_input_schema")

    def ask_as_ourselves(self: Any) -> Any:
        client = ask(self)
        client.headers[INNER_HEADER.decode()] = INNER_TOKEN
        return client

    def describe_in_one_place(self: Any, *rest: Any, **more: Any) -> Any:
        schema, places = describe(self, *rest, **more)
        for one in schema.get("properties", {}).values():
            one.pop("$defs", None)  # of a list of pictures; its references look for it elsewhere
            if isinstance(items := one.get("items"), dict) and items.get("type") == "string":
                items.pop("$ref", None)
        schema.pop("required", None)  # the required values depend on the others; each function says so itself
        return bounded_schema(schema), _Places(places)

    mcp.GradioMCPServer._get_or_create_client = ask_as_ourselves  # type: ignore[method-assign]
    mcp.GradioMCPServer.postprocess_output_data = write_json  # type: ignore[method-assign]
    mcp.GradioMCPServer.get_input_schema = describe_in_one_place  # type: ignore[method-assign]
    mcp.GradioMCPServer.create_mcp_server = make_bounded  # type: ignore[method-assign]
    mcp.GradioMCPServer._execute_tool_without_progress = wait_without_a_thread  # type: ignore[method-assign, assignment]
    mcp.GradioMCPServer._execute_tool_with_progress = tell_until_the_caller_leaves  # type: ignore[method-assign, assignment]


@contextmanager
def _ended_with_caller(job: Any) -> Iterator[None]:
    """Cancel a tool's call to the queue when the language model has gone: MCP then ends the task in here."""
    try:
        yield
    except asyncio.CancelledError:
        Thread(target=job.cancel, daemon=True).start()  # a request to this server, which the loop has to answer
        raise


class _Places(list[Any]):
    """Places of pictures in a language model's call, also in lists, whose members Gradio does not find."""

    def __contains__(self, path: object) -> bool:
        """Return whether a picture stands at a path."""
        member = ["items" if isinstance(part, int) else part for part in path] if isinstance(path, list) else path
        return super().__contains__(path) or super().__contains__(member)


def _count_nothing() -> None:
    """Compute no figures for Gradio's monitoring page, which is closed: it did so after every event."""
    _there(queueing.Queue, "compute_analytics_summary")
    queueing.Queue.compute_analytics_summary = lambda *_: {"functions": {}}  # type: ignore[method-assign]


def _forget_uploads() -> None:
    """Note the progress of uploads that there are, and of the last ones alone.

    Gradio kept a mark of each name that was ever asked for, which may be as long as a web address.
    """
    progress = _there(routes, "file_upload_statuses")
    statuses, tracker = _there(progress, "_statuses"), _there(route_utils, "FileUploadProgressTracker")

    def track(upload_id: str) -> None:
        statuses.setdefault(upload_id, tracker(deque(), False))
        while len(statuses) > _MAX_PROGRESS:
            del statuses[next(iter(statuses))]

    async def is_tracked(upload_id: str) -> bool:
        while upload_id not in statuses:  # its caller waits for three seconds
            await asyncio.sleep(_LOOK_S)
        return True

    for name, stand_in in (("track", track), ("is_tracked", is_tracked)):
        _there(progress, name)
        setattr(progress, name, stand_in)


def _fetch_nothing() -> None:
    """Answer web addresses with a sentence instead of fetching them.

    Gradio takes one wherever a file is expected, from programs and language models too. Nothing here needs it.
    """

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise gr.Error("this server fetches no web addresses; send the file itself", print_exception=False)

    async def refuse_later(*_: Any, **__: Any) -> NoReturn:
        refuse()

    for name, stand_in in (
        ("save_url_to_cache", refuse),
        ("ssrf_protected_download", refuse),
        ("async_ssrf_protected_download", refuse_later),
    ):
        _there(processing_utils, name)
        setattr(processing_utils, name, stand_in)


def _log_instead_of_traces() -> None:
    """Log each trace as a line, while the log is switched on: the end of a trace may repeat a call's values.

    Gradio prints them of faults that it meets outside of our events, such as a value of a wrong kind.
    """

    def print_exc() -> None:
        error = sys.exception()
        if not request_log.is_on() or error is None:
            traceback.print_exc()
            return
        log_event("gradio", "failed", error=type(error).__name__, at=request_log.place_of(error))

    for module in (queueing, routes):
        _there(module, "traceback")
        module.traceback = SimpleNamespace(print_exc=print_exc)  # type: ignore[attr-defined]


def _show_code_that_runs() -> None:
    """Show code with values that are answered, where an endpoint has such an example (`described`)."""
    write, write_cli = _there(routes, "generate_code_snippets"), _there(routes, "generate_cli_snippet")

    def write_ours(name: str, info: dict[str, Any], root: str, **more: Any) -> Any:
        return code_snippets(name, info["example"], root) if "example" in info else write(name, info, root, **more)

    def write_our_cli(endpoints: dict[str, Any]) -> dict[str, str]:
        ours = {name: cli_snippet(name, info["example"]) for name, info in endpoints.items() if "example" in info}
        return {**write_cli({name: info for name, info in endpoints.items() if name not in ours}), **ours}

    for name, stand_in in (("generate_code_snippets", write_ours), ("generate_cli_snippet", write_our_cli)):
        setattr(routes, name, stand_in)


def share_the_queue(demo: CheckedBlocks) -> None:
    """Let clients take turns in every lane of the queue; of strangers each has half of a lane at most."""
    lanes, open_lane = (
        _there(demo._queue, name) for name in ("event_queue_per_concurrency_id", "create_event_queue_for_fn")
    )

    def open_fair_lane(function: Any) -> None:
        open_lane(function)
        lane = lanes[function.concurrency_id]
        if not isinstance(_there(lane, "queue"), FairLine):
            lane.queue = FairLine(lane.queue)

    _there(demo._queue, "get_events")
    apart = demo.untrusted and in_force().requests_per_minute > 0  # else all may come under one name

    def next_event() -> tuple[list[Any], bool, str] | None:
        places = demo._queue.active_jobs
        running = [event for job in places if job for event in job]
        for lane_id in random.sample(names := list(lanes), len(names)):
            lane, most = lanes[lane_id], lanes[lane_id].concurrency_limit
            if not lane.queue or (most is not None and lane.current_concurrency >= most):
                continue
            shared = apart and lane_id != PLACES["concurrency_id"]  # where a third opening is refused in words
            busy = busy_clients(running, lane_id, most, len(places)) if shared else set()
            if (event := lane.queue.first(busy)) is not None:
                lane.queue.remove(event)
                return [event], False, lane_id  # nothing here runs in Gradio's batches
        return None

    demo._queue.create_event_queue_for_fn = open_fair_lane  # type: ignore[method-assign, assignment]
    demo._queue.get_events = next_event  # type: ignore[method-assign]


def tell_when_callers_leave(demo: CheckedBlocks) -> None:
    """Stop the work of a session once the queue hears that its stream is closed."""
    clean = _there(demo._queue, "clean_events")

    async def clean_and_tell(*, session_hash: str | None = None, event_id: str | None = None) -> None:
        demo.callers.left(session_hash, event_id)
        await clean(session_hash=session_hash, event_id=event_id)

    demo._queue.clean_events = clean_and_tell  # type: ignore[method-assign]


def _there(owner: Any, name: str) -> Any:
    if not hasattr(owner, name):
        raise RuntimeError(f"{owner} has no {name}; app/server/gradio_patches.py must be brought up to date")
    return getattr(owner, name)
