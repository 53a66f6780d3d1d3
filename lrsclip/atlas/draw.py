"""Drawing of single things: buildings, vehicles, trees; and the table of drawing functions by kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from lrsclip.atlas.canvas import Canvas, Window, rgb
from lrsclip.atlas.features import Feature
from lrsclip.atlas.geometry import Point, box, middle, place
from lrsclip.atlas.noise import Field, rng_at

Draw = Callable[[Canvas, Feature], None]
DRAW: dict[str, Draw] = {}

_ROOF = {
    "red": "#9a5443",
    "brown": "#75594a",
    "grey": "#7d7e80",
    "orange": "#bd7d52",
    "white": "#dedcd5",
    "blue": "#4f739f",
    "green": "#5d8068",
    "black": "#3b3d42",
    "yellow": "#cdb45c",
}
PAINT = {
    "red": "#a02f28",
    "blue": "#2d4f8c",
    "grey": "#9a9da0",
    "white": "#eceae6",
    "black": "#2b2d31",
    "green": "#3f7350",
    "brown": "#7c5138",
    "orange": "#cf7a30",
}


def draws(*kinds: str) -> Callable[[Draw], Draw]:
    """Register a drawing function for some kinds."""

    def register(draw: Draw) -> Draw:
        DRAW.update(dict.fromkeys(kinds, draw))
        return draw

    return register


def varied(color: str, feature: Feature, spread: float = 0.10) -> Field:
    """Vary a color in brightness by the place of its feature; return RGB, (3,) in 0..1."""
    x, y = feature.outline[0]
    luck = math.sin(x * 12.9898 + y * 78.233) * 43758.5453
    varied: Field = (rgb(color) * (1 + spread * (2 * (luck - math.floor(luck)) - 1))).clip(0, 1)
    return varied


def frame_of(feature: Feature) -> tuple[Point, float, float]:
    """Measure a rectangle given by its corners: middle, width and depth in meters."""
    a, b, c = feature.outline[:3]
    return middle(feature.outline), math.dist(a, b), math.dist(b, c)


def axes_of(canvas: Canvas, feature: Feature, window: Window, at: Point) -> tuple[Field, Field]:
    """Compute the distances (h, w) along and across a feature's heading from `at`, in meters, for a window."""
    x, y = canvas.axes(window)
    a, b = feature.outline[:2]
    turn = math.atan2(b[1] - a[1], b[0] - a[0])
    dx, dy = x - at[0], y - at[1]
    return np.abs(dx * math.cos(turn) + dy * math.sin(turn)), np.abs(dy * math.cos(turn) - dx * math.sin(turn))


@draws("house", "barn", "station")
def _pitched(canvas: Canvas, f: Feature) -> None:
    window, mask = canvas.stencil(f.outline)
    if not mask.any():
        return
    at, width, depth = frame_of(f)
    lengthwise, crosswise = axes_of(canvas, f, window, at)
    rise = 0.62 if f.kind == "house" else 0.42
    if f.form == "gabled":
        slope = (depth / 2 - crosswise) if width >= depth else (width / 2 - lengthwise)
    else:
        slope = np.minimum(depth / 2 - crosswise, width / 2 - lengthwise)
    canvas.lay(
        window, mask, varied(_ROOF[f.color or "grey"], f), (f.height_m + rise * slope.clip(0)).astype(np.float32)
    )


@draws("church")
def _church(canvas: Canvas, f: Feature) -> None:
    at, width, depth = frame_of(f)
    a, b = f.outline[:2]
    turn = math.atan2(b[1] - a[1], b[0] - a[0])
    color = varied(_ROOF[f.color or "grey"], f)
    for long, wide, shift, angle in (
        (width, depth * 0.62, 0.0, turn),
        (depth * 1.75, depth * 0.55, -width * 0.14, turn + math.pi / 2),
    ):
        spot = at[0] + shift * math.cos(turn), at[1] + shift * math.sin(turn)
        part = Feature("church", box(*spot, long, wide, angle), f.color, angle=angle)
        window, mask = canvas.stencil(part.outline)
        if mask.any():
            _, crosswise = axes_of(canvas, part, window, spot)
            canvas.lay(window, mask, color, (9 + 0.9 * (wide / 2 - crosswise)).clip(0).astype(np.float32))
    tower = at[0] + (width / 2 - 5) * math.cos(turn), at[1] + (width / 2 - 5) * math.sin(turn)
    canvas.shape(box(*tower, 8, 8, turn), "#8d857a", 27)
    canvas.shape(box(*tower, 5, 5, turn), "#59616a", 33)


