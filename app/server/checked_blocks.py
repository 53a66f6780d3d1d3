"""A Gradio app in which each call passes one gate, from the page, a program, or a language model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.events import EventData
from gradio.state_holder import SessionState
from pydantic import BaseModel
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from app.collections import AppState
from app.server import request_log
from app.server.callers import Callers, mark_refused
from app.server.endpoint import Endpoint, described
from app.server.events import PLACES, UNEXPECTED, sentence
from app.server.rate_limit import CLIENT
from app.server.request_log import Call
from app.server.session_share import SessionShares
from app.server.settings import in_force
from app.server.upload_folder import Upload, UploadFolder
from app.server.values import check_function, checked_click, checked_values
from lrsclip.errors import Busy, LRSCLIPError
from lrsclip.io.user_cache import is_full

_MAX_UNREAD_BYTES = 32 * 2**20  # of one client
_NO_ROOM = "The disk of this server is full; its operator has to make room."


class CheckedBlocks(gr.Blocks):
    """Blocks that check all values before Gradio reads them, answer each call, and log each once.

    Attributes:
        callers: the calls that run, and the streams of their callers.
        front_door: builds the middleware before all of Gradio once it serves.
        is_up: whether the start is over.
        connection: the server's connection class; None for uvicorn's own.
        routes: answers beside Gradio's own.
        endpoints: functions for programs, by name; see `app.server.endpoint.Endpoint`.

    Args:
        folder: the folder of visitors' files.
        first: model, index and tiles that the server begins with.
        untrusted: whether strangers use it.
        settings: as of `gr.Blocks`.
    """

    def __init__(self, folder: UploadFolder, first: AppState, untrusted: bool, **settings: Any) -> None:
        super().__init__(**settings)
        self.folder, self.first, self.untrusted, self.callers = folder, first, untrusted, Callers()
        self.endpoints: dict[str, Endpoint] = {}
        self._sessions = SessionShares(self.callers)
        self.front_door: Callable[[ASGIApp], ASGIApp] | None = None
        self.is_up = True
        self.connection: type[Any] | None = None
        self.routes: tuple[BaseRoute, ...] = ()

    def get_block_name(self) -> str:
        """Return the name of Blocks: the page has no part of another name."""
        return "blocks"

    def get_api_info(self, *which: Any, **more: Any) -> Any:
        """Tell of the endpoints, in our words."""
        return described(super().get_api_info(*which, **more), self.endpoints)  # type: ignore[arg-type]

    def check_functions(self) -> None:
        """Check that the values of every function have a check; to be called once all functions are there.

        Raises:
            RuntimeError: a value of a function has no check.
        """
        for function in self.fns.values():
            check_function(function)

    async def process_api(  # type: ignore[override]  # Gradio passes all but the first three by name
        self, block_fn: BlockFunction | int, inputs: list[Any], state: SessionState | None = None, **options: Any
    ) -> dict[str, Any]:
        """Answer a call, or explain in a sentence why not."""
        function = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        call = Call(
            _event_of(function),
            options.get("event_id"),
            options.get("session_hash"),
            _client_of(options.get("request")),
            str(function.concurrency_id),
        )
        with self.callers.calling(call):
            try:
                with request_log.told(call.event):
                    self._check_share(call)
                    if state is not None and self.untrusted and call.client and in_force().requests_per_minute:
                        self._sessions.bound(self.state_holder, state, call.client)
                    sent = options.pop("event_data", None)
                    click = EventData(None, checked_click(function, getattr(sent, "_data", None)))
                    answer = await super().process_api(function, inputs, state, event_data=click, **options)
            except LRSCLIPError as error:  # of the gate; a function handles its own errors
                mark_refused()
                said = str(error) if call.event.startswith("api.") else sentence(error)
                raise gr.Error(said, print_exception=False) from error
            except gr.Error as error:
                if error.message != UNEXPECTED:
                    mark_refused()
                raise
            except Exception as error:
                if _is_of_full_disk(error):
                    raise gr.Error(_NO_ROOM, print_exception=False) from error
                if not request_log.is_on():
                    raise gr.Error(UNEXPECTED) from error  # with its trace, on a machine of one's own
                raise gr.Error(UNEXPECTED, print_exception=False) from error
        return dict(answer)

    def _check_share(self, call: Call) -> None:
        """Leave memory to others, and room in the lane of calls that take minutes.

        Raises:
            Busy: the client has its share already.
        """
        if not self.untrusted or not call.client:
            return
        if (unread := self._unread_bytes(call.client)) > _MAX_UNREAD_BYTES:
            raise Busy(f"answers of {unread / 2**20:.0f} MB wait for you already; read them first")
        if call.lane != PLACES["concurrency_id"]:
            return
        own = sum(one.client == call.client and one.lane == call.lane for one in self.callers.running())
        if own > PLACES["concurrency_limit"] // 2:
            raise Busy(f"{own - 1} collections are being opened for you already; wait for one of them, or stop it")

    def _unread_bytes(self, client: str) -> int:
        events = self.callers.asked_by(client)
        lines = list(self._queue.pending_messages_per_session.values()) if events else []
        messages = (message for line in lines for message in list(line._queue))
        return sum(_text_bytes(getattr(message, "output", None)) for message in messages if message.event_id in events)

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Any], state: SessionState | None, explicit_call: bool = False
    ) -> list[Any]:
        """Check the values; files bypass Gradio, which would open or move them, as the gate's uploads."""
        values = checked_values(block_fn, inputs, state, self.folder)
        bare = [None if _holds_files(value) else value for value in values]
        ready: list[Any] = await super().preprocess_data(block_fn, bare, state, explicit_call)
        return [value if _holds_files(value) else done for value, done in zip(values, ready, strict=True)]


def _is_of_full_disk(error: BaseException | None) -> bool:
    """Return whether a full disk is behind an error, which Gradio puts into one of its own."""
    return error is not None and ((isinstance(error, OSError) and is_full(error)) or _is_of_full_disk(error.__cause__))


def _text_bytes(value: Any) -> int:
    """Estimate the memory of an answer: that of its texts."""
    if isinstance(value, str):
        return sys.getsizeof(value)
    if isinstance(value, BaseModel):  # Gradio's values of JSON boxes, galleries and files
        value = dict(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(map(_text_bytes, parts))


def _holds_files(value: Any) -> bool:
    return isinstance(value, Upload) or (isinstance(value, tuple) and all(isinstance(one, Upload) for one in value))


def _client_of(request: Any) -> str:
    """Return a request's client as the front door noted it; Gradio puts the request into one of its own."""
    scope = getattr(getattr(request, "request", request), "scope", None) or {}
    return str(scope.get(CLIENT, ""))


def _event_of(function: BlockFunction) -> str:
    public = function.api_visibility == "public" and isinstance(function.api_name, str)
    return f"api.{function.api_name}" if public else f"page.{request_log.name_of(function.fn)}"
