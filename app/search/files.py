"""Hits as CSV and GeoJSON; the page makes files of them in the browser, so none stays on the server."""

from __future__ import annotations

import json
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from app.collections import AppState
from app.search.service import Found, public_address
from app.ui.csv_export import csv_text
from lrsclip.tiles import Tile, unwrapped

_DIGITS = 7  # a centimeter, in degrees


def found_csv(state: AppState, found: Found) -> str:
    """Format the hits as CSV, a row each."""
    names = (
        "rank", "score_cos", "tile_id", "longitude", "latitude", "ground_m", "width_px", "height_px", "caption",
        "attribution", "collection", "query", "exclude", "like",
    )  # fmt: skip
    query, rows = found.query, []
    for hit in found.hits:
        tile = state.index.tile(hit.tile_id)
        longitude, latitude = (
            (round(value, _DIGITS) for value in tile.middle_lonlat) if tile.middle_lonlat else ("", "")
        )
        score = round(hit.score_cos, 6) if found.searched else ""
        place = (longitude, latitude, "" if tile.ground_m is None else round(tile.ground_m, 3))
        told = (tile.caption or "", tile.attribution or "", public_address(found.spec))
        asked = (query.text, query.exclude, query.like)
        rows.append((hit.rank, score, tile.tile_id, *place, tile.width_px, tile.height_px, *told, *asked))
    return csv_text(names, rows)


def found_geojson(state: AppState, found: Found) -> str:
    """Format the hits as features with their footprint; those without a known place have none (RFC 7946)."""
    features = []
    for hit in found.hits:
        tile = state.index.tile(hit.tile_id)
        properties: dict[str, Any] = {
            "rank": hit.rank,
            "score_cos": round(hit.score_cos, 6) if found.searched else None,
            "tile_id": tile.tile_id,
            "ground_m": tile.ground_m,
            "caption": tile.caption,
            "attribution": tile.attribution,
            "collection": public_address(found.spec) or None,
        }
        features.append({"type": "Feature", "geometry": footprint(tile), "properties": properties})
    asked = {"query": found.query.text, "exclude": found.query.exclude, "like": found.query.like}
    return json.dumps({"type": "FeatureCollection", **asked, "features": features}, ensure_ascii=False)


def footprint(tile: Tile) -> dict[str, Any] | None:
    """Convert a tile's outline to a GeoJSON geometry in degrees, in two parts on the date line; a point, or None."""
    if not tile.footprint_lonlat:
        middle = tile.middle_lonlat
        return None if middle is None else {"type": "Point", "coordinates": [round(v, _DIGITS) for v in middle]}
    outline = shapely.Polygon(unwrapped(tile.footprint_lonlat))
    west, _, east, _ = outline.bounds
    if west < -180 or east > 180:
        outline = _cut(outline)
    turned = shapely.orient_polygons(outline)  # counter-clockwise, as RFC 7946 wants it
    rounded = shapely.transform(turned, lambda at: at.round(_DIGITS))
    geometry: dict[str, Any] = json.loads(shapely.to_geojson(rounded))
    return geometry


def _cut(outline: BaseGeometry) -> BaseGeometry:
    """Cut an outline that runs beyond the date line into two parts, both within 180 degrees."""
    parts = []
    for turn in (-1, 0, 1):
        part = outline.intersection(shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90))
        if part.area > 0:
            parts.append(shapely.transform(part, lambda at, turn=turn: at - [360 * turn, 0]))
    return shapely.union_all(parts)
