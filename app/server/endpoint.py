"""Endpoints for programs, made of functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.context import Context
from gradio.utils import get_function_description

from app.server.events import ENCODING, for_programs
from lrsclip.errors import TextError


def numbers_box(label: str) -> gr.JSON:
    """Build a box for a list of numbers; Gradio's own schema accepts anything, which no MCP client takes."""
    box = gr.JSON(None, label=label, visible=False)
    schema = {"type": "array", "items": {"type": "number"}, "description": "a list of numbers"}
    # not a subclass: for one Gradio writes a stub file beside the source
    box.api_info = lambda: schema  # type: ignore[method-assign]
    return box


def described(info: dict[str, Any], endpoints: Mapping[str, Endpoint]) -> dict[str, Any]:
    """Complete what Gradio tells of endpoints: each parameter in the words of its docstring, and an example.

    Args:
        info: as `gr.Blocks.get_api_info` returns it; changed in place.
        endpoints: by name.
    """
    for name, endpoint in endpoints.items():
        told = info["named_endpoints"].get(f"/{name}")
        if told is None:
            continue
        _, words, _ = get_function_description(endpoint.function)
        told["example"] = dict(endpoint.example)
        for parameter in told["parameters"]:
            key = parameter["parameter_name"]
            parameter["python_type"]["description"] = " ".join(words.get(key, "").split())
            parameter["example_input"] = endpoint.example.get(key, parameter["parameter_default"])
    return info


@dataclass(frozen=True)
class Endpoint:
    """A function for programs.

    Attributes:
        name: of the endpoint.
        function: what it does, of values by name.
        boxes: components of its parameters, in their order.
        example: values of a call that is answered, for the code that *Use via API* shows.
    """

    name: str
    function: Callable[..., Any]
    boxes: tuple[gr.components.Component, ...]
    example: Mapping[str, Any]


def publish(
    function: Callable[..., Any],
    inputs: list[gr.components.Component],
    example: Mapping[str, Any],
    **settings: Any,
) -> None:
    """Make a function an endpoint under its own name; the button that it hangs on is never shown.

    The value of a text box is a text when the function gets it, empty where nothing was sent.

    Args:
        function: of values by name; its docstring documents the endpoint.
        inputs: boxes of its parameters, in their order.
        example: values of a call that is answered.
        settings: of the event, such as its lane.
    """
    answer = gr.JSON(label="answer", visible=False)
    hidden = gr.Button(visible=False)
    lane: dict[str, Any] = {**ENCODING, **settings}

    @functools.wraps(function)
    def checked(*values: Any) -> Any:
        pairs = zip(inputs, values, strict=True)
        return function(*(_text(box, value) if isinstance(box, gr.Textbox) else value for box, value in pairs))

    hidden.click(for_programs(checked), inputs, answer, api_name=function.__name__, **lane)
    root = Context.root_block
    endpoints: dict[str, Endpoint] | None = getattr(root, "endpoints", None)
    if endpoints is not None:
        endpoints[function.__name__] = Endpoint(function.__name__, function, tuple(inputs), example)


def _text(box: gr.Textbox, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TextError(f"{box.label} is a {type(value).__name__}; give a text")
    return value.encode("utf-8", "replace").decode("utf-8")  # half a character of UTF-16 is none
