"""A picture of a scene laid out for a web map.

Leaflet stretches an overlay evenly between two corners, in the map's own projection. So the overlay has to be on a
north-up grid of that projection (EPSG:3857); the scene may be in any other, or turned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.transform import Affine, from_bounds
from rasterio.warp import reproject

from lrsclip.errors import PictureError
from lrsclip.localize.georeference import GeoReference

LONGEST_SIDE_PX = 1024
_LAST_LATITUDE = math.degrees(math.atan(math.sinh(math.pi)))  # 85.05: where the square map of the web ends
_RADIUS_M = 6_378_137.0  # of the sphere that EPSG:3857 is drawn on
_TOLERANCE_PX = 0.02  # limit of GDAL's rounding in the projection, in px of the picture it reads


@dataclass(frozen=True, eq=False)
class WebMercatorImage:
    """A picture on a north-up grid of EPSG:3857.

    Attributes:
        pixels: (H, W, C); outside the scene NaN (floats) or 0 (whole numbers, so that alpha is 0).
        south: latitude of the lower edge, degrees.
        west: longitude of the left edge, degrees.
        north: latitude of the upper edge.
        east: longitude of the right edge; beyond 180 where the scene crosses the date line, as Leaflet takes it.
    """

    pixels: npt.NDArray[Any]
    south: float
    west: float
    north: float
    east: float


def warped(
    picture: npt.NDArray[Any],
    width_px: int,
    height_px: int,
    georeference: GeoReference,
    longest_px: int = LONGEST_SIDE_PX,
    resampling: Resampling = Resampling.bilinear,
) -> WebMercatorImage:
    """Lay a picture of a whole scene out for a web map.

    Parts beyond 85.05 degrees north or south are cut off, since the map ends there.

    Args:
        picture: (H', W', C), covering the whole scene, in any size: RGBA as uint8, or floats where NaN is no data.
        width_px: the scene's width.
        height_px: the scene's height.
        georeference: the scene's place on Earth.
        longest_px: longest side of the result.
        resampling: blending of pixels; nearest for values that must not be blended.

    Raises:
        PictureError: the scene lies wholly beyond 85.05 degrees, or nowhere on Earth.
    """
    west, south, east, north = _bounds(width_px, height_px, georeference)
    turn = 0.0
    if georeference.in_degrees and _leaves_the_map(georeference, width_px, height_px):
        # GDAL knows a parallel from -180 to 180 alone: all is moved to the middle of the map, where it looks the same
        turn = -(west + east) / 2
        georeference = georeference.turned(turn + _turns_to(georeference, width_px, height_px, west))
        west, east = west + turn, east + turn
    left_m, lower_m, right_m, upper_m = _easting_m(west), _northing_m(south), _easting_m(east), _northing_m(north)
    ratio = longest_px / max(right_m - left_m, upper_m - lower_m)
    width, height = max(1, round((right_m - left_m) * ratio)), max(1, round((upper_m - lower_m) * ratio))
    source = np.ascontiguousarray(picture.transpose(2, 0, 1))
    to_scene_px = Affine.scale(width_px / picture.shape[1], height_px / picture.shape[0])
    floating = np.issubdtype(picture.dtype, np.floating)
    result = np.full((len(source), height, width), np.nan if floating else 0, picture.dtype)
    # With alpha, GDAL blends colors by it, so that edges take no color from transparent pixels.
    extra = {"src_nodata": np.nan, "dst_nodata": np.nan} if floating else {"src_alpha": 4} if len(source) == 4 else {}
    try:
        reproject(
            source,
            result,
            src_transform=Affine(*georeference.transform) @ to_scene_px,
            src_crs=CRS.from_wkt(georeference.crs_wkt),
            dst_transform=from_bounds(left_m, lower_m, right_m, upper_m, width, height),
            dst_crs=CRS.from_epsg(3857),
            resampling=resampling,
            tolerance=_TOLERANCE_PX,
            **extra,
        )
    except RasterioError as error:
        raise PictureError(f"the scene cannot be put on a web map ({error}); reproject it to EPSG:3857") from error
    return WebMercatorImage(result.transpose(1, 2, 0), south, west - turn, north, east - turn)


def _leaves_the_map(georeference: GeoReference, width_px: int, height_px: int) -> bool:
    """Return whether a raster in degrees goes beyond 180, as grids from 0 to 360 do."""
    longitudes = _corner_longitudes(georeference, width_px, height_px)
    return max(map(abs, longitudes)) > 180


def _turns_to(georeference: GeoReference, width_px: int, height_px: int, west: float) -> float:
    """Return the whole turns, in degrees, between a raster's own west and the west of its bounds."""
    return 360 * round((west - min(_corner_longitudes(georeference, width_px, height_px))) / 360)


def _corner_longitudes(georeference: GeoReference, width_px: int, height_px: int) -> list[float]:
    a, b, c, *_ = georeference.transform
    return [a * x + b * y + c for x in (0, width_px) for y in (0, height_px)]


def _bounds(width_px: int, height_px: int, georeference: GeoReference) -> tuple[float, float, float, float]:
    """Compute west, south, east and north of a scene, degrees, within the web map's last latitudes."""
    west, south, east, north = georeference.bounds_lonlat(width_px, height_px)
    if not all(map(math.isfinite, (west, south, east, north))):
        raise PictureError("the scene's edge has no place on Earth; cut the scene to where its projection holds")
    south, north = max(south, -_LAST_LATITUDE), min(north, _LAST_LATITUDE)
    if north <= south:
        raise PictureError(f"the scene lies beyond {_LAST_LATITUDE:.2f} degrees, where web maps end; show it alone")
    return west, south, east, north


def _easting_m(longitude: float) -> float:
    return _RADIUS_M * math.radians(longitude)


def _northing_m(latitude: float) -> float:
    return _RADIUS_M * math.asinh(math.tan(math.radians(latitude)))
