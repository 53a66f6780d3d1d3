"""The endpoints for programs, one file a page, callable with gradio_client."""

from __future__ import annotations

from app.classify.api import add_classify
from app.collections import AppState
from app.learn.api import add_learn
from app.localize.api import add_localize
from app.search.api import add_search


def add_endpoints(state: AppState) -> None:
    """Add the endpoints to the Blocks being built. They have components of their own, which the page does not show."""
    add_search(state)
    add_classify(state)
    add_localize(state)
    add_learn(state)
