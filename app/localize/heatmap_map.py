"""The heat-maps of an answer as Folium maps in one document of their own (see `app.maps.document`).

The first map is that of the text. Beside it stands the map of the sentence to compare with, and below them a small map
for each clause. All have one color scale and move together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import folium
from branca.element import Figure, MacroElement
from folium.template import Template
from markupsafe import Markup

from app.localize.html import clause_summary
from app.localize.service import Answer, Ground
from app.maps import document
from app.maps.document import frame, whole_document
from app.maps.overlays import Shapes, region_shapes, truth_shapes, window_shape
from app.maps.projection import MapGround, map_ground
from app.media.images import LARGE_PX, data_url
from lrsclip.localize import Heatmap
from lrsclip.localize.colormap import LONGEST_SIDE_PX, cell_table, colorized, legend_gradient

_CONTROLS = Path(document.__file__).with_name("map_controls.js")
START_OPACITY = 0.65
SMALL_PX = 360  # longest side of the pictures of small maps
_WIDE, _NARROW = 4, 2  # columns of small maps; a large map beside another takes half of them
_CAPTION = 160  # characters of a sentence over its map


@dataclass(frozen=True)
class Sheet:
    """Layout of the maps of a document: large ones over small ones, in columns.

    Attributes:
        large: how many large maps there are, 1 or 2.
        small: how many small ones.
        width: of what a map shows, in any unit.
        height: the same.
    """

    large: int
    small: int
    width: int
    height: int

    def rows(self, columns: int) -> list[float]:
        """Return the height of each row, in heights of a small map, for a number of columns of small maps."""
        beside = self.large if columns == _WIDE else 1
        return [columns / beside] * (self.large // beside) + [1.0] * math.ceil(self.small / columns)

    def shape(self, columns: int) -> float:
        """Return the ratio of width to height of the whole document."""
        return columns * self.width / (self.height * sum(self.rows(columns)))

    def style(self) -> str:
        """Write shapes for `styles/base.css`: of the whole, wide and narrow, and of what should fit into a window."""
        one = self.width / self.height
        return (
            f"--wide: {self.shape(_WIDE):.4f}; --wide-large: {one * self.large:.4f}; "
            f"--narrow: {self.shape(_NARROW):.4f}; --narrow-large: {one:.4f}"
        )

    def facts(self) -> list[dict[str, object]]:
        """Describe the layouts to the script, wide and narrow; `span` is how many columns a large map takes."""
        return [
            {
                "columns": columns,
                "span": columns // self.large if columns == _WIDE else columns,
                "rows": self.rows(columns),
                "shape": self.shape(columns),
            }
            for columns in (_WIDE, _NARROW)
        ]


@dataclass(frozen=True, eq=False)
class _View:
    """One map with what the script needs of it."""

    map: folium.Map
    scene: folium.raster_layers.ImageOverlay
    heat: folium.raster_layers.ImageOverlay
    facts: dict[str, Any]


class _Script(MacroElement):
    """Everything beside the pictures is done by `map_controls.js`."""

    _template = Template(
        "{% macro script(this, kwargs) %}"
        "lrsclipMaps({{ this.facts|tojson }}, ["
        "{% for view in this.views %}"
        "{map: {{ view.map.get_name() }}, scene: {{ view.scene.get_name() }}, heat: {{ view.heat.get_name() }}, "
        "...{{ view.facts|tojson }}},"
        "{% endfor %}]);"
        "{% endmacro %}"
    )

    def __init__(self, views: Sequence[_View], facts: dict[str, object]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name = "Script"
        self.views, self.facts = views, facts


def map_frame(answer: Answer, ground: Ground) -> Markup:
    """Draw the maps as an HTML fragment, safe to put into a page whatever was typed."""
    lies = map_ground(ground.picture, answer.findings[0].heatmap)
    title = f"Heat-map over the scene for: {answer.question.text[:120]}"
    return frame(_document(answer, ground, lies), "map", title, _sheet(answer, lies).style())


def map_document(answer: Answer, ground: Ground) -> str:
    """Draw the maps as a whole HTML document."""
    return _document(answer, ground, map_ground(ground.picture, answer.findings[0].heatmap))


def _sheet(answer: Answer, lies: MapGround) -> Sheet:
    return Sheet(len(answer.findings), len(answer.clauses), *lies.shape)


def _document(answer: Answer, ground: Ground, lies: MapGround) -> str:
    low_cos, high_cos = answer.range_cos
    views = []
    for finding in answer.findings:
        shapes: dict[str, Any] = {
            "regions": region_shapes(finding.regions, lies),
            "best": window_shape(finding.heatmap.best, lies),
            "truth": _truth(ground, finding.heatmap, lies),
        }
        views.append(_view(answer, lies, finding.heatmap, cells=cell_table(finding.heatmap.cells), **shapes))
    views += [_view(answer, lies, heatmap, small=True) for heatmap in answer.clauses]
    figure = Figure()
    for view in views:
        figure.add_child(view.map)
    base = ground.base if lies.crs != "Simple" else None  # a scene without a place lies on no map
    facts: dict[str, object] = {
        "bounds": lies.bounds,
        "base": base.facts() if base else None,
        "width_px": answer.findings[0].heatmap.width_px,
        "height_px": answer.findings[0].heatmap.height_px,
        "lookup": lies.lookup(),
        "low": f"{low_cos:.3f}",
        "high": f"{high_cos:.3f}",
        "gradient": legend_gradient(answer.question.palette),
        "measure": "difference of mean cosines" if answer.question.exclude.strip() else "mean cosine",
        "opacity": START_OPACITY,
        "layouts": _sheet(answer, lies).facts(),
    }
    figure.add_child(_Script(views, facts))
    return whole_document(views[0].map, _CONTROLS, pictures_from=base.origin if base else "")


def _truth(ground: Ground, heatmap: Heatmap, lies: MapGround) -> Shapes | None:
    return None if ground.truth is None else truth_shapes(ground.truth, heatmap.width_px, lies)


def _view(answer: Answer, lies: MapGround, heatmap: Heatmap, *, small: bool = False, **facts: Any) -> _View:
    """Draw one map with its two pictures, not yet in any document."""
    view = folium.Map(
        crs=lies.crs, tiles=None, zoom_snap=0, zoom_delta=0.5, attribution_control=False, zoom_control=not small
    )
    # Leaflet is written into the page; of Folium's ten files no other is needed
    view.default_js, view.default_css = [], []
    zooms = {"min_zoom": -8, "max_zoom": 4} if lies.crs == "Simple" else {"min_zoom": 0, "max_zoom": 23}
    view.options.update(track_resize=False, max_bounds_viscosity=0.8, **zooms)
    low_cos, high_cos = answer.range_cos
    colored = colorized(
        lies.scores(heatmap, SMALL_PX if small else LONGEST_SIDE_PX),
        palette=answer.question.palette,
        low_cos=low_cos,
        high_cos=high_cos,
    )
    picture = lies.scene_url(SMALL_PX if small else LARGE_PX)
    bounds = lies.bounds
    scene = folium.raster_layers.ImageOverlay(picture, bounds, pixelated=False, alt="the scene")
    heat = folium.raster_layers.ImageOverlay(
        data_url(colored, "PNG"), bounds, pixelated=False, opacity=START_OPACITY, zindex=2, alt="heat-map"
    )
    scene.add_to(view)
    heat.add_to(view)
    caption = heatmap.text if len(heatmap.text) <= _CAPTION else f"{heatmap.text[:_CAPTION].rstrip()} …"
    summary = clause_summary(heatmap) if small else ""
    return _View(view, scene, heat, {"caption": caption, "told": summary, "small": small, **facts})
