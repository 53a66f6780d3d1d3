"""The plan of the land: water, relief, towns, the net of roads, and the use of each piece of land.

Everything follows from a seed and a place, so any window of the endless plane can be planned alone and neighboring
windows agree. Land use comes first (fields of noise for water, relief and dryness; towns by county), then blocks
between roads, then one use for each block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lrsclip.atlas.canvas import Light
from lrsclip.atlas.geometry import Outline, Point
from lrsclip.atlas.noise import Field, field, rng_at

BLOCK_M = 240.0
"""Usual side of a block between roads in meters."""
COUNTY_BLOCKS = 5
"""Blocks along the side of a county; main roads run on county borders."""
RAIL_EVERY, RAIL_ROW = 10, 3
"""Each tenth row of corners carries a railway."""

_WEIGHTS: dict[str, dict[str, float]] = {
    # Relative frequency of each use in the middle of a town, its quarters, its edge and the open country.
    "middle": {
        "commercial": 5,
        "dense residential": 6,
        "center": 2.2,
        "square": 2.2,
        "church": 1.6,
        "parking": 1.6,
        "stadium": 1.2,
        "park": 1.6,
        "school": 1.4,
        "viaduct": 0.8,
    },
    "quarter": {
        "dense residential": 6,
        "medium residential": 6,
        "school": 2.4,
        "park": 2,
        "playground": 2.4,
        "baseball field": 2,
        "parking": 1.6,
        "church": 1.6,
        "commercial": 1.6,
        "industrial": 2.4,
        "storage tanks": 1.8,
        "viaduct": 1.2,
        "stadium": 0.8,
        "pond": 0.8,
    },
    "edge": {
        "medium residential": 5,
        "sparse residential": 5,
        "industrial": 4,
        "storage tanks": 2.4,
        "baseball field": 1.4,
        "playground": 1.2,
        "farmland": 3,
        "bare land": 2,
        "parking": 1.2,
        "viaduct": 1,
        "pond": 1.4,
        "church": 1,
        "meadow": 1,
        "resort": 1.2,
    },
    "country": {
        "farmland": 10,
        "meadow": 3.5,
        "forest": 6,
        "pond": 2.4,
        "sparse residential": 2.4,
        "bare land": 1.6,
        "resort": 0.8,
    },
}
_BIG: tuple[tuple[str, int, int, float], ...] = (
    # Sites that take several blocks: name, blocks across and down, chance in a county that has room.
    ("airport", 4, 2, 0.17),
    ("park", 2, 1, 0.15),
    ("industrial", 2, 1, 0.15),
    ("resort", 2, 1, 0.10),
    ("forest", 2, 2, 0.2),
)
URBAN = frozenset(
    {
        "commercial",
        "dense residential",
        "medium residential",
        "center",
        "square",
        "church",
        "parking",
        "stadium",
        "school",
        "playground",
        "baseball field",
        "industrial",
        "storage tanks",
        "railway station",
        "port",
        "park",
    }
)
WILD = frozenset({"sea", "mountain", "desert", "beach", "forest", "meadow"})


@dataclass(frozen=True)
class Ground:
    """The lie of the land at some places; all arrays have the shape of those places.

    Attributes:
        river: meters to the bank of the nearest river, negative in the water.
        sea: meters to the shore, negative in the sea.
        relief_m: height of mountains over the plain.
        mountain, arid: 0 no to 1 fully.
        sandy: share of a full beach that the shore has, 0 to 1.
    """

    river: Field
    sea: Field
    relief_m: Field
    mountain: Field
    arid: Field
    sandy: Field

    @property
    def water(self) -> Field:
        """Distance to the nearest water in meters, negative in it."""
        return np.minimum(self.river, self.sea)


@dataclass(frozen=True)
class Site:
    """One piece of land with one use.

    Attributes:
        use: the use, in the words of scene classification.
        i, j, across, down: its first block and its size in blocks.
        outline: to the middle of the roads around it, meters.
        urban: 0 open country to 1 middle of a town.
        seaward: heading towards the sea where it lies on the shore, as quarters of a turn.
    """

    use: str
    i: int
    j: int
    across: int
    down: int
    outline: Outline
    urban: float
    seaward: int = 0


def _step(values: Field, low: float, high: float) -> Field:
    share = ((values - low) / (high - low)).clip(0, 1)
    smooth: Field = share * share * (3 - 2 * share)
    return smooth


class World:
    """The endless landscape of one seed.

    Args:
        seed: any whole number; the same seed gives the same landscape.

    Attributes:
        light: the day.
        bearing: radians by which the whole plan is turned before it is looked at (see `Country`); all places here are
            those of the plan.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = rng_at(seed, "day")
        self.light = Light(
            azimuth=float(rng.uniform(-0.4, 1.9)),
            shadow_per_m=float(rng.uniform(0.5, 1.3)),
            season=str(rng.choice(["summer", "summer", "spring", "autumn", "dry"])),
            haze=float(rng.uniform(0.1, 0.7)),
            warmth=float(rng.uniform(-0.8, 1.0)),
            vividness=float(rng.uniform(0.58, 0.88)),
            exposure=float(rng.uniform(0.37, 0.47)),
        )
        # Towns are seldom laid out to the compass; turned much further, no road would run "from north to south".
        self.bearing = float(rng.uniform(0.08, 0.3) * rng.choice([-1, 1]))
        # Caches belong to the world, so that they are freed with it.
        self.site = lru_cache(maxsize=4096)(self._site)
        self._county = lru_cache(maxsize=512)(self._plan_county)

    def ground(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> Ground:
        """Compute the lie of the land at places x and y (arrays of one shape, meters)."""
        river = self._distance("river", x, y, 2600.0, 0.5, both=True) - (
            16 + 22 * field(self.seed, "river width", x, y, 1500.0, 1)
        )
        sea = self._distance("sea", x, y, 4200.0, 0.30, both=False)
        mountain = _step(field(self.seed, "mountain", x, y, 3800.0, 2), 0.645, 0.74) * _step(sea, 60, 400)
        ridges = 1 - np.abs(2 * field(self.seed, "ridges", x, y, 620.0, 5) - 1)
        relief = mountain * 150 * ridges.clip(0, 1) ** 2
        arid = _step(field(self.seed, "arid", x, y, 4500.0, 2), 0.675, 0.72) * (1 - mountain)
        # Where mountains rise, rivers run dry: a level band over ridges would climb them.
        river = river + 400 * mountain + 500 * arid
        sandy = _step(field(self.seed, "sandy", x, y, 900.0, 1), 0.30, 0.45)
        return Ground(river.astype(np.float32), sea, relief.astype(np.float32), mountain, arid, sandy)

    def _distance(
        self, name: str, x: NDArray[np.float64], y: NDArray[np.float64], size: float, level: float, *, both: bool
    ) -> Field:
        """Estimate the distance in meters to the place where a field has a level: the difference over the slope."""
        octaves, step = 4 if name == "sea" else 3, 6.0
        here = field(self.seed, name, x, y, size, octaves)
        right = field(self.seed, name, x + step, y, size, octaves)
        below = field(self.seed, name, x, y + step, size, octaves)
        slope = np.maximum(np.hypot(right - here, below - here) / step, 0.35 / size)
        off = np.abs(here - level) if both else here - level
        distance: Field = (off / slope).astype(np.float32)
        return distance

    def corner(self, i: int, j: int) -> Point:
        """Locate the crossing of the roads around blocks (i-1, j-1) and (i, j), (x, y) in meters."""
        dx, dy = rng_at(self.seed, "corner", i, j).uniform(-0.13, 0.13, 2).tolist()
        # Main roads and railways are laid out in long bends, other corners are shaken.
        x, y = i * BLOCK_M, j * BLOCK_M
        bend_x = 26 * math.sin(y / 1300 + self.seed % 7) if i % COUNTY_BLOCKS == 0 else dx * BLOCK_M
        long_row = j % COUNTY_BLOCKS == 0 or j % RAIL_EVERY == RAIL_ROW
        bend_y = 26 * math.sin(x / 1100 + self.seed % 5) if long_row else dy * BLOCK_M
        return x + bend_x, y + bend_y

    def outline(self, i: int, j: int, across: int = 1, down: int = 1) -> Outline:
        """List the corners around some blocks, clockwise."""
        top = [self.corner(i + k, j) for k in range(across)]
        right = [self.corner(i + across, j + k) for k in range(down)]
        bottom = [self.corner(i + across - k, j + down) for k in range(across)]
        left = [self.corner(i, j + down - k) for k in range(down)]
        return (*top, *right, *bottom, *left)

    def urban(self, x: float, y: float) -> float:
        """Rate how urban a place is: 0 open country to 1 the middle of a large town."""
        size = BLOCK_M * COUNTY_BLOCKS
        ci, cj = math.floor(x / size), math.floor(y / size)
        best = 0.0
        for a in (ci - 1, ci, ci + 1):
            for b in (cj - 1, cj, cj + 1):
                strength, tx, ty, reach = self._town(a, b)
                best = max(best, strength * math.exp(-(((x - tx) ** 2 + (y - ty) ** 2) / reach**2)))
        return best

    def _town(self, ci: int, cj: int) -> tuple[float, float, float, float]:
        rng = rng_at(self.seed, "town", ci, cj)
        size = BLOCK_M * COUNTY_BLOCKS
        x, y = ((np.array([ci, cj]) + rng.uniform(0.3, 0.7, 2)) * size).tolist()
        luck = float(rng.random())
        strength = 1.0 if luck < 0.42 else 0.62 if luck < 0.72 else 0.0
        return strength, x, y, size * float(rng.uniform(0.45, 0.75))

    def _plan_county(self, ci: int, cj: int) -> dict[tuple[int, int], tuple[str, int, int, int, int]]:
        """Plan the big sites of a county: block -> (use, i, j, across, down)."""
        rng = rng_at(self.seed, "county", ci, cj)
        i0, j0 = ci * COUNTY_BLOCKS, cj * COUNTY_BLOCKS
        taken: dict[tuple[int, int], tuple[str, int, int, int, int]] = {}
        for use, across, down, share in _BIG:
            luck, a, b = rng.random(3).tolist()
            i, j = i0 + int(a * (COUNTY_BLOCKS - across + 1)), j0 + int(b * (COUNTY_BLOCKS - down + 1))
            blocks = [(i + p, j + q) for p in range(across) for q in range(down)]
            rail_between = any((j + q) % RAIL_EVERY == RAIL_ROW for q in range(1, down))
            if luck > share or rail_between or any(block in taken for block in blocks):
                continue
            if self._plain(i, j, across, down):
                taken.update(dict.fromkeys(blocks, (use, i, j, across, down)))
        return taken

    def _plain(self, i: int, j: int, across: int, down: int) -> bool:
        """Tell whether some blocks are dry, flat and not desert."""
        x, y = np.meshgrid(np.linspace(i, i + across, 4 * across), np.linspace(j, j + down, 4 * down))
        ground = self.ground(x * BLOCK_M, y * BLOCK_M)
        return bool(ground.water.min() > 12 and ground.mountain.max() < 0.2 and ground.arid.max() < 0.5)

    def _site(self, i: int, j: int) -> Site:
        """Build the site of block (i, j)."""
        big = self._county(i // COUNTY_BLOCKS, j // COUNTY_BLOCKS).get((i, j))
        x, y = (i + 0.5) * BLOCK_M, (j + 0.5) * BLOCK_M
        urban = self.urban(x, y)
        if big is not None:
            use, bi, bj, across, down = big
            return Site(use, bi, bj, across, down, self.outline(bi, bj, across, down), urban)
        use, seaward = self._use(i, j, x, y, urban)
        return Site(use, i, j, 1, 1, self.outline(i, j), urban, seaward)

    def _use(self, i: int, j: int, x: float, y: float, urban: float) -> tuple[str, int]:
        rng = rng_at(self.seed, "use", i, j)
        gx, gy = np.meshgrid(np.linspace(i, i + 1, 7) * BLOCK_M, np.linspace(j, j + 1, 7) * BLOCK_M)
        ground = self.ground(gx, gy)
        wet = float((ground.sea < 0).mean())
        if wet > 0.9:
            return "sea", 0
        if wet > 0.06:
            down, right = np.gradient(ground.sea.astype(np.float64))
            seaward = round(math.atan2(-down.mean(), -right.mean()) / (math.pi / 2)) % 4
            if 0.15 < wet < 0.75 and rng.random() < 0.2 + 0.6 * urban:
                return "port", seaward
            return "beach", seaward
        if ground.mountain.mean() > 0.4:
            return "mountain", 0
        if ground.arid.mean() > 0.5:
            return ("bare land" if rng.random() < 0.2 else "desert"), 0
        if j % RAIL_EVERY == RAIL_ROW and urban > 0.2 and rng.random() < 0.45 and ground.river.min() > 0:
            return "railway station", 0
        zone = "middle" if urban > 0.72 else "quarter" if urban > 0.42 else "edge" if urban > 0.18 else "country"
        weights = dict(_WEIGHTS[zone])
        # A river leaves little room: only uses that fill any shape fit.
        if ground.river.min() < 10:
            weights = {use: w for use, w in weights.items() if use in _BY_WATER}
        uses = list(weights)
        shares = np.array([weights[use] for use in uses])
        return str(rng.choice(uses, p=shares / shares.sum())), 0


_BY_WATER = frozenset(
    {
        "dense residential",
        "medium residential",
        "sparse residential",
        "farmland",
        "meadow",
        "forest",
        "park",
        "bare land",
        "commercial",
    }
)
