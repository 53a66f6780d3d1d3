"""OpenStreetMap tags in plain words."""

from __future__ import annotations

# Keys whose value names a thing; of all others (names, addresses, dates) nothing can be seen.
_KEYS = frozenset(
    "aeroway amenity barrier building crop emergency golf harbour highway historic industrial landcover landuse "
    "leisure man_made military natural place power public_transport railway shop sport surface tourism water waterway "
    "wetland generator:source plant:source".split()
)
_WORDS: dict[tuple[str, str], str] = {
    ("aeroway", "aerodrome"): "airport",
    ("aeroway", "apron"): "apron",
    ("amenity", "fuel"): "gas station",
    ("amenity", "parking"): "parking lot",
    ("amenity", "parking_space"): "parking lot",
    ("amenity", "grave_yard"): "cemetery",
    ("amenity", "place_of_worship"): "church",
    ("building", "residential"): "house",
    ("building", "detached"): "house",
    ("golf", "green"): "putting green",
    ("golf", "tee"): "",
    ("golf", "hole"): "",
    ("building", "apartments"): "apartment block",
    ("building", "commercial"): "commercial building",
    ("building", "retail"): "commercial building",
    ("building", "industrial"): "industrial building",
    ("highway", "motorway"): "highway",
    ("highway", "trunk"): "highway",
    ("highway", "primary"): "road",
    ("highway", "secondary"): "road",
    ("highway", "tertiary"): "road",
    ("highway", "unclassified"): "road",
    ("highway", "residential"): "residential road",
    ("highway", "living_street"): "residential road",
    ("highway", "service"): "service road",
    ("highway", "footway"): "path",
    ("highway", "cycleway"): "path",
    ("highway", "track"): "path",
    ("highway", "motorway_junction"): "intersection",
    ("landuse", "residential"): "residential area",
    ("landuse", "industrial"): "industrial area",
    ("landuse", "commercial"): "commercial area",
    ("landuse", "retail"): "commercial area",
    ("landuse", "farmyard"): "farm",
    ("landuse", "farmland"): "farmland",
    ("landuse", "construction"): "construction site",
    ("landuse", "basin"): "basin",
    ("leisure", "pitch"): "sports pitch",
    ("leisure", "track"): "running track",
    ("leisure", "sports_centre"): "sports complex",
    ("man_made", "wastewater_plant"): "wastewater plant",
    ("man_made", "works"): "factory",
    ("natural", "scrub"): "scrub",
    ("natural", "coastline"): "coast",
    ("natural", "bare_rock"): "rock",
    ("natural", "tree_row"): "row of trees",
    ("natural", "peak"): "mountain",
    ("generator:source", "solar"): "solar panels",
    ("generator:source", "wind"): "wind turbine",
    ("plant:source", "solar"): "solar power plant",
    ("plant:source", "wind"): "wind farm",
    ("power", "generator"): "power generator",
    ("power", "plant"): "power plant",
    ("power", "line"): "power line",
    ("railway", "rail"): "railway",
    ("railway", "station"): "railway station",
    ("sport", "soccer"): "soccer field",
    ("sport", "american_football"): "football field",
    ("sport", "tennis"): "tennis court",
    ("sport", "basketball"): "basketball court",
    ("sport", "baseball"): "baseball diamond",
    ("sport", "athletics"): "running track",
    ("sport", "golf"): "golf course",
    ("sport", "swimming"): "swimming pool",
    ("waterway", "riverbank"): "river",
    ("water", "lake"): "lake",
}
# Values of "building" that are names of their own; all others name the kind of building.
_BUILDINGS = frozenset(
    "house bungalow cabin hut garage garages shed barn stable greenhouse warehouse hangar church chapel cathedral "
    "mosque temple synagogue school kindergarten university college hospital hotel office stadium silo "
    "factory castle".split()
)
_NOT_SEEN = frozenset({"no", "none", "unknown", "fixme", "other"})


def tag_words(key: str, value: str) -> str:
    """Return the thing that a tag names, in plain words; "" where it names nothing that can be seen."""
    key, value = key.strip().lower(), value.strip().lower()
    if key not in _KEYS or not value or value in _NOT_SEEN:
        return ""
    if value in ("yes", "true", "1"):
        return "" if key in ("surface", "place", "sport", "shop") else key.replace("_", " ")
    if (known := _WORDS.get((key, value))) is not None:
        return known
    if ":" in key:
        return ""
    words = value.split(";")[0].replace("_", " ")
    if not all(part.isalpha() for part in words.split()) or len(words) > 40:
        return ""
    if key == "building" and words not in _BUILDINGS:
        return f"{words} building"
    return f"{words} surface" if key == "surface" else f"{words} shop" if key == "shop" else words
