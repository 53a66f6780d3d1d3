"""The gate before Gradio: closed doors, foreign names, too much, and bodies that are no calls are answered here.

Plain ASGI, so streams stay streams. Every request that ends here has one line in the log, without a word of its
content; every exception of Gradio becomes one line too, and an answer.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.server import request_log
from app.server.callers import OUTCOME, Callers, Outcome
from app.server.checked_blocks import CheckedBlocks
from app.server.hosts import is_own_page, may_be_asked
from app.server.rate_limit import (
    CHARGE,
    CLIENT,
    INNER_HEADER,
    INNER_TOKEN,
    LANGUAGE_MODELS,
    Buckets,
    client_of,
    header_of,
)
from app.server.reply import Refused, Reply
from app.server.request_body import BodyError, check_json, read_call
from app.server.request_log import log_event
from app.server.routes import Door, door_of
from app.server.shares import Kind, Shares, Turns
from app.server.upload_folder import UploadFolder
from lrsclip.errors import PictureError

_MIB = 2**20
_JSON_BYTES = 2 * _MIB  # of a call: texts, settings, and values that a page hands back to the server
_MCP_BYTES = 11 * _MIB  # of a call by a language model: a picture of 8 MiB as text
_BODIES_BYTES = 64 * _MIB  # of all calls that are on their way
_MAX_CALLS = 64  # of one client that wait, run or are answered and not read: half of the queue, others want a place
_LONGEST_PATH, _LONGEST_QUERY = 4_300, 16_384
_RANGE = re.compile(r"bytes=(\d{1,15}-\d{0,15}|-\d{1,15})", re.ASCII)
_BOUNDARY = re.compile(r"boundary=\"?([^\";]*)", re.ASCII | re.IGNORECASE)
_MIN_BOUNDARY = 8  # no program's is shorter; looking for one of a letter took the loop a third of a second a megabyte
_FORWARDED_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?", re.ASCII)
_ZIPPED, _ZIPPED_FROM_BYTES = frozenset({"/", "/config", "/config/", "/theme.css"}), 1_000  # texts of the page itself
_FORM_BYTES = _MIB  # around the files that are sent
_FILES = 8  # of one upload
_TYPED_BYTES = 2**13  # outside the queue, texts are counted at each key: as many as these cost a request
_BYTES_A_REQUEST = 4 * _MIB  # an upload counts as so many requests as it has of these, since it is kept for hours
_BODY_S, _IDLE_S = 30.0, 60.0  # in which a call's body must be there; for which an upload may pause
_MAX_OPEN = 256  # streams, and other requests, of one client: a class behind one address has two or three each
_MAX_DIRECT = 8  # events outside the queue, of one client at once: each has one of forty threads to its end
_SHARE_OF_ROOM = 4  # a client has a quarter of the room for bodies on their way
_MCP_METHODS = frozenset("initialize ping logging/setLevel tools/list tools/call".split())
_MCP_METHODS |= {"prompts/list", "resources/list", "resources/templates/list"}  # asked for at the start; all are empty
_AT_WORK = 4  # requests of one client that are worked on at once; each holds Python's lock, or the loop, for a while
_LONG = frozenset({"upload", "plain", "mcp"})  # bodies whose requests last, and have lines of their own
_SQUARES = "/ground/"  # of maps, which have a line of their own too
_OWN_QUESTION = "/gradio_api/startup-events"  # which Gradio asks at its start
_MIN_PACE_BYTES = 32 * 1024  # a second, of an upload


@dataclass(frozen=True)
class Limits:
    """Limits of a client.

    Attributes:
        per_minute: requests; 0 for no limit.
        max_upload_bytes: of a file.
        uploads_bytes: of all files that are on their way or kept.
        proxies: number of the operator's proxies, which stand before the server and add to X-Forwarded-For.
        hosts: names under which the server may be asked; see `app.server.hosts`.
    """

    per_minute: int
    max_upload_bytes: int
    proxies: int = 0
    hosts: tuple[str, ...] = ()
    uploads_bytes: int = 512 * _MIB

    @property
    def upload_bytes(self) -> int:
        """Bytes of one upload, which may hold several files: half of all at most."""
        return max(self.max_upload_bytes, min(_FILES * self.max_upload_bytes, self.uploads_bytes // 2)) + _FORM_BYTES


@dataclass(frozen=True)
class Known:
    """Functions, files and calls of the app, which requests are checked against.

    Attributes:
        functions: numbers of its functions.
        names: names of those that programs may call.
        folder: the folder whose files are served.
        callers: the calls that run, and the streams of their callers.
        session_of: returns an event's session; "" for an event that is not known.
        waiting: returns the scopes of the requests whose events wait or run.
        unread: returns the number of answers that a client has not read.
    """

    functions: Collection[int]
    names: Collection[str]
    folder: UploadFolder
    callers: Callers
    session_of: Callable[[str], str] = field(default=lambda _event: "")
    waiting: Callable[[], list[Scope]] = field(default=list)
    unread: Callable[[str], int] = field(default=lambda _client: 0)

    @classmethod
    def of(cls, demo: CheckedBlocks) -> Known:
        """Collect these of an app, once all its functions are there."""
        queue = demo._queue

        def session_of(event_id: str) -> str:
            if (event := queue.event_ids_to_events.get(event_id)) is not None:
                return str(event.session_hash)
            waiting = queue.pending_event_ids_session.items()
            return next((session for session, events in list(waiting) if event_id in events), "")

        def waiting() -> list[Scope]:
            lines = [event for lane in list(queue.event_queue_per_concurrency_id.values()) for event in lane.queue]
            running = [event for job in queue.active_jobs if job for event in job]
            return [event.request.scope for event in (*lines, *running)]

        def unread(client: str) -> int:
            open_events = {event for events in list(queue.pending_event_ids_session.values()) for event in list(events)}
            return demo.callers.unread_by(client, open_events)

        public = (function for function in demo.fns.values() if function.api_visibility == "public")
        names = frozenset(str(function.api_name) for function in public if isinstance(function.api_name, str))
        return cls(frozenset(demo.fns), names, demo.folder, demo.callers, session_of, waiting, unread)


class FrontDoor:
    """ASGI middleware before all of Gradio, its own middleware too.

    Args:
        app: the app behind it.
        limits: limits of a client.
        known: functions, files and calls of the app.
        is_up: tells whether the start is over; until then only the server's own question is passed on.
    """

    def __init__(self, app: ASGIApp, *, limits: Limits, known: Known, is_up: Callable[[], bool] = lambda: True) -> None:
        self._app, self._limits, self._known, self._is_up = app, limits, known, is_up
        self._turns = Turns(_AT_WORK)
        self._zipped = GZipMiddleware(app, minimum_size=_ZIPPED_FROM_BYTES, compresslevel=6)
        self._buckets = Buckets(limits.per_minute)
        self._shares = Shares(by_client=bool(limits.per_minute))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a WebSocket, which no page here opens
            log_event("request", "refused", code=404)
            await send({"type": "websocket.close", "code": 1000})
            return
        reply = Reply(send)
        scope[CLIENT] = client_of(scope, self._limits.proxies)
        if _is_inner(scope) and not (self._limits.proxies and header_of(scope, b"x-forwarded-for")):
            scope[CLIENT] = LANGUAGE_MODELS
        try:
            door = self._door(scope)
            with ExitStack() as room:
                room.enter_context(self._room_for(door, scope))
                receive = await self._readable(door, scope, receive)
                if door.body != "upload":  # all of the body is here; an upload comes as it is read
                    room.close()
                self._check_share(door, scope)
                await self._pass_on(door, scope, receive, reply)
        except Refused as refused:
            log_event("request", "refused", code=refused.status)
            await reply.refuse(refused)
        except Exception as error:
            await self._mishap(error, scope, reply)

    async def _mishap(self, error: Exception, scope: Scope, reply: Reply) -> None:
        """End the answer to a request at which Gradio failed, with a line in the log and no trace.

        A stream that has begun fails where its session is gone or its caller left, which is no fault.
        """
        named = str(scope["path"]).startswith("/gradio_api/call/v2/")  # Gradio raises the caller's own errors there
        if reply.begun:
            log_event("request", "stopped", error=type(error).__name__)
        elif named:
            log_event("request", "refused", code=422)
        else:
            log_event("request", "failed", error=type(error).__name__, at=request_log.place_of(error))
        await reply.refuse(
            Refused(422, "the values do not fit the parameters; see Use via API at the foot of the page")
            if named
            else Refused(500, "the server failed at this; that is a fault of ours, and it is in the log")
        )

    def _check_share(self, door: Door, scope: Scope) -> None:
        """Leave places in the queue for others: refuse a client that has its share of calls."""
        if door.body not in ("join", "call", "named_call") or not self._limits.per_minute:
            return
        own = sum(other.get(CLIENT) == scope[CLIENT] for other in self._known.waiting())
        if own >= _MAX_CALLS:
            raise Refused(429, f"{own} calls of yours wait or run already; wait for one of them", 5.0)
        unread = self._known.unread(str(scope[CLIENT]))
        if own + unread >= _MAX_CALLS:
            raise Refused(429, f"{unread} answers are ready and not read; read them first", 5.0)

    def _door(self, scope: Scope) -> Door:
        """Return the door that a request may go through, or refuse the request."""
        host = header_of(scope, b"host")
        if not may_be_asked(host, self._limits.hosts):
            raise Refused(421, "this server is not asked under that name; its operator can allow it: LRSCLIP_HOSTS")
        if len(str(scope["path"])) > _LONGEST_PATH or len(scope.get("query_string", b"")) > _LONGEST_QUERY:
            raise Refused(414, "this address is too long")
        scope["headers"] = [one for one in scope["headers"] if self._is_harmless(*one)]
        doors, match = door_of(str(scope["path"]))
        if not doors or match is None:
            raise Refused(404, "there is nothing here")
        method = str(scope["method"])
        door = next((door for door in doors if method in door.methods or method == "OPTIONS"), None)
        if door is None:
            raise Refused(405, "this is not asked for in that way")
        if not is_own_page(header_of(scope, b"origin"), host, self._limits.hosts):
            raise Refused(403, "a page of another server may not ask this one")
        groups = match.groupdict()
        if str(scope["path"]) != _OWN_QUESTION and not self._is_up():
            raise Refused(503, "the server is about to start; try again in a moment", 1.0)
        self._charge(scope, door)
        if groups.get("file") is not None:
            self._check_file(groups["file"])
        if (
            (name := groups.get("name")) is not None
            and name not in self._known.names
            and not (door.body == "join" and name == "predict")
        ):
            raise Refused(404, "there is no function of that name")
        return replace(door, body="") if method == "OPTIONS" else door

    async def _readable(self, door: Door, scope: Scope, receive: Receive) -> Receive:
        """Return the receive function through which the body of a request may be read."""
        if not door.body:
            return receive
        match = door.pattern.fullmatch(str(scope["path"]))
        name = match.groupdict().get("name") if match is not None else None
        return await self._body(door, name if name != "predict" else None, scope, receive)

    def _is_harmless(self, name: bytes, value: bytes) -> bool:
        """Return whether a header may reach Gradio, which believes some and fails at others."""
        key, text = name.lower(), value.decode("latin-1")
        if key == b"range":
            return _RANGE.fullmatch(text.strip()) is not None
        if key == b"x-forwarded-host":
            named = _FORWARDED_HOST.fullmatch(text.strip()) is not None and may_be_asked(
                text.strip(), self._limits.hosts
            )
            return bool(self._limits.proxies) and named
        if key == b"x-forwarded-proto":
            return text.strip() in ("http", "https")
        return True

    def _charge(self, scope: Scope, door: Door) -> None:
        said = header_of(scope, b"content-length")
        most, cost = self._max_bytes(door), door.cost
        if said and not (said.isascii() and said.isdigit() and len(said) < 16):
            raise Refused(400, "the length of the body is no number")
        if header_of(scope, b"transfer-encoding"):  # its size is not known before all of it is there
            raise Refused(411, "say how long the body is: send it with Content-Length, and not in chunks")
        if (size := _length(scope)) > most:
            raise Refused(413, f"this is over the limit of {most // _MIB} MB; send less at once")
        if door.body == "upload":
            cost = max(cost, size / _BYTES_A_REQUEST)
        else:
            cost += size / (_TYPED_BYTES if door.direct else _MIB)
        if _is_inner(scope):  # charged when the language model's call came
            return
        scope[CHARGE] = partial(self._buckets.wait_s, scope[CLIENT])
        if wait_s := self._buckets.wait_s(scope[CLIENT], cost):
            raise Refused(429, "too many requests; wait a moment and try again", wait_s)

    def _max_bytes(self, door: Door) -> int:
        return {"upload": self._limits.upload_bytes, "mcp": _MCP_BYTES, "plain": _MCP_BYTES}.get(door.body, _JSON_BYTES)

    def _check_file(self, path: str) -> None:
        try:
            self._known.folder.touch(self._known.folder.admit(path))
        except PictureError as error:
            raise Refused(404, str(error)) from error

    async def _body(self, door: Door, name: str | None, scope: Scope, receive: Receive) -> Receive:
        most = self._max_bytes(door)
        if door.body == "upload":
            boundary = _BOUNDARY.search(header_of(scope, b"content-type"))
            if boundary is not None and len(boundary[1]) < _MIN_BOUNDARY:
                raise Refused(400, f"the boundary of the form is shorter than {_MIN_BOUNDARY} characters")
            return _measured(receive, most, _IDLE_S + _length(scope) / _MIN_PACE_BYTES)
        if door.body == "mcp":
            return _replayed(_resized(scope, await self._checked_mcp(receive, most)), receive)
        kind = header_of(scope, b"content-type").partition(";")[0].strip().lower()
        if kind != "application/json":  # a foreign page can send other types without asking first
            raise Refused(415, "the body of a call is JSON; send it with Content-Type: application/json")
        try:
            body = await asyncio.wait_for(_whole(receive, most), _BODY_S)
            if door.body == "plain":
                clean = json.dumps(check_json(body)).encode()
            else:
                clean = read_call(body, door.body, self._known.functions, name)
        except BodyError as error:
            raise Refused(error.status, str(error)) from error
        except TimeoutError as error:
            raise Refused(408, f"the body was not there after {_BODY_S:.0f} s; send the call again") from error
        return _replayed(_resized(scope, clean), receive)

    async def _checked_mcp(self, receive: Receive, most: int) -> bytes:
        try:
            body = await asyncio.wait_for(_whole(receive, most), _BODY_S)
            if body:
                clean = check_json(body)
                _check_methods(clean)
                return json.dumps(clean).encode()
        except BodyError as error:
            raise Refused(error.status, str(error)) from error
        except TimeoutError as error:
            raise Refused(408, f"the body was not there after {_BODY_S:.0f} s; send the call again") from error
        return body

    def _room_for(self, door: Door, scope: Scope) -> AbstractContextManager[None]:
        """Reserve room for a body on its way: bodies sent halfway cannot fill memory or disk."""
        if not door.body:
            return nullcontext()
        kind: Kind = "upload" if door.body == "upload" else "call"
        bound = self._limits.uploads_bytes if kind == "upload" else _BODIES_BYTES
        return self._shares.of(scope[CLIENT], kind, _length(scope), bound // _SHARE_OF_ROOM, bound)

    async def _pass_on(self, door: Door, scope: Scope, receive: Receive, reply: Reply) -> None:
        outcome = Outcome()
        token = OUTCOME.set(outcome)
        reply.outcome = outcome
        session = self._session(door, scope) if door.stream else ""
        if door.stream and not session and "event" in door.pattern.groupindex:
            raise Refused(404, "no call of that name waits for an answer")
        page = door.pattern.fullmatch(str(scope["path"]))
        heartbeat = page.groupdict().get("session") if page is not None else None
        callers = self._known.callers
        here = callers.open_page(heartbeat) if heartbeat else callers.listening(session) if session else nullcontext()
        try:
            with self._shares.of(scope[CLIENT], door.share, 1, _MAX_DIRECT if door.direct else _MAX_OPEN), here:
                app = self._zipped if str(scope["path"]) in _ZIPPED else self._app
                waits_elsewhere = door.stream or door.body in _LONG or str(scope["path"]).startswith(_SQUARES)
                if waits_elsewhere or not self._limits.per_minute:
                    await app(scope, receive, reply)
                    return
                async with self._turns.of(scope[CLIENT]) as turn:
                    await app(scope, receive, turn.ending_with(reply))
        finally:
            OUTCOME.reset(token)

    def _session(self, door: Door, scope: Scope) -> str:
        """Return the session whose answers a stream waits for; "" for one that waits for none."""
        if (match := door.pattern.fullmatch(str(scope["path"]))) is None:
            return ""
        if "event" in match.groupdict():
            return str(self._known.session_of(match["event"]))
        if str(scope["path"]).endswith("/queue/data"):
            sessions = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash") or [""]
            if len(sessions) > 1:  # Gradio would listen for another one than we count
                raise Refused(422, "session_hash is there more than once; give one")
            return sessions[0]
        return ""


def _check_methods(sent: Any) -> None:
    """Refuse a language model's methods that do not concern tools, which is all that there is.

    Gradio takes a prompt of any name for its last endpoint, and calls that.
    """
    for one in sent if isinstance(sent, list) else [sent]:
        method = one.get("method") if isinstance(one, dict) else None
        if isinstance(method, str) and method not in _MCP_METHODS and not method.startswith("notifications/"):
            raise BodyError("this server has tools alone; ask tools/list for them", 422)


_ABOUT_BODY = (b"content-length", b"transfer-encoding")


def _resized(scope: Scope, body: bytes) -> bytes:
    """Set the length in a request's head to that of a body written anew, and return the body."""
    headers = [(key, value) for key, value in scope["headers"] if key.lower() not in _ABOUT_BODY]
    scope["headers"] = [*headers, (b"content-length", str(len(body)).encode())]
    return body


