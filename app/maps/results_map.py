"""Map of the hits: a Folium map over a mosaic of all tiles, which flies to the best hit.

The ground of the map is drawn from the tiles themselves, so it needs no tile service and asks the network for nothing.
A click on a picture of the gallery sends the frame a message, and the map flies there; a click on a hit, or an area
that was drawn, comes back as a message to the page (`search/page.js`), which trusts nothing in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Thread

import folium
from branca.element import MacroElement
from folium.template import Template
from markupsafe import Markup
from PIL import Image

from app.collections import AppState
from app.maps.document import frame, whole_document
from app.media.images import data_url, thumbnail
from app.server.concurrency import LruCache
from app.ui.bbox import Box
from lrsclip.errors import LRSCLIPError
from lrsclip.index import Hit
from lrsclip.tiles import Tile, preview_of, unwrapped

MOSAIC_PX = 1536
MAX_TILES = 4096
"""With more tiles than this the ground stays empty: drawing it would take longer than a visitor waits."""
_SHOWN_HITS = 24
_POINT_DEGREES = 0.0003  # about 33 m: half a side of the box for a tile of which only the middle is known
_MIN_PX = 3
_SHARP_HITS = 12  # shown from pictures of their own; the ground of a wide collection is coarse
_MOSAICS: LruCache[Mosaic] = LruCache(8)  # a megabyte each; as many as collections can be open, or nearly


@dataclass(frozen=True)
class Mosaic:
    """All tiles as one picture.

    Attributes:
        url: the picture as a data URL, north up, dark where no tile lies; empty where there are too many tiles.
        box: west, south, east, north in degrees.
    """

    url: str
    box: Box


class _Flight(MacroElement):
    """Rectangles of the hits, and flying to one of them; the script is `results_map.js`."""

    _template = Template(
        "{% macro script(this, kwargs) %}"
        "lrsclipHits({{ this._parent.get_name() }}, {{ this.hits|tojson }}, {{ this.whole|tojson }}, "
        "{{ this.area|tojson }});"
        "{% endmacro %}"
    )

    def __init__(self, hits: list[dict[str, object]], whole: list[list[float]], area: list[list[float]] | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name = "Flight"
        self.hits, self.whole, self.area = hits, whole, area


def box_of(tile: Tile) -> Box | None:
    """Return a tile's west, south, east and north in degrees, a small box around a lone middle; else None.

    Of a tile on the date line, east or west lies beyond 180 degrees.
    """
    if not tile.footprint_lonlat:
        middle = tile.middle_lonlat
        if middle is None:
            return None
        across = _POINT_DEGREES / max(0.1, math.cos(math.radians(middle[1])))
        return middle[0] - across, middle[1] - _POINT_DEGREES, middle[0] + across, middle[1] + _POINT_DEGREES
    east_west, north_south = zip(*unwrapped(tile.footprint_lonlat), strict=True)
    return min(east_west), min(north_south), max(east_west), max(north_south)


def has_places(state: AppState) -> bool:
    """Return whether the tiles' places are known, by the first one."""
    ids = state.tile_ids()
    return bool(ids) and box_of(state.index.tile(ids[0])) is not None


def hits_frame(state: AppState, hits: Sequence[Hit], found: bool, area_lonlat: Box | None = None) -> Markup:
    """Render an HTML fragment with the map of some hits, or nothing where no places are known.

    Args:
        state: the app's.
        hits: best first.
        found: whether they are a search's; then the map flies to the first.
        area_lonlat: the area that the search was kept to.
    """
    if not has_places(state):
        return Markup()
    return frame(hits_document(state, hits, found, area_lonlat), "places-map", "Map of the tiles")


