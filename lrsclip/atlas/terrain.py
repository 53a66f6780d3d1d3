"""Painting of the ground: grass, crops, forest, sand, rock and water, before anything stands on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lrsclip.atlas.canvas import Canvas, Mask, Window, rgb
from lrsclip.atlas.features import Feature
from lrsclip.atlas.land_use import Ground
from lrsclip.atlas.noise import TEXTURE_PX, Field, rng_at

FIELD_M = 8.0
"""Step of the grid on which the lie of the land is computed for painting."""

_GRASS = {
    "summer": ("#4a5a33", "#5c6b3c", "#76834c"),
    "spring": ("#4f6a34", "#65803f", "#86994f"),
    "autumn": ("#5d5c38", "#747045", "#8d8355"),
    "dry": ("#75714a", "#8f875a", "#aa9d6e"),
}
MEADOW = {
    "summer": ("#5d7038", "#77894a", "#97a05e"),
    "spring": ("#5b8038", "#7a9b48", "#a3b25c"),
    "autumn": ("#7a7547", "#938a57", "#ab9f6a"),
    "dry": ("#958a5e", "#aa9d6c", "#c0b082"),
}
_FOREST = {
    "summer": ("#22331c", "#314526", "#456034"),
    "spring": ("#2c4020", "#42592c", "#68803c"),
    "autumn": ("#4a4526", "#6b5a2e", "#94683a"),
    "dry": ("#37401f", "#4b5230", "#656842"),
}
_CONIFER = ("#1b2a1c", "#263824", "#36492d")
_CROPS = {
    "green": ("#4c6a31", "#5f7f3b", "#71904a"),
    "dark green": ("#33502a", "#3f5e30", "#4d6c39"),
    "light green": ("#83a04e", "#95b05a", "#a9bf6c"),
    "yellow": ("#bfa95a", "#d0ba6a", "#dfcb80"),
    "brown": ("#755c42", "#876b4e", "#9a7d5e"),
}
_PLAIN = {
    "town ground paved": ("#85837d", "#93918b", "#a3a19a"),
    "yard": ("#77756f", "#86837b", "#989388"),
    "yard paved": ("#807e7a", "#8d8b86", "#9b9892"),
    "yard earth": ("#837a66", "#948a73", "#a69b82"),
    "bare land": ("#8d7655", "#a58c68", "#bba37d"),
    "desert": ("#b58a5a", "#cfa672", "#e3c08d"),
}


def paint_ground(canvas: Canvas, ground: Ground, covers: list[Feature]) -> None:
    """Paint the land: every site's cover, crops and lawns, then rivers, sea and sand.

    Args:
        canvas: a window; its relief is set.
        ground: the lie of the land on the grid of `field_axes(canvas)`.
        covers: features of levels 0 and 1, lowest first.
    """
    canvas.relief[:] = spread_out(canvas, ground.relief_m)
    canvas.tint(
        canvas.whole, np.ones_like(canvas.height, np.bool_), _GRASS[canvas.light.season], _lumps(canvas, canvas.whole)
    )
    for feature in covers:
        window, mask = canvas.stencil(feature.outline)
        if mask.any():
            _cover(canvas, feature, window, mask)
    _water(canvas, ground)


def field_axes(canvas: Canvas) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute places x and y, each (rows, columns), of the coarse grid over a window, meters."""
    x = canvas.west + np.arange(0, canvas.columns * canvas.m_px + FIELD_M, FIELD_M)
    y = canvas.north + np.arange(0, canvas.rows * canvas.m_px + FIELD_M, FIELD_M)
    grid_x, grid_y = np.meshgrid(x, y)
    return grid_x, grid_y


def spread_out(canvas: Canvas, values: Field) -> Field:
    """Interpolate a coarse field bicubically to all pixels of the window, (rows, columns)."""
    step = FIELD_M / canvas.m_px
    # A pixel of the coarse picture is centered on its place, so the corner of the box lies half of one further in.
    box = (0.5 + 0.5 / step, 0.5 + 0.5 / step, 0.5 + (canvas.columns + 0.5) / step, 0.5 + (canvas.rows + 0.5) / step)
    box = (box[0], box[1], min(box[2], values.shape[1]), min(box[3], values.shape[0]))
    sheet = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(sheet.resize((canvas.columns, canvas.rows), Image.Resampling.BICUBIC, box=box))


