"""Structured logs: one JSON line a call, with its outcome and duration, and nothing of its content.

No text, file name, address or picture is ever logged; of an error only its type, and where in the code it arose.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gradio as gr

from lrsclip.errors import Busy, Cancelled, LRSCLIPError

log = logging.getLogger("app.server.request_log")
log.propagate = False
log.addHandler(logging.NullHandler())


@dataclass(eq=False)
class Call:
    """One call of a function while it runs.

    Attributes:
        event: its name in the log.
        event_id: Gradio's name of it; None for a call outside the queue.
        session: the browser session that made it.
        client: the client that made it; "" where that is not known.
        lane: the lane whose calls share a limit on their number at once.
        gone: set once nobody waits for the answer.
        logged: whether the log has its line.
    """

    event: str
    event_id: str | None = None
    session: str | None = None
    client: str = ""
    lane: str = ""
    gone: threading.Event = field(default_factory=threading.Event)
    logged: bool = False


CURRENT: ContextVar[Call | None] = ContextVar("call", default=None)
"""The call that a thread or task works for."""


def current_client() -> str:
    """Return the client whose call is at hand; "" outside a call."""
    call = CURRENT.get()
    return "" if call is None else call.client


def log_to_stderr() -> None:
    """Write the lines to stderr from now on; until this is called nothing is logged."""
    if not any(isinstance(handler, logging.StreamHandler) for handler in log.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    # Others write their input: MCP's sessions into the root logger, libraries as warnings.
    logging.getLogger().setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")


def is_on() -> bool:
    """Return whether calls are logged."""
    return log.isEnabledFor(logging.INFO)


def log_event(event: str, status: str, **facts: str | int | float) -> None:
    """Log one line."""
    if is_on():
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        log.info(json.dumps({"time": now, "event": event, "status": status, **facts}))


def name_of(function: Any) -> str:
    """Return the plain name of a function for the log."""
    return str(getattr(function, "__name__", "")).strip("_<>") or "function"


@contextmanager
def told(event: str) -> Iterator[None]:
    """Log a call when it ends: status ok, refused (the caller can mend it), busy, stopped or failed.

    Where contexts of one call are nested, the innermost one writes its only line.
    """
    call = CURRENT.get() or Call(event)
    started = time.perf_counter()
    facts: dict[str, str] = {}
    status = "ok"
    try:
        yield
    except BaseException as error:
        status, facts = _status(error), {"error": type(error).__name__}
        if status == "failed":
            facts["at"] = place_of(error)
        raise
    finally:
        if not call.logged:
            call.logged = True
            log_event(event, status, ms=round(1000 * (time.perf_counter() - started), 1), **facts)


def _status(error: BaseException) -> str:
    if isinstance(error, Busy):
        return "busy"
    if isinstance(error, Cancelled):
        return "stopped"
    if isinstance(error, asyncio.CancelledError):
        return "stopped"
    return "refused" if isinstance(error, LRSCLIPError | gr.Error) else "failed"


def place_of(error: BaseException) -> str:
    """Return file and line where an error arose."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    return "".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in last)
