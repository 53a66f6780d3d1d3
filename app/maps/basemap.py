"""An online map under a scene: offered only where the server's operator names one.

A map's frame may then ask that service and nothing else. It does so from a document without an origin, so no request
names its page; services that want to know that (OpenStreetMap's own) refuse to answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import escape

from lrsclip.errors import TileSourceError
from lrsclip.tiles.xyz_services import provider_of

_ORIGIN = re.compile(r"(https?://(?:\{s\}\.)?[\w.-]+(?::\d+)?)/")
_MAX_ZOOM = 19  # where a service does not say how far it goes; beyond it the last tiles are enlarged


@dataclass(frozen=True)
class BaseMap:
    """A service of web map tiles.

    Attributes:
        name: as the layer control calls it.
        url: template with {z}, {x} and {y}.
        credit_html: attribution, as text that HTML shows as it is.
        max_zoom: the last level that has tiles.
    """

    name: str
    url: str
    credit_html: str
    max_zoom: int

    @classmethod
    def of(cls, service: str) -> BaseMap:
        """Find the service by a name of xyzservices or by its address.

        Raises:
            TileSourceError: there is none of that name, it needs a key, or the address lacks a part or has no host.
        """
        provider = provider_of(service, 0)
        credit = str(provider.get("attribution", provider.name))
        url = provider.build_url(fill_subdomain=False)
        if not _ORIGIN.match(url):  # it goes into the policy of the map's document
            raise TileSourceError(f"{url!r} has no host that a browser could ask; check the address")
        return cls(str(provider.name), url, str(escape(credit)), int(provider.get("max_zoom", _MAX_ZOOM)))

    @property
    def origin(self) -> str:
        """Scheme and host of every tile, for a content security policy."""
        found = _ORIGIN.match(self.url)
        return found[1].replace("{s}", "*") if found else ""

    def facts(self) -> dict[str, object]:
        """Return name, address, credit and last zoom level for the map's script."""
        return {"name": self.name, "url": self.url, "credit": self.credit_html, "max_zoom": self.max_zoom}
