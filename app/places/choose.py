"""What a visitor writes for a place, a city, coordinates or a map's link, to the address of a collection."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lrsclip.errors import TileSourceError
from lrsclip.tiles.coordinates import parse_position
from lrsclip.tiles.gazetteer import find_cities
from lrsclip.tiles.xyz import PlaceTiles
from lrsclip.tiles.xyz_services import DEFAULT_SERVICE

START_HALF_KM, START_ZOOM = 1.0, 17
HALVES_KM = (0.25, 5.0)
ZOOMS = (12, 19)
DIGITS = 5
"""Of a degree: a meter."""


@dataclass(frozen=True)
class Service:
    """A map service that the page offers.

    Attributes:
        name: of xyzservices.
        title: in plain words, with what one may do with its pictures.
        boxes: west, south, east, north of where it has pictures; empty for the whole Earth.
    """

    name: str
    title: str
    boxes: tuple[tuple[float, float, float, float], ...] = ()


SERVICES = (
    Service(
        DEFAULT_SERVICE,
        "USGS: the United States, public domain",
        (
            (-125.1, 24.3, -66.8, 49.5), (-170.0, 51.0, -129.0, 72.0), (-160.6, 18.8, -154.7, 22.4),
            (-67.4, 17.8, -64.5, 18.6),
        ),
    ),
    Service("Esri.WorldImagery", "Esri: the whole Earth, under Esri's terms"),
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A place that was meant; degrees."""

    label: str
    latitude: float
    longitude: float


def targets_of(text: str) -> list[Target]:
    """Find the places that a text may mean, the likeliest first; none for a text that means no place."""
    if (at := parse_position(text)) is not None:
        return [Target(position_text(at.latitude, at.longitude), at.latitude, at.longitude)]
    return [Target(city.label, city.latitude, city.longitude) for city in find_cities(text)]


def position_text(latitude: float, longitude: float) -> str:
    """Write a position as decimal degrees, latitude first."""
    return f"{latitude:.{DIGITS}f}, {longitude:.{DIGITS}f}"


def address_of(latitude: float, longitude: float, half_km: float, zoom: int, service: str) -> str:
    """Write the address of the collection around a place."""
    option = "" if service == DEFAULT_SERVICE else f"?service={service}"
    return f"place:{position_text(latitude, longitude).replace(' ', '')},{half_km:g}km@{zoom}{option}"


def best_service(latitude: float, longitude: float) -> str:
    """Choose the first service that has pictures of a place."""
    return next(one.name for one in SERVICES if not one.boxes or _lies_in(one, latitude, longitude))


def coverage_note(source: PlaceTiles) -> str:
    """Warn where a service that the page knows has no pictures of a place; "" where it has."""
    place = source.place
    service = next((one for one in SERVICES if one.name == source.service), None)
    if service is None or not service.boxes:
        return ""
    if _lies_in(service, (place.south + place.north) / 2, (place.west + place.east) / 2):
        return ""
    return f"{service.name} has pictures of the United States alone; choose another service for this place"


def _lies_in(service: Service, latitude: float, longitude: float) -> bool:
    return any(west <= longitude <= east and south <= latitude <= north for west, south, east, north in service.boxes)


def understood(text: str, *, half_km: float = START_HALF_KM, zoom: int = START_ZOOM) -> str:
    """Turn what stands in the address box into an address: a city or coordinates become a place around them."""
    if targets := targets_of(text):
        first = targets[0]
        service = best_service(first.latitude, first.longitude)
        return address_of(first.latitude, first.longitude, half_km, zoom, service)
    return text


def box_around(latitude: float, longitude: float, half_km: float) -> list[list[float]]:
    """Compute the corners [[south, west], [north, east]] of the box around a place."""
    up = math.degrees(half_km / 6378.137)
    across = up / max(0.01, math.cos(math.radians(latitude)))
    return [[latitude - up, longitude - across], [latitude + up, longitude + across]]


def half_of_box(west: float, south: float, east: float, north: float) -> tuple[float, float, float]:
    """Return the center of a box (latitude, longitude) and half of its longer side in km, within what is offered.

    Raises:
        TileSourceError: it is no box on Earth.
    """
    latitude, longitude = (south + north) / 2, ((west + east) / 2 + 180) % 360 - 180
    numbers = (west, south, east, north, latitude, longitude)  # the middle of two finite numbers may be none
    if not (all(map(math.isfinite, numbers)) and abs(latitude) <= 85 and east >= west):
        raise TileSourceError("this is no box on Earth; draw it again")
    high_km = math.radians(north - south) * 6378.137
    wide_km = math.radians(east - west) * 6378.137 * math.cos(math.radians(latitude))
    half_km = min(HALVES_KM[1], max(HALVES_KM[0], max(high_km, wide_km) / 2))
    return latitude, longitude, round(half_km * 20) / 20
