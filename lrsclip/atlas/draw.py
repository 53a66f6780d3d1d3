"""Drawing of single features: ways, buildings, vehicles, trees, sport grounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from lrsclip.atlas.canvas import Canvas, Window, rgb
from lrsclip.atlas.chance import Field, rng_at
from lrsclip.atlas.features import Feature
from lrsclip.atlas.geometry import Point, box, middle, place
from lrsclip.atlas.land import MEADOW

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
_PAINT = {
    "red": "#a02f28",
    "blue": "#2d4f8c",
    "grey": "#9a9da0",
    "white": "#eceae6",
    "black": "#2b2d31",
    "green": "#3f7350",
    "brown": "#7c5138",
    "orange": "#cf7a30",
}
_COURT = {"green": "#4a7a55", "blue": "#3d6aa0", "red": "#a2563f"}


def draws(*kinds: str) -> Callable[[Draw], Draw]:
    """Registers what draws some kinds."""

    def register(draw: Draw) -> Draw:
        DRAW.update(dict.fromkeys(kinds, draw))
        return draw

    return register


def _varied(colour: str, feature: Feature, spread: float = 0.10) -> Field:
    """A colour, a little lighter or darker by the place of the feature."""
    x, y = feature.outline[0]
    luck = math.sin(x * 12.9898 + y * 78.233) * 43758.5453
    varied: Field = (rgb(colour) * (1 + spread * (2 * (luck - math.floor(luck)) - 1))).clip(0, 1)
    return varied


def _frame(feature: Feature) -> tuple[Point, float, float]:
    """Middle, width and depth of a rectangle given by its corners."""
    a, b, c = feature.outline[:3]
    return middle(feature.outline), math.dist(a, b), math.dist(b, c)


def _axes(canvas: Canvas, feature: Feature, window: Window, at: Point) -> tuple[Field, Field]:
    """Distances (h, w) along and across the heading of a feature from its middle, metres, as seen in the window."""
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
    at, width, depth = _frame(f)
    lengthwise, crosswise = _axes(canvas, f, window, at)
    rise = 0.62 if f.kind == "house" else 0.42
    if f.form == "gabled":
        slope = (depth / 2 - crosswise) if width >= depth else (width / 2 - lengthwise)
    else:
        slope = np.minimum(depth / 2 - crosswise, width / 2 - lengthwise)
    canvas.lay(
        window, mask, _varied(_ROOF[f.colour or "grey"], f), (f.height_m + rise * slope.clip(0)).astype(np.float32)
    )


@draws("church")
def _church(canvas: Canvas, f: Feature) -> None:
    at, width, depth = _frame(f)
    a, b = f.outline[:2]
    turn = math.atan2(b[1] - a[1], b[0] - a[0])
    colour = _varied(_ROOF[f.colour or "grey"], f)
    for long, wide, shift, angle in (
        (width, depth * 0.62, 0.0, turn),
        (depth * 1.75, depth * 0.55, -width * 0.14, turn + math.pi / 2),
    ):
        spot = at[0] + shift * math.cos(turn), at[1] + shift * math.sin(turn)
        part = Feature("church", box(*spot, long, wide, angle), f.colour, angle=angle)
        window, mask = canvas.stencil(part.outline)
        if mask.any():
            _, crosswise = _axes(canvas, part, window, spot)
            canvas.lay(window, mask, colour, (9 + 0.9 * (wide / 2 - crosswise)).clip(0).astype(np.float32))
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
    colour = _varied(_ROOF[f.colour or "grey"], f)
    window, mask = canvas.stencil(f.outline)
    if not mask.any():
        return
    if f.kind == "centre hall":
        at = middle(f.outline)
        x, y = canvas.axes(window)
        radius = max(math.dist(at, p) for p in f.outline)
        away = np.hypot(x - at[0], y - at[1]) / radius
        canvas.lay(
            window, mask, colour, (f.height_m * (0.55 + 0.45 * np.sqrt((1 - away**2).clip(0)))).astype(np.float32)
        )
        for p in f.outline[::3]:
            canvas.line([at, p], 0.8, colour * 0.8)
        canvas.disc(*at, radius * 0.22, colour * 0.75, f.height_m)
        return
    at, width, depth = _frame(f)
    lengthwise, crosswise = _axes(canvas, f, window, at)
    if f.form in ("sawtooth", "ribbed"):
        step, rise = (9.0, 1.6) if f.form == "sawtooth" else (4.0, 0.35)
        wave = np.mod(lengthwise, step) / step
        canvas.lay(window, mask, colour, (f.height_m + rise * wave).astype(np.float32))
        return
    canvas.lay(window, mask, colour * 0.82, f.height_m + 0.9)  # parapet
    inner = mask & (lengthwise < width / 2 - 0.8) & (crosswise < depth / 2 - 0.8)
    canvas.lay(window, inner, colour, f.height_m)
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
    colour = _varied({"white": "#e9e8e3", "grey": "#a3a5a6", "brown": "#8c6a52"}.get(f.colour, "#e9e8e3"), f, 0.05)
    canvas.disc(*at, radius, colour * 0.86, f.height_m + 0.8)
    canvas.disc(*at, radius * 0.95, colour, f.height_m)
    end = at[0] + radius * 0.9 * math.cos(at[0]), at[1] + radius * 0.9 * math.sin(at[0])
    canvas.line([at, end], 0.9, colour * 0.72)


@draws("stadium")
def _stadium(canvas: Canvas, f: Feature) -> None:
    colour, at = rgb(_ROOF[f.colour or "grey"]), middle(f.outline)
    for number, share in enumerate(np.linspace(1, 0.62, 9).tolist()):
        ring = place([(x - at[0], y - at[1]) for x, y in f.outline], *at, share, share, 0)
        canvas.shape(
            ring,
            colour * (1 - 0.04 * (number % 2)) if number < 3 else _varied("#9c9a95", f) * (1 - 0.08 * (number % 2)),
            f.height_m * (1 - number / 9) + 1,
        )
    canvas.shape(place([(x - at[0], y - at[1]) for x, y in f.outline], *at, 0.60, 0.60, 0), "#6d7f4a", 0)


@draws("running track")
def _track(canvas: Canvas, f: Feature) -> None:
    at = middle(f.outline)
    west, north, east, south = f.bounds
    deep = min(east - west, south - north)
    colour = "#a8543f" if f.colour == "red" else "#4a6c9c"
    canvas.shape(f.outline, colour, 0)
    for lane in range(1, 6):
        canvas.line([*_shrunk(f, at, lane * 1.25), _shrunk(f, at, lane * 1.25)[0]], 0.25, "#e2c4b8")
    canvas.shape(_shrunk(f, at, min(8.0, deep * 0.13)), "#64853f", 0)


def _shrunk(f: Feature, at: Point, metres: float) -> tuple[Point, ...]:
    west, north, east, south = f.bounds
    wide, deep = 1 - 2 * metres / (east - west), 1 - 2 * metres / (south - north)
    return tuple((at[0] + (x - at[0]) * wide, at[1] + (y - at[1]) * deep) for x, y in f.outline)


@draws("football pitch")
def _pitch(canvas: Canvas, f: Feature) -> None:
    window, mask = canvas.stencil(f.outline)
    if not mask.any():
        return
    at, _width, _depth = _frame(f)
    lengthwise, _ = _axes(canvas, f, window, at)
    canvas.lay(window, mask, "#5b8a3d", 0.0)
    stripes = 1 + 0.06 * np.sign(np.sin(lengthwise * (2 * math.pi / 12)))
    canvas.colour[window][mask] *= stripes.astype(np.float32)[mask][:, None]
    _lines(canvas, f, [(0, 0, 0.94, 0.92), (0, 0, 0, 0.92), (-0.4, 0, 0.14, 0.5), (0.4, 0, 0.14, 0.5)], 0.4)


def _lines(canvas: Canvas, f: Feature, boxes: list[tuple[float, float, float, float]], breadth: float) -> None:
    """White frames given in shares of a rectangle: middle and size."""
    at, width, depth = _frame(f)
    a, b = f.outline[:2]
    turn = math.atan2(b[1] - a[1], b[0] - a[0])
    for u, v, wide, deep in boxes:
        spot = place([(u * width, v * depth)], *at, 1, 1, turn)[0]
        frame = box(*spot, wide * width, deep * depth, turn)
        canvas.line([*frame, frame[0]], breadth, "#eef0ea")


@draws("tennis court", "basketball court")
def _court(canvas: Canvas, f: Feature) -> None:
    canvas.shape(f.outline, _varied(_COURT[f.colour or "green"], f) * 0.86, 0)
    at, width, depth = _frame(f)
    a, b = f.outline[:2]
    inner = box(*at, width * 0.62, depth * 0.72, math.atan2(b[1] - a[1], b[0] - a[0]))
    canvas.shape(inner, _varied(_COURT[f.colour or "green"], f) * 1.1)
    _lines(canvas, f, [(0, 0, 0.62, 0.72), (0, 0, 0.62, 0), (0, 0, 0.46, 0.72)], 0.35)


@draws("baseball field")
def _baseball(canvas: Canvas, f: Feature) -> None:
    tip, reach = f.outline[0], math.dist(f.outline[0], f.outline[8])

    def at(u: float, v: float) -> Point:
        return place([(u * reach, v * reach)], *tip, 1, 1, f.angle)[0]

    canvas.shape(f.outline, "#a98a5e")
    window, mask = canvas.stencil(
        [tip, *(place([(p[0] - tip[0], p[1] - tip[1])], *tip, 0.94, 0.94, 0)[0] for p in f.outline[1:])]
    )
    canvas.lay(window, mask, "#5f8a40")
    canvas.disc(*at(0.26, 0), reach * 0.30, "#b48e62")
    canvas.shape(box(*at(0.27, 0), reach * 0.30, reach * 0.30, f.angle + math.pi / 4), "#658f44")
    canvas.disc(*at(0.27, 0), reach * 0.03, "#b48e62")
    canvas.disc(*tip, reach * 0.06, "#b48e62")
    for p in (f.outline[1], f.outline[-1]):
        canvas.line([tip, p], 0.5, "#f2f2ee")


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
    canvas.colour[window][above] = (
        _varied(_TREES[canvas.light.season][variant % 3], f, 0.16) * shade[r0:r1, c0:c1][above][:, None]
    )


_TREES = {
    "summer": ("#3a5128", "#46592f", "#31472a"),
    "spring": ("#4c6a2e", "#5d7a38", "#3d5a2c"),
    "autumn": ("#7a6030", "#8f5f34", "#565a30"),
    "dry": ("#4b5530", "#5a5f38", "#3f4a2c"),
}


@lru_cache(maxsize=256)
def _crown(half_metres: int, variant: int, m_px: float) -> tuple[Field, np.ndarray, Field]:
    radius = max(1.0, half_metres / 2)
    rng = rng_at(0, "crown", half_metres, variant)
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
    paint = _PAINT[f.colour or "grey"]
    canvas.shape(f.outline, _varied(paint, f), 1.2 if f.kind == "car" else 3.2)
    at, width, depth = _frame(f)
    a, b = f.outline[:2]
    turn = math.atan2(b[1] - a[1], b[0] - a[0])
    if f.kind == "car":
        canvas.shape(box(*at, width * 0.56, depth * 0.8, turn), "#23282d", 1.5)
        canvas.shape(box(*at, width * 0.3, depth * 0.76, turn), _varied(paint, f), 1.6)


@draws("container", "pier", "platform", "crane")
def _box(canvas: Canvas, f: Feature) -> None:
    colour = {"pier": "#b9b0a0", "platform": "#aaa8a2"}.get(f.kind) or _PAINT[f.colour or "grey"]
    canvas.shape(f.outline, _varied(colour, f), f.height_m)


@draws("train")
def _train(canvas: Canvas, f: Feature) -> None:
    at, width, depth = _frame(f)
    a, b = f.outline[:2]
    turn = math.atan2(b[1] - a[1], b[0] - a[0])
    wagons = max(1, round(width / 23))
    for number in range(wagons):
        u = (number + 0.5) * width / wagons - width / 2
        canvas.shape(
            box(*place([(u, 0)], *at, 1, 1, turn)[0], width / wagons - 1.4, depth, turn), _PAINT[f.colour or "red"], 4
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
    at, width, depth = _frame(f)
    a, b = f.outline[:2]
    turn = math.atan2(b[1] - a[1], b[0] - a[0])
    hull = [(0.5, 0), (0.3, 0.5), (-0.5, 0.45), (-0.5, -0.45), (0.3, -0.5)]
    ship = f.kind == "ship"
    canvas.shape(
        place(hull, *at, width, depth, turn),
        _varied(_PAINT[f.colour], f) if ship else rgb("#f3f3f0"),
        5 if ship else 1.6,
    )
    if not ship:
        canvas.shape(box(*at, width * 0.3, depth * 0.5, turn), "#4a6078", 2.4)
        return
    bridge = place([(-0.4, 0)], *at, width, depth, turn)[0]
    canvas.shape(box(*bridge, width * 0.1, depth * 0.85, turn), "#f0efeb", 15)
    for u in (-0.2, 0.0, 0.2):
        spot = place([(u, 0)], *at, width, depth, turn)[0]
        canvas.shape(box(*spot, width * 0.15, depth * 0.66, turn), _varied("#7a6f66", f), 5.6)


@draws("parasol", "fountain")
def _round(canvas: Canvas, f: Feature) -> None:
    at = middle(f.outline)
    radius = max(math.dist(at, p) for p in f.outline)
    if f.kind == "parasol":
        canvas.disc(*at, radius, _PAINT[f.colour or "white"], 2.2)
        return
    canvas.disc(*at, radius, "#c9c5bb", 0.8)
    canvas.disc(*at, radius * 0.84, "#5f9fae", 0.3)
    canvas.disc(*at, radius * 0.2, "#e4f0f2", 1.5)


@draws("pool", "pond", "basin")
def _pond(canvas: Canvas, f: Feature) -> None:
    if f.kind == "pool":
        canvas.line([*f.outline, f.outline[0]], 1.8, "#d6d0c4", 0)
        canvas.shape(f.outline, "#4fb3cf", 0)
        return
    window, mask = canvas.stencil(f.outline)
    if f.kind == "pond":
        canvas.line([*f.outline, f.outline[0]], 3.4, "#7d7652", 0)
    stops = ("#22404a", "#2c4f54", "#3b6060") if f.kind == "pond" else ("#22485a", "#2a5566", "#356272")
    canvas.tint(window, mask, stops, canvas.noise(60, window) + 0.2 * canvas.noise(4, window))
    canvas.height[window][mask] = 0


@draws("lawn")
def _lawn(canvas: Canvas, f: Feature) -> None:
    window, mask = canvas.stencil(f.outline)
    canvas.tint(window, mask, MEADOW[canvas.light.season], 0.8 * canvas.noise(30, window))
    canvas.height[window][mask] = 0


@draws("pavement", "apron", "square", "parking lot")
def _paved(canvas: Canvas, f: Feature) -> None:
    stops = {
        "apron": ("#96958f", "#a5a49e", "#b3b2ac"),
        "square": ("#b3aa9a", "#c0b7a6", "#ccc4b4"),
        "parking lot": ("#5b5d60", "#68696c", "#757678"),
    }.get(f.kind, ("#9c988c", "#a9a599", "#b5b1a5"))
    window, mask = canvas.stencil(f.outline)
    canvas.tint(window, mask, stops, 0.7 * canvas.noise(30, window) + 0.4 * canvas.noise(3, window))
    canvas.height[window][mask] = 0
    if f.form == "bund":
        canvas.line([*f.outline, f.outline[0]], 1.6, "#8a8270", 1.6)


@draws("marking")
def _slots(canvas: Canvas, f: Feature) -> None:
    (ax, ay), (bx, by) = f.outline
    count, length = int(f.form.split()[1]), math.dist((ax, ay), (bx, by))
    heading = math.atan2(by - ay, bx - ax)
    canvas.line(f.outline, 0.3, "#d8d8d4")
    for number in range(count + 1):
        t = number / count * length
        x, y = ax + math.cos(heading) * t, ay + math.sin(heading) * t
        canvas.line(place([(0, -f.width_m / 2), (0, f.width_m / 2)], x, y, 1, 1, heading), 0.25, "#d8d8d4")


@draws("road", "street", "lane", "path", "taxiway")
def _way(canvas: Canvas, f: Feature) -> None:
    edge, top = {
        "road": ("#a09d95", "#66676a"),
        "street": ("#a3a098", "#727375"),
        "lane": ("#9b8d70", "#b0a180"),
        "path": ("#b8aa8a", "#c5b797"),
        "taxiway": ("#8f8e86", "#9a9993"),
    }[f.kind]
    canvas.line(f.outline, f.width_m, edge, 0)
    if f.kind in ("road", "street", "taxiway"):
        canvas.line(f.outline, f.width_m - (2.4 if f.kind != "taxiway" else 3), top, 0)
    if f.kind == "road":
        canvas.dashes(f.outline, 0.4, "#e4e4de", 4, 6)
        canvas.line(f.outline, 0.3, "#cfc58a")
    elif f.kind == "taxiway":
        canvas.line(f.outline, 0.5, "#cdb85a")


@draws("railway")
def _railway(canvas: Canvas, f: Feature) -> None:
    canvas.line(f.outline, f.width_m, "#857d72", 0)
    heading = math.atan2(f.outline[-1][1] - f.outline[0][1], f.outline[-1][0] - f.outline[0][0])
    for lane in (-2.3, 2.3) if f.width_m > 10 else (0.0,):
        line = [(x - math.sin(heading) * lane, y + math.cos(heading) * lane) for x, y in f.outline]
        canvas.line(line, 2.8, "#655a4e")
        for side in (-0.75, 0.75):
            canvas.line([(x - math.sin(heading) * side, y + math.cos(heading) * side) for x, y in line], 0.3, "#b5b0aa")


@draws("runway")
def _runway(canvas: Canvas, f: Feature) -> None:
    canvas.shape(f.outline, "#55575a", 0)
    at, width, depth = _frame(f)
    west, east = at[0] - width / 2, at[0] + width / 2
    canvas.dashes([(west + 60, at[1]), (east - 60, at[1])], 0.9, "#eeeeea", 20, 14)
    for v in (-depth / 2 + 1.5, depth / 2 - 1.5):
        canvas.line([(west, at[1] + v), (east, at[1] + v)], 0.9, "#eeeeea")
    for end in (west + 24, east - 24):
        for v in np.arange(-depth / 2 + 5, depth / 2 - 3, 4).tolist():
            canvas.shape(box(end, at[1] + v, 28, 1.8), "#f0f0ec")


@draws("bridge", "viaduct")
def _bridge(canvas: Canvas, f: Feature) -> None:
    canvas.shape(f.outline, "#b3b0a8", f.height_m)
    n = len(f.outline)
    if f.kind == "viaduct":
        a, b, c, d = f.outline
        path = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2), ((c[0] + d[0]) / 2, (c[1] + d[1]) / 2)]
        breadth = math.dist(a, b)
    else:
        path = [
            ((f.outline[k][0] + f.outline[n - 1 - k][0]) / 2, (f.outline[k][1] + f.outline[n - 1 - k][1]) / 2)
            for k in range(n // 2)
        ]
        breadth = math.dist(f.outline[0], f.outline[n - 1])
    canvas.line(path, breadth - 2, "#6c6d6f" if f.form != "railway" else "#857d72", f.height_m)
    canvas.dashes(path, 0.4, "#e4e4de", 4, 6)


@draws("roundabout")
def _roundabout(canvas: Canvas, f: Feature) -> None:
    at = middle(f.outline)
    canvas.disc(*at, max(math.dist(at, p) for p in f.outline), "#6a6b6d", 0)
