"""Semantic localisation: which part of a scene does a sentence speak of?

The way of SeLo (Yuan et al. 2022): cut the scene into overlapping windows of several sizes, encode each, and give
every pixel the mean cosine of the windows that cover it. The map is the raw mean; smoothing and colour
belong to whoever shows or scores it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from PIL import Image

from lrsclip.errors import Cancelled, PictureError
from lrsclip.localize.cells import CellMap, Floats, mean_over_windows
from lrsclip.localize.memory import SceneKey, WindowMemory, scene_sha256
from lrsclip.localize.windows import Boxes, automatic_scales, check_scene_size, window_boxes

Progress = Callable[[int, int], None]

_MEMORY = WindowMemory()


class Encoders(Protocol):
    """What localisation needs of a model; `lrsclip.LRSCLIP` has it."""

    @property
    def sha256(self) -> str:
        """Hash of the weights."""

    def encode_text(self, texts: list[str]) -> Floats:
        """Texts to (N, D) float32, L2-normalised."""

    def encode_image(self, pictures: list[Image.Image]) -> Floats:
        """Pictures to (N, D) float32, L2-normalised."""


@dataclass(frozen=True)
class ScoredWindow:
    """One square window of a scene: its left upper corner and side in px, and its cosine with the sentence."""

    x_px: int
    y_px: int
    size_px: int
    score_cos: float


@dataclass(frozen=True, eq=False)
class Heatmap:
    """How well each pixel of a scene fits a sentence.

    Attributes:
        cells: the map, exact, on the grid of window edges.
        width_px: the scene's width.
        height_px: the scene's height.
        scales_px: window sizes used.
        windows: how many windows were scored.
        best: the single window that fits best.
        seconds: wall time of the whole call.
        reused: whether the windows' embeddings were still known from an earlier sentence.
    """

    cells: CellMap
    width_px: int
    height_px: int
    scales_px: tuple[int, ...]
    windows: int
    best: ScoredWindow
    seconds: float
    reused: bool

    @cached_property
    def scores_cos(self) -> Floats:
        """(H, W) float32, the mean cosine of the windows over each pixel; made when first asked for."""
        return self.cells.per_pixel()

    @property
    def min_cos(self) -> float:
        """The map's lowest value."""
        return float(self.cells.values_cos.min())

    @property
    def max_cos(self) -> float:
        """The map's highest value."""
        return float(self.cells.values_cos.max())


def localize(
    bundle: Encoders,
    scene: Image.Image,
    text: str,
    *,
    scales_px: tuple[int, ...] | None = None,
    batch_size: int = 32,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    memory: WindowMemory = _MEMORY,
) -> Heatmap:
    """Score every pixel of a scene against a sentence.

    Args:
        bundle: the model.
        scene: the picture, any mode and size from 16 px a side.
        text: what to look for.
        scales_px: window sizes; None for those of `automatic_scales`.
        batch_size: windows encoded at once.
        progress: called with (windows done, windows in all) after each batch.
        stop: set it from another thread to give up before the next batch.
        memory: where window embeddings are kept between calls; by default shared by the whole process.

    Raises:
        TextError: the text is empty.
        PictureError: the scene is too small or unreadable, or `scales_px` does not fit it.
        Cancelled: `stop` was set.
    """
    started = time.perf_counter()
    text_vector = bundle.encode_text([text])[0]
    rgb = _rgb_scene(scene)
    scales = automatic_scales(*rgb.size) if scales_px is None else tuple(sorted(set(scales_px)))
    boxes_px = window_boxes(*rgb.size, scales)

    key = SceneKey(scene_sha256(rgb), bundle.sha256, scales)
    vectors = memory.get(key)
    reused = vectors is not None
    if vectors is None:
        vectors = _encode_windows(bundle, rgb, boxes_px, batch_size, progress, stop)
        memory.put(key, vectors)

    scores_cos = vectors @ text_vector
    top = int(scores_cos.argmax())
    left_px, top_px, right_px, _ = (int(edge) for edge in boxes_px[top])
    return Heatmap(
        cells=mean_over_windows(boxes_px, scores_cos, *rgb.size),
        width_px=rgb.width,
        height_px=rgb.height,
        scales_px=scales,
        windows=len(boxes_px),
        best=ScoredWindow(left_px, top_px, right_px - left_px, float(scores_cos[top])),
        seconds=time.perf_counter() - started,
        reused=reused,
    )


def _rgb_scene(scene: Image.Image) -> Image.Image:
    if not isinstance(scene, Image.Image):
        raise PictureError(f"the scene is {type(scene).__name__}, not a picture; open it with PIL.Image.open first")
    check_scene_size(*scene.size)
    try:
        scene.load()
        return scene if scene.mode == "RGB" else scene.convert("RGB")  # no copy without need: a scene may fill 400 MB
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged or cut-off files
        raise PictureError(f"the scene cannot be read ({error}); save it again as PNG or JPEG") from error


def _encode_windows(
    bundle: Encoders,
    scene: Image.Image,
    boxes_px: Boxes,
    batch_size: int,
    progress: Progress | None,
    stop: threading.Event | None,
) -> Floats:
    """Encode all windows, a batch at a time: (N, D)."""
    parts = []
    for start in range(0, len(boxes_px), batch_size):
        if stop is not None and stop.is_set():
            raise Cancelled(f"localisation stopped after {start} of {len(boxes_px)} windows; start it again to finish")
        crops = [
            scene.crop((int(x0), int(y0), int(x1), int(y1))) for x0, y0, x1, y1 in boxes_px[start : start + batch_size]
        ]
        parts.append(bundle.encode_image(crops))
        if progress is not None:
            progress(min(start + batch_size, len(boxes_px)), len(boxes_px))
    return np.concatenate(parts)
