"""/health: is the server up, with which model and index, and how busy is it? Plain JSON for probes and people."""

from __future__ import annotations

import time
from functools import cache
from importlib import metadata
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import lrsclip
from app.shared_model import SharedModel
from app.state import AppState

_PACKAGES = ("gradio", "torch", "faiss-gpu", "faiss-cpu")


def health_of(state: AppState, started: float) -> dict[str, Any]:
    """The facts.

    Args:
        state: what the server began with.
        started: `time.monotonic()` of its start.
    """
    bundle, queue = state.bundle, None
    if isinstance(bundle, SharedModel):
        queue = {"waiting": bundle.queue.waiting, "jobs": bundle.queue.jobs_done, "runs": bundle.queue.runs_done}
    return {
        "status": "ok",
        "model": {
            "name": bundle.name,
            "sha256": bundle.sha256,
            "device": str(bundle.device),
            "precision": str(bundle.dtype).removeprefix("torch."),
        },
        "index": {"tiles": state.tile_count},
        "queue": queue,
        "versions": {"lrsclip": lrsclip.__version__, **_versions()},
        "uptime_s": round(time.monotonic() - started, 1),
    }


def health_route(state: AppState) -> Route:
    """The route, to be added to the server."""
    started = time.monotonic()

    async def health(_: Request) -> JSONResponse:
        return JSONResponse(health_of(state, started), headers={"cache-control": "no-store"})

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
