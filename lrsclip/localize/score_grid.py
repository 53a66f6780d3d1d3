"""The mean score per pixel, held exactly on the grid of window edges.

Between two neighboring edges no window begins or ends, so the map is constant there. A 10,000 x 10,000 px scene has
only about 82 x 82 such cells; the scores are summed on them with a difference array, which gives the per-pixel loop's
map in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lrsclip.localize.windows import Boxes

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CellMap:
    """A map that is constant on every cell of a grid of edges.

    Attributes:
        values_cos: (R, C) float32, one value per cell, top row first; NaN where nothing is known.
        row_edges_px: (R + 1,) int64, ascending from 0 to the scene's height.
        column_edges_px: (C + 1,) int64, ascending from 0 to the scene's width.
    """

    values_cos: Floats
    row_edges_px: Boxes
    column_edges_px: Boxes

    def per_pixel(self) -> Floats:
        """Expand the map to full size, (H, W) float32: 4 bytes a pixel, so 400 MB for 10,000 x 10,000 px."""
        rows = np.repeat(self.values_cos, np.diff(self.row_edges_px), axis=0)
        return np.repeat(rows, np.diff(self.column_edges_px), axis=1)

    def sampled(self, width_px: int, height_px: int) -> Floats:
        """Sample the map at another size, (height_px, width_px) float32: the value at each pixel's center."""
        rows = _cells_at_centers(self.row_edges_px, height_px)
        columns = _cells_at_centers(self.column_edges_px, width_px)
        return self.values_cos[np.ix_(rows, columns)]


def mean_over_windows(boxes_px: Boxes, scores_cos: Floats, width_px: int, height_px: int) -> CellMap:
    """Average for every pixel the scores of the windows that cover it.

    Args:
        boxes_px: (N, 4) int64 left, top, right, bottom; a pixel that none covers becomes NaN.
        scores_cos: (N,) one score per window.
        width_px: the scene's width.
        height_px: the scene's height.
    """
    columns = np.unique(np.concatenate([boxes_px[:, 0], boxes_px[:, 2], [0, width_px]]))
    rows = np.unique(np.concatenate([boxes_px[:, 1], boxes_px[:, 3], [0, height_px]]))
    left, right = np.searchsorted(columns, boxes_px[:, 0]), np.searchsorted(columns, boxes_px[:, 2])
    top, bottom = np.searchsorted(rows, boxes_px[:, 1]), np.searchsorted(rows, boxes_px[:, 3])

    # axis 0: summed scores, number of windows; float64 because differences of sums lose digits
    steps = np.zeros((2, len(rows), len(columns)))
    weights = np.stack([scores_cos.astype(np.float64), np.ones(len(boxes_px))])
    for row, column, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        for step, weight in zip(steps, weights, strict=True):
            np.add.at(step, (row, column), sign * weight)
    total, covering = steps.cumsum(axis=1).cumsum(axis=2)[:, :-1, :-1]
    with np.errstate(invalid="ignore"):
        mean = np.where(covering > 0.5, total / covering, np.nan)  # counts are whole but for rounding
    return CellMap(mean.astype(np.float32), rows, columns)


def _cells_at_centers(edges_px: Boxes, samples: int) -> npt.NDArray[np.intp]:
    centers_px = (np.arange(samples) + 0.5) * (float(edges_px[-1]) / samples)
    return np.searchsorted(edges_px, centers_px, side="right") - 1
