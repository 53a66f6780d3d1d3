"""Outlines on the map, as GeoJSON in the map's coordinates: regions, the best window, and the ground truth.

Each outline has a title and lines of plain text for its popup; the page never reads them as HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from app.maps.projection import MapGround
from lrsclip.localize import ScoredWindow
from lrsclip.localize.regions import Region, Regions

MAX_REGIONS = 300  # drawn on the map, the best ones; the files hold all
_EDGE_PARTS = 64  # pieces of an outline's longest side: lines that are straight in the scene are bent on the map
_DIGITS = 7  # a centimeter, in degrees
_HECTARE_M2, _KM2_M2 = 10_000, 1_000_000

Shapes = dict[str, Any]


def region_shapes(regions: Regions, ground: MapGround) -> Shapes:
    """Build the features of the regions, best first."""
    return _collection(
        _feature(region.outline, ground, f"Region {number}", _lines(region))
        for number, region in enumerate(regions.regions[:MAX_REGIONS], 1)
    )


def window_shape(window: ScoredWindow, ground: MapGround) -> Shapes:
    """Build the feature of the best window."""
    left, top = window.x_px, window.y_px
    outline = shapely.box(left, top, left + window.size_px, top + window.size_px)
    return _collection([_feature(outline, ground, "Best window", [f"Cosine {window.score_cos:.4f}"])])


def truth_shapes(truth: Mapping[str, Any], width_px: int, ground: MapGround) -> Shapes:
    """Build the features of a tile's ground truth, the largest first: a small thing lies over a large one.

    Args:
        truth: as `TileTruth.geojson` has it, in meters of the tile.
        width_px: the tile's width.
        ground: the map's.
    """
    px_per_m = width_px / float(truth["size_m"])
    outlines = [(shapely.geometry.shape(feature["geometry"]), feature["properties"]) for feature in truth["features"]]
    outlines.sort(key=lambda pair: -pair[0].area)
    return _collection(
        _feature(shapely.transform(outline, lambda at_m: at_m * px_per_m), ground, *_told(properties))
        for outline, properties in outlines
    )


def area_text(area_px: float, area_m2: float | None) -> str:
    """Format an area in the unit that suits it: px, m², ha or km²."""
    if area_m2 is None:
        return f"{area_px:,.0f} px"
    if area_m2 < _HECTARE_M2:
        return f"{area_m2:,.0f} m²"
    return f"{area_m2 / _HECTARE_M2:,.1f} ha" if area_m2 < _KM2_M2 else f"{area_m2 / _KM2_M2:,.2f} km²"


def _lines(region: Region) -> list[str]:
    return [
        f"Mean cosine {region.mean_cos:.4f}",
        f"Peak {region.peak_cos:.4f}",
        f"Area {area_text(region.area_px, region.area_m2)}",
    ]


def _told(properties: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Format title and lines of a thing of the ground truth."""
    if "land_use" in properties:
        return str(properties["land_use"]), ["land use"]
    look = " ".join(str(properties[name]) for name in ("color", "material") if properties.get(name))
    size = f"{properties['length_m']} by {properties['breadth_m']} m" if "length_m" in properties else ""
    return str(properties.get("class", "")), [line for line in (look, size) if line]


def _feature(outline: BaseGeometry, ground: MapGround, title: str, lines: list[str]) -> Shapes | None:
    """Convert an outline in px of the scene to a feature; None where a corner has no place on the map."""
    west_px, north_px, east_px, south_px = outline.bounds
    longest_px = max(east_px - west_px, south_px - north_px)
    fine = shapely.segmentize(outline, longest_px / _EDGE_PARTS) if ground.crs != "Simple" else outline
    placed = shapely.transform(fine, lambda corners_px: ground.placed(corners_px).round(_DIGITS))
    if not np.isfinite(shapely.get_coordinates(placed)).all():
        return None
    geometry = shapely.geometry.mapping(placed)
    return {"type": "Feature", "geometry": geometry, "properties": {"title": title, "lines": lines}}


def _collection(features: Iterable[Shapes | None]) -> Shapes:
    return {"type": "FeatureCollection", "features": [feature for feature in features if feature is not None]}
