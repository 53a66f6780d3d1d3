"""The Localize page's work: what is asked of a scene becomes heat-maps with regions, and those plain data."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from PIL import Image

from app.collections import AppState
from app.maps.basemap import BaseMap
from app.media.images import LARGE_PX
from app.media.scene_input import OpenScene
from app.server.settings import in_force
from lrsclip.clauses import split_clauses
from lrsclip.errors import PictureError, TextError
from lrsclip.localize import Allowance, Heatmap, Method, localize_all
from lrsclip.localize.colormap import Palette
from lrsclip.localize.export import regions_geojson
from lrsclip.localize.regions import Regions, find_regions
from lrsclip.localize.window_encoding import scales_of as window_sizes
from lrsclip.numbers import clipped, decimal_of
from lrsclip.protocols import METHODS

GRID_SIDE = 64  # API callers get the map at this resolution at most
_MAX_SCALES = 8


@dataclass(frozen=True)
class Question:
    """A question about a scene.

    Attributes:
        text: the sentence to look for.
        compare: a second sentence for a map beside the first, or "".
        exclude: what it must not be, or "".
        by_clause: whether each clause of the text gets a map of its own too.
        method: how the scene is looked at.
        scales_px: window sizes; None for automatic ones.
        threshold_cos: lowest score of a region; None to choose it from the map.
        palette: colors of the maps.
    """

    text: str
    compare: str = ""
    exclude: str = ""
    by_clause: bool = False
    method: Method = "dense"
    scales_px: tuple[int, ...] | None = None
    threshold_cos: float | None = None
    palette: Palette = "viridis"


@dataclass(frozen=True, eq=False)
class Finding:
    """The map of one sentence, and the regions that stand out in it."""

    heatmap: Heatmap
    regions: Regions


@dataclass(frozen=True, eq=False)
class Answer:
    """All maps of one question; they share one color scale.

    Attributes:
        question: the question.
        findings: of the text, then of the sentence to compare with, if there is one.
        clauses: maps of the text's clauses; empty unless the question wants them and there are two or more.
        place_note: why the scene has no place on Earth although its file claims one, or "".
        shown: which bands of the scene are shown, and how.
    """

    question: Question
    findings: tuple[Finding, ...]
    clauses: tuple[Heatmap, ...]
    place_note: str
    shown: str = ""

    @property
    def range_cos(self) -> tuple[float, float]:
        """Cosines of the first and the last color of every map."""
        maps = [finding.heatmap for finding in self.findings] + list(self.clauses)
        return min(heatmap.min_cos for heatmap in maps), max(heatmap.max_cos for heatmap in maps)


@dataclass(frozen=True, eq=False)
class Ground:
    """The ground under the maps: the scene at display size, the truth about it as GeoJSON, and an online map."""

    picture: Image.Image
    truth: Mapping[str, Any] | None
    base: BaseMap | None = None


def ask(
    state: AppState,
    opened: OpenScene,
    question: Question,
    *,
    progress: Callable[[int, int], None] | None = None,
    stop: threading.Event | None = None,
) -> Answer:
    """Localize the sentences of a question in a scene.

    Args:
        state: the app's.
        opened: the scene.
        question: what to look for, and how.
        progress: called with windows done and windows in all.
        stop: set it to end early.

    Raises:
        TextError: the sentence is empty.
        PictureError: the scene is too small or too large, holds no data, or the window sizes do not fit it or are so
            small that there would be too many windows.
        Cancelled: `stop` was set; what was done is kept for the next time.
    """
    if not question.text.strip():
        raise TextError("the sentence is empty; write what to look for in the scene")
    scene, limits = opened.scene, in_force()
    scales_px = window_sizes(question.method, scene.width_px, scene.height_px, question.scales_px)
    # Before anything is read: who has asked may leave, and the work would go on without them.
    Allowance(limits.max_windows, limits.max_scene_px).check(
        question.method, scene.width_px, scene.height_px, scales_px
    )
    clauses = _readable_clauses(state, question.text) if question.by_clause else ()
    texts = [question.text, *([question.compare] if question.compare.strip() else [])]
    maps = localize_all(
        state.bundle,
        opened.scene,
        [*texts, *clauses],
        exclude=question.exclude,
        method=question.method,
        scales_px=question.scales_px,
        progress=progress,
        stop=stop,
    )
    findings = tuple(
        Finding(heatmap, regions_of(heatmap, question.threshold_cos, opened.px_m)) for heatmap in maps[: len(texts)]
    )
    return Answer(question, findings, tuple(maps[len(texts) :]), scene.place_note, scene.summary)


def ground_of(opened: OpenScene, base: BaseMap | None = None) -> Ground:
    """Return the ground of the maps of an open scene; `base` is an online map to offer."""
    return Ground(opened.scene.thumbnail(LARGE_PX), opened.truth, base)


def regions_of(heatmap: Heatmap, threshold_cos: float | None, px_m: float | None = None) -> Regions:
    """Find the regions of a map, with areas in square meters where they can be known.

    Where the sentence is probably not in the scene, none is outlined unless a threshold is given: a map of its own
    best half would say the opposite.

    Args:
        heatmap: the map.
        threshold_cos: as asked; None to take it from the map.
        px_m: side of a pixel on the ground in meters, for a scene without a place on Earth.
    """
    found = find_regions(heatmap.cells, threshold_cos=threshold_cos, georeference=heatmap.georeference)
    if is_absent(heatmap) and threshold_cos is None:
        return replace(found, regions=())
    if heatmap.georeference is None and px_m is not None:
        return replace(found, regions=tuple(replace(one, area_m2=one.area_px * px_m**2) for one in found.regions))
    return found


def is_absent(heatmap: Heatmap) -> bool:
    """Return whether the sentence is probably not in the scene."""
    return heatmap.presence is not None and heatmap.presence.verdict == "no"


def scales_of(text: str) -> tuple[int, ...] | None:
    """Read window sizes in px as typed, such as "48, 96"; None for automatic ones, where nothing is typed.

    Raises:
        PictureError: something else than a few whole numbers is typed.
    """
    parts = [part for part in re.split(r"[\s,;]+", text.removesuffix("px").strip()) if part]
    if not parts or parts == ["automatic"]:
        return None
    if len(parts) > _MAX_SCALES or not all(re.fullmatch(r"[0-9]{1,6}", part) for part in parts):
        raise PictureError(f"window sizes are whole numbers of px, such as 48, 96; give up to {_MAX_SCALES}, or none")
    return tuple(int(part) for part in parts)


def sizes_of(values: Any) -> tuple[int, ...] | None:
    """Check window sizes in px as a program sends them; None for automatic ones.

    Raises:
        PictureError: it is no list of a few whole numbers.
    """
    if values is None or values == []:
        return None
    whole = isinstance(values, list) and all(isinstance(v, int) and not isinstance(v, bool) for v in values)
    if not whole or len(values) > _MAX_SCALES:
        raise PictureError(f"scales_px is a list of up to {_MAX_SCALES} whole numbers, such as [48, 96]")
    return tuple(values)


def method_of(name: str) -> Method:
    """Return the method of a name.

    Raises:
        PictureError: there is none of that name.
    """
    for method in METHODS:
        if method == name:
            return method
    raise PictureError(f"there is no method {name!r}; choose {' or '.join(METHODS)}")


def palette_of(name: str) -> Palette:
    """Return the palette of a name.

    Raises:
        PictureError: there is none of that name.
    """
    for palette in get_args(Palette):
        if palette == name:
            return palette
    raise PictureError(f"there are no colors {name!r}; choose {' or '.join(get_args(Palette))}")


def threshold_of(value: float | str | None) -> float | None:
    """Read a threshold as typed or sent, a cosine; None for an automatic one, where nothing is.

    Raises:
        PictureError: it is no cosine or difference of two.
    """
    if value is None or value == "automatic" or (isinstance(value, str) and not value.strip()):
        return None
    read = decimal_of(value.strip()) if isinstance(value, str) else value
    try:
        threshold_cos = math.nan if read is None else float(read)
    except (TypeError, ValueError, OverflowError):
        threshold_cos = math.nan
    if not abs(threshold_cos) <= 2:  # a difference of two cosines, at most; NaN is none
        typed = clipped(str(value))
        raise PictureError(f"the threshold is {typed}; give a cosine from -1 to 1, or none for an automatic one")
    return threshold_cos


def answer_json(answer: Answer) -> dict[str, Any]:
    """Turn the first finding of an answer into JSON, with the bands of the scene that it saw."""
    return {**as_json(answer.findings[0]), "shown": answer.shown}


def as_json(finding: Finding) -> dict[str, Any]:
    """Turn a finding into JSON: facts, best window, the map sampled to at most `GRID_SIDE` a side, and the regions."""
    heatmap = finding.heatmap
    ratio = min(1.0, GRID_SIDE / max(heatmap.width_px, heatmap.height_px))
    size = max(1, round(heatmap.width_px * ratio)), max(1, round(heatmap.height_px * ratio))
    best, presence, bounds = heatmap.best, heatmap.presence, heatmap.bounds_lonlat
    return {
        "width_px": heatmap.width_px,
        "height_px": heatmap.height_px,
        "method": heatmap.method,
        "scales_px": list(heatmap.scales_px),
        "windows": heatmap.windows,
        "seconds": round(heatmap.seconds, 4),
        "min_cos": heatmap.min_cos,
        "max_cos": heatmap.max_cos,
        "best_window": {"x_px": best.x_px, "y_px": best.y_px, "size_px": best.size_px, "score_cos": best.score_cos},
        "grid_cos": [[None if np.isnan(v) else round(float(v), 5) for v in r] for r in heatmap.cells.sampled(*size)],
        "bounds_lonlat": list(bounds) if bounds is not None and np.isfinite(bounds).all() else None,
        "regions": _regions_json(finding),
        "presence": None
        if presence is None
        else {
            "probability": presence.probability,
            "verdict": presence.verdict,
            "present": presence.present,
            "false_alarm_rate": presence.false_alarm_rate,
        },
    }


def _regions_json(finding: Finding) -> dict[str, Any] | None:
    heatmap = finding.heatmap
    try:
        return regions_geojson(finding.regions, heatmap.georeference, heatmap.text)
    except PictureError:  # a region round a pole: GeoJSON has no words for it, and the rest of the answer holds
        return None


def _readable_clauses(state: AppState, text: str) -> Sequence[str]:
    """Split a text into the clauses that the model can read; none where the text is but one."""

    def readable(clause: str) -> bool:
        try:
            return state.bundle.describe_tokens(clause).count > 0
        except TextError:  # punctuation alone
            return False

    state.bundle.describe_tokens(text)  # refuses what is too long to be taken apart
    clauses = tuple(clause for clause in split_clauses(text) if readable(clause))
    return clauses if len(clauses) > 1 else ()
