"""Endpoints for programs, made of functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import gradio as gr

from app.server.events import ENCODING, for_programs
from lrsclip.errors import TextError


def numbers_box(label: str) -> gr.JSON:
    """Build a box for a list of numbers; Gradio's own schema accepts anything, which no MCP client takes."""
    box = gr.JSON(None, label=label, visible=False)
    schema = {"type": "array", "items": {"type": "number"}, "description": "a list of numbers"}
    # not a subclass: for one Gradio writes a stub file beside the source
    box.api_info = lambda: schema  # type: ignore[method-assign]
    return box


def publish(function: Callable[..., Any], inputs: list[gr.components.Component], **settings: Any) -> None:
    """Make a function an endpoint under its own name; the button that it hangs on is never shown.

    The value of a text box is a text when the function gets it, empty where nothing was sent.
    """
    answer = gr.JSON(label="answer", visible=False)
    hidden = gr.Button(visible=False)
    lane: dict[str, Any] = {**ENCODING, **settings}

    @functools.wraps(function)
    def checked(*values: Any) -> Any:
        pairs = zip(inputs, values, strict=True)
        return function(*(_text(box, value) if isinstance(box, gr.Textbox) else value for box, value in pairs))

    hidden.click(for_programs(checked), inputs, answer, api_name=function.__name__, **lane)


def _text(box: gr.Textbox, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TextError(f"{box.label} is a {type(value).__name__}; give a text")
    return value.encode("utf-8", "replace").decode("utf-8")  # half a character of UTF-16 is none
