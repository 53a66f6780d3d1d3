"""Limits of the work on one scene, checked from its size alone: nothing is read or laid out before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lrsclip.errors import PictureError
from lrsclip.localize.window_encoding import DENSE_PX, MAX_ENLARGED
from lrsclip.localize.windows import windows_at_most
from lrsclip.protocols import Method

# Measured with the tiny checkpoint on a machine that did other work too, in seconds of one core: 0.18 a window that is
# encoded, 0.0024 a window that is pooled, 4.2 for a million px of the map. The two factors are below those ratios.
_POOLED_A_WINDOW, _MAPPED_PX_A_WINDOW = 15, 24_000


@dataclass(frozen=True)
class Allowance:
    """Limits of one look at a scene.

    Attributes:
        windows: encoded one by one; the dense method may pool fifteen times as many, from a map of 24,000 px for each.
        read_px: pixels of a scene.
    """

    windows: int
    read_px: int

    def check(self, method: Method, width_px: int, height_px: int, scales_px: Sequence[int]) -> None:
        """Refuse a scene that would take too long.

        Args:
            method: method that makes the vectors.
            width_px: the scene's width.
            height_px: the scene's height.
            scales_px: window sizes, as `scales_of` gives them.

        Raises:
            PictureError: the scene has too many pixels, or the sizes lead to too many windows; the message names the
                smallest size that fits.
        """
        self.check_size(width_px, height_px)
        asked = windows_at_most(width_px, height_px, scales_px)
        if self._fits(method, width_px, height_px, scales_px):
            return
        smallest = self._smallest(method, width_px, height_px)
        mend = f"the smallest window size that fits alone is {smallest} px" if smallest else "give a smaller scene"
        faster = ", and the dense method may look at more" if method == "windows" else ""
        raise PictureError(
            f"window sizes {', '.join(map(str, scales_px))} px need {asked:,} windows of a scene of {width_px:,} x "
            f"{height_px:,} px, more work than the {self._most(method):,} windows that are looked at in one go; "
            f"{mend}{faster}"
        )

    def check_size(self, width_px: int, height_px: int) -> None:
        """Refuse a scene of too many pixels.

        Raises:
            PictureError: it has too many.
        """
        if width_px * height_px > self.read_px:
            raise PictureError(
                f"the scene has {width_px:,} x {height_px:,} px; {self.read_px:,} px are looked at in one go, so cut "
                "it into parts"
            )

    def _most(self, method: Method) -> int:
        return self.windows * (_POOLED_A_WINDOW if method == "dense" else 1)

    def _fits(self, method: Method, width_px: int, height_px: int, scales_px: Sequence[int]) -> bool:
        if windows_at_most(width_px, height_px, scales_px) > self._most(method):
            return False
        if method == "windows":
            return True
        ratio = min(MAX_ENLARGED, DENSE_PX / min(scales_px))
        return width_px * height_px * ratio**2 <= self.windows * _MAPPED_PX_A_WINDOW

    def _smallest(self, method: Method, width_px: int, height_px: int) -> int | None:
        """Find the smallest size that fits alone, in px; larger ones do too. None where even the largest does not."""
        low, high = 1, min(width_px, height_px)
        if not self._fits(method, width_px, height_px, [high]):
            return None
        while low < high:
            middle = (low + high) // 2
            if self._fits(method, width_px, height_px, [middle]):
                high = middle
            else:
                low = middle + 1
        return low