def _lumps(canvas: Canvas, window: Window) -> Field:
    mixed: Field = 0.75 * canvas.noise(70, window) + 0.65 * canvas.noise(9, window, name="c")
    return mixed


def _cover(canvas: Canvas, feature: Feature, window: Window, mask: Mask) -> None:
    season, kind = canvas.light.season, feature.kind
    if kind == "forest":
        _canopy(canvas, window, mask, _CONIFER if feature.form == "conifer" else _FOREST[season])
    elif kind == "crop":
        _crop(canvas, feature, window, mask)
    elif kind == "desert":
        _dunes(canvas, window, mask)
    elif kind == "mountain":
        _rock(canvas, window, mask)
    else:
        name = f"{kind} {feature.form}".strip()
        stops = _PLAIN.get(name) or _PLAIN.get(kind)
        if stops is None:
            stops = MEADOW[season] if kind in ("meadow", "lawn") or feature.form == "airfield" else _GRASS[season]
        canvas.tint(window, mask, stops, _lumps(canvas, window))


def _crop(canvas: Canvas, feature: Feature, window: Window, mask: Mask) -> None:
    lumps = 0.8 * canvas.noise(60, window, name="crop") + 0.4 * canvas.noise(5, window)
    canvas.tint(window, mask, _CROPS.get(feature.color, _CROPS["green"]), lumps)
    x, y = canvas.axes(window)
    if feature.form == "circular":
        middle = np.mean(feature.outline, axis=0)
        across = np.hypot(x - middle[0], y - middle[1])
    else:
        across = y * math.cos(feature.angle) - x * math.sin(feature.angle)
    # Breadth and strength of the rows vary from field to field.
    luck = abs(math.sin(feature.outline[0][0] * 12.9898 + feature.outline[0][1] * 78.233))
    rows = 1 + (0.03 + 0.07 * luck) * np.sin(across * (2 * math.pi / (2.4 + 3.2 * luck)))
    canvas.color[window][mask] *= rows.astype(np.float32)[mask][:, None]


def _dunes(canvas: Canvas, window: Window, mask: Mask) -> None:
    x, y = canvas.axes(window)
    warp = 15 * canvas.noise(150, window, name="dune", roughness=0.3) + 1.2 * canvas.noise(20, window)
    phase = np.mod((x * 0.86 + y * 0.5 + warp) / 52, 1)
    swell = np.where(phase < 0.7, phase / 0.7, (1 - phase) / 0.3) ** 1.3
    swell = swell * (0.6 + 0.5 * canvas.noise(240, window, name="e")).clip(0.1, 1.6)
    canvas.tint(window, mask, _PLAIN["desert"], 0.6 * canvas.noise(90, window) + 1.2 * (phase - 0.5).astype(np.float32))
    ripple = 0.10 * np.sin((x * 0.8 - y * 0.5 + warp) * 1.3)
    canvas.relief[window][mask] += (7 * swell + ripple).astype(np.float32)[mask]


def _rock(canvas: Canvas, window: Window, mask: Mask) -> None:
    relief = canvas.relief[window]
    crag = 0.8 * canvas.noise(110, window, name="crag", roughness=0.7) + 0.35 * canvas.noise(24, window)
    relief[mask] += (6 * crag * np.minimum(1, relief / 40))[mask]
    if min(relief.shape) < 2:  # a sliver at the window's edge, cut away with the margin
        return
    slope = np.hypot(*np.gradient(relief, canvas.m_px))
    green = _FOREST[canvas.light.season]
    stops = (green[1], green[2], "#77714f", "#8c8069", "#a3968a", "#8f8882")
    canvas.tint(
        window, mask, stops, ((slope - 0.75) * 1.6 + 0.35 * crag + 0.3 * canvas.noise(90, window)).astype(np.float32)
    )


