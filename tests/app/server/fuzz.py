"""Random calls of every kind against a server of one's own: `python -m tests.app.server.fuzz --calls 20000 --seed 7`.

Each is answered: with values, or with a status below 500 and a sentence. The server runs in this process, on the
loopback; its memory before and after is told.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.build import build, serve
from app.server import settings
from app.server.checked_blocks import CheckedBlocks
from app.server.janitor import sweep
from app.server.settings import Settings
from tests.app.server.strangers import Answer, Stranger
from tests.helpers.app_parts import make_state

_TEXTS = (
    "", "a road", "white boats in a harbour", "field_1.png", "windows", "dense", "sentences", "count", "-1,0,1,1", "{}",
    "atlas:?tiles=9999999", "place:1,2,9km@17", "hub:a/b", "folder:/etc", "../../etc/passwd", "\0", "\ud800", "{{7*7}}",
    "<script>1</script>", "%0a%0d", "9" * 400, "a " * 5000, "²", "+4_000", "nan", "inf", "1e999", "\u202e", "🛰",
)  # fmt: skip
_NUMBERS = (0, 1, -1, 2, 0.5, 12, 61, 1e9, -1e300, 2**31, 2**63, 10**30, 1e-320, True, False)
_PATHS = (
    "/", "/config", "/health", "/gradio_api/info", "/monitoring", "/monitoring/summary", "/monitoring/x", "/login",
    "/gradio_api/proxy=http://127.0.0.1:9/%0Aforged", "/gradio_api/custom_component/a/b/c/%0Aforged", "/token",
    "/gradio_api/file=/etc/passwd", "/gradio_api/file=%00", "/gradio_api/queue/data", "/gradio_api/queue/status",
    "/gradio_api/queue/data?session_hash=nobody", "/gradio_api/heartbeat/%0A", "/gradio_api/call/search/00",
    "/gradio_api/stream/a/1/2/playlist.m3u8", "/gradio_api/upload_progress", "/gradio_api/dev/reload", "/svelte/../x",
    "/gradio_api/component_server", "/gradio_api/openapi.json", "/pwa_icon/99999", "/static/%2e%2e/%2e%2e/x",
    "/x" * 900, "/gradio_api/deep_link?session_hash=a", "/gradio_api/vibe-code", "/gradio_api/runs",
    "/?view=api&__theme=%00",
)  # fmt: skip
_HEADERS: tuple[dict[str, str], ...] = (
    {}, {}, {}, {"host": "evil.example"}, {"origin": "http://evil.example"}, {"range": "bytes=9-1"}, {"accept": "?"},
    {"x-forwarded-for": "a, b, c"}, {"content-type": "text/plain"}, {"cookie": "a=" + "b" * 999},
)  # fmt: skip


@dataclass
class Report:
    """What came of the calls.

    Attributes:
        counted: how many ended in which way.
        faults: those that no server should answer so.
        before_mib: memory after the first calls, of which all have their like later.
        after_mib: memory at the end.
    """

    counted: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    before_mib: float = 0.0
    after_mib: float = 0.0


class Fuzz:
    """Calls that a seed determines.

    Args:
        demo: the app, whose functions are called.
        seed: of the calls.
    """

    def __init__(self, demo: CheckedBlocks, seed: int) -> None:
        self._demo, self._rng = demo, random.Random(seed)
        self._names = sorted({str(f.api_name) for f in demo.fns.values() if f.api_visibility == "public"})

    def value(self, depth: int = 0) -> Any:
        """Any JSON."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.35:
            return rng.choice(_TEXTS)
        if kind < 0.6:
            return rng.choice(_NUMBERS)
        if kind < 0.7:
            return None
        if kind < 0.8:
            return {"path": rng.choice(_TEXTS)} | ({"meta": {"_type": "gradio.FileData"}} if rng.random() < 0.5 else {})
        if depth > 3 or kind < 0.9:
            return [self.value(depth + 1) for _ in range(rng.randrange(4))] if depth < 4 else 0
        return {rng.choice(_TEXTS)[:9]: self.value(depth + 1) for _ in range(rng.randrange(4))}

    def values(self, number: int) -> list[Any]:
        """Values for a function: mostly as many as it takes, and mostly of a kind that it might."""
        function, rng = self._demo.fns.get(number), self._rng
        count = len(function.inputs) if function is not None and rng.random() < 0.9 else rng.randrange(12)
        return [self.value() for _ in range(count)]

    async def call(self, stranger: Stranger) -> tuple[str, Answer | httpx.Response]:
        """One call of any kind, and what it was."""
        rng = self._rng
        number: Any = rng.choice([*self._demo.fns, -1, 99_999, None, "0", 1.5])
        data: Any = self.values(number) if isinstance(number, int) else self.value()
        kind = rng.random()
        if kind < 0.45:
            click: Any = rng.choice(
                [None, {"index": rng.choice([0, 1, -1, 10**9, [0, 1], None, "x"]), "value": 1}, 3, []]
            )
            more = rng.choice(
                [{}, {}, {"trigger_id": self.value()}, {"batched": True}, {"request": {}}, {"event_id": "x"}]
            )
            return f"join {number}", await stranger.join(number, data, click, **more)
        if kind < 0.6:
            return f"run {number}", await stranger.run(number, data)
        if kind < 0.75:
            name = rng.choice([*self._names, "nothing", "_checked", "a/../b"])
            return f"named {name}", await stranger.named(name, data if isinstance(data, list) else [])
        return await self._odd(stranger)

    async def _odd(self, stranger: Stranger) -> tuple[str, httpx.Response]:
        rng = self._rng
        headers = rng.choice(_HEADERS)
        if rng.random() < 0.4:
            path, method = (
                rng.choice(_PATHS),
                rng.choice(["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"]),
            )
            return f"{method} {path[:80]}", await stranger.send(method, path, headers=headers)
        path = rng.choice(["queue/join", "run/predict", "call/search", "call/v2/swap", "cancel", "upload", "reset"])
        body = rng.choice([
            b"", b"{", b"[]", b"null", b'{"data": NaN}', b"[" * 9999, b'{"data": [], "fn_index": 1e400}', b"\xff\xfe",
            b'{"data": ["\\ud800"], "fn_index": 1, "session_hash": "a"}', json.dumps(self.value()).encode(),
            json.dumps({"data": [], "session_hash": rng.choice(["\n", "a" * 99, 5, None])}).encode(),
            json.dumps({"text": self.value(), "tile_id": self.value()}).encode(), b"--eeeeeeee\r\n\r\n--eeeeeeee--",
        ])  # fmt: skip
        kind = rng.choice(
            ["application/json", "application/json", "text/plain", "multipart/form-data; boundary=eeeeeeee", ""]
        )
        return f"POST {path}", await stranger.send(
            "POST", f"/gradio_api/{path}", content=body, headers={"content-type": kind} | headers
        )


