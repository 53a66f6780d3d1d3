"""From scores to pictures: display smoothing and the viridis colours, in numpy alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from lrsclip.localize import CellMap, Heatmap

Floats = npt.NDArray[np.float32]

LONGEST_SIDE_PX = 640  # of the overlay: the map is smooth, so more pixels would show nothing more
# Nine anchors of viridis (S. van der Walt and N. Smith, CC0): even steps in lightness, safe for colour-blind eyes.
_VIRIDIS = ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725")
_LEAST_ALPHA = 0.35  # low scores let the scene through, high ones cover it


def palette_rgb() -> npt.NDArray[np.uint8]:
    """256 colours from low to high, (256, 3)."""
    anchors = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in _VIRIDIS])
    at = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, c]) for c in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def legend_gradient() -> str:
    """The palette as the colour stops of a CSS gradient, low to high."""
    return ", ".join(f"#{code}" for code in _VIRIDIS)


def overlay(heatmap: Heatmap) -> Image.Image:
    """Colourise a heat-map: a palette picture with transparency, its longest side at most `LONGEST_SIDE_PX`.

    The lowest score of the map takes the first colour, the highest the last.
    """
    shares = normalised(smoothed(heatmap))
    picture = Image.fromarray((shares * 255).round().astype(np.uint8), mode="P")
    picture.putpalette(palette_rgb().tobytes())
    alpha = np.linspace(255 * _LEAST_ALPHA, 255, 256).round().astype(np.uint8)
    picture.info["transparency"] = alpha.tobytes()
    return picture


def normalised(values: Floats) -> Floats:
    """Values stretched to 0..1; an even map becomes all zero."""
    low, high = float(values.min()), float(values.max())
    span = np.float32(high - low)
    shares: Floats = np.zeros_like(values) if span <= 0 else (values - np.float32(low)) / span
    return shares


def smoothed(heatmap: Heatmap) -> Floats:
    """The map at display size (H', W'), rounded off by a quarter of the smallest window.

    Where the windows' edges fall is an accident of the grid; without this the eye would read them as things on the
    ground.
    """
    ratio = min(1.0, LONGEST_SIDE_PX / max(heatmap.width_px, heatmap.height_px))
    width, height = max(1, round(heatmap.width_px * ratio)), max(1, round(heatmap.height_px * ratio))
    values = heatmap.cells.sampled(width, height)
    radius = round(min(heatmap.scales_px) * ratio / 4)
    for axis in (0, 1):
        for _ in range(2):  # two box filters make a tent, whose edges no longer show
            values = _box_mean(values, radius, axis)
    return values


def _box_mean(values: Floats, radius: int, axis: int) -> Floats:
    """Mean over 2 * radius + 1 neighbours along an axis, the border repeated."""
    if radius < 1:
        return values
    pad = [(0, 0), (0, 0)]
    pad[axis] = (radius + 1, radius)
    sums = np.pad(values.astype(np.float64), pad, mode="edge").cumsum(axis=axis)
    ahead = np.take(sums, np.arange(2 * radius + 1, sums.shape[axis]), axis=axis)
    behind = np.take(sums, np.arange(sums.shape[axis] - 2 * radius - 1), axis=axis)
    mean: Floats = ((ahead - behind) / (2 * radius + 1)).astype(np.float32)
    return mean


def cell_table(cells: CellMap) -> dict[str, list[object]]:
    """A map's exact cells as plain lists, for the read-out under the pointer."""
    return {
        "rows": cells.row_edges_px.tolist(),
        "columns": cells.column_edges_px.tolist(),
        "values": [[round(float(v), 4) for v in row] for row in cells.values_cos],
    }
