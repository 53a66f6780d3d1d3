"""Scenes and their two kinds: a picture in memory, and a raster that stays on disk."""

from __future__ import annotations

import hashlib
import operator
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Interleaving
from rasterio.io import DatasetReader
from rasterio.windows import Window

from lrsclip.errors import Cancelled, PictureError
from lrsclip.io.georeference import GeoReference
from lrsclip.io.look import LOOKS, Look
from lrsclip.io.raster import data_mask, may_have_gaps, read_rgb, resized
from lrsclip.io.raster_file import RASTER_FAULTS, RasterFile, damaged
from lrsclip.localize.embedding_cache import scene_sha256

T = TypeVar("T")

Box = tuple[int, int, int, int]
Place = tuple[GeoReference | None, str]

_REDUCING_GAP = 1.1  # whole-number reduction first: three times as fast, and antialiased as well
_NO_LIMIT_PX = 2**62
_AT_ONCE_PX, _AT_ONCE_BYTES = (
    16_000_000,
    48 * 2**20,
)  # of a raster: less than GDAL's cache, so that no block is decoded twice
_MASK_PX = 256  # side of the decimated mask that a share is counted on
_MAX_MASK_PX = 16_000_000  # of the mask of a whole scene, from which the shares of many windows are counted
_STRIP_ROWS = 512