async def _whole(receive: Receive, most: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "the connection was closed before the body was there")
        body += message.get("body", b"")
        if len(body) > most:
            raise Refused(413, f"this is over the limit of {most // _MIB} MB; send less at once")
        if not message.get("more_body", False):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()  # tells when the client leaves
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _is_inner(scope: Scope) -> bool:
    """Return whether this process itself sends a request."""
    return secrets.compare_digest(header_of(scope, INNER_HEADER).encode("latin-1", "replace"), INNER_TOKEN.encode())


def _length(scope: Scope) -> int:
    """Return the bytes of a body as the request declares them."""
    return int(header_of(scope, b"content-length") or 0)


def _measured(receive: Receive, most: int, within_s: float) -> Receive:
    """Wrap the receive function of a body: it ends where the body is too slow or too long.

    The end reads as if the client had hung up: the reader drops the part that it has read.
    """
    got, ended = 0, False
    until_s = asyncio.get_running_loop().time() + within_s

    async def counted() -> Message:
        nonlocal got, ended
        if ended:
            return await receive()  # tells when the client leaves
        try:
            left_s = until_s - asyncio.get_running_loop().time()
            message = await asyncio.wait_for(receive(), max(0.0, min(_IDLE_S, left_s)))
        except TimeoutError:
            return {"type": "http.disconnect"}
        got += len(message.get("body", b""))
        ended = not message.get("more_body", False)
        return message if got <= most else {"type": "http.disconnect"}

    return counted
