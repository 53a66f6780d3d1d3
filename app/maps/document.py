"""Leaflet written into a document, so that a map asks the network for nothing.

Every map of the app is one whole HTML document in an iframe whose sandbox lets scripts run but gives them no origin;
its content security policy forbids every request, but for the tiles of a base map that the server was started with.

Branca, on which Folium rests, takes the output of an element's template for a template and fills it in once more:
braces in a sentence, a caption or a file name would be run by Jinja, on the server. Here it is written as it is.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import folium
from branca.element import Element, Figure, MacroElement
from markupsafe import Markup

from app.ui.render import own_file, render

_HERE = Path(__file__).parent


class _AsItIs(Element):
    """Text in a document that no template engine looks at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def render(self, **_: Any) -> str:
        """Return the text."""
        return self._text


def _render_once(element: MacroElement, **kwargs: Any) -> None:
    """Render as `MacroElement.render` does, but never fill the result in again."""
    figure = cast(Figure, element.get_root())
    macros = element._template.module.__dict__
    for part, place in (("header", figure.header), ("html", figure.html), ("script", figure.script)):
        if (macro := macros.get(part)) is not None:
            place.add_child(_AsItIs(macro(element, kwargs)), name=element.get_name())
    for child in element._children.values():
        child.render(**kwargs)


MacroElement.render = _render_once  # type: ignore[method-assign,assignment]  # for Folium's own elements too


def whole_document(view: folium.Map, *scripts: Path, pictures_from: str = "") -> str:
    """Build one document of a Folium map.

    Args:
        view: the map.
        scripts: our own scripts that it needs.
        pictures_from: origin of a server that pictures may come from, as `BaseMap.origin` checks it.
    """
    figure = cast(Figure, view.get_root())  # Folium puts every map into one
    leaflet_js, leaflet_css = _leaflet()
    leaflet = render("maps/code.html", script=leaflet_js, style=leaflet_css)
    script = Markup("\n").join(map(own_file, scripts))
    own = render("maps/code.html", script=script, style=own_file(_HERE / "map.css"))
    figure.header.add_child(_AsItIs(render("maps/policy.html", pictures_from=pictures_from)), index=0)
    figure.header.add_child(_AsItIs(leaflet), name="leaflet")
    figure.header.add_child(_AsItIs(own), name="lrsclip")
    return str(figure.render())


def frame(document: str, css_class: str, title: str, style: str = "") -> Markup:
    """Render an HTML fragment that shows a document in a sandbox; safe in a page whatever the document holds."""
    return render("maps/frame.html", document=document, css_class=css_class, title=title, style=style)


@lru_cache(maxsize=1)
def _leaflet() -> tuple[Markup, Markup]:
    """Read Leaflet's script and style sheet, the pictures that the style sheet names written into it."""
    data = files("xstatic.pkg.leaflet") / "data"
    script = (data / "leaflet.js").read_text(encoding="utf-8")
    script = re.sub(r"//# sourceMappingURL=.*", "", script)

    def inline(match: re.Match[str]) -> str:
        picture = (data / match.group(1)).read_bytes()
        return f"url(data:image/png;base64,{base64.b64encode(picture).decode()})"

    style = re.sub(r"url\((images/[\w.-]+\.png)\)", inline, (data / "leaflet.css").read_text(encoding="utf-8"))
    return Markup(script), Markup(style)