class Scene(ABC):
    """A scene that is read by windows; from several threads at once if need be.

    Attributes:
        width_px: its width.
        height_px: its height.
        georeference: its place on Earth; None where that is not known.
        place_note: one sentence on why there is no place although the file claims one; else "".
        stop: set it to end the reading early, of a large part and of one after the other; None to read them to the end.
        has_gaps: whether some pixels may hold no data; False means that all do hold some.
        summary: which bands are shown, and how: "bands 4, 3, 2; stretched 2-98 %".
    """

    def __init__(self, name: str, size_px: tuple[int, int], has_gaps: bool, place: Place, summary: str) -> None:
        self.width_px, self.height_px = size_px
        self.has_gaps = has_gaps
        self.summary = summary
        self.georeference, self.place_note = place
        self._name = name
        self._closed = False
        self.stop: threading.Event | None = None
        self._at_once_px = _NO_LIMIT_PX

    @property
    def lasting(self) -> bool:
        """Whether it is a file that users will ask about again, so that its vectors are worth keeping on disk."""
        return False

    @property
    @abstractmethod
    def sha256(self) -> str:
        """Hash of the pixels, or of a raster's file and the chosen bands; computed once."""

    def read(self, box_px: Box, size_px: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Read part of the scene in color.

        Args:
            box_px: left, top, right and bottom, right and bottom exclusive, inside the scene.
            size_px: width and height to resample to, smoothed where that is smaller; None for the scene's own pixels.

        Returns:
            (height, width, 3) RGB uint8; pixels without data are black.

        Raises:
            PictureError: the box or the size is none, the scene is closed, or its file is gone or damaged.
            Cancelled: `stop` was set.
        """
        box = self._checked(box_px)
        self._check_stop()
        if size_px is None:
            return self._read(box, None)
        wide, high = (operator.index(px) for px in size_px)
        if min(wide, high) < 1:
            raise PictureError(f"a window cannot be {wide} x {high} px; give a size of 1 px or more")
        area_px = (box[2] - box[0]) * (box[3] - box[1])
        if area_px <= self._at_once_px or area_px <= wide * high:
            return self._read(box, (wide, high))
        return self._in_strips(box, (wide, high), -(-area_px // self._at_once_px))

    def _check_stop(self) -> None:
        if self.stop is not None and self.stop.is_set():
            raise Cancelled("reading the scene was stopped")

    def _in_strips(self, box: Box, size_px: tuple[int, int], count: int) -> NDArray[np.uint8]:
        """Read a large part strip by strip, so that memory stays small and `stop` is heard."""
        left, top, right, bottom = box
        wide, high = size_px
        whole = np.empty((high, wide, 3), np.uint8)
        rows = np.linspace(0, high, min(high, count) + 1).round().astype(int).tolist()
        for first, last in pairwise(rows):
            self._check_stop()
            above, below = (top + round(row * (bottom - top) / high) for row in (first, last))
            whole[first:last] = self._read((left, above, right, max(below, above + 1)), (wide, last - first))
        return whole

    def data_share(self, box_px: Box) -> float:
        """Compute the share of a window's pixels that hold data, 0 to 1; sample large windows of a raster.

        Raises:
            PictureError: as `read`.
        """
        box = self._checked(box_px)
        return self._share(box) if self.has_gaps else 1.0

    def data_shares(self, boxes_px: NDArray[np.int64]) -> NDArray[np.float64]:
        """Compute the shares of many windows, (N,), from one look at the whole scene's mask.

        Args:
            boxes_px: (N, 4) left, top, right, bottom.

        Raises:
            PictureError: as `read`.
            Cancelled: `stop` was set.
        """
        if not self.has_gaps or not len(boxes_px):
            return np.ones(len(boxes_px))
        shrink = min(1.0, (_MAX_MASK_PX / (self.width_px * self.height_px)) ** 0.5)
        wide, high = max(1, round(self.width_px * shrink)), max(1, round(self.height_px * shrink))
        sums = np.zeros((high + 1, wide + 1), np.int32)
        # In the order of the file, so that no block is decoded twice, and strip by strip, so that `stop` is heard.
        rows = [*range(0, high, max(1, round(_STRIP_ROWS * shrink))), high]
        for first, last in pairwise(rows):
            self._check_stop()
            above, below = (round(row * self.height_px / high) for row in (first, last))
            box = self._checked((0, above, self.width_px, max(below, above + 1)))
            sums[first + 1 : last + 1, 1:] = self._mask(box, (wide, last - first)).cumsum(axis=1, dtype=np.int32)
        np.cumsum(sums, axis=0, out=sums)
        edges = boxes_px * np.array([wide / self.width_px, high / self.height_px] * 2)
        left, top = np.floor(edges[:, :2]).astype(int).T
        right, lower = np.maximum(np.ceil(edges[:, 2:]).astype(int), np.stack([left, top], axis=1) + 1).T
        right, lower = np.minimum(right, wide), np.minimum(lower, high)
        found = sums[lower, right] - sums[top, right] - sums[lower, left] + sums[top, left]
        return found / ((right - left) * (lower - top))

    def thumbnail(self, longest_px: int) -> Image.Image:
        """Shrink the whole scene to RGB, its longer side at most `longest_px`; never enlarge it.

        Raises:
            PictureError: as `read`.
        """
        share = min(1.0, longest_px / max(self.width_px, self.height_px))
        size_px = max(1, round(self.width_px * share)), max(1, round(self.height_px * share))
        return Image.fromarray(self.read((0, 0, self.width_px, self.height_px), size_px))

    def close(self) -> None:
        """Close the scene; nothing can be read afterwards."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _read(self, box: Box, size_px: tuple[int, int] | None) -> NDArray[np.uint8]: ...

    @abstractmethod
    def _share(self, box: Box) -> float: ...

    @abstractmethod
    def _mask(self, box: Box, size_px: tuple[int, int]) -> NDArray[np.bool_]:
        """Mask the pixels of a part that hold data, sampled to a size (width, height)."""

    def _checked(self, box_px: Box) -> Box:
        if self._closed:
            raise PictureError(f"{self._name} is closed; open it again")
        left, top, right, bottom = (operator.index(edge) for edge in box_px)
        if not (0 <= left < right <= self.width_px and 0 <= top < bottom <= self.height_px):
            raise PictureError(
                f"the window {(left, top, right, bottom)} does not lie in the scene of {self.width_px} x "
                f"{self.height_px} px; give left, top, right and bottom inside it"
            )
        return left, top, right, bottom


class PictureScene(Scene):
    """A picture in memory, RGB, with its mask of data `there`, (H, W) bool; None for data all over."""

    def __init__(
        self,
        name: str,
        rgb: Image.Image,
        there: NDArray[np.bool_] | None,
        place: Place = (None, ""),
        summary: str = "bands 1, 2, 3; shown as stored",
    ) -> None:
        super().__init__(name, rgb.size, there is not None, place, summary)
        self._rgb, self._there = rgb, there

    @cached_property
    def sha256(self) -> str:
        """Hash of the pixels and of their mask of data."""
        pixels = scene_sha256(self._rgb)
        if self._there is None:
            return pixels
        return hashlib.sha256(pixels.encode() + np.packbits(self._there).tobytes()).hexdigest()

    def _read(self, box: Box, size_px: tuple[int, int] | None) -> NDArray[np.uint8]:
        cut = self._rgb.crop(box)
        if size_px is None or size_px == cut.size:
            return np.array(cut)
        if self._there is None:
            return np.array(cut.resize(size_px, Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP))
        return resized(np.array(cut), self._part(box), size_px)[0]

    def _share(self, box: Box) -> float:
        return float(self._part(box).mean())

    def _mask(self, box: Box, size_px: tuple[int, int]) -> NDArray[np.bool_]:
        part = self._part(box)
        rows, columns = (np.linspace(0, part.shape[n] - 1, size_px[1 - n]).round().astype(int) for n in (0, 1))
        sampled: NDArray[np.bool_] = part[np.ix_(rows, columns)]
        return sampled

    def _part(self, box: Box) -> NDArray[np.bool_]:
        left, top, right, bottom = box
        if self._there is None:
            return np.ones((bottom - top, right - left), np.bool_)
        return self._there[top:bottom, left:right]


class RasterScene(Scene):
    """A raster that stays on disk."""

    def __init__(self, file: RasterFile, look: Look, place: Place, untrusted: bool) -> None:
        gaps, files = file.use(lambda data: (may_have_gaps(data, look), data.files))
        super().__init__(str(file.path), look.size_px, gaps, place, look.summary)
        self._file, self._look, self._untrusted = file, look, untrusted
        self._at_once_px = file.use(_fitting_px)
        self._beside = [Path(name) for name in files if Path(name) != file.path]

    @property
    def lasting(self) -> bool:
        """Whether the file is the user's own, and not sent by a stranger."""
        return not self._untrusted

    @cached_property
    def sha256(self) -> str:
        """Hash of the file and the bands; of files beside it, as masks, size and time count."""
        try:
            with self._file.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            # How a file is shown has changed over time: vectors of an earlier look do not count.
            digest.update(f":bands={self._look.bands}:{LOOKS}".encode())
            for path in sorted(self._beside):
                facts = path.stat()
                digest.update(f":{path.name}:{facts.st_size}:{facts.st_mtime_ns}".encode())
        except OSError as error:
            raise damaged(self._file.path, error) from error
        return digest.hexdigest()

    def close(self) -> None:
        """Close the file once nobody reads it."""
        super().close()
        self._file.close()

    def _read(self, box: Box, size_px: tuple[int, int] | None) -> NDArray[np.uint8]:
        return self._use(box, lambda data: read_rgb(data, self._look, _window(box), size_px)[0])

    def _share(self, box: Box) -> float:
        size_px = min(box[2] - box[0], _MASK_PX), min(box[3] - box[1], _MASK_PX)
        return float(self._mask(box, size_px).mean())

    def _mask(self, box: Box, size_px: tuple[int, int]) -> NDArray[np.bool_]:
        return self._use(box, lambda data: data_mask(data, self._look, _window(box), size_px))

    def _use(self, box: Box, work: Callable[[DatasetReader], T]) -> T:
        def checked(data: DatasetReader) -> T:
            self._checked(box)  # another thread may have closed it meanwhile
            return work(data)

        try:
            return self._file.use(checked)
        except RASTER_FAULTS as error:
            raise damaged(self._file.path, error) from error


def _fitting_px(data: DatasetReader) -> int:
    """Count the pixels of a raster that fit into GDAL's cache with all that is decoded along with them."""
    together = data.count if data.interleaving == Interleaving.pixel else 1
    each_bytes = together * max(8 if kind.startswith("complex") else np.dtype(kind).itemsize for kind in data.dtypes)
    return max(1, min(_AT_ONCE_PX, _AT_ONCE_BYTES // each_bytes))


def _window(box: Box) -> Window:
    left, top, right, bottom = box
    return Window(left, top, right - left, bottom - top)
