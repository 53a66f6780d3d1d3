"""The endpoints for programs, one file a page, callable with gradio_client."""

from __future__ import annotations

from app.api_classify import add_classify
from app.api_learn import add_learn
from app.api_localize import add_localize
from app.api_search import add_search
from app.state import AppState


def add_endpoints(state: AppState) -> None:
    """Add the endpoints to the Blocks being built. They have components of their own, which the page does not show."""
    add_search(state)
    add_classify(state)
    add_localize(state)
    add_learn(state)