@draws(
    "apartment block",
    "tower",
    "shop",
    "school building",
    "hotel",
    "terminal",
    "centre hall",
    "warehouse",
    "hangar",
    "greenhouse",
    "factory hall",
)
def _flat(canvas: Canvas, f: Feature) -> None:
    color = varied(_ROOF[f.color or "grey"], f)
    window, mask = canvas.stencil(f.outline)
    if not mask.any():
        return
    if f.kind == "centre hall":
        at = middle(f.outline)
        x, y = canvas.axes(window)
        radius = max(math.dist(at, p) for p in f.outline)
        away = np.hypot(x - at[0], y - at[1]) / radius
        canvas.lay(
            window, mask, color, (f.height_m * (0.55 + 0.45 * np.sqrt((1 - away**2).clip(0)))).astype(np.float32)
        )
        for p in f.outline[::3]:
            canvas.line([at, p], 0.8, color * 0.8)
        canvas.disc(*at, radius * 0.22, color * 0.75, f.height_m)
        return
    at, width, depth = frame_of(f)
    lengthwise, crosswise = axes_of(canvas, f, window, at)
    if f.form in ("sawtooth", "ribbed"):
        step, rise = (9.0, 1.6) if f.form == "sawtooth" else (4.0, 0.35)
        wave = np.mod(lengthwise, step) / step
        canvas.lay(window, mask, color, (f.height_m + rise * wave).astype(np.float32))
        return
    canvas.lay(window, mask, color * 0.82, f.height_m + 0.9)  # parapet
    inner = mask & (lengthwise < width / 2 - 0.8) & (crosswise < depth / 2 - 0.8)
    canvas.lay(window, inner, color, f.height_m)
    _roof_clutter(canvas, f, at, width, depth)


def _roof_clutter(canvas: Canvas, f: Feature, at: Point, width: float, depth: float) -> None:
    rng = rng_at(0, "roof", int(at[0] * 8), int(at[1] * 8))
    a, b = f.outline[:2]
    turn = math.atan2(b[1] - a[1], b[0] - a[0])
    for _ in range(int(rng.integers(2, 7)) if min(width, depth) > 10 else 1):
        u, v = rng.uniform(-0.38, 0.38) * width, rng.uniform(-0.34, 0.34) * depth
        wide, deep = rng.uniform(1.4, 4.5, 2).tolist()
        tone = str(rng.choice(["#c9c9c6", "#8b8d8f", "#5f6164", "#d8d6d0"]))
        canvas.shape(
            box(*place([(u, v)], *at, 1, 1, turn)[0], wide, deep, turn), tone, f.height_m + float(rng.uniform(1, 3))
        )


@draws("storage tank")
def _tank(canvas: Canvas, f: Feature) -> None:
    at = middle(f.outline)
    radius = max(math.dist(at, p) for p in f.outline)
    color = varied({"white": "#e9e8e3", "grey": "#a3a5a6", "brown": "#8c6a52"}.get(f.color, "#e9e8e3"), f, 0.05)
    canvas.disc(*at, radius, color * 0.86, f.height_m + 0.8)
    canvas.disc(*at, radius * 0.95, color, f.height_m)
    end = at[0] + radius * 0.9 * math.cos(at[0]), at[1] + radius * 0.9 * math.sin(at[0])
    canvas.line([at, end], 0.9, color * 0.72)


@draws("stadium")
def _stadium(canvas: Canvas, f: Feature) -> None:
    color, at = rgb(_ROOF[f.color or "grey"]), middle(f.outline)
    for number, share in enumerate(np.linspace(1, 0.62, 9).tolist()):
        ring = place([(x - at[0], y - at[1]) for x, y in f.outline], *at, share, share, 0)
        canvas.shape(
            ring,
            color * (1 - 0.04 * (number % 2)) if number < 3 else varied("#9c9a95", f) * (1 - 0.08 * (number % 2)),
            f.height_m * (1 - number / 9) + 1,
        )
    canvas.shape(place([(x - at[0], y - at[1]) for x, y in f.outline], *at, 0.60, 0.60, 0), "#6d7f4a", 0)


@draws("tree")
def _tree(canvas: Canvas, f: Feature) -> None:
    (x, y), radius = f.outline[0], f.width_m / 2
    variant = int(abs(x * 7 + y * 13)) % 6
    dome, mask, shade = _crown(round(radius * 2), variant, canvas.m_px)
    rows, columns = dome.shape
    top, left = (
        round((y - canvas.north) / canvas.m_px) - rows // 2,
        round((x - canvas.west) / canvas.m_px) - columns // 2,
    )
    r0, r1, c0, c1 = max(0, -top), min(rows, canvas.rows - top), max(0, -left), min(columns, canvas.columns - left)
    if r0 >= r1 or c0 >= c1:
        return
    window = slice(top + r0, top + r1), slice(left + c0, left + c1)
    part = dome[r0:r1, c0:c1]
    here = canvas.height[window]
    above = mask[r0:r1, c0:c1] & (part > here)
    here[above] = part[above]
    canvas.color[window][above] = (
        varied(_TREES[canvas.light.season][variant % 3], f, 0.16) * shade[r0:r1, c0:c1][above][:, None]
    )


