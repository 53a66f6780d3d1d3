"""From scores to pictures: display smoothing and palettes that color-blind eyes can read."""

from __future__ import annotations

from typing import Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from lrsclip.errors import PictureError
from lrsclip.localize.score_grid import CellMap, Floats

Palette = Literal["viridis", "cividis"]

LONGEST_SIDE_PX = 640  # of the overlay: the map is smooth, so more pixels would show nothing more
_MIN_ALPHA = 0.35  # low scores let the scene through, high ones cover it
_LEGEND_STOPS = 9  # colors of the legend; the palettes are so even that a browser may fill in the rest


class Drawable(Protocol):
    """The part of a heat-map that drawing needs; `Heatmap` has it."""

    @property
    def cells(self) -> CellMap:
        """The map; NaN where the scene holds no data."""

    @property
    def width_px(self) -> int:
        """The scene's width."""

    @property
    def height_px(self) -> int:
        """The scene's height."""

    @property
    def scales_px(self) -> tuple[int, ...]:
        """Window sizes; empty where the map comes from no windows, and then it is not smoothed."""


def palette_rgb(palette: Palette = "viridis") -> npt.NDArray[np.uint8]:
    """Sample 256 colors of a palette from low to high, (256, 3) uint8."""
    from matplotlib import colormaps  # slow to import, and not needed before the first map

    return colormaps[palette](np.arange(256), bytes=True)[:, :3]


def legend_gradient(palette: Palette = "viridis") -> str:
    """Write a palette as the color stops of a CSS gradient, low to high."""
    stops = palette_rgb(palette)[np.linspace(0, 255, _LEGEND_STOPS).round().astype(int)]
    return ", ".join(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in stops)


def overlay(
    heatmap: Drawable,
    *,
    palette: Palette = "viridis",
    low_cos: float | None = None,
    high_cos: float | None = None,
    longest_px: int = LONGEST_SIDE_PX,
) -> Image.Image:
    """Colorize a heat-map: return a palette picture with transparency; pixels without data are wholly transparent.

    Args:
        heatmap: the map.
        palette: name of the colors.
        low_cos: the score of the first color; None for the lowest of the (smoothed) map.
        high_cos: the score of the last color; None for the highest. Give both and two maps share one scale.
        longest_px: the picture's longest side is at most this.

    Raises:
        PictureError: `low_cos` lies above `high_cos`.
    """
    return colorized(smoothed(heatmap, longest_px), palette=palette, low_cos=low_cos, high_cos=high_cos)


def colorized(
    values_cos: Floats, *, palette: Palette = "viridis", low_cos: float | None = None, high_cos: float | None = None
) -> Image.Image:
    """Colorize scores, (H, W), as `overlay` does; NaN is wholly transparent.

    Level 0 of the picture stands for no data, and levels 1 to 255 run from low to high.

    Raises:
        PictureError: `low_cos` lies above `high_cos`.
    """
    shares = normalized(values_cos, low_cos, high_cos)
    levels = np.where(np.isnan(shares), 0, 1 + np.nan_to_num(shares) * 254)
    picture = Image.fromarray(levels.round().astype(np.uint8), mode="P")
    picture.putpalette(palette_rgb(palette).tobytes())
    alpha = np.linspace(255 * _MIN_ALPHA, 255, 256).round().astype(np.uint8)
    alpha[0] = 0
    picture.info["transparency"] = alpha.tobytes()
    return picture


def normalized(values_cos: Floats, low_cos: float | None = None, high_cos: float | None = None) -> Floats:
    """Stretch scores to 0..1 between two ends, by default their own; an even map becomes all zero, NaN stays.

    Raises:
        PictureError: `low_cos` lies above `high_cos`.
    """
    known = values_cos[~np.isnan(values_cos)]
    if not known.size:
        return values_cos
    low = float(known.min()) if low_cos is None else low_cos
    high = float(known.max()) if high_cos is None else high_cos
    if low > high and low_cos is not None and high_cos is not None:
        raise PictureError(f"the colors would run from {low_cos} down to {high_cos}; give low_cos below high_cos")
    if high <= low:
        return np.where(np.isnan(values_cos), values_cos, np.float32(0))
    shares: Floats = (values_cos - np.float32(low)) / np.float32(high - low)
    return shares.clip(0, 1)


def smoothed(heatmap: Drawable, longest_px: int = LONGEST_SIDE_PX) -> Floats:
    """Smooth the map at display size (H', W') by a quarter of the smallest window; NaN where there is no data.

    The position of the windows' edges is an accident of the grid; without this the eye would read them as things on
    the ground.
    """
    ratio = min(1.0, longest_px / max(heatmap.width_px, heatmap.height_px))
    width, height = max(1, round(heatmap.width_px * ratio)), max(1, round(heatmap.height_px * ratio))
    values_cos = heatmap.cells.sampled(width, height)
    radius = round(min(heatmap.scales_px, default=0) * ratio / 4)
    if radius < 1:
        return values_cos
    missing = np.isnan(values_cos)
    if not missing.any():
        return _tent(values_cos, radius)
    # A mean of the known cells alone: cells without data have no weight, and stay without.
    known = _tent(np.where(missing, np.float32(0), values_cos), radius)
    weight = _tent((~missing).astype(np.float32), radius)
    return np.divide(known, weight, out=np.full_like(known, np.nan), where=~missing)


def _tent(values: Floats, radius: int) -> Floats:
    """Blur with a tent: two box means over 2 * radius + 1 pixels, so that no edges show; the border is repeated."""
    side = (2 * radius + 1, 2 * radius + 1)
    for _ in range(2):
        values = cv2.blur(values, side, borderType=cv2.BORDER_REPLICATE).astype(np.float32, copy=False)
    return values


def cell_table(cells: CellMap) -> dict[str, list[object]]:
    """List a map's exact cells, for the read-out under the pointer; None where there is no data."""
    return {
        "rows": cells.row_edges_px.tolist(),
        "columns": cells.column_edges_px.tolist(),
        "values": [[None if np.isnan(v) else round(float(v), 4) for v in row] for row in cells.values_cos],
    }
