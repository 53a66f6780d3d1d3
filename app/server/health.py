"""/health: is the server up and does it answer, with which model and index? Plain JSON for probes and people.

It is well only while work moves: a probe that hears "ok" from a server whose workers all hang keeps it alive for ever.
"""

from __future__ import annotations

import time
from functools import cache
from importlib import metadata
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import lrsclip
from app.server.checked_blocks import CheckedBlocks
from app.server.encoder_queue import EncoderQueue
from app.server.fair_work import TAKING_IN
from app.server.queued_model import SharedModel

_PACKAGES = ("gradio", "torch", "faiss-gpu", "faiss-cpu")
STILL_S = 15.0
"""Seconds in which nothing may move while something waits."""
_WORKER_S = 2.0  # in which a worker must be free
_RUNS = 10  # times the longest run so far that one run may take, on slow machines
_UNAVAILABLE = 503


async def health_of(demo: CheckedBlocks, started: float) -> dict[str, Any]:
    """Collect the facts: status, faults, model, index, queue, versions and uptime.

    Args:
        demo: the app.
        started: `time.monotonic()` of its start.
    """
    bundle, encoder = demo.first.bundle, encoder_of(demo)
    queue = None
    if encoder is not None:
        queue = {"waiting": encoder.waiting, "jobs": encoder.jobs_done, "runs": encoder.runs_done}
    faults = [*stuck(demo), *([] if await _has_free_worker() else ["no worker is free"])]
    return {
        "status": "stuck" if faults else "ok",
        "faults": faults,
        "model": {
            "name": bundle.name,
            "sha256": bundle.sha256,
            "device": str(bundle.device),
            "precision": str(bundle.dtype).removeprefix("torch."),
        },
        "index": {"tiles": demo.first.tile_count},
        "queue": queue,
        "running": len(demo.callers.running()),
        "left": sum(call.gone.is_set() for call in demo.callers.running()),  # that go on though their callers have gone
        "uploads": TAKING_IN.waiting,
        "versions": {"lrsclip": lrsclip.__version__, **_versions()},
        "uptime_s": round(time.monotonic() - started, 1),
    }


def encoder_of(demo: CheckedBlocks) -> EncoderQueue | None:
    """Return the line before the model; None on ZeroGPU, which has one of its own."""
    bundle = demo.first.bundle
    return bundle.queue if isinstance(bundle, SharedModel) else None


def stuck(demo: CheckedBlocks, still_s: float = STILL_S) -> list[str]:
    """List the parts that do not move although something waits for them, a sentence each.

    Args:
        demo: the app.
        still_s: seconds in which nothing may move.
    """
    faults, encoder, now_s = [], encoder_of(demo), time.monotonic()
    patience_s = still_s
    if encoder is not None:
        patience_s = max(still_s, _RUNS * encoder.longest_run_s)
        if encoder.still_s > patience_s:
            faults.append(f"the model has not moved for {encoder.still_s:.0f} s")
    moved_s = max(demo.callers.last_end_s, encoder.moved_s if encoder is not None else 0.0)
    for lane in list(demo._queue.event_queue_per_concurrency_id.values()):
        full = lane.concurrency_limit is not None and lane.current_concurrency >= lane.concurrency_limit
        oldest = lane.queue[0].enqueue_time if lane.queue else now_s
        if full and now_s - oldest > still_s and now_s - moved_s > patience_s:
            faults.append(f"{len(lane.queue)} events wait, and nothing has ended for {now_s - moved_s:.0f} s")
    if TAKING_IN.still_s > 2 * still_s:
        faults.append(f"uploads wait, and none has been taken in for {TAKING_IN.still_s:.0f} s")
    return faults


async def _has_free_worker() -> bool:
    with anyio.move_on_after(_WORKER_S):
        await anyio.to_thread.run_sync(_nothing)
        return True
    return False


def _nothing() -> None:
    """Do nothing: a free worker runs it at once."""


def health_route(demo: CheckedBlocks) -> Route:
    """Build the route, to be added to the server; it answers 503 where the server is stuck."""
    started = time.monotonic()

    async def health(_: Request) -> JSONResponse:
        facts = await health_of(demo, started)
        status = 200 if facts["status"] == "ok" else _UNAVAILABLE
        return JSONResponse(facts, status, headers={"cache-control": "no-store"})

    return Route("/health", health, methods=["GET", "HEAD"])


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name.partition("-")[0]] = metadata.version(name)
        except metadata.PackageNotFoundError:  # one of the two FAISS packages always is not there
            continue
    return found
