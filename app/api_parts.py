"""How a function becomes an endpoint for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from app.events import ENCODING, for_programs


def publish(function: Callable[..., Any], inputs: list[gr.components.Component], **settings: Any) -> None:
    """Make a function an endpoint under its own name; the button that it hangs on is never shown."""
    answer = gr.JSON(label="answer", visible=False)
    hidden = gr.Button(visible=False)
    lane: dict[str, Any] = {**ENCODING, **settings}
    hidden.click(for_programs(function), inputs, answer, api_name=function.__name__, **lane)
