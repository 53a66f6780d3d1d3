"""Semantic localization: a map of how well each part of a scene fits a sentence.

Boxes of the scene get a vector each (`window_encoding`), and every pixel the mean cosine of the boxes that cover
it, as SeLo does (Yuan et al. 2022). The map is the raw mean; smoothing and color are left to display and metrics.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypedDict, Unpack

import numpy as np
import numpy.typing as npt
from PIL import Image

from lrsclip.calibration.presence import Presence, presence_of
from lrsclip.errors import Busy, Cancelled, PictureError, TextError
from lrsclip.io.georeference import GeoReference
from lrsclip.localize.embedding_cache import EmbeddedScene, SceneKey, WindowMemory
from lrsclip.localize.scene import Scene, open_scene
from lrsclip.localize.score_grid import CellMap, Floats, mean_over_windows
from lrsclip.localize.window_encoding import Part, parts_of, scales_of
from lrsclip.localize.windows import Boxes
from lrsclip.protocols import Encoders, Method
from lrsclip.vectors import precision_of

Progress = Callable[[int, int], None]
Picture = Image.Image | npt.NDArray[Any] | str | os.PathLike[str] | Scene

_MEMORY = WindowMemory()


@dataclass(frozen=True)
class ScoredWindow:
    """One box of a scene: its left upper corner and its width in px, and its cosine with the sentence."""

    x_px: int
    y_px: int
    size_px: int
    score_cos: float


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A map of how well each pixel of a scene fits a sentence.

    Attributes:
        text: the sentence.
        exclude: a second one whose cosine is taken off, or "".
        cells: the map, exact, on the grid of box edges; NaN where the scene holds no data.
        width_px: the scene's width.
        height_px: the scene's height.
        georeference: the scene's place on Earth, if that is known.
        method: method that made the vectors.
        scales_px: window sizes used.
        windows: number of scored boxes.
        best: the single box that fits best.
        presence: whether the sentence is true anywhere at all; None where the checkpoint is not calibrated for that.
        seconds: wall time of the whole call.
        reused: whether the scene's vectors were still known from an earlier sentence.
    """

    text: str
    exclude: str
    cells: CellMap
    width_px: int
    height_px: int
    georeference: GeoReference | None
    method: Method
    scales_px: tuple[int, ...]
    windows: int
    best: ScoredWindow
    presence: Presence | None
    seconds: float
    reused: bool

    @cached_property
    def scores_cos(self) -> Floats:
        """Mean cosine of the boxes over each pixel, (H, W) float32; made when first asked for."""
        return self.cells.per_pixel()

    @property
    def min_cos(self) -> float:
        """Lowest value of the map."""
        return float(np.nanmin(self.cells.values_cos))

    @property
    def max_cos(self) -> float:
        """Highest value of the map."""
        return float(np.nanmax(self.cells.values_cos))

    @property
    def bounds_lonlat(self) -> tuple[float, float, float, float] | None:
        """West, south, east and north of the scene in degrees, if its place is known."""
        place = self.georeference
        return None if place is None else place.bounds_lonlat(self.width_px, self.height_px)


class How(TypedDict, total=False):
    """The options of `localize`; each may be left out.

    Attributes:
        exclude: a second sentence, whose cosine is subtracted from the first one's.
        method: "windows" (unless said otherwise), SeLo to the letter; or "dense", some ten times as fast and no worse.
        scales_px: window sizes; None for those that suit the scene.
        batch_size: windows encoded at once, 32 unless said otherwise.
        progress: called with (boxes done, boxes in all) after each part.
        stop: set it from another thread to give up before the next part; finished parts are kept for another call.
        memory: store of vectors between calls; by default shared by the whole process.
    """

    exclude: str
    method: Method
    scales_px: Sequence[int] | None
    batch_size: int
    progress: Progress | None
    stop: threading.Event | None
    memory: WindowMemory


def localize(bundle: Encoders, scene: Picture, text: str, **how: Unpack[How]) -> Heatmap:
    """Score every pixel of a scene against a sentence.

    Args:
        bundle: the model.
        scene: a picture, an array, or the path of a picture or raster; see `open_scene`. From 16 px a side.
        text: the sentence.
        how: see `How`.

    Raises:
        TextError: a text is empty.
        PictureError: the scene is too small, too large or unreadable, holds no data, or `scales_px` does not fit it.
        Cancelled: `stop` was set.
    """
    return localize_all(bundle, scene, [text], **how)[0]


