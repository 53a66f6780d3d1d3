"""The endpoint /localize."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.collections import AppState
from app.localize.service import Question, answer_json, ask, method_of, sizes_of, threshold_of
from app.media.images import upload_box
from app.media.scene_input import of_tile, opened_upload
from app.server.endpoint import numbers_box, publish
from app.server.events import SCENES, UPLOAD
from app.server.upload_folder import Upload
from lrsclip.errors import PictureError


def add_localize(state: AppState) -> None:
    """Add /localize."""

    def localize(
        text: str,
        picture: Upload | None = None,
        tile_id: str = "",
        method: str = "dense",
        exclude: str = "",
        scales_px: list[int] | None = None,
        threshold: float | None = None,
    ) -> dict[str, Any]:
        """Find where in a scene a sentence is true.

        Args:
            text: What to look for.
            picture: The scene, a picture or a GeoTIFF; leave it out to use a tile.
            tile_id: A tile as /search names it, in place of a picture.
            method: dense, which is fast, or windows, which looks at each window by itself.
            exclude: Not like this: subtracted from the score.
            scales_px: Window sizes in px; leave it out for automatic ones.
            threshold: Regions are where the map reaches this cosine; leave it out to have it chosen from the map.

        Returns:
            An object with the scene's size, the method, the window sizes, the best window, the range of the map's mean
            cosines (min_cos, max_cos), grid_cos, the map sampled to at most 64 values a side (null where there is no
            data), bounds_lonlat (west, south, east, north; null without a place on Earth), regions (GeoJSON; in pixels
            x, -y without a place) and presence (probability, verdict yes, unsure or no, present if it is
            yes, false_alarm_rate; null if the model is not calibrated), and shown: which bands it saw, and how.
        """
        question = Question(
            text,
            exclude=exclude or "",
            method=method_of(method),
            scales_px=sizes_of(scales_px),
            threshold_cos=threshold_of(threshold),
        )
        if picture is None and not tile_id:
            raise PictureError("there is neither picture nor tile_id; give one of them")
        if tile_id:
            return answer_json(ask(state, of_tile(state, tile_id), question))
        with opened_upload(picture) as scene:
            return answer_json(ask(state, scene, question))

    text = gr.Textbox(label="text", visible=False)
    picture = upload_box(label="picture", visible=False)
    tile_id = gr.Textbox("", label="tile_id", visible=False)
    method = gr.Textbox("dense", label="method", visible=False)
    exclude = gr.Textbox("", label="exclude", visible=False)
    scales_px = numbers_box("scales_px")
    threshold = gr.Number(None, label="threshold", visible=False)
    example = {"text": "a road between fields", "tile_id": next(iter(state.tile_ids()), "")}
    publish(localize, [text, picture, tile_id, method, exclude, scales_px, threshold], example, **UPLOAD, **SCENES)
