"""Plain HTTP for programs: `POST /api/v1/search` and so on, JSON in and out, described by OpenAPI.

These are the endpoints that Gradio's own protocol offers, made of the same functions: a call is read, checked and
charged at the front door as all others, and its texts and pictures wait in the same line for the model.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import inspect
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from gradio.utils import get_function_description
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.routing import Mount

import lrsclip
from app.media.upload_route import take_in
from app.server.checked_blocks import CheckedBlocks
from app.server.endpoint import Endpoint
from app.server.events import UNEXPECTED, logged
from app.server.fair_work import HTTP_CALLS
from app.server.rate_limit import CLIENT
from app.server.request_log import Call
from app.server.settings import in_force
from app.server.upload_folder import Upload
from app.server.values import LONGEST_TEXT
from lrsclip.errors import Busy, LRSCLIPError, PictureError

PREFIX = "/api/v1"
_LOOK_S = 0.5  # how often a call looks whether its caller is still there
_REFUSED, _BUSY, _FAILED = 422, 503, 500
_MAX_LIST = 64
_MOST_EACH, _MOST_WAITING = 16, 48  # calls of one client, and of all, each with up to 11 MB
_PICTURE = "a picture of at most 8 MB as base64, or as a data URL"
_REFUSALS: dict[int | str, dict[str, Any]] = {_REFUSED: {"description": "A value makes no sense; `error` says which."}}
_ABOUT = (
    "Long descriptions found and grounded in satellite and aerial pictures. Errors are JSON with one sentence, `error`."
)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, str_max_length=11 * 2**20)


def http_api(demo: CheckedBlocks) -> Mount:
    """Build the routes, to be added to the server."""
    api = FastAPI(
        title="LRSCLIP", version=lrsclip.__version__, description=_ABOUT, docs_url=None, redoc_url=None,
        openapi_url="/openapi.json",
    )  # fmt: skip
    for endpoint in demo.endpoints.values():
        _add(api, demo, endpoint)

    @api.exception_handler(RequestValidationError)
    async def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = (f"{'.'.join(map(str, one['loc'][1:])) or 'the body'}: {one['msg']}" for one in error.errors()[:5])
        return JSONResponse({"error": "; ".join(faults)}, _REFUSED)

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
            kind, about = Annotated[list[str] | None, Field(max_length=_MAX_LIST)], f"{about} Each {_PICTURE}."
        elif kind is str:
            kind = Annotated[str, Field(max_length=LONGEST_TEXT)]
        shown = [example] if isinstance(example := endpoint.example.get(name), str | int | float) else None
        fields[name] = (kind, Field(usual, description=about, examples=shown))
    made: type[BaseModel] = create_model(f"{endpoint.name.title().replace('_', '')}Body", __base__=_Body, **fields)
    return made


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

    async def answer(body: Any, request: Request) -> JSONResponse:
        call = Call(f"http.{endpoint.name}", client=str(request.scope.get(CLIENT, "")), lane="http")
        if (
            own := sum(one.client == call.client and one.lane == call.lane for one in demo.callers.running())
        ) >= _MOST_EACH:
            return JSONResponse({"error": f"{own} calls of yours wait or run already; wait for one of them"}, 429)
        if HTTP_CALLS.waiting >= _MOST_WAITING:
            return JSONResponse({"error": "too many calls wait already; try again in a moment"}, _BUSY)
        with demo.callers.calling(call):
            watch = asyncio.create_task(_watch(request, call))
            try:
                found = await HTTP_CALLS.run(call.client, partial(_answered, demo, endpoint, body, call.client))
                return JSONResponse(found)
            except Busy as error:
                return JSONResponse({"error": str(error)}, _BUSY, headers={"Retry-After": "2"})
            except LRSCLIPError as error:
                return JSONResponse({"error": str(error)}, _REFUSED)
            except Exception:  # `logged` has its line, without a word of the caller's
                return JSONResponse({"error": UNEXPECTED}, _FAILED)
            finally:
                watch.cancel()

    answer.__annotations__ = {"body": model, "request": Request, "return": JSONResponse}
    described = f"{about}\n\nReturns: {' '.join(returns)}" if returns else about
    api.post(
        f"/{endpoint.name}", summary=about.split(".")[0], description=described, operation_id=endpoint.name,
        response_class=JSONResponse, responses=_REFUSALS,
    )(answer)  # fmt: skip


async def _watch(request: Request, call: Call) -> None:
    """Tell the work of a call when nobody waits for its answer any more."""
    with suppress(asyncio.CancelledError):
        while not await request.is_disconnected():
            await asyncio.sleep(_LOOK_S)
        call.gone.set()


def _answered(demo: CheckedBlocks, endpoint: Endpoint, body: BaseModel, client: str) -> Any:
    hints = get_type_hints(endpoint.function)
    kept: list[Path] = []
    try:
        values = {}
        for name in type(body).model_fields:
            value = getattr(body, name)
            if Upload in _parts(hints[name]) and value is not None:
                taken = [
                    _taken_in(demo, one, name, client, kept) for one in ([value] if isinstance(value, str) else value)
                ]
                value = taken[0] if isinstance(value, str) else tuple(taken)
            values[name] = value
        function: Callable[..., Any] = endpoint.function
        return logged(function, "http", **values)
    finally:
        for path in kept:
            shutil.rmtree(path.parent, ignore_errors=True)


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
