"""The things of one picture as a detection set marks them, checked one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from train.data.faults import Faults
from train.data.records import Facts, Thing
from train.data.sources.base import Source
from train.data.sources.files import is_text

_EDGE_PX = 1.0  # some sets count pixels from 1, some from 0
_LONG_RATIO = 1.2  # a box less long than this has no bearing to speak of
_DIGITS = 6

Corners = Sequence[tuple[float, float]]


class Marks:
    """Gathers the things of one picture; what cannot be right is a fault, and then the list is not complete."""

    def __init__(self, source: Source, size_px: tuple[int, int], faults: Faults) -> None:
        self.complete = True
        self._things: list[Thing] = []
        self._source, self._size, self._faults = source, size_px, faults

    def fits(self, width: object, height: object, where: str) -> bool:
        """Return whether the picture has the size that its boxes were drawn on, if the set says it; a fault if not."""
        said = [number for number in (width, height) if isinstance(number, (int, float)) and number > 0]
        if len(said) < 2 or tuple(said) == self._size:
            return True
        told = f"{where} is for {said[0]:g} x {said[1]:g} px, but the picture has {self._size[0]} x {self._size[1]} px"
        self._faults.add("picture of another size", f"{told}; fetch the original")
        return False

    def leave_out(self, where: str, why: str) -> None:
        """Count a thing that is left out."""
        self.complete = False
        self._faults.add("broken annotation line", f"{where}: {why}; mend or remove it")

    def add(self, name: str, corners: Corners, where: str, turned: bool = False) -> None:
        """Take a thing.

        Args:
            name: the set's name of its class.
            corners: in pixels, y downwards.
            where: file and line.
            turned: whether the corners go round an oriented box, so that they give a bearing.
        """
        width, height = self._size
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        if not all(math.isfinite(number) for number in (*xs, *ys)):
            return self.leave_out(where, "a corner is not a finite number")
        left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
        box = (_share(left, width), _share(top, height), _share(right, width), _share(bottom, height))
        if box[0] >= box[2] or box[1] >= box[3] or (turned and not _area(corners) > 0):
            return self.leave_out(where, f"{name[:60]!r} has no area inside the picture's {width} x {height} px")
        kind = self._source.words_of(name, self._faults, where) if is_text(name) else ""
        if kind is None:  # counted already
            self.complete = False
        elif not kind:
            self.leave_out(where, f"the class {name[:60]!r} has no word in it")
        else:
            edge = _EDGE_PX
            cut = left <= edge or top <= edge or right >= width - edge or bottom >= height - edge
            self._things.append(Thing(kind, box, _bearing(corners) if turned else None, cut=cut))
        return None

    def facts(self) -> Facts:
        """Return what was gathered."""
        return Facts(things=tuple(self._things), things_complete=self.complete)


def _share(at: float, whole: int) -> float:
    return round(min(max(at / whole, 0.0), 1.0), _DIGITS)


def _area(corners: Corners) -> float:
    """Return the area of an outline that does not cross itself."""
    after = (*corners[1:], corners[0])
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(corners, after, strict=True))) / 2


def _bearing(corners: Corners) -> float | None:
    """Return the bearing of an oriented box's long side, from up clockwise; None where it is nearly square."""
    a, b, c, d = corners
    # Opposite sides are taken together: hand-drawn boxes are not quite rectangles.
    one = (b[0] - a[0] + c[0] - d[0], b[1] - a[1] + c[1] - d[1])
    two = (c[0] - b[0] + d[0] - a[0], c[1] - b[1] + d[1] - a[1])
    short, long = sorted((one, two), key=lambda side: math.hypot(*side))
    if not math.hypot(*long) >= _LONG_RATIO * math.hypot(*short):
        return None
    bearing = round(math.degrees(math.atan2(long[0], -long[1])), 1) % 180
    return bearing if math.isfinite(bearing) else None