def localize_all(
    bundle: Encoders,
    scene: Picture,
    texts: Sequence[str],
    *,
    exclude: str = "",
    method: Method = "windows",
    scales_px: Sequence[int] | None = None,
    batch_size: int = 32,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    memory: WindowMemory = _MEMORY,
) -> list[Heatmap]:
    """Score every pixel of a scene against several sentences; the scene is encoded once. Otherwise as `localize`."""
    started = time.perf_counter()
    if not texts:
        raise TextError("no sentence; say what to look for in the scene")
    excluded = exclude.strip()
    text_vectors = bundle.encode_text([*texts, excluded] if excluded else list(texts))
    with nullcontext(scene) if isinstance(scene, Scene) else open_scene(scene) as opened:  # not ours to close
        scales = scales_of(method, opened.width_px, opened.height_px, scales_px)
        embedded = embed_scene(bundle, opened, method, scales, batch_size, progress, stop, memory)
    scores_cos = embedded.vectors @ text_vectors[: len(texts)].T
    if excluded:
        scores_cos -= (embedded.vectors @ text_vectors[-1])[:, None]
    return [
        Heatmap(
            text=text,
            exclude=excluded,
            cells=mean_over_windows(embedded.boxes_px, own_cos, opened.width_px, opened.height_px),
            width_px=opened.width_px,
            height_px=opened.height_px,
            georeference=opened.georeference,
            method=method,
            scales_px=scales,
            windows=len(embedded.boxes_px),
            best=_best(embedded.boxes_px, own_cos),
            presence=presence_of(bundle, method, text_vector, embedded.vectors),
            seconds=time.perf_counter() - started,
            reused=embedded.reused,
        )
        for text, text_vector, own_cos in zip(texts, text_vectors, scores_cos.T, strict=False)  # not the excluded one
    ]


def embed_scene(
    bundle: Encoders,
    scene: Scene,
    method: Method,
    scales_px: tuple[int, ...],
    batch_size: int = 32,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    memory: WindowMemory = _MEMORY,
) -> EmbeddedScene:
    """Encode a scene: take the known vectors from memory, encode the rest; arguments as of `localize`."""
    key = SceneKey(scene.sha256, bundle.sha256, scales_px, method, precision_of(bundle))
    known = memory.get(key, on_disk=scene.lasting)
    if known is not None and known.complete:
        return replace(known, reused=True)
    parts = parts_of(bundle, scene, method, scales_px, batch_size)
    if not parts:
        raise PictureError("the scene holds no data at all, so there is nothing to look at; check the file")
    boxes_px = np.concatenate([part.boxes_px for part in parts])

    def keep(vectors: Floats) -> None:
        memory.put(key, EmbeddedScene(boxes_px, vectors))

    vectors = _encoded(parts, known.vectors if known else None, len(boxes_px), progress, stop, keep)
    embedded = EmbeddedScene(boxes_px, vectors)
    memory.put(key, embedded, on_disk=scene.lasting)
    return embedded


def _encoded(
    parts: Sequence[Part],
    known: Floats | None,
    total: int,
    progress: Progress | None,
    stop: threading.Event | None,
    keep: Callable[[Floats], None],
) -> Floats:
    """Encode the parts that are not known yet; on a stop or `Busy`, hand the finished vectors to `keep`."""
    ends = np.cumsum([len(part.boxes_px) for part in parts]).tolist()
    vectors = [known] if known is not None and len(known) in ends else []  # else it was given up with other parts
    done = len(vectors[0]) if vectors else 0
    for part, end in zip(parts, ends, strict=True):
        if end <= done:
            continue
        try:
            if stop is not None and stop.is_set():
                raise Cancelled
            vectors.append(part.encode())  # an encoder that others use too may raise either
        except (Cancelled, Busy) as error:
            if vectors:
                keep(np.concatenate(vectors))
            if isinstance(error, Busy):
                raise
            raise Cancelled(
                f"localization stopped after {done} of {total} windows; start it again to go on from there"
            ) from error
        done = end
        if progress is not None:
            progress(done, total)
    return np.concatenate(vectors)


def _best(boxes_px: Boxes, scores_cos: Floats) -> ScoredWindow:
    top = int(scores_cos.argmax())
    left_px, top_px, right_px, _ = (int(edge) for edge in boxes_px[top])
    return ScoredWindow(left_px, top_px, right_px - left_px, float(scores_cos[top]))
