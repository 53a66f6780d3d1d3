"""Plain HTTP for programs: `POST /api/v1/search` and so on, JSON in and out, described by OpenAPI.

These are the endpoints that Gradio's own protocol offers, made of the same functions: a call is read, checked and
charged at the front door as all others, and its texts and pictures wait in the same line for the model.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import inspect
import math
import shutil
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial, reduce
from operator import or_
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from gradio.utils import get_function_description
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from starlette.exceptions import HTTPException
from starlette.routing import Mount

import lrsclip
from app.media.upload_route import take_in
from app.server import request_log
from app.server.checked_blocks import CheckedBlocks
from app.server.endpoint import Endpoint
from app.server.events import UNEXPECTED, logged
from app.server.fair_work import HTTP_CALLS
from app.server.rate_limit import CHARGE, CLIENT
from app.server.request_log import Call, log_event
from app.server.settings import in_force
from app.server.upload_folder import Upload
from app.server.values import LONGEST_LIST, LONGEST_TEXT, MAX_PICTURES, CallError
from lrsclip.errors import Busy, LRSCLIPError, PictureError, clipped

PREFIX = "/api/v1"
_LOOK_S = 0.5  # how often a call looks whether its caller is still there
_WAIT_S = 5.0  # after which a refused caller may ask again
_REFUSED, _TOO_MUCH, _BUSY, _FAILED = 422, 429, 503, 500
_MOST_EACH = 16  # calls of one client
_MAX_FAULTS, _LONGEST_NAME = 5, 60  # named in an answer
_PICTURE = "a picture of at most 8 MB as base64, or as a data URL"
_REFUSALS: dict[int | str, dict[str, Any]] = {_REFUSED: {"description": "A value makes no sense; `error` says which."}}
_ABOUT = (
    "Long descriptions found and grounded in satellite and aerial pictures. Errors are JSON with one sentence, `error`."
)


class TooMuch(LRSCLIPError):
    """More than one client may ask for; `wait_s` is the time after which it may again."""

    def __init__(self, sentence: str, wait_s: float) -> None:
        super().__init__(sentence)
        self.wait_s = wait_s


class _Unread(APIRoute):
    """A route whose body FastAPI describes and does not read: that would be done while all others wait."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        answer: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return answer


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, str_max_length=11 * 2**20)


def http_api(demo: CheckedBlocks) -> Mount:
    """Build the routes, to be added to the server."""
    api = FastAPI(
        title="LRSCLIP", version=lrsclip.__version__, description=_ABOUT, docs_url=None, redoc_url=None,
        openapi_url="/openapi.json",
    )  # fmt: skip
    api.router.route_class = _Unread
    for endpoint in demo.endpoints.values():
        _add(api, demo, endpoint)

    @api.exception_handler(HTTPException)
    async def refuse(_: Request, error: HTTPException) -> JSONResponse:
        log_event("request", "refused", code=error.status_code)
        said = f"there is nothing here; {PREFIX}/openapi.json lists what there is"
        return JSONResponse({"error": said, "detail": said}, error.status_code, headers=error.headers)

    return Mount(PREFIX, api)


def body_model(endpoint: Endpoint) -> type[BaseModel]:
    """Make the model of an endpoint's body of its function's parameters and docstring."""
    function = endpoint.function
    _, told, _ = get_function_description(function)
    hints, fields = get_type_hints(function), dict[str, Any]()
    for (name, parameter), box in zip(inspect.signature(function).parameters.items(), endpoint.boxes, strict=True):
        kind, about = hints[name], " ".join(told.get(name, "").split())
        usual = parameter.default if parameter.default is not inspect.Parameter.empty else _usual(box)
        if kind in (Upload, Upload | None):
            kind, about = str | None, f"{about} {_PICTURE.capitalize()}."
        elif Upload in _parts(kind):
            kind, about = _bounded(list[str], MAX_PICTURES) | None, f"{about} Each {_PICTURE}."
        elif kind is str:
            kind = Annotated[str, Field(max_length=LONGEST_TEXT)]
        else:
            kind = _bounded(kind, LONGEST_LIST)
        shown = [example] if isinstance(example := endpoint.example.get(name), str | int | float) else None
        fields[name] = (kind, Field(usual, description=about, examples=shown))
    made: type[BaseModel] = create_model(f"{endpoint.name.title().replace('_', '')}Body", __base__=_Body, **fields)
    return made


def _bounded(kind: Any, most: int) -> Any:
    """Bound every list in a type; it is read up to its first fault, since none but the first ones are told."""
    if get_origin(kind) is UnionType:
        return reduce(or_, (_bounded(one, most) for one in get_args(kind)))
    return Annotated[kind, Field(max_length=most, fail_fast=True)] if get_origin(kind) is list else kind


def _usual(box: Any) -> Any:
    value = getattr(box, "value", None)
    return value or (None if _may_lack(box) else ...)


def _may_lack(box: Any) -> bool:
    return type(box).__name__ in ("Image", "File")


