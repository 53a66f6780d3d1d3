"""Placement of a scene on a map: on Earth where its place is known, else in its own pixels.

A map's coordinates are (x, y) as GeoJSON has them: longitude and latitude, or pixels counted from the lower left
corner, since Leaflet's plain coordinate system counts upwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from app.media.images import LARGE_PX, data_url, shrunk
from lrsclip.errors import PictureError
from lrsclip.localize import GeoReference, Heatmap
from lrsclip.localize.colormap import LONGEST_SIDE_PX, smoothed
from lrsclip.localize.web_mercator import WebMercatorImage, warped

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
Corners = list[list[float]]

_LOOKUP_SIDE = 33  # points along each side of the grid that turns places back to pixels


class MapGround(Protocol):
    """The placement of a scene on a map."""

    @property
    def crs(self) -> str:
        """Leaflet's name of the map's coordinate system."""

    @property
    def bounds(self) -> Corners:
        """Corners [[south, west], [north, east]] in the map's coordinates, as Leaflet has them."""

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height of the picture on the map, in any unit."""

    def scene_url(self, longest_px: int = LARGE_PX) -> str:
        """Encode the scene as a data URL that fills the bounds, `longest_px` a side at most."""

    def scores(self, heatmap: Heatmap, longest_px: int = LONGEST_SIDE_PX) -> Scores:
        """Prepare a heat-map for coloring, (H, W), filling the bounds; NaN where there is nothing."""

    def placed(self, corners_px: Floats) -> Floats:
        """Convert (N, 2) px of the scene to (N, 2) coordinates of the map; not finite where there are none."""

    def lookup(self) -> list[list[list[float] | None]] | None:
        """Return the scene's px at a grid over the bounds, from the upper left; None if that is plain."""


@dataclass(frozen=True, eq=False)
class PixelGround:
    """A scene without a place on Earth: one unit of the map is one pixel."""

    picture: Image.Image
    width_px: int
    height_px: int
    crs: str = "Simple"

    @property
    def bounds(self) -> Corners:
        """Corners of the scene, in px from the lower left."""
        return [[0, 0], [self.height_px, self.width_px]]

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height of the scene in px."""
        return self.width_px, self.height_px

    def scene_url(self, longest_px: int = LARGE_PX) -> str:
        """Encode the scene as it is."""
        return data_url(shrunk(self.picture, longest_px), "JPEG")

    def scores(self, heatmap: Heatmap, longest_px: int = LONGEST_SIDE_PX) -> Scores:
        """Smooth the heat-map for the eye."""
        return smoothed(heatmap, longest_px)

    def placed(self, corners_px: Floats) -> Floats:
        """Turn (N, 2) px of the scene upwards: row y lies at height - y."""
        return np.stack([corners_px[:, 0], self.height_px - corners_px[:, 1]], axis=1)

    def lookup(self) -> None:
        """Return None: pixels of the map are pixels of the scene."""


@dataclass(frozen=True, eq=False)
class EarthGround:
    """A scene on Leaflet's usual map; pictures and outlines are brought to the map's projection first."""

    image: WebMercatorImage
    width_px: int
    height_px: int
    georeference: GeoReference
    crs: str = "EPSG3857"

    @property
    def bounds(self) -> Corners:
        """Corners of the warped scene in degrees."""
        return [[self.image.south, self.image.west], [self.image.north, self.image.east]]

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height in px of the scene in the map's projection."""
        height, width = self.image.pixels.shape[:2]
        return width, height

    def scene_url(self, longest_px: int = LARGE_PX) -> str:
        """Encode the scene in the map's projection, clear around it."""
        picture = Image.fromarray(self.image.pixels)
        picture.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
        return data_url(picture, "WEBP")

    def scores(self, heatmap: Heatmap, longest_px: int = LONGEST_SIDE_PX) -> Scores:
        """Warp scores to the projection before they are colored, since colors cannot be averaged."""
        values = smoothed(heatmap, longest_px)[..., None]
        found: Scores = warped(values, self.width_px, self.height_px, self.georeference, longest_px).pixels[..., 0]
        return found

    def placed(self, corners_px: Floats) -> Floats:
        """Convert px to degrees; longitudes run on beyond 180 degrees where the scene does."""
        longitudes, latitudes = self.georeference.lonlat(corners_px[:, 0], corners_px[:, 1])
        middle = (self.image.west + self.image.east) / 2
        with np.errstate(invalid="ignore"):  # points without a place are infinite and stay so
            turns = np.round((middle - longitudes) / 360)
            return np.stack([longitudes + 360 * turns, latitudes], axis=1)

    def lookup(self) -> list[list[list[float] | None]]:
        """Compute the grid from the projection itself; between the points the page may interpolate."""
        share = np.linspace(0, 1, _LOOKUP_SIDE)
        north, south = (np.arcsinh(np.tan(np.radians(v))) for v in (self.image.north, self.image.south))
        latitudes = np.degrees(np.arctan(np.sinh(north + share * (south - north))))
        longitudes = self.image.west + share * (self.image.east - self.image.west)
        columns, rows = self.georeference.pixels(*np.meshgrid(longitudes, latitudes))
        found = np.stack([columns, rows], axis=2).round(2)
        return [[point.tolist() if np.isfinite(point).all() else None for point in row] for row in found]


def map_ground(picture: Image.Image, heatmap: Heatmap) -> MapGround:
    """Place a scene on the map.

    Args:
        picture: the scene in any size, RGB.
        heatmap: a map of it; all maps of one scene lie alike.
    """
    width_px, height_px = heatmap.width_px, heatmap.height_px
    if heatmap.georeference is not None:
        rgba = np.asarray(picture.convert("RGBA"))
        try:
            longest_px = min(LARGE_PX, 2 * max(picture.size))  # a little more than there is: the scene may lie turned
            image = warped(rgba, width_px, height_px, heatmap.georeference, longest_px)
            return EarthGround(image, width_px, height_px, heatmap.georeference)
        except PictureError:  # beyond where web maps end
            pass
    return PixelGround(picture, width_px, height_px)