def judged(what: str, answer: Answer | httpx.Response, report: Report) -> None:
    """Count an answer, and note it if it is none that a server should give."""
    if isinstance(answer, httpx.Response):
        report.counted[str(answer.status_code)] += 1
        if answer.status_code >= 500:
            report.faults.append(f"{what}: {answer.status_code} {answer.text[:200]}")
        return
    report.counted["values" if answer.success else f"said ({answer.status})"] += 1
    silent = not answer.success and not answer.error
    if answer.status >= 500 or silent or "fault of ours" in (answer.error or ""):
        report.faults.append(f"{what}: {answer}")


async def bombarded(url: str, demo: CheckedBlocks, calls: int, seed: int) -> Report:
    """Make the calls, a tenth of them before memory is first looked at."""
    report, fuzz = Report(), Fuzz(demo, seed)
    async with Stranger(url) as stranger:
        for share in (calls // 3, calls - calls // 3):
            tasks = [asyncio.create_task(_one(fuzz, stranger, report)) for _ in range(share)]
            await asyncio.wait_for(asyncio.gather(*tasks), 60 + share)
            await asyncio.to_thread(_settle, demo)
            report.before_mib, report.after_mib = report.after_mib or memory_mib(), memory_mib()
    return report


async def _one(fuzz: Fuzz, stranger: Stranger, report: Report) -> None:
    try:
        what, answer = await fuzz.call(stranger)
    except httpx.HTTPError as error:
        report.faults.append(f"no answer: {type(error).__name__}: {error}")
        return
    except (httpx.InvalidURL, UnicodeEncodeError, ValueError):  # no request at all
        return
    judged(what, answer, report)


def _settle(demo: CheckedBlocks) -> None:
    """Have dropped what nobody fetched, as the server does within a minute."""
    assert demo._queue is not None
    for _ in range(2):
        asyncio.run(sweep(demo, 0.0))
        time.sleep(0.2)
    gc.collect()


def memory_mib() -> float:
    """Memory of this process that is not shared, on Linux; 0 elsewhere."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    return pages * 4096 / 2**20


@contextmanager
def fuzzed_server(folder: Path) -> Iterator[tuple[CheckedBlocks, str]]:
    """A server for strangers, who are not counted, so that calls reach the app."""
    before = settings.in_force()
    settings.use(Settings(requests_per_minute=0))
    demo = build(make_state(folder), untrusted=True)
    try:
        yield demo, serve(demo, host="127.0.0.1", port=None, block=False)
    finally:
        demo.close(verbose=False)
        settings.use(before)


def main() -> int:
    """Make the calls that are asked for, and tell what came of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.app.server.fuzz", description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, fuzzed_server(Path(folder)) as (demo, url):
        started = time.perf_counter()
        report = asyncio.run(bombarded(url, demo, asked.calls, asked.seed))
        print(
            f"{asked.calls:,} calls, seed {asked.seed}, {time.perf_counter() - started:.0f} s: {dict(report.counted)}"
        )
        print(f"memory after a third {report.before_mib:.0f} MiB, at the end {report.after_mib:.0f} MiB")
    for fault in report.faults[:40]:
        print(f"fault: {fault}")
    print(f"{len(report.faults)} faults")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
