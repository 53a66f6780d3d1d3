"""The endpoint /search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import gradio as gr

from app.collections import AppState
from app.media.images import upload_box, uploaded
from app.search.files import footprint
from app.search.service import (
    MAX_HITS,
    START_EXCLUDE_WEIGHT,
    START_HITS,
    START_IMAGE_WEIGHT,
    Found,
    Query,
    public_address,
)
from app.search.service import (
    search as found_of,
)
from app.server.endpoint import numbers_box, publish
from app.server.events import UPLOAD
from app.server.upload_folder import Upload
from lrsclip.errors import TextError
from lrsclip.index import Area, Hit, IndexArgumentError


def add_search(state: AppState) -> None:
    """Add /search."""

    def search(
        text: str = "",
        k: int = START_HITS,
        exclude: str = "",
        exclude_weight: float = START_EXCLUDE_WEIGHT,
        like: str = "",
        picture: Upload | None = None,
        picture_weight: float = START_IMAGE_WEIGHT,
        min_score_cos: float | None = None,
        bbox: list[float] | None = None,
        hide_duplicates: bool = False,
    ) -> dict[str, Any]:
        """Find the tiles that fit a description, a picture, or both best.

        Args:
            text: The description, up to 248 tokens; what is longer is cut. May be empty with a picture or a tile.
            k: How many tiles, 1 to 300.
            exclude: What the tiles should not show; its vector is subtracted.
            exclude_weight: How much of it is subtracted, 0 to 1.
            like: A tile as this endpoint names it, to find more like it.
            picture: A picture to find more like it, in place of a tile.
            picture_weight: How much picture or tile counts against the description, 0 to 1.
            min_score_cos: Tiles that score less are left out; leave it out for no such bar.
            bbox: West, south, east, north in degrees, where the tiles must lie; leave it out for anywhere.
            hide_duplicates: Leave out tiles that look the same as a better one.

        Returns:
            An object with hits, match and timings_ms. hits: objects with tile_id, score_cos (cosine with what was
            asked, -1 to 1), rank (1 is the best), footprint (GeoJSON geometry in degrees, null without a place),
            caption, attribution and collection (null where not known). match: how well the best tile fits the
            description (probability; verdict: yes, unsure or no; good: whether it is yes; and how often it was wrong or
            left open in tests: false_alarm_rate, miss_rate, unsure_rate), null for pictures and where
            the checkpoint is not calibrated. timings_ms: text (all that is encoded) and index.
        """
        query = Query(
            text=text,
            exclude=exclude,
            exclude_weight=_number("exclude_weight", exclude_weight),
            like=like,
            image=uploaded(picture) if picture is not None else None,
            image_weight=_number("picture_weight", picture_weight),
            k=int(_number("k", k, f"1 to {MAX_HITS}")),
            min_score_cos=None if min_score_cos is None else _number("min_score_cos", min_score_cos),
            hide_duplicates=bool(hide_duplicates),
            bbox_lonlat=_box(bbox),
        )
        return _as_json(state, found_of(state, query))

    inputs: list[gr.components.Component] = [
        gr.Textbox("", label="text", visible=False),
        gr.Number(START_HITS, precision=0, label="k", visible=False),
        gr.Textbox("", label="exclude", visible=False),
        gr.Number(START_EXCLUDE_WEIGHT, label="exclude_weight", visible=False),
        gr.Textbox("", label="like", visible=False),
        upload_box(label="picture", visible=False),
        gr.Number(START_IMAGE_WEIGHT, label="picture_weight", visible=False),
        gr.Number(None, label="min_score_cos", visible=False),
        numbers_box("bbox"),
        gr.Checkbox(False, label="hide_duplicates", visible=False),
    ]
    publish(search, inputs, {"text": "white boats at a pier below a town", "k": 3}, **UPLOAD)


def _as_json(state: AppState, found: Found) -> dict[str, Any]:
    return {
        "hits": [_hit(state, hit, found.spec) for hit in found.hits],
        "match": asdict(found.match) if found.match else None,
        "timings_ms": {"text": round(found.text_ms, 3), "index": round(found.index_ms, 3)},
    }


def _hit(state: AppState, hit: Hit, spec: str) -> dict[str, Any]:
    tile = state.index.tile(hit.tile_id)
    facts = {"caption": tile.caption, "attribution": tile.attribution, "collection": public_address(spec) or None}
    return {"tile_id": hit.tile_id, "score_cos": hit.score_cos, "rank": hit.rank, "footprint": footprint(tile)} | facts


def _number(name: str, value: Any, accepted: str = "a number") -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise TextError(f"{name} is {value!r}; give {accepted}")
    return number


def _box(bbox: Any) -> tuple[float, float, float, float] | None:
    if bbox is None:
        return None
    if not isinstance(bbox, Sequence) or len(bbox) != 4 or isinstance(bbox, str):
        raise IndexArgumentError(f"bbox is {bbox!r}; give [west, south, east, north] in degrees")
    west, south, east, north = (_number("bbox", value, "four numbers") for value in bbox)
    return Area((west, south, east, north)).bbox_lonlat
