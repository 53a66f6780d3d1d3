"""Outlines on the plane: x is meters east and y meters south, so that pictures and plans turn the same way."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np

Point = tuple[float, float]
Outline = tuple[Point, ...]


def place(points: Iterable[Point], x: float, y: float, width: float, depth: float, angle: float) -> Outline:
    """Scale an outline by (width, depth), turn it clockwise by `angle` radians and move it to (x, y)."""
    cos, sin = math.cos(angle), math.sin(angle)
    return tuple((x + u * width * cos - v * depth * sin, y + u * width * sin + v * depth * cos) for u, v in points)


def turned(points: Iterable[Point], angle: float) -> Outline:
    """Turn points clockwise by `angle` radians around the origin."""
    return place(points, 0.0, 0.0, 1.0, 1.0, angle)


def box(x: float, y: float, width: float, depth: float, angle: float = 0.0) -> Outline:
    """Compute the four corners of a rectangle around (x, y), in meters; `angle` is in radians."""
    return place([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)], x, y, width, depth, angle)


def arc(x: float, y: float, radius: float, start: float = 0.0, end: float = 2 * math.pi, count: int = 25) -> Outline:
    """Sample `count` points on a circle around (x, y) from angle `start` to `end` in radians."""
    return tuple((x + radius * math.cos(a), y + radius * math.sin(a)) for a in np.linspace(start, end, count).tolist())


def oval(x: float, y: float, straight: float, radius: float, angle: float = 0.0) -> Outline:
    """Outline a running track: two half circles joined by straights of length `straight`."""
    half = math.pi / 2
    shape = [*arc(straight / 2, 0, radius, -half, half, 17), *arc(-straight / 2, 0, radius, half, 3 * half, 17)]
    return place(shape, x, y, 1, 1, angle)


def ribbon(path: Sequence[Point], width: float) -> Outline:
    """Outline a path with a breadth: its left side out and its right side back."""
    left: list[Point] = []
    right: list[Point] = []
    for number, (x, y) in enumerate(path):
        before, after = path[max(0, number - 1)], path[min(len(path) - 1, number + 1)]
        dx, dy = after[0] - before[0], after[1] - before[1]
        length = math.hypot(dx, dy) or 1.0
        nx, ny = -dy / length * width / 2, dx / length * width / 2
        left.append((x + nx, y + ny))
        right.append((x - nx, y - ny))
    return (*left, *reversed(right))


def spread(start: Point, end: Point, bow: float = 0.0, count: int = 9) -> Outline:
    """Sample points from start to end, bent sideways by `bow` meters in the middle."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy) or 1.0
    shares = np.linspace(0, 1, count if bow else 2).tolist()
    return tuple(
        (
            start[0] + dx * t - dy / length * bow * 4 * t * (1 - t),
            start[1] + dy * t + dx / length * bow * 4 * t * (1 - t),
        )
        for t in shares
    )


def along(path: Sequence[Point], step: float, start: float = 0.0) -> list[tuple[float, float, float]]:
    """List places (x, y, heading in radians) every `step` meters along a path, the first after `start` meters."""
    places: list[tuple[float, float, float]] = []
    ahead = start
    for (ax, ay), (bx, by) in itertools.pairwise(path):
        length = math.hypot(bx - ax, by - ay)
        heading = math.atan2(by - ay, bx - ax)
        while ahead < length:
            places.append((ax + (bx - ax) * ahead / length, ay + (by - ay) * ahead / length, heading))
            ahead += step
        ahead -= length
    return places


def apart(point: Point, path: Sequence[Point]) -> float:
    """Measure the distance in meters of a point from a path of straight pieces."""
    nearest = math.inf
    for (ax, ay), (bx, by) in itertools.pairwise(path):
        dx, dy = bx - ax, by - ay
        share = ((point[0] - ax) * dx + (point[1] - ay) * dy) / (dx * dx + dy * dy or 1.0)
        share = min(1.0, max(0.0, share))
        nearest = min(nearest, math.hypot(point[0] - ax - share * dx, point[1] - ay - share * dy))
    return nearest


def middle(points: Sequence[Point]) -> Point:
    """Average the corners."""
    return sum(p[0] for p in points) / len(points), sum(p[1] for p in points) / len(points)


def bounds(points: Sequence[Point]) -> tuple[float, float, float, float]:
    """Compute the bounds (west, north, east, south) of some points; south is the larger number."""
    return (
        min(p[0] for p in points),
        min(p[1] for p in points),
        max(p[0] for p in points),
        max(p[1] for p in points),
    )
