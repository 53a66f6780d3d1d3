"""Faults that Gradio meets outside of our events, such as a value of a wrong kind: a line in the log, and no trace.

Gradio prints traces, and the message at the end of one may repeat what a visitor sent.
"""

from __future__ import annotations

import sys
import traceback
from types import SimpleNamespace

from gradio import queueing, routes

from app.server import request_log as calls


def log_instead() -> None:
    """Let Gradio's traces become lines of the log while it is switched on."""
    for module in (queueing, routes):
        if not hasattr(module, "traceback"):  # so that a Gradio that prints otherwise is noticed at the start
            raise RuntimeError(f"{module.__name__} prints no traces; app/server/traces.py must be brought up to date")
        module.traceback = SimpleNamespace(print_exc=_print_exc)  # type: ignore[attr-defined]


def _print_exc() -> None:
    error = sys.exception()
    if not calls.is_on() or error is None:
        traceback.print_exc()
        return
    calls.tell("gradio", "failed", error=type(error).__name__, at=calls.place_of(error))
