"""Map of the hits: a Folium map over the collection's own pictures, which flies to the best hit.

The map's frame comes with the page and stays. What it shows, and each square of its ground, is sent to it as a message
by the page's script (`search/page.js`), so that a search sends the hits alone, and zoom and view survive it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import folium
from branca.element import MacroElement
from folium.template import Template
from markupsafe import Markup

from app.collections import AppState
from app.maps.document import frame, whole_document
from app.maps.ground import GROUND_SCRIPT, ground_key, web_map_of
from lrsclip.index import Area, Hit
from lrsclip.tiles import Tile
from lrsclip.tiles.web_map import MAX_ZOOM, corners_lonlat

_DIGITS = 7  # a centimeter, in degrees
_EVERYWHERE = Area()


class _Hits(MacroElement):
    """Everything on the map is done by `results_map.js`."""

    _template = Template("{% macro script(this, kwargs) %}lrsclipHits({{ this._parent.get_name() }});{% endmacro %}")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name = "Hits"


def has_places(state: AppState) -> bool:
    """Return whether the tiles' places are known, by the first one."""
    ids = state.tile_ids()
    return bool(ids) and corners_lonlat(state.index.tile(ids[0])) is not None


@lru_cache(maxsize=1)
def hits_frame() -> Markup:
    """Render an HTML fragment with the map, empty until it is told what to show."""
    return frame(hits_document(), "places-map", "Map of the tiles")


def hits_document() -> str:
    """Build the map's whole HTML document."""
    view = folium.Map(tiles=None, zoom_snap=0, zoom_delta=0.5, attribution_control=False)
    view.default_js, view.default_css = [], []
    view.options.update(max_zoom=MAX_ZOOM)
    view.add_child(_Hits())
    return whole_document(view, GROUND_SCRIPT, Path(__file__).with_name("results_map.js"))


def hits_message(state: AppState, hits: Sequence[Hit], found: bool, area: Area = _EVERYWHERE) -> dict[str, Any]:
    """Describe to the map what it shall show; {} where no places are known.

    Args:
        state: the collection.
        hits: best first.
        found: whether they are a search's; then the map flies to the first.
        area: the area that the search was kept to.
    """
    if not has_places(state):
        return {}
    west, south, east, north = web_map_of(state).bounds_lonlat
    middle = (west + east) / 2
    first = state.index.tile(hits[0].tile_id) if hits else None
    return {
        "ground": ground_key(state),
        "whole": [[south, west], [north, east]],
        "hits": [_shown(state.index.tile(hit.tile_id), hit, middle, found) for hit in hits],
        "area": _outline(area, middle),
        "found": found,
        "credit": first.attribution or "" if first is not None else "",
    }


def _outline(area: Area, middle: float) -> list[list[float]]:
    """Compute an area's corners, latitude first, on the turn of the Earth that the map shows; [] for none."""
    corners = list(area.polygon_lonlat or ())
    if area.bbox_lonlat is not None:
        west, south, east, north = area.bbox_lonlat
        east += 360 * (west > east)
        corners = [(west, south), (east, south), (east, north), (west, north)]
    if not corners:
        return []
    longitudes = [longitude for longitude, _ in corners]
    turn = _turns((min(longitudes) + max(longitudes)) / 2, middle)
    return [[latitude, longitude - 360 * turn] for longitude, latitude in corners]


def _shown(tile: Tile, hit: Hit, middle: float, found: bool) -> dict[str, object]:
    corners = corners_lonlat(tile) or ()
    turn = _turns(sum(longitude for longitude, _ in corners) / len(corners), middle) if corners else 0
    return {
        "tile": hit.tile_id,
        "label": f"{hit.rank} · {hit.score_cos:.3f}" if found and not math.isnan(hit.score_cos) else "",
        "corners": [[round(lat, _DIGITS), round(lon - 360 * turn, _DIGITS)] for lon, lat in corners],
    }


def _turns(longitude: float, middle: float) -> int:
    """Count the turns around the Earth from a longitude in degrees to its place nearest to another."""
    return round((longitude - middle) / 360)
