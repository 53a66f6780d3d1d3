"""The name of a command in its own help: that by which it was called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_CALLED: ContextVar[str] = ContextVar("called", default="")


@contextmanager
def called_as(name: str) -> Iterator[None]:
    """Let the modules that run within the context call themselves by a name, such as `lrsclip index`."""
    token = _CALLED.set(name)
    try:
        yield
    finally:
        _CALLED.reset(token)


def program(own: str) -> str:
    """Return the name by which a command was called, or else a module's own."""
    return _CALLED.get() or own