_TREES = {
    "summer": ("#3a5128", "#46592f", "#31472a"),
    "spring": ("#4c6a2e", "#5d7a38", "#3d5a2c"),
    "autumn": ("#7a6030", "#8f5f34", "#565a30"),
    "dry": ("#4b5530", "#5a5f38", "#3f4a2c"),
}


@lru_cache(maxsize=256)
def _crown(half_meters: int, variant: int, m_px: float) -> tuple[Field, np.ndarray, Field]:
    radius = max(1.0, half_meters / 2)
    rng = rng_at(0, "crown", half_meters, variant)
    side = 2 * math.ceil(radius * 1.2 / m_px) + 1
    span = (np.arange(side) - side // 2) * m_px
    bearing = np.arctan2(span[:, None], span[None, :])
    ragged = 1 + 0.10 * np.sin(bearing * 3 + rng.uniform(0, 6)) + 0.08 * np.sin(bearing * 7 + rng.uniform(0, 6))
    away = np.hypot(span[:, None], span[None, :]) / radius * ragged
    leaf = rng.standard_normal((side, side)).astype(np.float32)
    dome = (1.25 * radius * np.sqrt((1 - away**2).clip(0)) + 0.25 * leaf + 1.4).astype(np.float32)
    return dome, away < 1, (1 + 0.08 * leaf).astype(np.float32)


@draws("car", "truck")
def _car(canvas: Canvas, f: Feature) -> None:
    paint = PAINT[f.color or "grey"]
    canvas.shape(f.outline, varied(paint, f), 1.2 if f.kind == "car" else 3.2)
    at, width, depth = frame_of(f)
    a, b = f.outline[:2]
    turn = math.atan2(b[1] - a[1], b[0] - a[0])
    if f.kind == "car":
        canvas.shape(box(*at, width * 0.56, depth * 0.8, turn), "#23282d", 1.5)
        canvas.shape(box(*at, width * 0.3, depth * 0.76, turn), varied(paint, f), 1.6)


@draws("container", "pier", "platform", "crane")
def _box(canvas: Canvas, f: Feature) -> None:
    color = {"pier": "#b9b0a0", "platform": "#aaa8a2"}.get(f.kind) or PAINT[f.color or "grey"]
    canvas.shape(f.outline, varied(color, f), f.height_m)


@draws("train")
def _train(canvas: Canvas, f: Feature) -> None:
    at, width, depth = frame_of(f)
    a, b = f.outline[:2]
    turn = math.atan2(b[1] - a[1], b[0] - a[0])
    wagons = max(1, round(width / 23))
    for number in range(wagons):
        u = (number + 0.5) * width / wagons - width / 2
        canvas.shape(
            box(*place([(u, 0)], *at, 1, 1, turn)[0], width / wagons - 1.4, depth, turn), PAINT[f.color or "red"], 4
        )
        canvas.shape(box(*place([(u, 0)], *at, 1, 1, turn)[0], width / wagons - 4, depth * 0.4, turn), "#c9cbcc", 4.3)


@draws("plane")
def _plane(canvas: Canvas, f: Feature) -> None:
    canvas.shape(f.outline, "#eceef0", 4)
    nose, length = f.outline[0], math.dist(f.outline[0], f.outline[9])
    tail = f.outline[9]
    canvas.line([nose, tail], length * 0.075, "#f8f9f9", 5)
    at = tail[0] + (nose[0] - tail[0]) * 0.1, tail[1] + (nose[1] - tail[1]) * 0.1
    canvas.line([tail, at], 1.0, "#35588f", 9)


@draws("boat", "ship")
def _boat(canvas: Canvas, f: Feature) -> None:
    at, width, depth = frame_of(f)
    a, b = f.outline[:2]
    turn = math.atan2(b[1] - a[1], b[0] - a[0])
    hull = [(0.5, 0), (0.3, 0.5), (-0.5, 0.45), (-0.5, -0.45), (0.3, -0.5)]
    ship = f.kind == "ship"
    canvas.shape(
        place(hull, *at, width, depth, turn),
        varied(PAINT[f.color], f) if ship else rgb("#f3f3f0"),
        5 if ship else 1.6,
    )
    if not ship:
        canvas.shape(box(*at, width * 0.3, depth * 0.5, turn), "#4a6078", 2.4)
        return
    bridge = place([(-0.4, 0)], *at, width, depth, turn)[0]
    canvas.shape(box(*bridge, width * 0.1, depth * 0.85, turn), "#f0efeb", 15)
    for u in (-0.2, 0.0, 0.2):
        spot = place([(u, 0)], *at, width, depth, turn)[0]
        canvas.shape(box(*spot, width * 0.15, depth * 0.66, turn), varied("#7a6f66", f), 5.6)
