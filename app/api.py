"""The endpoints for programs: /search, /classify and /localize, callable with gradio_client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from app.classify import RSICD_LABELS, score_classes
from app.events import ENCODING, UPLOAD, for_programs
from app.localise import Question, as_json, ask, method_of, sizes_of, threshold_of
from app.pictures import upload_box, uploaded
from app.scenes import of_tile, opened_upload
from app.search import MAX_HITS, START_HITS, find
from app.state import AppState
from lrsclip.classify import DEFAULT_TEMPLATES
from lrsclip.errors import TextError


def add_endpoints(state: AppState) -> None:
    """Add the endpoints to the Blocks being built. They have components of their own, which the page does not show."""
    _add_search(state)
    _add_classify(state)
    _add_localize(state)


def _add_search(state: AppState) -> None:
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
    _publish(search, [text, count])


def _add_classify(state: AppState) -> None:
    def classify(picture: dict[str, Any], labels: str, templates: str) -> list[dict[str, Any]]:
        """Score a picture against class names.

        Args:
            picture: The picture to classify.
            labels: Class names, one a line.
            templates: Phrasings with {} where the class name goes, one a line.

        Returns:
            A list of objects with label, score_cos and probability, best first.
        """
        scores = score_classes(state, uploaded(picture), labels, templates)
        return [{"label": s.label, "score_cos": s.score_cos, "probability": s.probability} for s in scores]

    picture = upload_box(label="picture", visible=False)
    labels = gr.Textbox("\n".join(RSICD_LABELS), label="labels", visible=False)
    templates = gr.Textbox("\n".join(DEFAULT_TEMPLATES), label="templates", visible=False)
    _publish(classify, [picture, labels, templates], **UPLOAD)


def _add_localize(state: AppState) -> None:
    def localize(
        text: str,
        picture: dict[str, Any] | None,
        tile_id: str,
        method: str = "windows",
        exclude: str = "",
        scales_px: list[int] | None = None,
        threshold: float | None = None,
    ) -> dict[str, Any]:
        """Find where in a scene a sentence is true.

        Args:
            text: What to look for.
            picture: The scene, a picture or a GeoTIFF; leave it out to use a tile.
            tile_id: A tile as /search names it, in place of a picture.
            method: windows, or dense, which is faster.
            exclude: What it must not be: its cosine is taken off.
            scales_px: Window sizes in px; leave it out for automatic ones.
            threshold: Regions are where the map reaches this cosine; leave it out to have it chosen from the map.

        Returns:
            An object with the scene's size, the method, the window sizes, the best window, the range of the map's mean
            cosines (min_cos, max_cos), grid_cos, the map sampled to at most 64 values a side (null where there is no
            data), bounds_lonlat (west, south, east, north; null without a place on Earth), regions (GeoJSON; in pixels
            x, -y without a place) and presence (probability, present, false_alarm_rate; null if the model cannot tell).
        """
        question = Question(
            text,
            exclude=exclude or "",
            method=method_of(method),
            scales_px=sizes_of(scales_px),
            threshold_cos=threshold_of(threshold),
        )
        if tile_id:
            return as_json(ask(state, of_tile(state, tile_id), question).findings[0])
        with opened_upload(picture) as scene:
            return as_json(ask(state, scene, question).findings[0])

    text = gr.Textbox(label="text", visible=False)
    picture = upload_box(label="picture", visible=False)
    tile_id = gr.Textbox("", label="tile_id", visible=False)
    method = gr.Textbox("windows", label="method", visible=False)
    exclude = gr.Textbox("", label="exclude", visible=False)
    scales_px = gr.JSON(None, label="scales_px", visible=False)
    threshold = gr.Number(None, label="threshold", visible=False)
    _publish(localize, [text, picture, tile_id, method, exclude, scales_px, threshold], **UPLOAD)


def _publish(function: Callable[..., Any], inputs: list[gr.components.Component], **settings: Any) -> None:
    """Make a function an endpoint under its own name; the button that it hangs on is never shown."""
    answer = gr.JSON(label="answer", visible=False)
    hidden = gr.Button(visible=False)
    hidden.click(for_programs(function), inputs, answer, api_name=function.__name__, **settings, **ENCODING)
