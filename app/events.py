"""How events run: hidden from the API unless they belong there, one encoder at a time, errors as a sentence."""

from __future__ import annotations

import functools
from collections.abc import Callable
from html import escape
from typing import Any, ParamSpec, TypedDict, TypeVar

import gradio as gr

from lrsclip import LRSCLIPError

Params = ParamSpec("Params")
Result = TypeVar("Result")


class Encoding(TypedDict):
    """Arguments of an event that uses the encoder; all such events wait in one line."""

    concurrency_id: str
    concurrency_limit: int


ENCODING: Encoding = {"concurrency_id": "encoder", "concurrency_limit": 1}
INTERNAL: dict[str, Any] = {"api_visibility": "private"}
# For what happens as one types or clicks: at once, without a spinner.
QUICK: dict[str, Any] = {**INTERNAL, "queue": False, "show_progress": "hidden"}
# For events that read an upload box; see `app.pictures.uploaded`.
UPLOAD: dict[str, Any] = {"preprocess": False}


def for_page(function: Callable[Params, Any]) -> Callable[Params, Any]:
    """Tell a visitor of the project's own errors in a passing note, and leave the page as it is."""

    @functools.wraps(function)
    def wrapped(*args: Params.args, **kwargs: Params.kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except LRSCLIPError as error:
            gr.Warning(sentence(error))
            return gr.skip()

    return wrapped


def for_programs(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """Let a program that calls an endpoint have the project's own errors as the call's error."""

    @functools.wraps(function)
    def wrapped(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except LRSCLIPError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return wrapped


def sentence(error: LRSCLIPError) -> str:
    """An error as a sentence, safe to show: Gradio renders HTML in notes and errors."""
    text = str(error)
    return escape(text[:1].upper() + text[1:].rstrip(".") + ".")
