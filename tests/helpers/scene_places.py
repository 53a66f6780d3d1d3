"""Scenes with a place on Earth, in several projections, for the tests of what a heat-map becomes."""

from __future__ import annotations

from rasterio.crs import CRS
from rasterio.transform import Affine

from lrsclip.io.georeference import GeoReference

# Nebraska, near the middle of UTM zone 14: the CRS, and the affine transform from px to it; a pixel is ten meters or so
_TRANSFORMS = {
    "EPSG:4326": Affine(1.2e-4, 0, -99.02, 0, -9e-5, 40.03),
    "EPSG:3857": Affine(13, 0, -11_022_856, 0, -13, 4_870_000),
    "EPSG:26914": Affine(10, 0, 500_123, 0, -10, 4_430_456),
    "EPSG:26914 turned": Affine.translation(500_123, 4_430_456) @ Affine.rotation(30) @ Affine.scale(10, -10),
}
PLACES = tuple(_TRANSFORMS)


def place(name: str) -> GeoReference:
    """The place of one of `PLACES`."""
    return reference(name.split()[0], _TRANSFORMS[name])


def reference(crs: str, affine: Affine) -> GeoReference:
    """A place in a projection of one's own choice."""
    return GeoReference(
        CRS.from_user_input(crs).to_wkt(version="WKT2_2019"),
        (affine.a, affine.b, affine.c, affine.d, affine.e, affine.f),
    )
