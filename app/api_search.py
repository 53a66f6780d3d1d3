"""The endpoint /search."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.api_parts import publish
from app.search import MAX_HITS, START_HITS, find
from app.state import AppState
from lrsclip.errors import TextError


def add_search(state: AppState) -> None:
    """Add /search."""

    def search(text: str, k: int = START_HITS) -> list[dict[str, Any]]:
        """Find the tiles that fit a description best.

        Args:
            text: The description, up to 248 tokens; what is longer is cut.
            k: How many tiles, 1 to 60.

        Returns:
            A list of objects with tile_id, score_cos (cosine, -1 to 1) and rank (1 is the best).
        """
        if not 1 <= int(k) <= MAX_HITS:
            raise TextError(f"k is {k}; ask for 1 to {MAX_HITS} tiles")
        return [
            {"tile_id": h.tile_id, "score_cos": h.score_cos, "rank": h.rank} for h in find(state, text, int(k)).hits
        ]

    text = gr.Textbox(label="text", visible=False)
    count = gr.Number(START_HITS, precision=0, label="k", visible=False)
    publish(search, [text, count])
