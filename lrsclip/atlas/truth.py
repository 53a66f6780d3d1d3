"""Ground truth of a tile as polygons; texts are made from it and checked against it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from shapely.geometry import Point as Spot
from shapely.geometry import Polygon, box, mapping, shape
from shapely.geometry.base import BaseGeometry

from lrsclip.atlas.features import KINDS, Feature
from lrsclip.atlas.geometry import ribbon
from lrsclip.atlas.layout import Country

SEEN_SHARE = 0.6
"""A thing counts as seen if so much of it lies in the tile ..."""
SLIVER_SHARE = 0.06
"""... and as not there if less than this does; in between it is neither."""
_WATER_STEP_M = 2.0


@dataclass(frozen=True)
class Thing:
    """One thing in a tile.

    Attributes:
        kind: a key of KINDS.
        color: color word or "".
        form: shape or material in a word, or "".
        height_m: its height above the ground.
        outline: its part in the tile, in meters from the tile's upper left corner, y downwards.
        share: share of the whole that lies in the tile, 0 to 1.
    """

    kind: str
    color: str
    form: str
    height_m: float
    outline: BaseGeometry
    share: float


@dataclass(frozen=True)
class TileTruth:
    """Everything in a tile.

    Attributes:
        size_m: side of the tile on the ground in meters.
        things: the things that stand and lie there.
        areas: land use and water -> the part of the tile that it covers, meters as in `Thing.outline`.
        relief_m: where mountains rise, the mean height over the plain of its nine thirds-by-thirds, row by row.
    """

    size_m: float
    things: tuple[Thing, ...]
    areas: dict[str, BaseGeometry]
    relief_m: tuple[float, ...] = ()

    @cached_property
    def seen(self) -> dict[str, list[Thing]]:
        """Kind -> its things that lie in the tile by at least SEEN_SHARE."""
        found: dict[str, list[Thing]] = {}
        for thing in self.things:
            if thing.share >= SEEN_SHARE:
                found.setdefault(thing.kind, []).append(thing)
        return found

    def geojson(self) -> dict[str, Any]:
        """Export the truth as a GeoJSON feature collection in meters of the tile (x right, y down).

        Sizes and bearings are those of the smallest rectangle around the part of a thing that lies in the tile; a
        bearing is that of its long side, degrees from north towards east, 0 to 180. `count` is the number of seen
        things of its class.
        """
        features = [
            {
                "type": "Feature",
                "geometry": mapping(thing.outline),
                "properties": {
                    "class": thing.kind,
                    "color": thing.color,
                    "material": thing.form,
                    "count": len(self.seen.get(thing.kind, ())),
                    **rectangle_around(thing.outline).as_dict(),
                    "height_m": round(thing.height_m, 1),
                    "share": round(thing.share, 3),
                },
            }
            for thing in self.things
        ]
        features += [
            {"type": "Feature", "geometry": mapping(area), "properties": {"land_use": use}}
            for use, area in self.areas.items()
        ]
        return {"type": "FeatureCollection", "size_m": self.size_m, "features": features}


@dataclass(frozen=True)
class Rectangle:
    """The smallest rectangle around an outline.

    Attributes:
        length_m, breadth_m: its sides, the longer one first.
        bearing_deg: of the longer one, from north towards east, 0 to 180.
    """

    length_m: float
    breadth_m: float
    bearing_deg: float

    def as_dict(self) -> dict[str, float]:
        """Export for JSON, to a tenth of a meter and a whole degree."""
        return {
            "length_m": round(self.length_m, 1),
            "breadth_m": round(self.breadth_m, 1),
            "bearing_deg": float(round(self.bearing_deg) % 180),
        }


def rectangle_around(outline: BaseGeometry) -> Rectangle:
    """Compute the smallest rectangle around an outline in meters, y downwards."""
    a, b, c = list(outline.minimum_rotated_rectangle.exterior.coords)[:3]
    (length, end, start), (breadth, _, _) = sorted([(math.dist(a, b), a, b), (math.dist(b, c), b, c)], reverse=True)
    return Rectangle(length, breadth, math.degrees(math.atan2(end[0] - start[0], start[1] - end[1])) % 180)


def truth_of(country: Country, west: float, north: float, size_m: float) -> TileTruth:
    """Compute the ground truth of a square window of a world (meters)."""
    frame = box(0, 0, size_m, size_m)
    water = _water(country, west, north, size_m)
    wet = shapely.union_all(list(water.values()))
    things, basins = [], []
    for feature in country.features(west, north, west + size_m, north + size_m):
        kind = KINDS[feature.kind]
        if not kind.one:
            if feature.form == "quay":
                basins.append(_polygon(feature, west, north))
            continue
        if kind.level == 0:
            continue
        thing = _thing(feature, west, north, size_m, frame)
        if thing is not None:
            things.append(thing)
            if feature.kind == "basin":
                basins.append(thing.outline)
    # Quays and basins lie over whatever shore was there.
    port = shapely.union_all(basins)
    areas: dict[str, BaseGeometry] = {}
    for site in country.sites(west, north, west + size_m, north + size_m):
        outline = Polygon([(x - west, y - north) for x, y in site.outline]).buffer(0).intersection(frame)
        outline = outline if site.use == "port" else outline.difference(wet)
        if site.use not in ("sea", "beach") and outline.area > 1:
            areas[site.use] = shapely.union_all([areas[site.use], outline]) if site.use in areas else outline
    for name, area in water.items():
        left = area.difference(port)
        if left.area > 1:
            areas[name] = left
    return TileTruth(size_m, tuple(things), areas, _relief(country, west, north, size_m))


def _relief(country: Country, west: float, north: float, size_m: float) -> tuple[float, ...]:
    at = (np.arange(12) + 0.5) * size_m / 12
    x, y = np.meshgrid(west + at, north + at)
    height = country.ground(x, y).relief_m.reshape(3, 4, 3, 4).mean((1, 3))
    return tuple(height.ravel().tolist()) if height.max() - height.min() > 8 else ()


def _polygon(feature: Feature, west: float, north: float) -> BaseGeometry:
    outline = (
        ribbon(feature.outline, feature.width_m) if feature.width_m and len(feature.outline) > 1 else feature.outline
    )
    if len(outline) == 1:
        return Spot(outline[0][0] - west, outline[0][1] - north).buffer(feature.width_m / 2, 6)
    return Polygon([(x - west, y - north) for x, y in outline]).buffer(0)


def _thing(feature: Feature, west: float, north: float, size_m: float, frame: BaseGeometry) -> Thing | None:
    left, top, right, bottom = feature.bounds
    whole = _polygon(feature, west, north)
    share, seen = 1.0, whole
    if left < west or top < north or right > west + size_m or bottom > north + size_m:
        seen = whole.intersection(frame)
        share = seen.area / whole.area if whole.area else 0.0
    if seen.is_empty or seen.area < 0.5:
        return None
    return Thing(feature.kind, feature.color, feature.form, feature.height_m, seen, share)


def _water(country: Country, west: float, north: float, size_m: float) -> dict[str, BaseGeometry]:
    """Outline river, sea and the sand of beaches as polygons."""
    at = (np.arange(0, size_m, _WATER_STEP_M) + _WATER_STEP_M / 2).astype(np.float64)
    x, y = np.meshgrid(west + at, north + at)
    ground = country.ground(x, y)
    found = {
        "river": ground.river < 0,
        "sea": ground.sea < 0,
        "beach": (ground.sea >= 0) & (ground.sea < 26 * ground.sandy) & (ground.river > 0),
    }
    areas: dict[str, BaseGeometry] = {}
    for name, mask in found.items():
        if mask.sum() > 25:
            parts = rasterio.features.shapes(mask.astype(np.uint8), mask=mask, transform=Affine.scale(_WATER_STEP_M))
            areas[name] = shapely.union_all([shape(part) for part, _ in parts])
    return areas
