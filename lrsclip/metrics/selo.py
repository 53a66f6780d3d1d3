"""The SeLo metrics of a heat-map: Rsu, Ras, Rda and their weighted sum Rmi.

Yuan et al., Learning to Evaluate Performance of Multi-modal Semantic Localization, TGRS 2022. The kernels are fixed in
pixels, so figures compare only on pictures of the same size. Details that the formulas leave open follow the tool that
made the published figures:

- vertices are cut to whole pixels before a polygon is filled, and its outline counts as inside;
- a circle's center and radius are cut to whole pixels;
- the box filter reads x - 25 to x + 24 (an even kernel has no middle), mirrors at the border without repeating the
  border pixel, and rounds to 256 levels after every pass;
- the maximum filter reads x - 500 to x + 499 and nothing beyond the border;
- a component's centroid is cut to whole pixels, and a center on the rim of a circle is inside.

OpenCV does these to the last bit, and fast: at 10,000 x 10,000 px the attention centers take about six seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lrsclip.errors import DataError

Polygon = npt.NDArray[np.float64]  # (V, 2) x, y in px; not closed
Points = npt.NDArray[np.int64]  # (N, 2) x, y in px
Map = npt.NDArray[np.floating]  # (H, W) in [0, 1]
Mask = npt.NDArray[np.bool_]  # (H, W)

RSU_BETA, RSU_EPS = 0.707, 1e-7
CIRCLE_FACTOR = 1.5
BOX_PX, BOX_PASSES = 50, 5
PEAK_PX, LOWEST_PEAK = 1000, 0.5
RAS_BETA = 3.0
RDA_ETA = 0.5
WEIGHT_RSU, WEIGHT_RAS, WEIGHT_RDA = 0.40, 0.35, 0.25


@dataclass(frozen=True)
class SeloScores:
    """The metrics of one map, or their means over many.

    Attributes:
        rsu: concentration of the map's mass on the target, per area; 0 to 1, up is better.
        ras: distance of the attention centers from the targets' centers; 0 to 1, down is better.
        rda: whether the attention on a target is one center, not several; 0 to 1, up is better.
    """

    rsu: float
    ras: float
    rda: float

    @property
    def rmi(self) -> float:
        """Weighted sum Rmi, up is better; as it is linear, the Rmi of means is the mean Rmi."""
        return WEIGHT_RSU * self.rsu + WEIGHT_RAS * (1 - self.ras) + WEIGHT_RDA * self.rda

    def as_dict(self) -> dict[str, float]:
        """Name the metrics as the paper does."""
        return {"Rsu": self.rsu, "Ras": self.ras, "Rda": self.rda, "Rmi": self.rmi}


@dataclass(frozen=True)
class Circle:
    """The circle around a target that an attention center must hit, in px."""

    x_px: int
    y_px: int
    radius_px: int

    def inside(self, points_px: Points) -> tuple[Points, npt.NDArray[np.float64]]:
        """Select the (N, 2) points that lie in the circle, with their (N,) distances in px from its center."""
        distances_px = np.hypot(points_px[:, 0] - self.x_px, points_px[:, 1] - self.y_px)
        within = distances_px <= self.radius_px
        return points_px[within], distances_px[within]


def selo_scores(probability: Map, polygons: Sequence[Polygon]) -> SeloScores:
    """Score a map against the outlines of its targets.

    Args:
        probability: (H, W) in [0, 1].
        polygons: one (V, 2) outline per target, x and y in px.

    Raises:
        ValueError: the map is not (H, W) or has values outside [0, 1].
        DataError: there is no polygon, one is smaller than a pixel, or none touches the map.
    """
    if probability.ndim != 2 or not probability.size:
        raise ValueError(f"a map has the shape (H, W), not {probability.shape}")
    if not (probability.min() >= 0 and probability.max() <= 1):  # so put that NaN fails too
        raise ValueError(f"a map holds 0 to 1, not {probability.min()} to {probability.max()}")
    mask = region_mask(polygons, probability.shape[1], probability.shape[0])
    circles = [target_circle(polygon) for polygon in polygons]
    centers_px = attention_centers(probability)
    return SeloScores(
        rsu=salient_area_proportion(probability, mask),
        ras=attention_shift(circles, centers_px),
        rda=attention_focus(circles, centers_px),
    )


def mean_scores(scores: Sequence[SeloScores]) -> SeloScores:
    """Average every metric over the queries.

    Raises:
        ValueError: there are none.
    """
    if not scores:
        raise ValueError("no scores to take the mean of")
    rows = np.array([(s.rsu, s.ras, s.rda) for s in scores])
    return SeloScores(*(float(mean) for mean in rows.mean(axis=0)))


def region_mask(polygons: Sequence[Polygon], width_px: int, height_px: int) -> Mask:
    """Fill the union of polygons, (height_px, width_px) bool; leave out all parts outside the picture.

    Raises:
        DataError: nothing of them lies inside.
    """
    mask = np.zeros((height_px, width_px), np.uint8)
    for polygon in polygons:  # one by one: filled together, OpenCV would leave out where two overlap
        cv2.fillPoly(mask, [polygon.astype(np.int32)], 1)
    if not mask.any():
        raise DataError(f"no polygon touches the picture of {width_px} x {height_px} px; are they of another picture?")
    return mask.astype(np.bool_)


def target_circle(polygon: Polygon) -> Circle:
    """Compute the circle of a target: the mean of its vertices, and 1.5 times their mean distance from it, in px.

    Raises:
        DataError: the radius is under one pixel.
    """
    x_px, y_px = (int(mean) for mean in polygon.mean(axis=0))
    radius_px = int(np.hypot(polygon[:, 0] - x_px, polygon[:, 1] - y_px).mean() * CIRCLE_FACTOR)
    if radius_px < 1:
        raise DataError(f"the polygon at x {x_px}, y {y_px} is smaller than a pixel; are the points in px?")
    return Circle(x_px, y_px, radius_px)


def attention_centers(probability: Map, *, box_px: int = BOX_PX, peak_px: int = PEAK_PX) -> Points:
    """Find the attention centers of a map: the peaks that draw the eye.

    Args:
        probability: (H, W) in [0, 1].
        box_px: side of the box filter that runs five times; published figures use 50.
        peak_px: side of the square whose highest value a peak must have; published figures use 1000.

    Returns:
        (N, 2) int64 x and y in px of the peaks at which the unsmoothed map has at least 0.5; N may be 0.
    """
    smooth: npt.NDArray[Any] = (probability * 255).astype(np.uint8)
    for _ in range(BOX_PASSES):
        smooth = cv2.boxFilter(smooth, -1, (box_px, box_px), borderType=cv2.BORDER_REFLECT_101)
    highest = cv2.dilate(smooth, np.ones((peak_px, peak_px), np.uint8))
    peaks = ((smooth == highest) & (smooth > 0)).astype(np.uint8)
    centroids_px = cv2.connectedComponentsWithStats(peaks, connectivity=8)[3]
    centers_px = centroids_px[1:].astype(np.int64)  # the first component is the ground
    return centers_px[probability[centers_px[:, 1], centers_px[:, 0]] >= LOWEST_PEAK]


def salient_area_proportion(probability: Map, mask: Mask) -> float:
    """Compute Rsu: mass on the target over mass off it, times area off it over area on it, scaled to 0..1."""
    on_target = float(probability.sum(where=mask, dtype=np.float64))
    off_target = float(probability.sum(dtype=np.float64)) - on_target
    area_px = int(mask.sum())
    ratio = on_target / (off_target + RSU_EPS) * (mask.size - area_px) / area_px
    return 1 - math.exp(-RSU_BETA * ratio)


def attention_shift(circles: Sequence[Circle], centers_px: Points) -> float:
    """Compute Ras: the centers' mean distance in a circle, in radii; a circle without one counts as a whole radius.

    The paper's tool looks at the first target only where the map has no center at all; both ways give 1 then.
    """
    shifts = []
    for circle in circles:
        _, distances_px = circle.inside(centers_px)
        shifts.append(float(distances_px.mean()) / circle.radius_px if len(distances_px) else 1.0)
    return math.expm1(RAS_BETA * float(np.mean(shifts))) / math.expm1(RAS_BETA)


def attention_focus(circles: Sequence[Circle], centers_px: Points) -> float:
    """Compute Rda: 1 for a circle with one center, 0 for none, less than 1 the more and the wider they scatter."""
    focus = []
    for circle in circles:
        found_px, _ = circle.inside(centers_px)
        if len(found_px) <= 1:
            focus.append(float(len(found_px)))
            continue
        spread_px = float(np.hypot(*(found_px - found_px.mean(axis=0)).T).mean())
        focus.append(0.5 * (1 - spread_px / circle.radius_px) + math.exp(-RDA_ETA * (len(found_px) + 2)))
    return float(np.mean(focus))
