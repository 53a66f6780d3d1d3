"""Drawing of flat things on the ground: ways, paving, water basins, sport grounds, bridges."""

from __future__ import annotations

import math

import numpy as np

from lrsclip.atlas.canvas import Canvas
from lrsclip.atlas.draw import PAINT, axes_of, draws, frame_of, varied
from lrsclip.atlas.features import Feature
from lrsclip.atlas.geometry import Point, bounds, box, middle, place, turned
from lrsclip.atlas.terrain import MEADOW

_COURT = {"green": "#4a7a55", "blue": "#3d6aa0", "red": "#a2563f"}


@draws("running track")
def _track(canvas: Canvas, f: Feature) -> None:
    _, deep = _extent(f)
    color = "#a8543f" if f.color == "red" else "#4a6c9c"
    canvas.shape(f.outline, color, 0)
    for lane in range(1, 6):
        canvas.line([*_shrunk(f, lane * 1.25), _shrunk(f, lane * 1.25)[0]], 0.25, "#e2c4b8")
    canvas.shape(_shrunk(f, min(8.0, deep * 0.13)), "#64853f", 0)


def _extent(f: Feature) -> tuple[float, float]:
    """Measure the length and breadth of an outline along its own heading, meters."""
    west, north, east, south = bounds(turned(f.outline, -f.angle))
    return east - west, south - north


def _shrunk(f: Feature, meters: float) -> tuple[Point, ...]:
    """Shrink an outline so that it lies `meters` inside."""
    x, y = middle(f.outline)
    long, deep = _extent(f)
    flat = turned([(px - x, py - y) for px, py in f.outline], -f.angle)
    return place(flat, x, y, 1 - 2 * meters / long, 1 - 2 * meters / deep, f.angle)


@draws("football pitch")
def _pitch(canvas: Canvas, f: Feature) -> None:
    window, mask = canvas.stencil(f.outline)
    if not mask.any():
        return
    at, _width, _depth = frame_of(f)
    lengthwise, _ = axes_of(canvas, f, window, at)
    canvas.lay(window, mask, "#5b8a3d", 0.0)
    stripes = 1 + 0.06 * np.sign(np.sin(lengthwise * (2 * math.pi / 12)))
    canvas.color[window][mask] *= stripes.astype(np.float32)[mask][:, None]
    _lines(canvas, f, [(0, 0, 0.94, 0.92), (0, 0, 0, 0.92), (-0.4, 0, 0.14, 0.5), (0.4, 0, 0.14, 0.5)], 0.4)


def _lines(canvas: Canvas, f: Feature, boxes: list[tuple[float, float, float, float]], breadth: float) -> None:
    """Draw white frames given in shares of a rectangle: middle and size."""
    at, width, depth = frame_of(f)
    a, b = f.outline[:2]
    turn = math.atan2(b[1] - a[1], b[0] - a[0])
    for u, v, wide, deep in boxes:
        spot = place([(u * width, v * depth)], *at, 1, 1, turn)[0]
        frame = box(*spot, wide * width, deep * depth, turn)
        canvas.line([*frame, frame[0]], breadth, "#eef0ea")


@draws("tennis court", "basketball court")
def _court(canvas: Canvas, f: Feature) -> None:
    canvas.shape(f.outline, varied(_COURT[f.color or "green"], f) * 0.86, 0)
    at, width, depth = frame_of(f)
    a, b = f.outline[:2]
    inner = box(*at, width * 0.62, depth * 0.72, math.atan2(b[1] - a[1], b[0] - a[0]))
    canvas.shape(inner, varied(_COURT[f.color or "green"], f) * 1.1)
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


@draws("parasol", "fountain")
def _round(canvas: Canvas, f: Feature) -> None:
    at = middle(f.outline)
    radius = max(math.dist(at, p) for p in f.outline)
    if f.kind == "parasol":
        canvas.disc(*at, radius, PAINT[f.color or "white"], 2.2)
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
    at, width, depth = frame_of(f)
    half = width / 2

    def along(u: float, v: float) -> Point:
        return place([(u, v)], *at, 1, 1, f.angle)[0]

    canvas.dashes([along(60 - half, 0), along(half - 60, 0)], 0.9, "#eeeeea", 20, 14)
    for v in (-depth / 2 + 1.5, depth / 2 - 1.5):
        canvas.line([along(-half, v), along(half, v)], 0.9, "#eeeeea")
    for end in (24 - half, half - 24):
        for v in np.arange(-depth / 2 + 5, depth / 2 - 3, 4).tolist():
            canvas.shape(box(*along(end, v), 28, 1.8, f.angle), "#f0f0ec")


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
