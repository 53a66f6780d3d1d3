"""Features of the landscape: every drawn thing is one `Feature`, and the ground truth is the same list."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from lrsclip.atlas.geometry import Outline, bounds


@dataclass(frozen=True)
class Kind:
    """A kind of feature.

    Attributes:
        level: order of drawing, from land (0) to things on bridges (10).
        one, many: its name in texts, singular and plural; empty where texts never name it.
        counted: whether texts may count it and point at single ones.
    """

    level: int
    one: str = ""
    many: str = ""
    counted: bool = False


@dataclass(frozen=True)
class Feature:
    """One thing in the landscape.

    Attributes:
        kind: a key of KINDS.
        outline: corners in meters (east, south) from the region's origin; for kinds drawn as lines, the path.
        color: a color word, as texts use it; empty where color says nothing.
        height_m: its height above the ground.
        angle: heading of its long side in radians from east towards south.
        form: shape or material in a word: "flat", "hipped", "wheat".
        width_m: breadth of a line; 0 for areas.
    """

    kind: str
    outline: Outline
    color: str = ""
    height_m: float = 0.0
    angle: float = 0.0
    form: str = ""
    width_m: float = 0.0

    @cached_property  # every window that a feature may lie in asks for it
    def bounds(self) -> tuple[float, float, float, float]:
        """Bounds (west, north, east, south) in meters, with half the breadth of a line."""
        west, north, east, south = bounds(self.outline)
        half = self.width_m / 2
        return west - half, north - half, east + half, south + half


def _area(level: int, one: str, many: str = "") -> Kind:
    return Kind(level, one, many or one)


def _thing(level: int, one: str, many: str) -> Kind:
    return Kind(level, one, many, counted=True)


KINDS: dict[str, Kind] = {
    # Land, water and parcels.
    "grass": _area(0, "grass"),
    "lawn": Kind(4),
    "forest": _area(0, "forest"),
    "meadow": _area(0, "meadow"),
    "crop": _thing(1, "field", "fields"),
    "bare land": _area(0, "bare land"),
    "desert": _area(0, "desert sand"),
    "mountain": _area(0, "mountain slopes"),
    "beach": _area(1, "beach"),
    "town ground": Kind(0),
    "yard": Kind(1),
    "basin": _thing(2, "harbour basin", "harbour basins"),
    "pond": _thing(2, "pond", "ponds"),
    "pool": _thing(5, "swimming pool", "swimming pools"),
    # Ways.
    "pavement": Kind(3),
    "parking lot": _area(3, "parking lot", "parking lots"),
    "apron": Kind(3),
    "square": _thing(3, "paved square", "paved squares"),
    "path": _area(4, "path", "paths"),
    "street": _area(4, "street", "streets"),
    "lane": _area(4, "lane", "lanes"),
    "road": _area(4, "road", "roads"),
    "railway": _area(4, "railway", "railways"),
    "runway": _thing(4, "runway", "runways"),
    "taxiway": Kind(3),
    "bridge": _thing(9, "bridge", "bridges"),
    "viaduct": _thing(9, "viaduct", "viaducts"),
    "marking": Kind(5),
    # Sport and play.
    "running track": _thing(4, "running track", "running tracks"),
    "football pitch": _thing(5, "football pitch", "football pitches"),
    "baseball field": _thing(4, "baseball field", "baseball fields"),
    "tennis court": _thing(5, "tennis court", "tennis courts"),
    "basketball court": _thing(5, "basketball court", "basketball courts"),
    "stadium": _thing(3, "stadium", "stadiums"),
    # Buildings.
    "house": _thing(7, "house", "houses"),
    "apartment block": _thing(7, "apartment block", "apartment blocks"),
    "tower": _thing(7, "tall office tower", "tall office towers"),
    "shop": _thing(7, "commercial building", "commercial buildings"),
    "factory hall": _thing(7, "factory hall", "factory halls"),
    "warehouse": _thing(7, "warehouse", "warehouses"),
    "school building": _thing(7, "school building", "school buildings"),
    "church": _thing(7, "church", "churches"),
    "terminal": _thing(7, "terminal building", "terminal buildings"),
    "hangar": _thing(7, "hangar", "hangars"),
    "station": _thing(7, "station hall", "station halls"),
    "platform": _thing(5, "platform", "platforms"),
    "centre hall": _thing(7, "large round hall", "large round halls"),
    "hotel": _thing(7, "hotel", "hotels"),
    "barn": _thing(7, "barn", "barns"),
    "greenhouse": _thing(7, "greenhouse", "greenhouses"),
    "storage tank": _thing(7, "storage tank", "storage tanks"),
    "fountain": _thing(6, "fountain", "fountains"),
    "pier": _thing(5, "pier", "piers"),
    "crane": _thing(8, "crane", "cranes"),
    # Vehicles and other things that move.
    "car": _thing(10, "car", "cars"),
    "truck": _thing(10, "truck", "trucks"),
    "plane": _thing(8, "airplane", "airplanes"),
    "boat": _thing(6, "boat", "boats"),
    "ship": _thing(6, "ship", "ships"),
    "container": Kind(7),
    "train": _thing(8, "train", "trains"),
    "parasol": _thing(6, "parasol", "parasols"),
    "tree": Kind(8, "tree", "trees"),
}
