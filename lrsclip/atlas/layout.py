"""The world as a list of features: each site painted into its plot, with the ways around it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lrsclip.atlas import sites_land, sites_town, sites_work
from lrsclip.atlas.features import Feature
from lrsclip.atlas.geometry import bounds, turned
from lrsclip.atlas.land_use import BLOCK_M, Ground, Site, World
from lrsclip.atlas.noise import rng_at
from lrsclip.atlas.roads import ways
from lrsclip.atlas.site import PAINTERS, Plot

# Importing the painters registers them.
USES = tuple(sorted(PAINTERS))
"""Every land use that has a painter."""
assert sites_land and sites_town and sites_work

_SHAKEN_M = 60.0  # most that a corner may lie off its place in the grid
_GRID_M = 4.0


class Country:
    """The features of a world, made where they are asked for.

    The plan of the land lies along the axes; here it is turned by the world's bearing, so all places that go in and
    come out are meters east and south on the ground.

    Args:
        world: the plan of the land.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._filled = lru_cache(maxsize=600)(lambda site: self._turned(self._fill(site)))
        self._ways = lru_cache(maxsize=2000)(lambda i, j: self._turned(ways(world, i, j)))

    def ground(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> Ground:
        """Compute the lie of the land at places x and y (arrays of one shape, meters on the ground)."""
        cos, sin = math.cos(self.world.bearing), math.sin(self.world.bearing)
        return self.world.ground(x * cos + y * sin, y * cos - x * sin)

    def sites(self, west: float, north: float, east: float, south: float) -> list[Site]:
        """List the sites that may reach into a window (meters), each once."""
        planned = self._planned(west, north, east, south)
        return [replace(site, outline=turned(site.outline, self.world.bearing)) for site in planned]

    def _planned(self, west: float, north: float, east: float, south: float) -> list[Site]:
        """List the sites as the plan has them, before it is turned by the world's bearing."""
        found: dict[tuple[int, int], Site] = {}
        for i, j in self._blocks(west, north, east, south):
            site = self.world.site(i, j)
            found[site.i, site.j] = site
        return list(found.values())

    def _blocks(self, west: float, north: float, east: float, south: float) -> Iterator[tuple[int, int]]:
        corners = ((west, north), (east, north), (east, south), (west, south))
        yield from _blocks(*bounds(turned(corners, -self.world.bearing)))

    def _turned(self, features: Iterable[Feature]) -> tuple[Feature, ...]:
        by = self.world.bearing
        return tuple(replace(f, outline=turned(f.outline, by), angle=f.angle + by) for f in features)

    def features(self, west: float, north: float, east: float, south: float) -> list[Feature]:
        """List the features that reach into a window (meters), in a stable order."""
        made = [feature for site in self._planned(west, north, east, south) for feature in self._filled(site)]
        for i, j in self._blocks(west, north, east, south):
            made += self._ways(i, j)
        inside = []
        for feature in made:
            w, n, e, s = feature.bounds
            if w < east and e > west and n < south and s > north:
                inside.append(feature)
        return inside

    def _fill(self, site: Site) -> tuple[Feature, ...]:
        xs, ys = [p[0] for p in site.outline], [p[1] for p in site.outline]
        corners = [self.world.corner(site.i + a, site.j + b) for a in (0, site.across) for b in (0, site.down)]
        # The rectangle that lies inside all corners, less the breadth of the roads.
        left, right = max(corners[0][0], corners[1][0]) + 9, min(corners[2][0], corners[3][0]) - 9
        top, bottom = max(corners[0][1], corners[2][1]) + 9, min(corners[1][1], corners[3][1]) - 9
        width, depth = right - left, bottom - top
        quarter = (site.seaward - 1) % 4 if site.use in ("port", "beach") else 0
        if quarter % 2:
            width, depth = depth, width
        plot = Plot(
            rng_at(self.world.seed, site.use, site.i, site.j),
            site.outline,
            (left + right) / 2,
            (top + bottom) / 2,
            quarter * math.pi / 2,
            width,
            depth,
            self._shore(min(xs), min(ys), max(xs), max(ys)),
            self.world.light.season,
            site.urban,
        )
        PAINTERS[site.use](plot)
        return tuple(plot.features)

    def _shore(self, west: float, north: float, east: float, south: float) -> _Lookup:
        x = np.arange(west - 20, east + 20 + _GRID_M, _GRID_M)
        y = np.arange(north - 20, south + 20 + _GRID_M, _GRID_M)
        return _Lookup(x[0], y[0], self.world.ground(*np.meshgrid(x, y)).water)


class _Lookup:
    def __init__(self, west: float, north: float, values: np.ndarray) -> None:
        self.west, self.north, self.values = west, north, values

    def __call__(self, x: float, y: float) -> float:
        rows, columns = self.values.shape
        column = min(columns - 1, max(0, round((x - self.west) / _GRID_M)))
        row = min(rows - 1, max(0, round((y - self.north) / _GRID_M)))
        return float(self.values[row, column])


def _blocks(west: float, north: float, east: float, south: float) -> Iterator[tuple[int, int]]:
    for j in range(math.floor((north - _SHAKEN_M) / BLOCK_M), math.floor((south + _SHAKEN_M) / BLOCK_M) + 1):
        for i in range(math.floor((west - _SHAKEN_M) / BLOCK_M), math.floor((east + _SHAKEN_M) / BLOCK_M) + 1):
            yield i, j
