"""The parts of a heat-map that stand out, as outlines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Geod
from rasterio.features import shapes

from lrsclip.io.georeference import GeoReference
from lrsclip.localize.score_grid import CellMap

MIN_AREA_SHARE = 1e-4  # of the scene: less is a crumb between window edges, not a place
_SAMPLE_PX = 1024  # longest side of the map that the threshold is taken from
_FLAT_COS = 1e-5  # scores that differ by less differ by rounding
_EDGE_PARTS = 256  # pieces of the longest scene side: an edge that is straight in the scene is bent on the globe
_WGS84 = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Region:
    """One connected part of a scene that fits the sentence.

    Attributes:
        outline: the part in px of the scene, x to the right and y down, with its holes.
        mean_cos: mean score over its area.
        peak_cos: its highest score.
        area_px: its area in px of the scene.
        area_m2: its area on the ground; None where the scene has no place on Earth.
    """

    outline: shapely.Polygon
    mean_cos: float
    peak_cos: float
    area_px: int
    area_m2: float | None


@dataclass(frozen=True)
class Regions:
    """The parts of a map that reach a threshold.

    Attributes:
        threshold_cos: the least score of a region; NaN where the map holds no data at all.
        regions: the parts, the best mean score first.
        chosen_by: "otsu" where the map's own distribution set the threshold.
    """

    threshold_cos: float
    regions: tuple[Region, ...]
    chosen_by: Literal["otsu", "given"]


def find_regions(
    cells: CellMap,
    *,
    threshold_cos: float | None = None,
    georeference: GeoReference | None = None,
    min_area_share: float = MIN_AREA_SHARE,
) -> Regions:
    """Outline the parts of a map that reach a threshold.

    Cells that touch at a corner alone belong to different regions. NaN reaches no threshold.

    Args:
        cells: the map.
        threshold_cos: the least score of a region; None lets Otsu's method part the map's pixels in two, and a map that
            is even then has no region.
        georeference: the scene's place on Earth, for areas in square meters.
        min_area_share: parts smaller than this share of the scene are left out.
    """
    if threshold_cos is not None:
        return Regions(threshold_cos, _outlined(cells, threshold_cos, georeference, min_area_share), "given")
    chosen_cos, parted = _otsu(cells)
    regions = _outlined(cells, chosen_cos, georeference, min_area_share) if parted else ()
    return Regions(chosen_cos, regions, "otsu")


def _otsu(cells: CellMap) -> tuple[float, bool]:
    """Compute Otsu's threshold of the map's pixels, and tell whether there is anything to part.

    The threshold is put in the middle of the gap between the two parts, so that rounding moves no cell across.
    """
    width_px, height_px = int(cells.column_edges_px[-1]), int(cells.row_edges_px[-1])
    ratio = min(1.0, _SAMPLE_PX / max(width_px, height_px))
    sample = cells.sampled(max(1, round(width_px * ratio)), max(1, round(height_px * ratio)))
    known = sample[~np.isnan(sample)]
    if not known.size:
        return float("nan"), False
    low, high = float(known.min()), float(known.max())
    if high - low < _FLAT_COS:
        return high, False
    levels = ((known.astype(np.float64) - low) * (65535 / (high - low))).round().astype(np.uint16)
    level, _ = cv2.threshold(levels[None], 0, 65535, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    above = levels > level
    return (float(known[above].min()) + float(known[~above].max())) / 2, True


def _outlined(
    cells: CellMap, threshold_cos: float, georeference: GeoReference | None, min_area_share: float
) -> tuple[Region, ...]:
    """Outline the connected parts at or above a threshold, best first."""
    reaches = (cells.values_cos >= threshold_cos).astype(np.uint8)  # false for NaN
    _, labels = cv2.connectedComponents(reaches, connectivity=4, ltype=cv2.CV_32S)
    heights_px, widths_px = np.diff(cells.row_edges_px), np.diff(cells.column_edges_px)
    cell_areas_px = np.outer(heights_px, widths_px)
    inside = labels > 0
    groups = labels[inside].astype(np.int64)
    areas_px, values_cos = cell_areas_px[inside], cells.values_cos[inside].astype(np.float64)
    area_px = np.bincount(groups, areas_px)
    sum_cos = np.bincount(groups, areas_px * values_cos)
    peak_cos = np.full(len(area_px), -np.inf)
    np.maximum.at(peak_cos, groups, values_cos)

    found = []
    for shape, label in shapes(labels, mask=inside, connectivity=4):
        part = int(label)
        if area_px[part] < min_area_share * cell_areas_px.sum():
            continue
        outline = _in_pixels(shape["coordinates"], cells)
        area_m2 = None if georeference is None else _area_m2(outline, cells, georeference)
        mean_cos = float(sum_cos[part] / area_px[part])
        found.append(Region(outline, mean_cos, float(peak_cos[part]), int(area_px[part]), area_m2))
    return tuple(sorted(found, key=lambda region: (-region.mean_cos, -region.area_px)))


def _in_pixels(rings: list[list[tuple[float, float]]], cells: CellMap) -> shapely.Polygon:
    """Convert rings of cell corners (column, row) to a polygon in px of the scene: cells are not equal in size."""
    in_px = []
    for ring in rings:
        column, row = np.rint(np.array(ring)).astype(np.int64).T
        in_px.append(np.stack([cells.column_edges_px[column], cells.row_edges_px[row]], axis=1))
    return shapely.Polygon(in_px[0], in_px[1:])


def _area_m2(outline: shapely.Polygon, cells: CellMap, georeference: GeoReference) -> float | None:
    """Compute an outline's area on the ellipsoid in square meters; None where a corner has no place on it."""
    longest_px = float(max(cells.column_edges_px[-1], cells.row_edges_px[-1]))
    dense = shapely.segmentize(outline, longest_px / _EDGE_PARTS)
    exterior, *holes = (
        _ring_area_m2(shapely.get_coordinates(r), georeference) for r in (dense.exterior, *dense.interiors)
    )
    area_m2 = exterior - sum(holes)
    return area_m2 if np.isfinite(area_m2) else None


def _ring_area_m2(ring_px: npt.NDArray[np.float64], georeference: GeoReference) -> float:
    longitudes, latitudes = georeference.lonlat(ring_px[:, 0], ring_px[:, 1])
    if not (np.isfinite(longitudes).all() and np.isfinite(latitudes).all()):
        return float("nan")
    area_m2, _ = _WGS84.polygon_area_perimeter(longitudes, latitudes)
    return abs(float(area_m2))
