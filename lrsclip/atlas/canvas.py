"""The painter: a window of the world in color and height, lit at the end by a sun that casts shadows.

Painting sets a color and a height for each pixel. `Canvas.finish` lights the relief and casts the shadows from the
heights alone, so a crown, a roof and a tank are all shaded by one rule. It paints at twice the resolution asked for;
halving it at the end smooths every edge.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

from lrsclip.atlas.geometry import Point, bounds
from lrsclip.atlas.noise import TEXTURE_PX, Field, rng_at, texture

Mask = NDArray[np.bool_]
Window = tuple[slice, slice]
SUPERSAMPLE = 2
# Mean of the paint, and the sensor's spread around it: so tiles are about as bright as RSICD's pictures.
_PAINTED_GRAY, _CONTRAST = 0.47, 1.05


@dataclass(frozen=True)
class Light:
    """Light and air of one day.

    Attributes:
        azimuth: direction of the shadows, radians from east towards south.
        shadow_per_m: length of the shadow of one meter of height, meters.
        season: "summer", "autumn", "spring" or "dry".
        haze: 0 clear, 1 the most that still shows the ground well.
        warmth: -1 bluish to 1 yellowish.
        vividness: share of the paint's saturation that the sensor shows.
        exposure: brightness of a middle gray.
    """

    azimuth: float = 0.7
    shadow_per_m: float = 0.8
    season: str = "summer"
    haze: float = 0.4
    warmth: float = 0.0
    vividness: float = 0.75
    exposure: float = 0.41


def rgb(color: str) -> Field:
    """Convert a CSS color to RGB, (3,) float32 in 0..1."""
    return np.asarray(ImageColor.getrgb(color)[:3], np.float32) / np.float32(255)


class Canvas:
    """A window of the world being painted.

    Args:
        west, north: upper left corner in meters.
        width_m, height_m: its extent.
        px_m: ground size of a pixel of the finished picture.
        light: the day.

    Attributes:
        rows, columns: size in painted pixels.
        m_px: ground size of a painted pixel.
        color: (rows, columns, 3) float32 in 0..1 before light.
        height: (rows, columns) float32 meters of things on the ground; it casts shadows.
        relief: (rows, columns) float32 meters of the ground itself; it is only shaded, because the shadow of a mountain
            would come from beyond the window.
    """

    def __init__(self, west: float, north: float, width_m: float, height_m: float, px_m: float, light: Light) -> None:
        self.west, self.north, self.light = west, north, light
        self.m_px = px_m / SUPERSAMPLE
        self.columns, self.rows = round(width_m / self.m_px), round(height_m / self.m_px)
        self.color: Field = np.zeros((self.rows, self.columns, 3), np.float32)
        self.height: Field = np.zeros((self.rows, self.columns), np.float32)
        self.relief: Field = np.zeros((self.rows, self.columns), np.float32)
        # Taken from the world's grid, so that neighboring windows show one ground.
        self.column0, self.row0 = round(west / self.m_px), round(north / self.m_px)

    @property
    def whole(self) -> Window:
        """Window of all painted pixels."""
        return slice(0, self.rows), slice(0, self.columns)

    def noise(self, lump_m: float, window: Window | None = None, *, name: str = "a", roughness: float = 1.0) -> Field:
        """Sample layered noise (h, w) of a window, mean 0 and deviation 1, continuous across neighboring windows."""
        rows, columns = window or self.whole
        # Broad lumps are kept coarse: one texture pixel covers several painted ones.
        grain = 1
        while lump_m / self.m_px / grain > TEXTURE_PX / 10:
            grain *= 2
        made = texture(name, max(2.0, round(lump_m / self.m_px / grain, 3)), roughness)
        down = (np.arange(rows.start, rows.stop) + self.row0) // grain % TEXTURE_PX
        right = (np.arange(columns.start, columns.stop) + self.column0) // grain % TEXTURE_PX
        picked: Field = made[np.ix_(down, right)]
        return picked

    def axes(self, window: Window | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute pixel centers in meters: x as (1, columns) and y as (rows, 1)."""
        rows, columns = window or self.whole
        x = np.asarray(self.west + (np.arange(columns.start, columns.stop) + 0.5) * self.m_px, np.float64)
        y = np.asarray(self.north + (np.arange(rows.start, rows.stop) + 0.5) * self.m_px, np.float64)
        return x[None, :], y[:, None]

    def window(self, points: Sequence[Point], margin: float = 0.0) -> Window:
        """Find the pixel rows and columns around points and a margin in meters; empty where they lie outside."""
        west, north, east, south = bounds(points)
        left, right = (west - margin - self.west) / self.m_px, (east + margin - self.west) / self.m_px
        top, bottom = (north - margin - self.north) / self.m_px, (south + margin - self.north) / self.m_px
        rows = max(0, math.floor(top)), min(self.rows, math.ceil(bottom) + 1)
        columns = max(0, math.floor(left)), min(self.columns, math.ceil(right) + 1)
        return slice(rows[0], max(rows)), slice(columns[0], max(columns))

    def stencil(self, points: Sequence[Point], line_m: float = 0.0) -> tuple[Window, Mask]:
        """Mask the pixels inside an outline, or within half of `line_m` meters of a path."""
        window = rows, columns = self.window(points, line_m)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        if 0 in size:
            return window, np.zeros(size[::-1], np.bool_)
        sheet = Image.new("1", size)
        local = [
            ((x - self.west) / self.m_px - columns.start - 0.5, (y - self.north) / self.m_px - rows.start - 0.5)
            for x, y in points
        ]
        if line_m:
            ImageDraw.Draw(sheet).line(local, fill=1, width=max(1, round(line_m / self.m_px)), joint="curve")
        else:
            ImageDraw.Draw(sheet).polygon(local, fill=1)
        return window, np.asarray(sheet)

    def lay(self, window: Window, mask: Mask, color: Field | str, height: Field | float | None = None) -> None:
        """Paint the pixels of a mask: one color with a fine speckle, or an (h, w, 3) picture as it is."""
        if not mask.size:
            return
        shown = rgb(color) if isinstance(color, str) else color
        shown = shown * (1 + 0.03 * self.noise(1.5, window)[mask][:, None]) if shown.ndim == 1 else shown[mask]
        self.color[window][mask] = shown
        if height is not None:
            self.height[window][mask] = height[mask] if isinstance(height, np.ndarray) else height

    def shape(self, points: Sequence[Point], color: Field | str, height: float | None = None) -> None:
        """Fill an outline; a height of None leaves the relief as it is."""
        window, mask = self.stencil(points)
        self.lay(window, mask, color, height)

    def line(self, points: Sequence[Point], width_m: float, color: Field | str, height: float | None = None) -> None:
        """Draw a line with round joints; one thinner than a pixel is drawn faint instead."""
        window, mask = self.stencil(points, max(width_m, self.m_px))
        if width_m < self.m_px * 0.9 and mask.size:
            share = width_m / self.m_px
            color = rgb(color) if isinstance(color, str) else color
            self.color[window][mask] = self.color[window][mask] * (1 - share) + color * share
        else:
            self.lay(window, mask, color, height)

    def dashes(self, path: Sequence[Point], width_m: float, color: str, dash: float, gap: float) -> None:
        """Draw a broken line along a path of straight pieces."""
        for (ax, ay), (bx, by) in itertools.pairwise(path):
            length = math.hypot(bx - ax, by - ay)
            for at in np.arange(0, length, dash + gap).tolist():
                s, e = at / length, min(1.0, (at + dash) / length)
                ends = [(ax + (bx - ax) * t, ay + (by - ay) * t) for t in (s, e)]
                self.line(ends, width_m, color)

    def disc(self, x: float, y: float, radius: float, color: Field | str, height: float | None = None) -> None:
        """Fill a disc."""
        window = self.window([(x, y)], radius)
        ax, ay = self.axes(window)
        self.lay(window, np.hypot(ax - x, ay - y) <= radius, color, height)

    def tint(self, window: Window, mask: Mask, stops: Sequence[str], values: Field, width: float = 1.6) -> None:
        """Paint a mask with colors between `stops`, chosen by `values` between -width and width."""
        knots = np.linspace(-width, width, len(stops))
        table = np.stack([rgb(stop) for stop in stops])
        picked = values[mask]
        speckle = 1 + 0.04 * self.noise(1.2, window, name="b")[mask]
        target = self.color[window]
        for band in range(3):
            target[..., band][mask] = np.interp(picked, knots, table[:, band]) * speckle

    def finish(self, margin_m: float = 0.0) -> Image.Image:
        """Light the window and crop its margin; return RGB with half as many pixels a side as were painted."""
        azimuth, light = self.light.azimuth, self.light
        sun = math.cos(azimuth), math.sin(azimuth)
        slope_y, slope_x = np.gradient(self.height + self.relief, self.m_px)
        shading = 0.5 * (slope_x * sun[0] + slope_y * sun[1]) / np.sqrt(1 + slope_x**2 + slope_y**2)
        shade = ((self._horizon(sun) - self.height) / 0.6).clip(0, 1)
        edge = round(margin_m / self.m_px)
        inner = slice(edge, self.rows - edge), slice(edge, self.columns - edge)
        lit = self.color[inner] * (1 + shading[inner]).clip(0.45, 1.45)[..., None]
        lit *= 1 - shade[inner][..., None] * (1 - np.array([0.36, 0.41, 0.50], np.float32))
        tone = np.array([1 + 0.04 * light.warmth, 1.0, 1 - 0.06 * light.warmth], np.float32)
        lit = lit * tone * (1 - 0.18 * light.haze) + np.array([0.10, 0.12, 0.15], np.float32) * light.haze
        gray = lit.mean(axis=2, keepdims=True)
        lit = (gray + light.vividness * (lit - gray) - _PAINTED_GRAY) * _CONTRAST + np.float32(light.exposure)
        rows, columns = lit.shape[0] // SUPERSAMPLE, lit.shape[1] // SUPERSAMPLE
        small = lit[: rows * 2, : columns * 2].reshape(rows, 2, columns, 2, 3).mean((1, 3))
        grain = rng_at(0, "sensor", self.row0, self.column0)
        small += 0.011 * grain.standard_normal(small.shape[:2], dtype=np.float32)[..., None]
        small += 0.004 * grain.standard_normal(small.shape, dtype=np.float32)
        return Image.fromarray((small.clip(0, 1) * 255).astype(np.uint8))

    def _horizon(self, sun: tuple[float, float]) -> Field:
        """Compute for each pixel the height in meters up to which it lies in shadow, doubling the reach each step."""
        drop = np.float32(self.m_px / self.light.shadow_per_m)
        horizon = _shifted(self.height, sun[0], sun[1]) - drop
        reach, tallest = 1.0, float(np.ptp(self.height))
        while reach * drop < tallest:
            horizon = np.maximum(horizon, _shifted(horizon, sun[0] * reach, sun[1] * reach) - np.float32(reach) * drop)
            reach *= 2
        return horizon


def _shifted(values: Field, right: float, down: float) -> Field:
    """Shift a field by whole pixels; fill the part that comes in from outside with -1e4, below everything."""
    moved = np.full_like(values, -1e4)
    dx, dy = round(right), round(down)
    rows, columns = values.shape
    to = slice(max(0, dy), min(rows, rows + dy)), slice(max(0, dx), min(columns, columns + dx))
    source = slice(max(0, -dy), min(rows, rows - dy)), slice(max(0, -dx), min(columns, columns - dx))
    if to[0].start < to[0].stop and to[1].start < to[1].stop:
        moved[to] = values[source]
    return moved
