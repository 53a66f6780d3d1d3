"""Windows of a semantic localization: SeLo's two diagonal grids per window size.

SeLo is Yuan et al., Learning to Evaluate Performance of Multi-modal Semantic Localization, TGRS 2022.

For a window of s px the first grid starts at (0, 0) and the second at (s/2, s/2); both advance by s in x and y, and a
window that would pass the border is moved back to end there. A window that comes out twice counts once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lrsclip.errors import PictureError

Boxes = npt.NDArray[np.int64]

SELO_SCALES_PX = (256, 512, 768)
SELO_SHORT_SIDE_PX = 1024  # from here on SeLo's own sizes are used; below, the same fractions of the short side
MIN_WINDOW_PX = 48  # smaller windows hold too little for a 224 px encoder to see
MIN_SCENE_PX = 16
MAX_WINDOWS = 100_000  # about forty minutes of encoding on two cores: more is a mistake, not a wish


def check_scene_size(width_px: int, height_px: int) -> None:
    """Refuse scenes that no window can look at.

    Raises:
        PictureError: a side is shorter than `MIN_SCENE_PX`.
    """
    if min(width_px, height_px) < MIN_SCENE_PX:
        raise PictureError(
            f"the scene is {width_px} x {height_px} px; give one with at least {MIN_SCENE_PX} px on each side"
        )


def automatic_scales(width_px: int, height_px: int) -> tuple[int, ...]:
    """Choose window sizes for a scene: SeLo's 256, 512 and 768 px, or the same shares of a short side below 1024 px.

    Returns:
        Sizes in px, ascending, each at least 48 px (or the whole short side, if that is less), none twice.
    """
    short_px = min(width_px, height_px)
    if short_px >= SELO_SHORT_SIDE_PX:
        return SELO_SCALES_PX
    wished = (short_px * scale_px // SELO_SHORT_SIDE_PX for scale_px in SELO_SCALES_PX)
    return tuple(sorted({min(short_px, max(MIN_WINDOW_PX, size_px)) for size_px in wished}))


def check_scales(width_px: int, height_px: int, scales_px: Sequence[int]) -> None:
    """Refuse window sizes that no window of a scene can have.

    Raises:
        PictureError: the scene is too small, there is no size, or one is less than 1 px or longer than the short side.
    """
    check_scene_size(width_px, height_px)
    short_px = min(width_px, height_px)
    if not scales_px or not all(1 <= size_px <= short_px for size_px in scales_px):
        raise PictureError(
            f"window sizes {tuple(scales_px)} do not fit a scene of {width_px} x {height_px} px; "
            f"give sizes from 1 to {short_px} px, or none for automatic ones"
        )


def windows_at_most(width_px: int, height_px: int, scales_px: Sequence[int]) -> int:
    """Bound the number of a scene's windows, counting duplicates twice; none is laid out."""
    return sum(2 * -(-width_px // size_px) * -(-height_px // size_px) for size_px in scales_px)


def window_boxes(width_px: int, height_px: int, scales_px: Sequence[int]) -> Boxes:
    """Lay out all windows of a scene.

    Args:
        width_px: the scene's width.
        height_px: the scene's height.
        scales_px: window sizes, each at most the scene's short side.

    Returns:
        (N, 4) int64 left, top, right, bottom in px (right and bottom exclusive), from the top down, without duplicates.
        Together they cover every pixel.

    Raises:
        PictureError: the scene is too small, a size does not fit it, or there would be more than `MAX_WINDOWS` windows.
    """
    check_scales(width_px, height_px, scales_px)
    expected = windows_at_most(width_px, height_px, scales_px)
    if expected > MAX_WINDOWS:
        raise PictureError(
            f"the scene needs {expected} windows, more than {MAX_WINDOWS}; give larger windows or a smaller scene"
        )
    grids = [_grid(width_px, height_px, s, offset) for s in scales_px for offset in (0, s - s // 2)]
    top, left, size = np.unique(np.concatenate(grids), axis=0).T
    return np.stack([left, top, left + size, top + size], axis=1)


def _grid(width_px: int, height_px: int, size_px: int, offset_px: int) -> Boxes:
    """Lay out one grid as (N, 3) int64 rows of top, left, size."""
    tops = _starts(height_px, size_px, offset_px)
    lefts = _starts(width_px, size_px, offset_px)
    top, left = (axis.ravel() for axis in np.meshgrid(tops, lefts, indexing="ij"))
    return np.stack([top, left, np.full_like(top, size_px)], axis=1)


def _starts(extent_px: int, size_px: int, offset_px: int) -> Boxes:
    return np.minimum(np.arange(offset_px, extent_px, size_px, dtype=np.int64), extent_px - size_px)
