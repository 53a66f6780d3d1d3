"""A plot of land being filled: the frame in which the painters of scenes put down its features."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lrsclip.atlas.features import Feature
from lrsclip.atlas.geometry import Outline, Point, apart, arc, box, middle, oval, place, ribbon

Sea = Callable[[float, float], float]
"""Meters to the nearest water at a place of the world, negative in it."""
Painter = Callable[["Plot"], None]
PAINTERS: dict[str, Painter] = {}


def site(use: str) -> Callable[[Painter], Painter]:
    """Register a painter for a land use."""

    def register(paint: Painter) -> Painter:
        PAINTERS[use] = paint
        return paint

    return register


@dataclass
class Plot:
    """One site: a piece of land between roads, with its own frame (u to the right, v down, meters from its middle).

    Attributes:
        rng: the only source of chance.
        outline: the whole piece of land, to the middle of the roads around it.
        x, y, angle: middle and turn of the frame.
        width, depth: size of a rectangle in the frame that lies inside the roads.
        shore: meters to the nearest water at a place of the world, negative in it.
        season: of the world's day.
        urban: 0 open country to 1 middle of a town.
        features: the features put down so far.
    """

    rng: np.random.Generator
    outline: Outline
    x: float
    y: float
    angle: float
    width: float
    depth: float
    shore: Sea
    season: str = "summer"
    urban: float = 0.5
    features: list[Feature] = field(default_factory=list)
    _taken: list[tuple[float, float, float]] = field(default_factory=list)

    def dry(self, x: float, y: float) -> bool:
        """Tell whether a place of the world is land, a little away from the water."""
        return self.shore(x, y) > 1.5

    def at(self, u: float, v: float) -> Point:
        """Transform a place of the frame to world coordinates, meters."""
        return place([(u, v)], self.x, self.y, 1, 1, self.angle)[0]

    def world(self, points: Iterable[Point]) -> Outline:
        """Transform places of the frame to world coordinates, meters."""
        return place(points, self.x, self.y, 1, 1, self.angle)

    def any(self, *choices: str) -> str:
        """Choose one of some words by chance."""
        return choices[int(self.rng.integers(len(choices)))]

    def between(self, low: float, high: float) -> float:
        """Draw a number from [low, high) uniformly."""
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        """Draw whether an event of probability `share` happens."""
        return bool(self.rng.random() < share)

    def cover(self, kind: str, color: str = "", form: str = "") -> None:
        """Cover the whole plot with land of a kind."""
        self.features.append(Feature(kind, self.outline, color, form=form))

    def put(
        self,
        kind: str,
        points: Iterable[Point],
        color: str = "",
        *,
        height: float = 0.0,
        turn: float = 0.0,
        form: str = "",
        width: float = 0.0,
        wet: bool = False,
    ) -> bool:
        """Put something down, given in the frame.

        Returns:
            False, with nothing done, where it would stand in water.
        """
        outline = self.world(points)
        if not wet and not all(self.dry(x, y) for x, y in (*outline, middle(outline))):
            return False
        self.features.append(Feature(kind, outline, color, height, self.angle + turn, form, width))
        return True

    def block(
        self,
        kind: str,
        u: float,
        v: float,
        width: float,
        depth: float,
        color: str = "",
        *,
        height: float = 0.0,
        turn: float = 0.0,
        form: str = "",
        wet: bool = False,
    ) -> bool:
        """Put down a rectangle, and remember its place so that no tree is planted on it."""
        done = self.put(kind, box(u, v, width, depth, turn), color, height=height, turn=turn, form=form, wet=wet)
        if done:
            self.keep_clear(u, v, width, depth, turn)
        return done

    def disc(
        self, kind: str, u: float, v: float, radius: float, color: str = "", *, height: float = 0.0, wet: bool = False
    ) -> bool:
        """Put down something round."""
        done = self.put(kind, arc(u, v, radius)[:-1], color, height=height, wet=wet)
        if done:
            self._taken.append((u, v, radius))
        return done

    def keep_clear(self, u: float, v: float, width: float, depth: float, turn: float = 0.0) -> None:
        """Let no tree grow on a rectangle."""
        # As a row of discs along its long side.
        long, short = max(width, depth), min(width, depth)
        way = turn if width >= depth else turn + math.pi / 2
        count = max(1, math.ceil(long / max(short, 4.0)))
        for number in range(count):
            off = (number + 0.5) / count * long - long / 2
            self._taken.append((u + off * math.cos(way), v + off * math.sin(way), short * 0.62))

    def way(self, kind: str, path: Sequence[Point], width: float, color: str = "", *, wet: bool = False) -> bool:
        """Lay a way along a path given in the frame."""
        line = self.world(path)
        if not wet and not all(self.dry(x, y) for x, y in line):
            return False
        self.features.append(Feature(kind, line, color, width_m=width))
        return True

    def strip(self, kind: str, path: Sequence[Point], width: float, color: str = "", **more: float) -> bool:
        """Put down a path as an area, so that it has an outline."""
        return self.put(kind, ribbon(path, width), color, **more)  # type: ignore[arg-type]

    def is_free(self, u: float, v: float, radius: float) -> bool:
        """Tell whether nothing stands within `radius` meters."""
        return not any(math.hypot(u - tu, v - tv) < tr + radius for tu, tv, tr in self._taken)

    def tree(self, u: float, v: float, radius: float, form: str = "broad", *, force: bool = False) -> None:
        """Plant a tree, unless something stands there."""
        if not force and not self.is_free(u, v, radius * 0.6):
            return
        x, y = self.at(u, v)
        if self.dry(x, y):
            self.features.append(Feature("tree", ((x, y),), form=form, width_m=2 * radius, height_m=radius * 1.7))

    def trees(
        self,
        spacing: float,
        radius: tuple[float, float],
        share: float = 1.0,
        keep: Callable[[float, float], bool] | None = None,
    ) -> None:
        """Plant a share of a shaken grid over the rectangle where `keep(u, v)` allows it, denser in groves."""
        a, b, c, d = self.rng.uniform(0, 2 * math.pi, 4).tolist()
        half_w, half_d = self.width / 2, self.depth / 2
        for gv in np.arange(-half_d, half_d, spacing).tolist():
            for gu in np.arange(-half_w, half_w, spacing).tolist():
                du, dv, size, luck = self.rng.random(4).tolist()
                u, v = gu + spacing * du, gv + spacing * dv
                groves = math.sin(u / 26 + v / 41 + a) + math.sin(v / 23 - u / 47 + b) * math.sin(u / 11 + c)
                dense = 1 + 0.45 * groves + 0.25 * math.sin(v / 9 + d)
                if luck < share * dense and (keep is None or keep(u, v)):
                    self.tree(u, v, radius[0] * 0.8 + (radius[1] * 1.25 - radius[0] * 0.8) * size**1.6)

    def tree_row(self, start: Point, end: Point, spacing: float, radius: float, *, force: bool = False) -> None:
        """Plant a row of trees, with `force` also where something lies."""
        length = math.hypot(end[0] - start[0], end[1] - start[1])
        for number in range(int(length / spacing) + 1):
            t = min(1.0, (number + 0.5) * spacing / max(length, spacing))
            at = start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t
            self.tree(*at, radius * self.between(0.8, 1.2), force=force)

    def cars(self, start: Point, end: Point, count: int, *, across: bool = True, share: float = 0.7) -> None:
        """Park cars side by side between two places, each slot taken with a chance of `share`."""
        length, heading = (
            math.hypot(end[0] - start[0], end[1] - start[1]),
            math.atan2(end[1] - start[1], end[0] - start[0]),
        )
        for number in range(count):
            t = (number + 0.5) / count
            if length and self.chance(share):
                spot = start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t
                self.car(*spot, heading + (math.pi / 2 if across else 0))

    def car(self, u: float, v: float, turn: float) -> None:
        """Park a car in a usual color."""
        color = self.any("white", "white", "white", "grey", "grey", "black", "black", "red", "blue")
        self.put("car", box(u, v, self.between(4.2, 4.9), 1.9, turn), color, turn=turn)

    def parking(
        self, u: float, v: float, width: float, depth: float, share: float = 0.7, kind: str = "parking lot"
    ) -> bool:
        """Lay out a parking lot with double rows of cars along u."""
        if not self.block(kind, u, v, width, depth):
            return False
        rows = max(1, int(depth // 16.5))
        slots = int((width - 6) // 2.7)
        for row in range(rows):
            middle_v = v - depth / 2 + (row + 0.5) * depth / rows
            ends = [(u - slots * 1.35, middle_v), (u + slots * 1.35, middle_v)]
            self.put("marking", ends, form=f"slots {slots}", width=10.4)
            for side in (-2.7, 2.7):
                self.cars((ends[0][0], middle_v + side), (ends[1][0], middle_v + side), slots, share=share)
        return True

    def away(self, path: Sequence[Point], distance: float) -> Callable[[float, float], bool]:
        """Make a rule for trees: farther than `distance` meters from a path."""
        return lambda u, v: apart((u, v), path) > distance

    def rect(self, u: float, v: float, width: float, depth: float, turn: float = 0.0) -> Outline:
        """Compute the corners of a rectangle of the frame."""
        return box(u, v, width, depth, turn)

    def oval(self, u: float, v: float, straight: float, radius: float, turn: float = 0.0) -> Outline:
        """Outline two half circles joined by straights."""
        return oval(u, v, straight, radius, turn)

    def ring(self, u: float, v: float, radius: float, waves: float) -> Outline:
        """Outline a round shape, bulged by chance by up to a share `waves` of its radius."""
        bulges = [(k, self.between(0, 6.28), self.between(0, 1) / k) for k in (2, 3, 4)] if waves else []
        angles = np.linspace(0, 2 * math.pi, 48, endpoint=False).tolist()
        far = [radius * (1 + waves * sum(size * math.sin(k * a + at) for k, at, size in bulges)) for a in angles]
        return tuple((u + r * math.cos(a), v + r * math.sin(a)) for r, a in zip(far, angles, strict=True))

    def fan(self, u: float, v: float, radius: float, heading: float) -> Outline:
        """Outline a quarter of a disc, its tip at (u, v), opening towards `heading` in radians."""
        return ((u, v), *arc(u, v, radius, heading - math.pi / 4, heading + math.pi / 4, 15))

    def bent(self, path: Sequence[Point]) -> list[Point]:
        """Smooth a way through some places (Catmull-Rom)."""
        if len(path) < 3:
            return list(path)
        points = [path[0], *path, path[-1]]
        smooth: list[Point] = []
        for a, b, c, d in zip(points, points[1:], points[2:], points[3:], strict=False):
            for t in (0.0, 0.25, 0.5, 0.75):
                smooth.append(tuple(_catmull(a[k], b[k], c[k], d[k], t) for k in (0, 1)))  # type: ignore[arg-type]
        return [*smooth, path[-1]]

    def arc_points(self, u: float, v: float, radius: float, a: int, b: int) -> list[Point]:
        """Sample three quarters of a loop in the quarter (a, b) of the frame, from the v axis to the u axis."""
        angles = np.linspace(math.pi, -math.pi / 2, 14).tolist()
        return [(u + a * radius * math.cos(t), v + b * radius * math.sin(t)) for t in angles]

    def trees_around(self, u: float, v: float, half_u: float, half_v: float, spacing: float, radius: float) -> None:
        """Plant trees along the sides of a rectangle."""
        corners = [
            (u - half_u, v - half_v),
            (u + half_u, v - half_v),
            (u + half_u, v + half_v),
            (u - half_u, v + half_v),
        ]
        for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
            self.tree_row(start, end, spacing, radius)

    def grove(self, u: float, v: float) -> bool:
        """Tell whether trees stand in groups at a place."""
        return math.sin(u / 21 + self.width) + math.sin(v / 17 + self.depth) + 0.5 * math.sin((u + v) / 9) > -0.2

    def loose(
        self,
        kind: str,
        u: float,
        v: float,
        length: float,
        breadth: float,
        color: str,
        turn: float = 0.0,
        *,
        wet: bool = False,
    ) -> None:
        """Put down something that moves, unless something stands there."""
        if self.is_free(u, v, breadth / 2):
            self.block(kind, u, v, length, breadth, color, height=2.5, turn=turn, wet=wet)

    def plane(self, u: float, v: float, length: float, turn: float) -> None:
        """Park an airliner, its nose towards `turn`; its outline is the cross of fuselage and wings."""
        cross = [
            (0.5, 0),
            (0.42, 0.05),
            (0.13, 0.05),
            (-0.13, 0.46),
            (-0.19, 0.46),
            (-0.07, 0.05),
            (-0.37, 0.04),
            (-0.46, 0.17),
            (-0.5, 0.17),
            (-0.47, 0.0),
        ]
        outline = [*cross, *((a, -b) for a, b in reversed(cross[1:-1]))]
        self.put("plane", place(outline, u, v, length, length, turn), "white", height=4.5, turn=turn, width=0.0)

    def moving(self, start: Point, end: Point, lanes: Sequence[float], gap: float) -> None:
        """Send cars along the lanes of a straight way."""
        heading, length = math.atan2(end[1] - start[1], end[0] - start[0]), math.dist(start, end)
        for lane in lanes:
            at = float(self.rng.exponential(gap))
            while at < length:
                self.car(*place([(at, lane)], *start, 1, 1, heading)[0], heading)
                at += 9 + float(self.rng.exponential(gap))

    def crop(self, u: float, v: float, width: float, depth: float, color: str, heading: float) -> None:
        """Sow a field; water that crosses it cuts it later, as the ground is painted."""
        self.features.append(
            Feature("crop", self.world(box(u, v, width, depth)), color, angle=self.angle + heading, form="rows")
        )

    def inland(self, u: float, v: float) -> float:
        """Measure the distance in meters to the water at a place of the frame, negative in it."""
        return self.shore(*self.at(u, v))

    def shore_rows(
        self, kind: str, band: tuple[float, float], step: float, colors: Sequence[str], share: float
    ) -> None:
        """Set things out on the band of sand along the shore."""
        for v in np.arange(-self.depth / 2, self.depth / 2, step).tolist():
            for u in np.arange(-self.width / 2, self.width / 2, step).tolist():
                if self.chance(share) and band[0] < self.inland(u, v) < band[1]:
                    self.disc(kind, u, v, 1.7, self.any(*colors), height=2)


def _catmull(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t**3)
