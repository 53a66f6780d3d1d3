"""The heat-map that the SeLo metrics are defined on, step by step, each of which can be switched off by name.

Yuan et al., Learning to Evaluate Performance of Multi-modal Semantic Localization, TGRS 2022, in the form of their tool
and of RS5M's. Published figures come from all steps together (`standard`). OpenCV's bicubic (no smoothing when it
shrinks) and JPEG at its quality of 95 are part of that, and so is its median, which repeats the border pixel.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from lrsclip.errors import DataError
from lrsclip.io.decode import opened
from lrsclip.localize.score_grid import CellMap, mean_over_windows
from lrsclip.localize.windows import SELO_SCALES_PX, Boxes, window_boxes
from lrsclip.protocols import Encoders

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

LEVELS = 255
JPEG_QUALITY = 95
BATCH = 64


@dataclass(frozen=True)
class SeloProtocol:
    """The steps from a scene and a sentence to a map.

    Attributes:
        name: name in a table.
        window_px: sides of the square windows, two diagonal grids each.
        crop_px: side that every window is resized to before the model's own preprocessing; None to leave it.
        crop_jpeg: whether every window is written as JPEG and read again.
        gray: whether the map is cut to 256 levels; the next two steps need it.
        median_px: odd side of the median filter; None for none.
        map_jpeg: whether the map is written as JPEG and read again.

    Raises:
        ValueError: an even median, or a step that needs gray levels without them.
    """

    name: str = "standard"
    window_px: tuple[int, ...] = SELO_SCALES_PX
    crop_px: int | None = 256
    crop_jpeg: bool = True
    gray: bool = True
    median_px: int | None = 251
    map_jpeg: bool = True

    def __post_init__(self) -> None:
        if self.median_px is not None and (self.median_px < 3 or self.median_px % 2 == 0):
            raise ValueError(f"a median of {self.median_px} px has no middle; give an odd size from 3, or None")
        if not self.gray and (self.median_px or self.map_jpeg):
            raise ValueError("the median and the map's JPEG work on gray levels; switch them off too, or gray on")


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        SeloProtocol(),
        SeloProtocol("no-crop-resize", crop_px=None),
        SeloProtocol("no-crop-jpeg", crop_jpeg=False),
        SeloProtocol("no-median", median_px=None),
        SeloProtocol("no-map-jpeg", map_jpeg=False),
        SeloProtocol("no-jpeg", crop_jpeg=False, map_jpeg=False),
        SeloProtocol("raw", crop_px=None, crop_jpeg=False, gray=False, median_px=None, map_jpeg=False),
    )
}


@dataclass(frozen=True, eq=False)
class SceneWindows:
    """A scene's encoded windows, for any number of sentences.

    Attributes:
        boxes_px: (N, 4) int64 left, top, right, bottom.
        vectors: (N, D) float32, L2-normalized.
        width_px: the scene's width.
        height_px: the scene's height.
    """

    boxes_px: Boxes
    vectors: Floats
    width_px: int
    height_px: int


def selo_protocol(name: str) -> SeloProtocol:
    """Look up the protocol of a name.

    Raises:
        DataError: there is none.
    """
    if name not in PROTOCOLS:
        raise DataError(f"localization protocol {name!r} is not known; there are: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def encode_scene(
    bundle: Encoders, scene: Image.Image, protocol: SeloProtocol, progress: Progress | None = None
) -> SceneWindows:
    """Cut a scene into the protocol's windows and encode each once.

    Args:
        bundle: the model.
        scene: the picture, mode RGB.
        protocol: the windows and their preparation.
        progress: called with (windows done, windows in all) after each batch.

    Raises:
        PictureError: a window is larger than the scene.
    """
    boxes_px = window_boxes(*scene.size, protocol.window_px)
    parts = []
    for start in range(0, len(boxes_px), BATCH):
        boxes = boxes_px[start : start + BATCH].tolist()
        parts.append(bundle.encode_image([_window(scene, (x0, y0, x1, y1), protocol) for x0, y0, x1, y1 in boxes]))
        if progress is not None:
            progress(min(start + BATCH, len(boxes_px)), len(boxes_px))
    return SceneWindows(boxes_px, np.concatenate(parts), *scene.size)


def selo_map(windows: SceneWindows, text_vector: Floats, protocol: SeloProtocol) -> Floats:
    """Compute the map of one sentence, (H, W) float32 in [0, 1].

    Args:
        windows: the encoded scene.
        text_vector: (D,) L2-normalized.
        protocol: the same that the scene was encoded with.
    """
    scores_cos = windows.vectors @ text_vector
    cells = mean_over_windows(windows.boxes_px, scores_cos, windows.width_px, windows.height_px)
    return finished_map(cells, protocol)


def finished_map(cells: CellMap, protocol: SeloProtocol) -> Floats:
    """Apply the protocol to mean cosines: (H, W) float32 in [0, 1]; a map without any contrast becomes 0."""
    shares = min_max(cells.values_cos)
    if not protocol.gray:
        return dataclasses.replace(cells, values_cos=shares.astype(np.float32)).per_pixel()
    levels = np.floor(LEVELS * shares).astype(np.float32)  # per cell, which is the same and much less work
    gray: npt.NDArray[Any] = dataclasses.replace(cells, values_cos=levels).per_pixel().astype(np.uint8)
    if protocol.median_px is not None:
        gray = cv2.medianBlur(gray, protocol.median_px)
    if protocol.map_jpeg:
        gray = np.asarray(cv2.imdecode(np.frombuffer(_jpeg(gray), np.uint8), cv2.IMREAD_GRAYSCALE))
    return gray.astype(np.float32) / np.float32(LEVELS)


def min_max(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Scale values to 0..1; all 0 where there is no contrast."""
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return np.zeros(values.shape)
    return (values.astype(np.float64) - low) / (high - low)


def _window(scene: Image.Image, box_px: tuple[int, int, int, int], protocol: SeloProtocol) -> Image.Image:
    """Cut out one window and prepare it as the protocol demands."""
    crop = scene.crop(box_px)
    if protocol.crop_px is not None:
        side = (protocol.crop_px, protocol.crop_px)
        crop = Image.fromarray(cv2.resize(np.asarray(crop), side, interpolation=cv2.INTER_CUBIC).astype(np.uint8))
    if protocol.crop_jpeg:
        bgr = np.ascontiguousarray(np.asarray(crop)[:, :, ::-1])  # OpenCV's order of colors
        with opened(io.BytesIO(_jpeg(bgr))) as stored:
            crop = stored.convert("RGB")
    return crop


def _jpeg(pixels: npt.NDArray[Any]) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