def _parts(kind: Any) -> set[Any]:
    found = {kind}
    for one in getattr(kind, "__args__", ()):
        found |= _parts(one)
    return found


def _add(api: FastAPI, demo: CheckedBlocks, endpoint: Endpoint) -> None:
    model = body_model(endpoint)
    about, _, returns = get_function_description(endpoint.function)

    async def answer(request: Request) -> JSONResponse:
        call = Call(f"http.{endpoint.name}", client=str(request.scope.get(CLIENT, "")), lane="http")
        try:
            with demo.callers.calling(call), request_log.told(call.event):
                return JSONResponse(await _run(demo, endpoint, model, request, call))
        except TooMuch as error:
            wait = {"Retry-After": str(max(1, math.ceil(error.wait_s)))}
            return JSONResponse({"error": str(error)}, _TOO_MUCH, headers=wait)
        except Busy as error:
            return JSONResponse({"error": str(error)}, _BUSY, headers={"Retry-After": "2"})
        except LRSCLIPError as error:
            return JSONResponse({"error": str(error)}, _REFUSED)
        except Exception:  # `told` has its line, without a word of the caller's
            if not request_log.is_on():  # on a machine of one's own
                traceback.print_exc()
            return JSONResponse({"error": UNEXPECTED}, _FAILED)

    described = f"{about}\n\nReturns: {' '.join(returns)}" if returns else about
    route = api.post(
        f"/{endpoint.name}", summary=about.split(".")[0], description=described, operation_id=endpoint.name,
        response_class=JSONResponse, responses=_REFUSALS,
    )  # fmt: skip
    answer.__annotations__ = {"request": model, "return": JSONResponse}  # as FastAPI describes it; see `_Unread`
    route(answer)


async def _run(demo: CheckedBlocks, endpoint: Endpoint, model: type[BaseModel], request: Request, call: Call) -> Any:
    """Wait for the turn of a call, and do its work.

    Raises:
        TooMuch: its client has its share already.
        Busy: all have.
    """
    if (own := HTTP_CALLS.held_by(call.client)) >= _MOST_EACH:
        raise TooMuch(f"{own} calls of yours wait or run already; wait for one of them", _WAIT_S)
    body = await request.body()  # the front door has it already, and has counted its parts
    watch = asyncio.create_task(_watch(request, call))
    try:
        work = partial(_answered, demo, endpoint, model, body, call.client, request.scope.get(CHARGE))
        return await HTTP_CALLS.run(call.client, work)
    finally:
        watch.cancel()


async def _watch(request: Request, call: Call) -> None:
    """Tell the work of a call when nobody waits for its answer any more."""
    with suppress(asyncio.CancelledError):
        while not await request.is_disconnected():
            await asyncio.sleep(_LOOK_S)
        call.gone.set()


def _answered(
    demo: CheckedBlocks,
    endpoint: Endpoint,
    model: type[BaseModel],
    body: bytes,
    client: str,
    charge: Callable[[float], float] | None,
) -> Any:
    hints = get_type_hints(endpoint.function)
    values = dict(_read(model, body))
    sent = {name: value for name, value in values.items() if value is not None and Upload in _parts(hints[name])}
    pictures = sum(1 if isinstance(value, str) else len(value) for value in sent.values())
    # A picture costs as its upload would, before any is taken in; the first is paid with the call.
    if charge is not None and pictures > 1 and (wait_s := charge(pictures - 1)):
        raise TooMuch("too many pictures; wait a moment and send them again", wait_s)
    kept: list[Path] = []
    try:
        for name, value in sent.items():
            one = isinstance(value, str)
            taken = [_taken_in(demo, text, name, client, kept) for text in ([value] if one else value)]
            values[name] = taken[0] if one else tuple(taken)
        function: Callable[..., Any] = endpoint.function
        return logged(function, "http", **values)
    finally:
        for path in kept:
            shutil.rmtree(path.parent, ignore_errors=True)


def _read(model: type[BaseModel], body: bytes) -> BaseModel:
    """Read a call's values.

    Raises:
        CallError: one makes no sense; the message names it.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[:_MAX_FAULTS]
        names = [clipped(".".join(map(str, one["loc"])), _LONGEST_NAME, 1) or "the body" for one in found]
        raise CallError("; ".join(f"{name}: {one['msg']}" for name, one in zip(names, found, strict=True))) from None


def _taken_in(demo: CheckedBlocks, text: str, name: str, client: str, kept: list[Path]) -> Upload:
    """Take in a picture as an upload comes in: looked through, stripped of metadata, in the server's own folder."""
    try:
        content = base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PictureError(f"{name} is no base64; send the file's bytes so") from error
    if len(content) > (most := in_force().max_upload_mb) * 2**20:
        raise PictureError(f"{name} is over the limit of {most} MB")
    draft = demo.folder.incoming()
    try:
        file = draft / "picture"
        file.write_bytes(content)
        place = take_in(file, demo.folder, client)
    finally:
        demo.folder.forget_draft(draft)
    kept.append(place)
    return demo.folder.admit(str(place), name)
