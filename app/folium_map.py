"""The heat-map as a Folium map in pixel coordinates, in a document of its own (see `app.leaflet`)."""

from __future__ import annotations

import folium
from branca.element import MacroElement
from folium.template import Template
from PIL import Image

from app.leaflet import frame, whole_document
from app.pictures import LARGE_PX, data_url, shrunk
from lrsclip.localize import Heatmap
from lrsclip.localize.colours import cell_table, legend_gradient, overlay

START_OPACITY = 0.65


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
    shape = f"--width: {heatmap.width_px}; --height: {heatmap.height_px}"
    return frame(heatmap_document(scene, heatmap), "map", f"Heat-map over the scene for: {text[:120]}", shape)


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
    return whole_document(view, "map_controls.js")


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
