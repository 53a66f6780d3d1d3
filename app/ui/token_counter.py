"""What a text box shows as one types: the count of tokens, what is cut, and which words are new to the model."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.blocks import Block

from app.collections import AppState
from app.server.events import QUICK, sentence
from app.ui.html import reading, token_meter, why
from lrsclip import TokenReport
from lrsclip.errors import TextError


def token_report(state: AppState, text: str) -> TokenReport | None:
    """Return how a text fits the model, None while there is nothing in it.

    Raises:
        TextError: there is something in the box, but nothing to read; or far too much.
    """
    return state.bundle.describe_tokens(text) if text.strip() else None


def wire_meter(state: AppState, text: gr.Textbox, meter: gr.HTML, note: gr.HTML) -> None:
    """Measure a text whenever it changes.

    Args:
        state: whose model reads the text.
        text: the box.
        meter: shows the count of tokens.
        note: shows what is cut and which words are new, or why the text cannot be read.
    """

    def measure(content: str) -> dict[Block, Any]:
        limit = state.bundle.context_length
        try:
            report = token_report(state, content)
        except TextError as error:  # said in place: a passing note needs the queue, which typing does not wait in
            return {meter: token_meter(None, limit), note: why(sentence(error))}
        return {meter: token_meter(report, limit), note: reading(report)}

    text.change(measure, text, [meter, note], **QUICK)
