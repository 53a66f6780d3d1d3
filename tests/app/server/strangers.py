"""A stranger who writes requests by hand: calls of any function over HTTP, with any values, and what is answered."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CDLL, c_char_p, c_int, c_uint32
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Answer:
    """What a call was answered with.

    Attributes:
        status: of the request itself.
        success: whether the function gave values.
        error: what was said where it did not; None for nothing.
        body: of a request that was not taken.
    """

    status: int
    success: bool
    error: str | None
    body: str = ""


class Stranger:
    """One who calls functions of a server by number or by name, several at a time.

    Args:
        url: of the server.
        at_once: calls that wait at the same moment.
    """

    def __init__(self, url: str, at_once: int = 24) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S, limits=httpx.Limits(max_connections=None))
        self._places = asyncio.Semaphore(at_once)

    async def __aenter__(self) -> Stranger:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up."""
        await self._client.aclose()

    async def join(self, number: Any, values: Any, event_data: Any = None, **more: Any) -> Answer:
        """Call a function through the queue, as the page does, and wait for the answer."""
        session = secrets.token_hex(5)
        call = {"fn_index": number, "data": values, "session_hash": session, "event_data": event_data} | more
        async with self._places:
            taken = await self._client.post("/gradio_api/queue/join", json=call)
            if taken.status_code != 200:
                return Answer(taken.status_code, False, _said(taken), taken.text)
            heard: list[str] = []
            async with self._client.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
                async for line in stream.aiter_lines():
                    heard.append(line[:300])
                    if line.startswith("data:") and (told := json.loads(line[5:]))["msg"] == "process_completed":
                        return Answer(200, told["success"], told["output"].get("error"))
        return Answer(200, False, None, f"no answer: {heard}")

    async def run(self, number: Any, values: Any, **more: Any) -> Answer:
        """Call a function past the queue, as what runs at each key does."""
        call = {"fn_index": number, "data": values, "session_hash": secrets.token_hex(5)} | more
        async with self._places:
            taken = await self._client.post("/gradio_api/run/predict", json=call)
        return Answer(taken.status_code, taken.status_code == 200, _said(taken), taken.text)

    async def named(self, name: str, values: Any) -> Answer:
        """Call an endpoint, as programs do, and wait for the answer."""
        async with self._places:
            taken = await self._client.post(f"/gradio_api/call/{name}", json={"data": values})
            if taken.status_code != 200:
                return Answer(taken.status_code, False, _said(taken), taken.text)
            event = taken.json()["event_id"]
            answer = (await self._client.get(f"/gradio_api/call/{name}/{event}")).text
        kind, _, data = answer.strip().rpartition("\n\n")[2].partition("\n")
        told = json.loads(data.removeprefix("data: "))
        success = kind == "event: complete"
        return Answer(200, success, None if success else (told or {}).get("error"), answer[:300])

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request of any kind."""
        async with self._places:
            return await self._client.request(method, path, **options)


def _said(response: httpx.Response) -> str | None:
    try:
        told = response.json()
    except ValueError:
        return response.text or None
    said = told.get("error") or told.get("detail") if isinstance(told, dict) else None
    return None if said is None else said if isinstance(said, str) else json.dumps(said)


class Opened:
    """Files that this process opens by Python, while it is told to listen; a hook cannot be taken away again."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self._listens = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._listens and event in ("open", "os.listdir", "os.scandir", "os.rename", "os.remove", "os.truncate"):
            path = arguments[0]
            if isinstance(path, str | bytes | os.PathLike):
                self.paths.append(os.path.abspath(os.fsdecode(path)))

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """Note what is opened inside."""
        self.paths.clear()
        self._listens = True
        try:
            yield self.paths
        finally:
            self._listens = False


_OPEN, _MODIFY, _ATTRIB = 0x20, 0x2, 0x4


@contextmanager
def watched_folder(folder: Path) -> Iterator[list[str]]:
    """Names of the files in a folder that anybody opens or changes meanwhile, in C too; on Linux alone."""
    touched: list[str] = []
    if sys.platform != "linux":
        yield touched
        return
    libc = CDLL(None)
    libc.inotify_add_watch.argtypes = [c_int, c_char_p, c_uint32]
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert watch >= 0 and libc.inotify_add_watch(watch, os.fsencode(folder), _OPEN | _MODIFY | _ATTRIB) >= 0
    try:
        yield touched
    finally:
        while events := _read(watch):
            while events:
                _, _, _, length = struct.unpack_from("iIII", events)
                touched.append(os.fsdecode(events[16 : 16 + length].rstrip(b"\0")))
                events = events[16 + length :]
        os.close(watch)


def _read(watch: int) -> bytes:
    try:
        return os.read(watch, 65_536)
    except BlockingIOError:
        return b""
