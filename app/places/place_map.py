"""The map on which a place is chosen: the cities of the world, a click, a box that one draws."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path

import folium
from branca.element import MacroElement
from folium.template import Template
from markupsafe import Markup

from app.maps.document import frame, whole_document
from app.maps.ground import GROUND_SCRIPT
from app.ui.render import render

_NUMBERS = count(1)  # so that the same place asked for again is flown to again


class _Place(MacroElement):
    """Everything on the map is done by `place_map.js`."""

    _template = Template("{% macro script(this, kwargs) %}lrsclipPlace({{ this._parent.get_name() }});{% endmacro %}")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name = "Place"


@lru_cache(maxsize=1)
def place_frame() -> Markup:
    """Render an HTML fragment with the map."""
    view = folium.Map(tiles=None, zoom_snap=0, zoom_delta=0.5, attribution_control=False)
    view.default_js, view.default_css = [], []
    view.options.update(max_zoom=18)
    view.add_child(_Place())
    document = whole_document(view, GROUND_SCRIPT, Path(__file__).with_name("place_map.js"))
    return frame(document, "place-map", "Map to choose a place on")


def shown_place(area: Sequence[Sequence[float]] | None, *, fly: bool) -> Markup:
    """Render what the page's script passes on to the map.

    Args:
        area: corners [[south, west], [north, east]] in degrees; None for none.
        fly: whether the map shall go there.
    """
    return render("places/shown_place.html", message=json.dumps({"area": area, "fly": fly, "number": next(_NUMBERS)}))