def hits_document(state: AppState, hits: Sequence[Hit], found: bool, area_lonlat: Box | None = None) -> str:
    """Build the map's whole HTML document."""
    mosaic = mosaic_of(state)
    west, south, east, north = mosaic.box
    shown = [(hit, box) for hit in hits[:_SHOWN_HITS] if (box := box_of(state.index.tile(hit.tile_id)))]
    view = folium.Map(tiles=None, zoom_snap=0, zoom_delta=0.5, attribution_control=False)
    view.default_js, view.default_css = [], []
    view.options.update(max_zoom=19)
    if mosaic.url:
        ground = folium.raster_layers.ImageOverlay(
            mosaic.url, [[south, west], [north, east]], name="Tiles", alt="all tiles"
        )
        ground.add_to(view)
    frames = [_shown(state, hit, _beside(box, (west + east) / 2), found) for hit, box in shown]
    area = None
    if area_lonlat is not None:
        left, bottom, right, top = area_lonlat
        left, bottom, right, top = _beside((left, bottom, right + 360 * (left > right), top), (west + east) / 2)
        area = [[bottom, left], [top, right]]
    view.add_child(_Flight(frames, [[south, west], [north, east]], area))
    return whole_document(view, "results_map.js")


def _beside(box: Box, longitude: float) -> Box:
    """Turn a box around the Earth to the turn nearest to a longitude in degrees, across the date line if need be."""
    west, south, east, north = box
    turn = 360 * round(((west + east) / 2 - longitude) / 360)
    return west - turn, south, east - turn, north


def _shown(state: AppState, hit: Hit, box: Box, found: bool) -> dict[str, object]:
    west, south, east, north = box
    picture = data_url(thumbnail(state, hit.tile_id), "JPEG") if found and hit.rank <= _SHARP_HITS else ""
    return {
        "tile": hit.tile_id,
        "label": f"{hit.rank} · {hit.score_cos:.3f}" if found else "",
        "bounds": [[south, west], [north, east]],
        "picture": picture,
    }


def mosaic_of(state: AppState) -> Mosaic:
    """Compose all tiles into one picture in plate carrée, once for each index."""
    return _MOSAICS.get((state.source.spec, state.index.manifest.created), lambda: _mosaic(state))


def draw_ground_ahead(state: AppState) -> None:
    """Begin to compose the ground in a thread of its own: decoding a thousand tiles leaves Python free."""
    if has_places(state):
        Thread(target=mosaic_of, args=(state,), name="ground", daemon=True).start()


def _width(boxes: dict[str, Box]) -> float:
    return max(box[2] for box in boxes.values()) - min(box[0] for box in boxes.values())


def _mosaic(state: AppState) -> Mosaic:
    boxes = {tile_id: box for tile_id in state.tile_ids() if (box := box_of(state.index.tile(tile_id)))}
    first = next(iter(boxes.values()))[0]
    turned = {tile_id: _beside(box, first) for tile_id, box in boxes.items()}
    if _width(turned) < _width(boxes):  # they lie on both sides of the date line
        boxes = turned
    west, south = min(b[0] for b in boxes.values()), min(b[1] for b in boxes.values())
    east, north = max(b[2] for b in boxes.values()), max(b[3] for b in boxes.values())
    # A degree of longitude is shorter than one of latitude.
    shape = (east - west) * math.cos(math.radians((south + north) / 2)) / max(north - south, 1e-9)
    wide, high = (MOSAIC_PX, round(MOSAIC_PX / shape)) if shape >= 1 else (round(MOSAIC_PX * shape), MOSAIC_PX)
    picture = Image.new("RGB", (max(1, wide), max(1, high)), "#14181f")
    for tile_id, box in boxes.items() if len(boxes) <= MAX_TILES else ():
        left, right = ((x - west) / (east - west) * wide for x in (box[0], box[2]))
        top, bottom = ((north - y) / (north - south) * high for y in (box[3], box[1]))
        size = max(_MIN_PX, math.ceil(right) - int(left)), max(_MIN_PX, math.ceil(bottom) - int(top))
        try:
            small = preview_of(state.source, tile_id, max(size)).resize(size, Image.Resampling.BOX, reducing_gap=1.5)
        except LRSCLIPError:  # a lost file leaves a gap in the ground, no more
            continue
        picture.paste(small, (int(left), int(top)))
    url = data_url(picture, "JPEG") if len(boxes) <= MAX_TILES else ""
    return Mosaic(url, (west, south, east, north))
