"""Services of web map tiles: by a name of xyzservices, or by a typed address."""

from __future__ import annotations

import re

from xyzservices import TileProvider, providers

from lrsclip.errors import AddressError, TileSourceError

DEFAULT_SERVICE = "USGS.USImagery"
"""The national imagery of the United States: public domain, and made to be asked by programs."""
MAX_ZOOM = 22


def provider_of(service: str, zoom: int) -> TileProvider:
    """Look up a service by a name of xyzservices or by its address.

    Raises:
        TileSourceError: there is none of that name, it needs a key, or it has no such zoom level.
        AddressError: the address is no web address.
    """
    if "{" in service or "//" in service:
        if not all(mark in service for mark in ("{z}", "{x}", "{y}")):
            raise TileSourceError(f"the address {service!r} lacks one of {{z}}, {{x}} and {{y}}")
        if "{" in (rest := re.sub(r"\{[zxysr]\}", "", service)) or "}" in rest:
            raise TileSourceError(
                f"the address {service!r} has braces beside {{z}}, {{x}}, {{y}}, {{s}} and {{r}}; fill them in"
            )
        if not service.startswith(("http://", "https://")):
            raise AddressError(f"{service!r} is no web address; it must begin with http:// or https://")
        return TileProvider(url=service, name=service.split("/")[2], attribution=service.split("/")[2])
    try:
        provider = providers.query_name(service)
    except ValueError as error:
        raise TileSourceError(
            f"no map service is called {service!r}; take a name of xyzservices such as {DEFAULT_SERVICE} or "
            "Esri.WorldImagery, or an address with {z}, {x} and {y}"
        ) from error
    if provider.requires_token():
        raise TileSourceError(
            f"{service} needs a key; give its address with your key in it, with {{z}}, {{x}} and {{y}}"
        )
    most = int(provider.get("max_zoom", MAX_ZOOM))
    if zoom > most:
        raise TileSourceError(f"{service} goes to zoom {most}, not {zoom}; lower the number behind the @")
    return provider
