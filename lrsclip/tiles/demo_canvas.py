"""Demo tiles, the painter: a small canvas seen from straight above that knows colour, height and the sun.

Every scene is written on a square of 256 x 256 units, whatever its size in pixels. Painting sets a colour and a
height for each pixel; `Canvas.finish` then lights the relief and casts the shadows from the heights alone, so a
tree, a roof and a tank are all shaded by the same rule.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
Point = tuple[float, float]
_Window = tuple[slice, slice]

SIDE = 256.0
"""Side of every scene in units, which is also the least sensible size in pixels."""
_SUPERSAMPLE = 3
_SUN = (0.77, 0.64)  # shadows fall to the lower right: eyes read relief lit from the upper left the right way round
_SHADOW_PER_HEIGHT = 0.95


def rgb(colour: str) -> Field:
    """Returns a CSS colour as (3,) float32 in 0..1."""
    return np.asarray(ImageColor.getrgb(colour)[:3], np.float32) / np.float32(255)


def box(x: float, y: float, width: float, depth: float, angle: float = 0.0) -> list[Point]:
    """Returns the four corners of a rectangle around (x, y), turned clockwise by `angle` radians."""
    return place([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)], x, y, width, depth, angle)


def place(points: Iterable[Point], x: float, y: float, width: float, depth: float, angle: float) -> list[Point]:
    """Returns an outline scaled by (width, depth), turned by `angle` radians and moved to (x, y)."""
    cos, sin = math.cos(angle), math.sin(angle)
    return [(x + u * width * cos - v * depth * sin, y + u * width * sin + v * depth * cos) for u, v in points]


def arc(x: float, y: float, radius: float, start: float, end: float) -> list[Point]:
    """Returns points on a circle around (x, y) from angle `start` to `end` in radians."""
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in np.linspace(start, end, 49).tolist()]


def oval(x: float, y: float, straight: float, radius: float) -> list[Point]:
    """Returns the closed outline of a running track: two half circles joined by straights of length `straight`."""
    right, left = x + straight / 2, x - straight / 2
    half = math.pi / 2
    return [*arc(right, y, radius, -half, half), *arc(left, y, radius, half, 3 * half), (right, y - radius)]


def apart(point: Point, path: Sequence[Point]) -> float:
    """Returns the distance in units of a point from a path of straight pieces."""
    nearest = math.inf
    for start, end in itertools.pairwise(path):
        dx, dy = end[0] - start[0], end[1] - start[1]
        share = ((point[0] - start[0]) * dx + (point[1] - start[1]) * dy) / (dx * dx + dy * dy)
        share = min(1.0, max(0.0, share))
        nearest = min(nearest, math.dist(point, (start[0] + share * dx, start[1] + share * dy)))
    return nearest


class Canvas:
    """A scene being painted.

    Attributes:
        rng: The only source of chance, so that a seed gives the same picture again.
        x: Unit column of each pixel, (n, n) float32.
        y: Unit row of each pixel, (n, n) float32.
        height: Height in units above the ground, (n, n) float32.
        colour: Colour in 0..1 before light, (n, n, 3) float32.
    """

    def __init__(self, rng: np.random.Generator, tile_px: int) -> None:
        self.rng = rng
        self.tile_px = tile_px
        self._n = tile_px * _SUPERSAMPLE
        self.unit_px = self._n / SIDE
        axis = (np.arange(self._n, dtype=np.float32) + 0.5) / np.float32(self.unit_px)
        self.x, self.y = np.meshgrid(axis, axis)
        self.height: Field = np.zeros((self._n, self._n), np.float32)
        self.colour: Field = np.zeros((self._n, self._n, 3), np.float32)
        self._fine = self.noise(3, octaves=2)

    def noise(self, feature: float, octaves: int = 5, stretch: float = 1.0) -> Field:
        """Returns layered noise, (n, n) float32, mean 0, deviation 1; `feature` is its largest lump in units."""
        total = np.zeros((self._n, self._n), np.float32)
        for octave in range(octaves):
            step = feature / 2**octave
            cells = (int(SIDE / (step * stretch)) + 4, int(SIDE / step) + 4)
            grid = Image.fromarray(self.rng.random(cells, dtype=np.float32))
            if step * self.unit_px < 1.5:
                continue  # too fine to be seen; drawn all the same, so that chance goes on alike at every size
            reach = (1.5, 1.5, 1.5 + SIDE / step, 1.5 + SIDE / (step * stretch))
            layer = grid.resize((self._n, self._n), Image.Resampling.BICUBIC, box=reach)
            total += np.asarray(layer, np.float32) * 0.55**octave
        centred: Field = total - total.mean()
        return centred / (centred.std() + np.float32(1e-6))

    def ramp(self, values: Field, stops: Sequence[tuple[float, str]], where: Mask | None = None) -> None:
        """Paints the ground with the colour that `stops` (value, colour), rising, give to `values` (n, n)."""
        knots = [value for value, _ in stops]
        colours = np.stack([rgb(colour) for _, colour in stops])
        chosen = np.ones_like(values, np.bool_) if where is None else where
        picked, speckle = values[chosen], 1 + 0.045 * self._fine[chosen]
        for band in range(3):
            self.colour[..., band][chosen] = np.interp(picked, knots, colours[:, band]) * speckle

    def ground(self, *colours: str, feature: float = 60) -> None:
        """Paints the whole scene with patches between the colours given."""
        stops = np.linspace(-1.6, 1.6, len(colours)).tolist()
        self.ramp(self.noise(feature, octaves=7), list(zip(stops, colours, strict=True)))

    def stripes(self, where: Mask, spacing: float, angle: float) -> None:
        """Darkens and lightens the pixels `where` in parallel rows, as ploughs and mowers do."""
        across = self.x[where] * math.cos(angle) + self.y[where] * math.sin(angle)
        self.colour[where] *= (1 + 0.08 * np.sin(across * (2 * math.pi / spacing)))[:, None]

    def at(self, values: Field, x: float, y: float) -> float:
        """Returns the value of a field (n, n) at a place, or at the nearest edge when the place lies outside."""
        row, column = (min(self._n - 1, max(0, int(at * self.unit_px))) for at in (y, x))
        return float(values[row, column])

    def _window(self, points: Sequence[Point], margin: float) -> _Window:
        """Returns the pixel rows and columns that hold the points and a margin in units."""
        low = [max(0, int((min(p[axis] for p in points) - margin) * self.unit_px)) for axis in (0, 1)]
        high = [min(self._n, int((max(p[axis] for p in points) + margin) * self.unit_px) + 2) for axis in (0, 1)]
        return slice(low[1], max(low[1], high[1])), slice(low[0], max(low[0], high[0]))

    def _lay(self, window: _Window, mask: Mask, colour: str, height: Field | float | None) -> None:
        self.colour[window][mask] = rgb(colour) * (1 + 0.03 * self._fine[window][mask][:, None])
        if height is not None:
            self.height[window][mask] = height[mask] if isinstance(height, np.ndarray) else height

    def shape(self, points: Sequence[Point], colour: str, height: float | None = None) -> None:
        """Fills an outline; a height of None leaves the relief as it is."""
        window, mask = self._stencil(points, 0.0)
        self._lay(window, mask, colour, height)

    def line(self, points: Sequence[Point], width: float, colour: str, height: float | None = None) -> None:
        """Draws a line with round joints, `width` units wide."""
        window, mask = self._stencil(points, width)
        self._lay(window, mask, colour, height)

    def _stencil(self, points: Sequence[Point], width: float) -> tuple[_Window, Mask]:
        window = rows, columns = self._window(points, width)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        if 0 in size:
            return window, np.zeros(size[::-1], np.bool_)
        stencil = Image.new("1", size)
        local = [(x * self.unit_px - columns.start, y * self.unit_px - rows.start) for x, y in points]
        if width:
            ImageDraw.Draw(stencil).line(local, fill=1, width=max(1, round(width * self.unit_px)), joint="curve")
        else:
            ImageDraw.Draw(stencil).polygon(local, fill=1)
        return window, np.asarray(stencil)

    def frame(self, corners: Sequence[Point], width: float, colour: str) -> None:
        """Draws the outline of a shape."""
        self.line([*corners, corners[0]], width, colour)

    def dashes(self, start: Point, end: Point, width: float, colour: str, dash: float, gap: float) -> None:
        """Draws a broken straight line."""
        length = math.dist(start, end)
        ux, uy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        for at in np.arange(0, length, dash + gap).tolist():
            to = min(length, at + dash)
            ends = [(start[0] + ux * at, start[1] + uy * at), (start[0] + ux * to, start[1] + uy * to)]
            self.line(ends, width, colour)

    def disc(
        self, x: float, y: float, radius: float, colour: str, height: float | None = None, *, hole: float = 0
    ) -> None:
        """Fills a disc, or a ring when `hole` (its inner radius in units) is given."""
        window = self._window([(x, y)], radius)
        away = np.hypot(self.x[window] - x, self.y[window] - y)
        self._lay(window, (away <= radius) & (away >= hole), colour, height)

    def house(self, x: float, y: float, width: float, depth: float, angle: float, *, wall: float = 4) -> None:
        """Puts up a house with a hipped roof whose ridge runs along `width`."""
        corners = box(x, y, width, depth, angle)
        window, mask = self._stencil(corners, 0.0)
        dx, dy = self.x[window] - x, self.y[window] - y
        along = np.abs(dx * math.cos(angle) + dy * math.sin(angle))
        across = np.abs(dy * math.cos(angle) - dx * math.sin(angle))
        slope = np.minimum(depth / 2 - across, width / 2 - along).clip(0)
        roofs = ("#8a5a44", "#9b6a52", "#6e6660", "#7f7a74", "#5a5654", "#a39a8e", "#754a3c")
        self._lay(window, mask, roofs[self.rng.integers(len(roofs))], wall + 0.6 * slope)

    def tree(self, x: float, y: float, radius: float) -> None:
        """Plants a round, ragged crown."""
        window = self._window([(x, y)], radius * 1.2)
        ragged = 1 + 0.16 * self._fine[window]
        away = np.hypot(self.x[window] - x, self.y[window] - y) / radius * ragged
        greens = ("#3c5128", "#46592f", "#354a2a", "#52612f", "#2f4426")
        dome = 1.25 * radius * np.sqrt((1 - away**2).clip(0)) * (1 + 0.1 * self._fine[window]) + 0.8
        above = (away < 1) & (dome > self.height[window])
        self._lay(window, above, greens[self.rng.integers(len(greens))], dome)

    def plant(
        self, spacing: float, radius: tuple[float, float], keep: Callable[[float, float], bool], share: float = 1.0
    ) -> None:
        """Plants trees on a shaken grid wherever `keep(x, y)` says so and, of those, a `share`."""
        for gy in np.arange(-spacing, SIDE + spacing, spacing).tolist():
            for gx in np.arange(-spacing, SIDE + spacing, spacing).tolist():
                x, y = (self.rng.uniform(-0.45, 0.45, 2) * spacing + (gx, gy)).tolist()
                size = float(self.rng.uniform(*radius))
                if self.rng.random() < share and keep(x, y):
                    self.tree(x, y, size)

    def car(self, x: float, y: float, angle: float, length: float = 4.6) -> None:
        """Parks a car with dark windscreens, its nose along `angle`."""
        paints = ("#e8e8e6", "#d9dadb", "#9a9da0", "#2b2d30", "#3a3f47", "#8d2622", "#2d4c7c", "#b9bcbf", "#56595c")
        colour = paints[self.rng.integers(len(paints))]
        self.shape(box(x, y, length, length * 0.45, angle), colour, 1.1)
        self.shape(box(x, y, length * 0.56, length * 0.38, angle), "#23282d", 1.5)
        self.shape(box(x - 0.03 * length, y, length * 0.32, length * 0.36, angle), colour, 1.7)

    def traffic(self, start: Point, end: Point, gap: float, lane: float, length: float) -> None:
        """Sends cars, on average `gap` units apart, along both lanes of a road, each `lane` units from its middle."""
        angle, total = math.atan2(end[1] - start[1], end[0] - start[0]), math.dist(start, end)
        for side in (-lane, lane):
            at = float(self.rng.uniform(0, gap))
            while at < total:
                self.car(*place([(at, side)], *start, 1, 1, angle)[0], angle, length)
                at += length * 1.6 + float(self.rng.exponential(gap))

    def plane(self, x: float, y: float, length: float, angle: float) -> None:
        """Puts down an airliner, its nose along `angle`."""

        def part(points: list[Point], colour: str, height: float) -> None:
            self.shape(place(points, x, y, length, length, angle), colour, height)

        for side in (-1, 1):
            part([(0.13, 0.04 * side), (-0.13, 0.46 * side), (-0.19, 0.46 * side), (-0.07, 0.04 * side)], "#e3e6e8", 3)
            part([(-0.37, 0.02 * side), (-0.47, 0.17 * side), (-0.5, 0.17 * side), (-0.46, 0.02 * side)], "#e3e6e8", 4)
            part(box(0.06, 0.16 * side, 0.1, 0.045), "#b9bec4", 2.5)
        nose = [(0.5, 0), (0.47, 0.035), (0.4, 0.05), (-0.3, 0.05), (-0.5, 0.012)]
        part([*nose, *((u, -v) for u, v in reversed(nose))], "#f7f8f8", 4.5)
        part(box(-0.42, 0, 0.16, 0.022), ("#2f5a9a", "#a8332b", "#2d7a5a")[self.rng.integers(3)], 8)

    def track(self, middle: float, radius: float, straight: float) -> None:
        """Lays a red running track with lanes around a striped pitch, in the middle of the scene."""
        self.shape(oval(middle, middle, straight, radius), "#a9503c")
        for lane in range(1, 6):
            self.line(oval(middle, middle, straight, radius * (1 - lane * 0.045)), 0.5, "#e2c4b8")
        self.shape(oval(middle, middle, straight, radius * 0.73), "#5a8a3e")
        wide, deep = straight + radius * 0.42, radius * 1.16
        self.stripes((np.abs(self.x - middle) < wide / 2) & (np.abs(self.y - middle) < deep / 2), wide / 6, 0)
        for x, width, depth in ((0, 0.94, 0.92), (0, 0, 0.92), (-0.4, 0.14, 0.5), (0.4, 0.14, 0.5)):
            self.frame(box(middle + x * wide, middle, width * wide, depth * deep), 0.9, "#eef2ea")
        self.disc(middle, middle, deep * 0.13, "#eef2ea", hole=deep * 0.13 - 0.9)

    def boat(self, x: float, y: float, length: float, angle: float) -> None:
        """Moors a pleasure boat, its bow along `angle`."""
        hull = [(0.5, 0.0), (0.25, 0.13), (-0.5, 0.13), (-0.5, -0.13), (0.25, -0.13)]
        self.shape(place(hull, x, y, length, length, angle), "#f3f3f0", 1.6)
        decks = ("#b48c5c", "#2f4b73", "#d8dadb", "#8a8f94", "#c9b58f")
        deck = [(0.3, 0.0), (0.15, 0.085), (-0.42, 0.085), (-0.42, -0.085), (0.15, -0.085)]
        self.shape(place(deck, x, y, length, length, angle), decks[self.rng.integers(len(decks))], 1.6)
        self.shape(box(x, y, length * 0.26, length * 0.15, angle), "#fafafa", 2.6)

    def finish(self) -> Image.Image:
        """Returns the lit scene, RGB, `tile_px` x `tile_px`."""
        slope_y, slope_x = np.gradient(self.height * self.unit_px)
        light = 1 + 0.42 * (slope_x * _SUN[0] + slope_y * _SUN[1]) / np.sqrt(1 + slope_x**2 + slope_y**2)
        shade = ((self._horizon() - self.height) / 0.7).clip(0, 1)[..., None]
        lit = self.colour * light.clip(0.45, 1.4)[..., None]
        lit *= 1 - shade * (1 - np.array([0.42, 0.47, 0.56], np.float32))
        lit = lit * 0.93 + np.array([0.035, 0.045, 0.06], np.float32)  # haze between the ground and the camera
        image = Image.fromarray((lit.clip(0, 1) * 255).astype(np.uint8))
        return image.resize((self.tile_px, self.tile_px), Image.Resampling.LANCZOS)

    def _horizon(self) -> Field:
        """Returns for each pixel the height up to which it lies in shadow, (n, n): the farthest reach by doubling."""
        horizon = np.full_like(self.height, -1e3)
        horizon[1:, 1:] = self.height[:-1, :-1]
        drop_per_px = 1 / (self.unit_px * _SHADOW_PER_HEIGHT)
        horizon -= np.float32(drop_per_px)
        reach = 1.0
        while reach * drop_per_px < float(self.height.max() - self.height.min()):
            dx, dy = round(reach * _SUN[0]), round(reach * _SUN[1])
            farther = horizon[: self._n - dy, : self._n - dx] - np.float32(reach * drop_per_px)
            horizon[dy:, dx:] = np.maximum(horizon[dy:, dx:], farther)
            reach *= 2
        return horizon
