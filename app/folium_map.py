"""The heat-map as a Folium map in pixel coordinates, whole in one document that asks the network for nothing.

Leaflet comes from the XStatic-Leaflet package and is written into the page. The page is shown in an iframe whose
sandbox lets scripts run but gives them no origin, and its content security policy forbids every request.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import cast

import folium
from branca.element import Element, Figure, MacroElement
from folium.template import Template
from PIL import Image

from app.colours import cell_table, legend_gradient, overlay
from app.pictures import LARGE_PX, data_url, shrunk
from lrsclip.localize import Heatmap

START_OPACITY = 0.65
_HERE = Path(__file__).parent
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


class _Controls(MacroElement):
    """Opacity slider, legend and read-out; the script is `map_controls.js`."""

    _template = Template(
        "{% macro script(this, kwargs) %}"
        "lrsclipControls({{ this._parent.get_name() }}, {{ this.heat.get_name() }}, {{ this.facts|tojson }});"
        "{% endmacro %}"
    )

    def __init__(self, heat: folium.raster_layers.ImageOverlay, facts: dict[str, object]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name = "Controls"
        self.heat = heat
        self.facts = facts


def heatmap_iframe(scene: Image.Image, heatmap: Heatmap, text: str) -> str:
    """An HTML fragment that shows the map; safe to put into a page whatever `text` holds."""
    title = f"Heat-map over the scene for: {text[:120]}"
    document = escape(heatmap_document(scene, heatmap), quote=True)
    shape = f"--width: {heatmap.width_px}; --height: {heatmap.height_px}"
    return (
        f'<iframe class="map" style="{shape}" sandbox="allow-scripts" title="{escape(title, quote=True)}" '
        f'srcdoc="{document}"></iframe>'
    )


def heatmap_document(scene: Image.Image, heatmap: Heatmap) -> str:
    """The map's whole HTML document.

    One unit of the map is one pixel of the scene. CRS.Simple counts upwards, so row y of the scene lies at height - y.
    """
    bounds = [[0, 0], [heatmap.height_px, heatmap.width_px]]
    view = folium.Map(crs="Simple", tiles=None, zoom_snap=0, zoom_delta=0.5, attribution_control=False)
    # Leaflet is written into the page; of Folium's ten files no other is needed
    view.default_js, view.default_css = [], []
    view.options.update(min_zoom=-8, max_bounds=_grown(heatmap), max_bounds_viscosity=0.8, max_zoom=4)
    picture = data_url(shrunk(scene, LARGE_PX), "JPEG")
    folium.raster_layers.ImageOverlay(picture, bounds, name="Scene", pixelated=False, alt="the scene").add_to(view)
    heat = folium.raster_layers.ImageOverlay(
        data_url(overlay(heatmap), "PNG"),
        bounds,
        name="Heat-map",
        pixelated=False,
        opacity=START_OPACITY,
        alt="heat-map",
    )
    heat.add_to(view)
    _best_window(heatmap).add_to(view)
    folium.LayerControl(collapsed=True).add_to(view)
    facts: dict[str, object] = {
        "height_px": heatmap.height_px,
        "width_px": heatmap.width_px,
        "low": f"{heatmap.min_cos:.3f}",
        "high": f"{heatmap.max_cos:.3f}",
        "gradient": legend_gradient(),
        "opacity": START_OPACITY,
        **cell_table(heatmap.cells),
    }
    view.add_child(_Controls(heat, facts))
    view.fit_bounds(bounds, padding=(0, 0))
    return _rendered(view)


def _best_window(heatmap: Heatmap) -> folium.FeatureGroup:
    best = heatmap.best
    top = heatmap.height_px - best.y_px
    corners = [[top - best.size_px, best.x_px], [top, best.x_px + best.size_px]]
    window = folium.Rectangle(corners, color="#ffffff", weight=2, fill=False, dash_array="6 5", interactive=False)
    group = folium.FeatureGroup(name="Best window")
    window.add_to(group)
    return group


def _grown(heatmap: Heatmap) -> list[list[float]]:
    """Bounds half a scene larger on every side: one may pan a little, but not lose the picture."""
    x, y = heatmap.width_px / 2, heatmap.height_px / 2
    return [[-y, -x], [heatmap.height_px + y, heatmap.width_px + x]]


def _rendered(view: folium.Map) -> str:
    figure = cast(Figure, view.get_root())  # Folium puts every map into one
    leaflet_js, leaflet_css = _leaflet()
    figure.header.add_child(Element(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'), index=0)
    figure.header.add_child(Element(f"<script>{leaflet_js}</script><style>{leaflet_css}</style>"), name="leaflet")
    own_js, own_css = (_own(name) for name in ("map_controls.js", "map.css"))
    figure.header.add_child(Element(f"<script>{own_js}</script><style>{own_css}</style>"), name="lrsclip")
    return str(figure.render())


@lru_cache(maxsize=2)
def _own(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _leaflet() -> tuple[str, str]:
    """Leaflet's script and style sheet, the pictures that the style sheet names written into it."""
    data = files("xstatic.pkg.leaflet") / "data"
    script = (data / "leaflet.js").read_text(encoding="utf-8")
    script = re.sub(r"//# sourceMappingURL=.*", "", script)

    def inline(match: re.Match[str]) -> str:
        picture = (data / match.group(1)).read_bytes()
        return f"url(data:image/png;base64,{base64.b64encode(picture).decode()})"

    style = re.sub(r"url\((images/[\w.-]+\.png)\)", inline, (data / "leaflet.css").read_text(encoding="utf-8"))
    return script, style
