"""Structured logs: one JSON line a call, with what happened and how long it took, and nothing of what was sent.

No text, file name, address or picture is ever logged; of an error only its type, and where in the code it arose.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from lrsclip.errors import Busy, Cancelled, LRSCLIPError

log = logging.getLogger("app.calls")
log.propagate = False
log.addHandler(logging.NullHandler())


def log_to_stderr() -> None:
    """Write the lines to stderr from now on; until this is called nothing is logged."""
    if not any(isinstance(handler, logging.StreamHandler) for handler in log.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
    log.setLevel(logging.INFO)


def is_on() -> bool:
    """Whether calls are logged."""
    return log.isEnabledFor(logging.INFO)


def tell(event: str, status: str, **facts: str | int | float) -> None:
    """Log one line."""
    if is_on():
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        log.info(json.dumps({"time": now, "event": event, "status": status, **facts}))


@contextmanager
def told(event: str) -> Iterator[None]:
    """Log a call when it ends: status ok, refused (the visitor can mend it), busy, stopped or failed."""
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
        tell(event, status, ms=round(1000 * (time.perf_counter() - started), 1), **facts)


def _status(error: BaseException) -> str:
    if isinstance(error, Busy):
        return "busy"
    if isinstance(error, Cancelled):
        return "stopped"
    return "refused" if isinstance(error, LRSCLIPError) else "failed"


def place_of(error: BaseException) -> str:
    """File and line where an error arose."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    return "".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in last)
