"""Georeference of a raster, or in one sentence why it has none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import ArrayLike, NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError
from rasterio._err import CPLE_BaseError  # GDAL's own error; published under no other name
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.transform import Affine

from lrsclip.io.plain_file import open_plain
from lrsclip.io.raster_file import names_other_files

Degrees = NDArray[np.float64]

_MAX_PRJ_BYTES = 2**16
_POINTS_PER_SIDE = 21  # a straight side in meters bends in degrees
_MERCATOR_END_DEG = 85.06  # where web maps end
_SLACK_DEG = 1e-6  # a raster of the whole Earth may miss 180 degrees by a rounding
_SLACK_CELLS = 1.0  # grids whose points are the middles of cells reach half a cell beyond the poles
_FURTHEST_DEG = 540.0  # longitudes go from 0 to 360, and on across an edge
_ALL_ROUND_DEG = 10.0  # that a raster of the whole Earth may leave out
_FIT_PX = 1.0  # by which a plane may miss the control points of a raster


_POINTS_MISS = (
    "The raster is placed by control points that lie on no plane of its pixels; warp it first, as by gdalwarp -tps."
)


@dataclass(frozen=True)
class GeoReference:
    """The georeference of a raster's pixels.

    Attributes:
        crs_wkt: the coordinate system, as WKT.
        transform: a, b, c, d, e, f: the corner (column, row) of a pixel lies at (a column + b row + c,
            d column + e row + f) in that system.
    """

    crs_wkt: str
    transform: tuple[float, float, float, float, float, float]

    def lonlat(self, x_px: ArrayLike, y_px: ArrayLike) -> tuple[Degrees, Degrees]:
        """Convert points of the raster to longitude and latitude in degrees, each longitude from -180 to 180.

        Args:
            x_px: columns, 0 at the left edge of the first pixel; any shape.
            y_px: rows, 0 at the upper edge of the first pixel; the same shape.

        Returns:
            Two float64 arrays of that shape; infinite for a point that the coordinate system cannot place.

        Raises:
            ProjError: the coordinate system has no place on Earth; `georeference_of` returns no such reference.
        """
        x, y = self._native(x_px, y_px)
        if self.in_degrees:  # some beyond 180, as of grids from 0 to 360, and half a cell beyond a pole
            x, y = _wrapped(x), np.clip(y, -90.0, 90.0)
        longitudes, latitudes = _to_degrees(self.crs_wkt).transform(x, y)
        return np.asarray(longitudes, np.float64), np.asarray(latitudes, np.float64)

    def pixels(self, longitudes: ArrayLike, latitudes: ArrayLike) -> tuple[Degrees, Degrees]:
        """Convert longitude and latitude in degrees to points of the raster: the inverse of `lonlat`.

        Returns:
            Columns and rows, float64; infinite where the coordinate system has no such place.
        """
        x, y = _from_degrees(self.crs_wkt).transform(_wrapped(np.asarray(longitudes, np.float64)), latitudes)
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        a, b, c, d, e, f = (~Affine(*self.transform))[:6]
        if not self.in_degrees:
            return a * x + b * y + c, d * x + e * y + f
        # of the turns of the Earth, the one on which the place is nearest after the raster's first pixel
        turns = [(a * (x + turn) + b * y + c, d * (x + turn) + e * y + f) for turn in (0, 360, -360)]
        columns, rows = (np.stack(values) for values in zip(*turns, strict=True))
        after = np.minimum(columns, rows) >= -1
        nearest = np.where(after, np.maximum(columns, rows), np.inf).argmin(axis=0)[None]
        return np.take_along_axis(columns, nearest, 0)[0], np.take_along_axis(rows, nearest, 0)[0]

    @property
    def in_degrees(self) -> bool:
        """Whether the coordinate system is one of longitude and latitude in degrees."""
        return _is_in_degrees(self.crs_wkt)

    def turned(self, degrees: float) -> GeoReference:
        """Shift a reference in degrees along the parallels, as to bring it to the middle of the map."""
        a, b, c, d, e, f = self.transform
        return GeoReference(self.crs_wkt, (a, b, c + degrees, d, e, f))

    def _native(self, x_px: ArrayLike, y_px: ArrayLike) -> tuple[Degrees, Degrees]:
        x, y = np.asarray(x_px, np.float64), np.asarray(y_px, np.float64)
        a, b, c, d, e, f = self.transform
        return a * x + b * y + c, d * x + e * y + f

    def bounds_lonlat(self, width_px: int, height_px: int) -> tuple[float, float, float, float]:
        """Compute west, south, east and north of the raster's outline, degrees.

        West is at least -180, or a little less for a raster all round the Earth. East is never less than west: it runs
        on beyond 180 where the outline crosses the date line. An outline around a pole reaches it, and all the way
        round.
        """
        longitudes, latitudes = self.lonlat(*_outline(width_px, height_px))
        south, north = float(latitudes.min()), float(latitudes.max())
        steps = (np.diff(longitudes, append=longitudes[:1]) + 180) % 360 - 180  # always the shorter way round
        if abs(steps.sum()) > 180:
            return (-180.0, south, 180.0, 90.0) if south + north > 0 else (-180.0, -90.0, 180.0, north)
        run = longitudes[0] + np.concatenate([[0.0], np.cumsum(steps[:-1])])
        all_round = np.ptp(run) > 360 - _ALL_ROUND_DEG
        middle = (run.min() + run.max()) / 2
        run -= 360 * (round(middle / 360) if all_round else math.floor((run.min() + 180 + _SLACK_DEG) / 360))
        return float(run.min()), south, float(run.max()), north


def georeference_of_corners(
    corners_lonlat: Sequence[tuple[float, float]], width_px: int, height_px: int
) -> GeoReference | None:
    """Georeference a picture of which only the corners are known, such as a tile of a web map.

    Args:
        corners_lonlat: upper left, upper right, lower right and lower left, (longitude, latitude) in degrees.
        width_px: the picture's width.
        height_px: the picture's height.

    Returns:
        None where the corners make no parallelogram in Web Mercator, to half a pixel, or lie outside it.
    """
    degrees = np.array(corners_lonlat, np.float64)
    if len(degrees) != 4 or np.abs(degrees[:, 1]).max() > _MERCATOR_END_DEG:
        return None
    x, y = _to_web_mercator().transform(degrees[:, 0], degrees[:, 1])
    corners_m = np.stack([x, y], axis=1)
    if not np.isfinite(corners_m).all():
        return None
    origin, across, down = corners_m[0], corners_m[1] - corners_m[0], corners_m[3] - corners_m[0]
    px_m = min(np.hypot(*across) / width_px, np.hypot(*down) / height_px)
    if not px_m > 0 or np.abs(origin + across + down - corners_m[2]).max() > px_m / 2:
        return None
    (a, d), (b, e), (c, f) = (across / width_px).tolist(), (down / height_px).tolist(), origin.tolist()
    return GeoReference(CRS.from_epsg(3857).to_wkt(), (a, b, c, d, e, f))


@lru_cache(maxsize=1)
def _to_web_mercator() -> Transformer:
    return Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)


def georeference_of(data: rasterio.DatasetReader, *, sidecar_crs: bool = False) -> tuple[GeoReference | None, str]:
    """Read the georeference of an open raster.

    Args:
        data: the raster.
        sidecar_crs: read the coordinate system from a .prj file beside it if the raster itself names none, as goes
            with a world file.

    Returns:
        The reference and "", or None and one sentence on the fault of the place that the file claims ("" if it
        claims none).
    """
    placed, transform = not data.transform.is_identity, data.transform
    try:
        crs = data.crs or (_crs_beside(Path(data.name)) if sidecar_crs and placed else None)
        if not placed and data.gcps[0] and data.gcps[1]:
            (points, crs), placed = data.gcps, True
            fitted, miss_px = _fitted(points)
            if fitted is None or miss_px > _FIT_PX:
                return None, _POINTS_MISS
            transform = fitted
        if not crs or not placed:
            return None, _half_a_claim(data, bool(crs), placed)
        if transform.is_degenerate:
            return None, "The raster's pixels have no size on the ground; set its geotransform anew."
        a, b, c, d, e, f = (float(part) for part in transform[:6])
        found = GeoReference(crs.to_wkt(version="WKT2_2019"), (a, b, c, d, e, f))
        if names_other_files(found.crs_wkt):
            return None, "The raster's coordinate system needs a file of shifts, which is not read; set one without."
        longitudes, latitudes = found.lonlat(*_outline(data.width, data.height))
        if found.in_degrees:
            longitudes, latitudes = _beyond(found, data.width, data.height)
    except UnicodeError:  # names of old programs in letters of their country; rasterio wants UTF-8
        return (
            None,
            "The raster's coordinate system has a name that is no UTF-8; set it anew, as by gdal_edit.",
        )
    except (RasterioError, CRSError, CPLE_BaseError, ProjError):  # a local grid, as of drones and of plans
        return None, "The raster's coordinate system is a local one: its place on Earth cannot be told."
    if not (np.isfinite(longitudes).all() and np.isfinite(latitudes).all()):
        return (
            None,
            "The raster reaches beyond what its coordinate system can place; check that it is the right one.",
        )
    beyond_deg = np.maximum(np.abs(longitudes) - 180, np.abs(latitudes) - 90)
    if beyond_deg.max() > _SLACK_DEG:
        worst = int(beyond_deg.argmax())
        return None, (
            f"By the coordinate system that it names, the raster reaches to longitude {longitudes[worst]:.6g}, "
            f"latitude {latitudes[worst]:.6g}, which is not on Earth; set the right one."
        )
    return found, ""


def _beyond(reference: GeoReference, width_px: int, height_px: int) -> tuple[Degrees, Degrees]:
    """Compute the outline of a raster in degrees as it claims it, less what is usual beyond 180 and the poles."""
    x, y = reference._native(*_outline(width_px, height_px))
    _, _, _, d, e, _ = reference.transform
    cell_deg = abs(d) + abs(e)
    latitudes = np.where(np.abs(y) <= 90 + _SLACK_CELLS * cell_deg + _SLACK_DEG, np.clip(y, -90, 90), y)
    a, b, *_ = reference.transform
    is_usual = np.abs(x).max() <= _FURTHEST_DEG and np.ptp(x) <= 360 + 2 * _SLACK_CELLS * (abs(a) + abs(b))
    return (_wrapped(x) if is_usual else x), latitudes


def _wrapped(longitudes: Degrees) -> Degrees:
    """Bring longitudes to -180 to 180 degrees; those that lie there stay as they are, 180 too."""
    return np.where(np.abs(longitudes) > 180, (longitudes + 180) % 360 - 180, longitudes)


def _fitted(points: Sequence[GroundControlPoint]) -> tuple[Affine | None, float]:
    """Lay a plane through control points; with it, by how many pixels it misses the worst of them."""
    if len(points) < 3:
        return None, math.inf
    ones = np.array([(point.col, point.row, 1.0) for point in points])
    places = np.array([(point.x, point.y) for point in points])
    middle = places.mean(axis=0)
    (solved, *_), rank = np.linalg.lstsq(ones, places - middle, rcond=None), np.linalg.matrix_rank(ones)
    (a, d), (b, e), (c, f) = solved.tolist()
    plane = Affine(a, b, c + middle[0], d, e, f + middle[1])
    if rank < 3 or plane.is_degenerate:
        return None, math.inf
    back = ~plane
    misses = [math.hypot(*np.subtract(back @ (point.x, point.y), (point.col, point.row))) for point in points]
    return plane, max(misses)


@lru_cache(maxsize=32)
def _is_in_degrees(crs_wkt: str) -> bool:
    crs = CRS.from_wkt(crs_wkt)
    return bool(crs.is_geographic) and math.isclose(crs.units_factor[1], math.pi / 180, rel_tol=1e-6)


@lru_cache(maxsize=32)
def _from_degrees(crs_wkt: str) -> Transformer:
    return Transformer.from_crs("EPSG:4326", crs_wkt, always_xy=True)


@lru_cache(maxsize=32)
def _to_degrees(crs_wkt: str) -> Transformer:
    """Build a transformer to longitude and latitude; cached, since building takes longer than using.

    Safe in threads.
    """
    return Transformer.from_crs(crs_wkt, "EPSG:4326", always_xy=True)


def _outline(width_px: int, height_px: int) -> tuple[Degrees, Degrees]:
    """Sample points along the four sides, once round from the upper left corner: columns and rows, (n,) each."""
    share = np.arange(_POINTS_PER_SIDE - 1) / (_POINTS_PER_SIDE - 1)
    zero, one = np.zeros_like(share), np.ones_like(share)
    columns = np.concatenate([share, one, 1 - share, zero]) * width_px
    rows = np.concatenate([zero, share, one, 1 - share]) * height_px
    return columns, rows


def _crs_beside(path: Path) -> CRS | None:
    """Read the coordinate system in the .prj file beside a picture; GDAL reads the world file but not this."""
    try:
        with open_plain(path.with_suffix(".prj")) as file:
            text = file.read(_MAX_PRJ_BYTES).decode()
        return None if names_other_files(text) else CRS.from_wkt(text, morph_from_esri_dialect=True)
    except (OSError, ValueError):  # ValueError: no text, or no coordinate system
        return None


def _half_a_claim(data: rasterio.DatasetReader, has_crs: bool, placed: bool) -> str:
    """Explain in one sentence what is missing of a raster's place; "" where it claims none."""
    if placed:
        return "The raster has a geotransform but names no coordinate system; set one, or add a .prj file beside it."
    if data.gcps[0]:
        return _POINTS_MISS
    if data.rpcs is not None:
        return (
            "The raster is placed by a camera model alone (RPC), which needs the heights of the ground; "
            "orthorectify it first, as by gdalwarp -rpc -to RPC_DEM=heights.tif."
        )
    return "The raster names a coordinate system but not where its pixels lie; set its geotransform." if has_crs else ""