@lru_cache(maxsize=2)
def _crowns() -> tuple[Field, Field]:
    """Make a repeating closed canopy (TEXTURE_PX squared, half a meter a pixel): height in meters and tone around 0."""
    rng = rng_at(0, "crowns")
    height = np.zeros((TEXTURE_PX, TEXTURE_PX), np.float32)
    tone = np.zeros_like(height)
    span = np.arange(-14, 15, dtype=np.float32)
    square = span[None, :] ** 2 + span[:, None] ** 2
    step = 9
    for row in range(0, TEXTURE_PX, step):
        for column in range(0, TEXTURE_PX, step):
            radius = float(rng.uniform(5, 11))
            at_row, at_column = row + int(rng.integers(step)), column + int(rng.integers(step))
            dome = np.sqrt((1 - square / radius**2).clip(0)) * radius * 0.55 + float(rng.uniform(5, 9)) * (
                square < radius**2
            )
            rows, columns = (at_row + span.astype(int)) % TEXTURE_PX, (at_column + span.astype(int)) % TEXTURE_PX
            where = np.ix_(rows, columns)
            above = dome > height[where]
            height[where] = np.where(above, dome, height[where])
            tone[where] = np.where(above, np.float32(rng.normal(0, 0.75)), tone[where])
    return height, tone


def _canopy(canvas: Canvas, window: Window, mask: Mask, stops: tuple[str, ...]) -> None:
    height, tone = _crowns()
    rows, columns = window
    down = (np.arange(rows.start, rows.stop) + canvas.row0) % TEXTURE_PX
    right = (np.arange(columns.start, columns.stop) + canvas.column0) % TEXTURE_PX
    tall, shade = height[np.ix_(down, right)], tone[np.ix_(down, right)]
    canvas.tint(window, mask, stops, shade + 0.5 * canvas.noise(80, window) + 0.25 * canvas.noise(2, window))
    ragged = tall + 0.7 * canvas.noise(2.4, window, name="leaf")
    canvas.height[window][mask] = ragged[mask].clip(0)


def _ramp(canvas: Canvas, values: Field, mask: Mask, stops: Sequence[tuple[float, str]]) -> None:
    knots = [at for at, _ in stops]
    table = np.stack([rgb(color) for _, color in stops])
    picked = values[mask]
    for band in range(3):
        canvas.color[..., band][mask] = np.interp(picked, knots, table[:, band])


def _water(canvas: Canvas, ground: Ground) -> None:
    if float(ground.sea.min()) < 60:
        sea = spread_out(canvas, ground.sea)
        sea = sea + np.where(sea < 0, 1.6 * canvas.noise(22, name="wave"), 0.6 * canvas.noise(6))
        sandy = spread_out(canvas, ground.sandy)
        beach = 26 * sandy
        sand = (sea < beach) & (sea > -4)
        _ramp(canvas, sea, sand, [(-4, "#a8946c"), (2, "#b8a27a"), (8, "#d9c49a"), (26, "#e6d5b0")])
        canvas.height[sand] = 0
        wet = sea < 0
        deep = [
            (-260, "#1d4a63"),
            (-110, "#235a73"),
            (-45, "#34788a"),
            (-16, "#5aa5a6"),
            (-4, "#93c4b8"),
            (0, "#d8dcc8"),
        ]
        _ramp(canvas, sea, wet, deep)
        foam = (sea > -34) & (sea < -1) & (canvas.noise(10, name="foam") + 0.9 * np.cos(sea * 0.42) > 1.75)
        canvas.color[foam] = 0.4 * canvas.color[foam] + 0.56
        canvas.height[wet] = 0
        canvas.relief[wet] = 0
    if float(ground.river.min()) < 12:
        river = spread_out(canvas, ground.river) + 0.8 * canvas.noise(9)
        bank = river < 5
        _ramp(canvas, river, bank, [(-26, "#33514e"), (-8, "#456459"), (-1, "#66745b"), (0, "#9a8f74"), (5, "#7a7650")])
        canvas.color[bank] *= (1 + 0.03 * canvas.noise(4, name="f"))[bank][:, None]
        canvas.height[bank] = 0
        canvas.relief[bank] = 0
