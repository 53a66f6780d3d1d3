"""The Localise page's work: a scene and a sentence to a heat-map, and the heat-map to plain data for API callers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from PIL import Image

from app.state import AppState
from lrsclip.errors import TextError
from lrsclip.localize import Heatmap, localize

GRID_SIDE = 64  # API callers get the map at this resolution at most


def heat(
    state: AppState,
    scene: Image.Image,
    text: str,
    *,
    progress: Callable[[int, int], None] | None = None,
    stop: threading.Event | None = None,
) -> Heatmap:
    """Localise a sentence in a scene.

    Raises:
        TextError: the sentence is empty.
        PictureError: the scene is too small.
        Cancelled: `stop` was set.
    """
    if not text.strip():
        raise TextError("the sentence is empty; write what to look for in the scene")
    return localize(state.bundle, scene, text, progress=progress, stop=stop)


def as_json(heatmap: Heatmap) -> dict[str, Any]:
    """A heat-map as JSON: facts, the best window, and the map sampled to at most `GRID_SIDE` a side."""
    ratio = min(1.0, GRID_SIDE / max(heatmap.width_px, heatmap.height_px))
    size = max(1, round(heatmap.width_px * ratio)), max(1, round(heatmap.height_px * ratio))
    best = heatmap.best
    return {
        "width_px": heatmap.width_px,
        "height_px": heatmap.height_px,
        "scales_px": list(heatmap.scales_px),
        "windows": heatmap.windows,
        "seconds": round(heatmap.seconds, 4),
        "min_cos": heatmap.min_cos,
        "max_cos": heatmap.max_cos,
        "best_window": {"x_px": best.x_px, "y_px": best.y_px, "size_px": best.size_px, "score_cos": best.score_cos},
        "grid_cos": [[round(float(v), 5) for v in row] for row in heatmap.cells.sampled(*size)],
    }
