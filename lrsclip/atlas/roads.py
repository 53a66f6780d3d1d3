"""The net of roads, streets, lanes and railways on the borders of sites, with bridges where it meets water."""

from __future__ import annotations

import math

import numpy as np

from lrsclip.atlas.features import Feature
from lrsclip.atlas.geometry import Point, box, ribbon
from lrsclip.atlas.land_use import COUNTY_BLOCKS, RAIL_EVERY, RAIL_ROW, URBAN, WILD, World
from lrsclip.atlas.noise import rng_at

WIDTH_M = {"road": 15.0, "street": 9.0, "lane": 4.5, "railway": 16.0}
"""Breadth of each kind of way."""
_STEP_M = 3.0


def way_of(world: World, i: int, j: int, *, down: bool) -> str:
    """Choose the kind of the way from corner (i, j) to the next one east, or south with `down`; empty for none."""
    this = world.site(i, j)
    other = world.site(i - 1, j) if down else world.site(i, j - 1)
    if (this.i, this.j) == (other.i, other.j):
        return ""
    uses = {this.use, other.use}
    if not down and j % RAIL_EVERY == RAIL_ROW:
        return "railway"
    if uses <= {"sea"}:
        return ""
    if (i if down else j) % COUNTY_BLOCKS == 0:
        return "road"
    if uses & URBAN:
        return "" if uses & {"sea"} else "street"
    if uses <= WILD:
        return ""
    luck = rng_at(world.seed, "lane", i, j, int(down)).random()
    if uses & {"mountain", "desert", "sea", "beach"}:
        return ""
    return "street" if "sparse residential" in uses or "resort" in uses else "lane" if luck < 0.75 else ""


def ways(world: World, i: int, j: int) -> list[Feature]:
    """Lay the ways that start at corner (i, j), eastward and southward, and their bridges."""
    made: list[Feature] = []
    for down in (False, True):
        kind = way_of(world, i, j, down=down)
        if kind:
            end = world.corner(i, j + 1) if down else world.corner(i + 1, j)
            made += _laid(world, kind, world.corner(i, j), end, rng_at(world.seed, "way", i, j, int(down)))
    return made


def _laid(world: World, kind: str, start: Point, end: Point, rng: np.random.Generator) -> list[Feature]:
    length = math.dist(start, end)
    count = max(2, int(length / _STEP_M))
    share = np.linspace(0, 1, count)
    x, y = start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
    ground = world.ground(x, y)
    wet = ground.water < 2.0
    made: list[Feature] = []

    def point(at: int) -> Point:
        return float(x[at]), float(y[at])

    edges = np.flatnonzero(np.diff(np.concatenate([[0], wet.astype(int), [0]])))
    runs = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    bridged = kind in ("road", "street", "railway")
    dry_from = 0
    for first, after in runs:
        sea = bool((ground.sea[first:after] < 2).any())
        whole = first > 0 and after < count  # both banks on this piece of road
        if bridged and not sea and whole and (after - first) * _STEP_M < 150:
            a, b = max(0, first - 4), min(count - 1, after + 3)
            made.append(
                Feature(
                    "bridge",
                    ribbon([point(a), point(b)], WIDTH_M[kind] + 3),
                    "grey",
                    5.0,
                    math.atan2(end[1] - start[1], end[0] - start[0]),
                    kind,
                    0.0,
                )
            )
            continue
        if first - dry_from > 2:
            made.append(Feature(kind, (point(dry_from), point(first - 1)), width_m=WIDTH_M[kind]))
        dry_from = after
    if count - dry_from > 2:
        made.append(Feature(kind, (point(dry_from), point(count - 1)), width_m=WIDTH_M[kind]))
    if kind in ("road", "street"):
        made += _traffic(kind, start, end, ground.water > 2, rng)
    if kind == "railway" and rng.random() < 0.3 and bool((ground.water > 0).all()):
        made += _train(start, end, rng)
    return made


def _traffic(kind: str, start: Point, end: Point, dry: np.ndarray, rng: np.random.Generator) -> list[Feature]:
    length, heading = math.dist(start, end), math.atan2(end[1] - start[1], end[0] - start[0])
    made: list[Feature] = []
    lanes = (-5.2, -1.9, 1.9, 5.2) if kind == "road" else (-1.9, 1.9)
    for lane in lanes:
        at = 12 + float(rng.exponential(60))
        while at < length - 12:
            off = (math.cos(heading) * at - math.sin(heading) * lane, math.sin(heading) * at + math.cos(heading) * lane)
            place = start[0] + off[0], start[1] + off[1]
            if dry[min(len(dry) - 1, int(at / length * len(dry)))]:
                truck = kind == "road" and rng.random() < 0.12
                made.append(
                    Feature(
                        "truck" if truck else "car",
                        box(*place, 11 if truck else 4.5, 2.6 if truck else 1.9, heading),
                        str(rng.choice(["white", "white", "grey", "black", "red", "blue"])),
                        angle=heading,
                    )
                )
            at += 14 + float(rng.exponential(75 if kind == "road" else 110))
    return made


def _train(start: Point, end: Point, rng: np.random.Generator) -> list[Feature]:
    heading = math.atan2(end[1] - start[1], end[0] - start[0])
    length, first = math.dist(start, end), float(rng.uniform(10, 60))
    lane = 2.3 if rng.random() < 0.5 else -2.3
    wagons = int(rng.integers(3, 7))
    if first + wagons * 24 > length:
        return []
    at = [first + wagons * 12, lane]
    place = (
        start[0] + math.cos(heading) * at[0] - math.sin(heading) * at[1],
        start[1] + math.sin(heading) * at[0] + math.cos(heading) * at[1],
    )
    color = str(rng.choice(["red", "blue", "white", "green", "brown"]))
    return [Feature("train", box(*place, wagons * 24, 3.0, heading), color, 4.0, heading)]
