"""What a text box shows as one types: the count of tokens, what is cut, and which words are new to the model."""

from __future__ import annotations

from collections.abc import Callable

from app.collections import AppState
from app.server.events import sentence
from app.ui.html import reading, token_meter, why
from lrsclip import TokenReport
from lrsclip.errors import TextError


def token_report(state: AppState, text: str) -> TokenReport | None:
    """How a text fits the model, None while there is nothing in it.

    Raises:
        TextError: there is something in the box, but nothing to read; or far too much.
    """
    return state.bundle.describe_tokens(text) if text.strip() else None


def meter_of(state: AppState) -> Callable[[str], tuple[str, str]]:
    """An event for a text box's changes: the text to the meter and the reading under it, both HTML."""

    def measure(text: str) -> tuple[str, str]:
        limit = state.bundle.context_length
        try:
            report = token_report(state, text)
        except TextError as error:  # said in place: a passing note needs the queue, which typing does not wait in
            return token_meter(None, limit), why(sentence(error))
        return token_meter(report, limit), reading(report)

    return measure
