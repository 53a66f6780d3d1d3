"""A scene's embeddings, part by part: the choice of its boxes, and the making of their vectors.

Two methods. `windows` is SeLo's: every window is cut out, resized and encoded by itself. `dense` looks at the scene
once: the small model's trunk makes a map of it, from which windows are pooled (`models.dense`); a ViT reads a few
large crops and gives a vector to each of their patches. Both hand over boxes and vectors, so all that follows is the
same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from lrsclip.errors import PictureError
from lrsclip.io.raster import starts
from lrsclip.localize.scene import Scene
from lrsclip.localize.windows import MIN_WINDOW_PX, Boxes, automatic_scales, check_scales, window_boxes
from lrsclip.models.config import TRUNK_STRIDE_PX as STRIDE_PX
from lrsclip.protocols import METHODS, DenseEncoders, Encoders, Method

if TYPE_CHECKING:
    pass  # which takes seconds, and is there once a model is

Floats = npt.NDArray[np.float32]

DENSE_PX = 64
"""The smallest windows are so large on the map: 4 x 4 cells of 16 px, which the pool reads as 7 x 7. At 72 px Rmi is
0.002 (mosaics) and 0.012 (atlas) higher, but then the method is not surely ten times as fast as windows."""
_DENSE_SHARES = (0.75, 1.5)  # of the smallest usual window: 192 and 384 px; the best of nine choices on two benchmarks
MAX_ENLARGED = 2.0
_BLOCK_PX = 1792  # of the map's picture: a scene of 4096 px is one block; a block needs some 400 MB while it is made
_MARGIN_PX = 48  # looked at around a block, because the trunk sees beyond a cell
_CROP_SHARES = (2.5, 5.0)  # sides of a ViT's crops in windows: two sizes, and a tenth of the number of windows
_MAX_CROP_PX = 1024  # of a window's shorter side; cosine with the full one is 0.999 and more
_MIN_DATA_SHARE = 0.1  # windows with less data than this are left out


@dataclass(frozen=True, eq=False)
class Part:
    """Boxes of a scene, (N, 4) int64 left, top, right, bottom in px, and the function that encodes them to (N, D)."""

    boxes_px: Boxes
    encode: Callable[[], Floats]


def scales_of(method: Method, width_px: int, height_px: int, wished_px: Sequence[int] | None) -> tuple[int, ...]:
    """Choose the window sizes in px, ascending.

    Args:
        method: dense has sizes of its own, smaller and only two.
        width_px: the scene's width.
        height_px: the scene's height.
        wished_px: sizes wished for, or None.

    Raises:
        PictureError: no such method, or sizes that do not fit the scene.
    """
    if method not in METHODS:
        raise PictureError(f"there is no method {method!r}; choose {' or '.join(METHODS)}")
    if wished_px is not None:
        check_scales(width_px, height_px, wished_px)
        return tuple(sorted(set(wished_px)))
    usual = automatic_scales(width_px, height_px)
    if method == "windows":
        return usual
    short_px = min(width_px, height_px)
    return tuple(sorted({min(short_px, max(MIN_WINDOW_PX, round(usual[0] * share))) for share in _DENSE_SHARES}))


def parts_of(bundle: Encoders, scene: Scene, method: Method, scales_px: tuple[int, ...], batch_size: int) -> list[Part]:
    """Divide a scene into parts, in an order that is always the same; their boxes cover everything with data.

    Raises:
        PictureError: the model has no dense method, or there would be too many windows.
    """
    if method == "windows":
        boxes_px = _with_data(scene, window_boxes(scene.width_px, scene.height_px, scales_px))
        return [
            Part(rows, _cut_out(bundle, scene, rows))
            for rows in np.split(boxes_px, range(batch_size, len(boxes_px), batch_size))
            if len(rows)
        ]
    if not isinstance(getattr(bundle, "has_trunk", None), bool):
        raise PictureError('this model has no dense method; use method="windows"')
    dense: DenseEncoders = bundle  # type: ignore[assignment]  # just looked at
    parts = _blocks(dense, scene, scales_px) if dense.has_trunk else _crops(dense, scene, scales_px, batch_size)
    return [part for part in parts if len(part.boxes_px)]


def _with_data(scene: Scene, boxes_px: Boxes) -> Boxes:
    if not scene.has_gaps:
        return boxes_px
    return boxes_px[scene.data_shares(boxes_px) >= _MIN_DATA_SHARE]


def _cut_out(bundle: Encoders, scene: Scene, boxes_px: Boxes) -> Callable[[], Floats]:
    def encode() -> Floats:
        return bundle.encode_image([_crop(scene, box) for box in boxes_px.tolist()])

    return encode


def _crop(scene: Scene, box_px: Sequence[int]) -> Image.Image:
    """Read a window for the encoder, reduced: it sees a few hundred px, and a batch of huge ones would fill memory."""
    left, top, right, bottom = box_px
    share = min(1.0, _MAX_CROP_PX / min(right - left, bottom - top))
    size_px = None if share == 1 else (round((right - left) * share), round((bottom - top) * share))
    return Image.fromarray(scene.read((left, top, right, bottom), size_px))


def _blocks(bundle: DenseEncoders, scene: Scene, scales_px: tuple[int, ...]) -> Iterator[Part]:
    """Yield one part for each block of the map: the windows that begin in it."""
    ratio = min(MAX_ENLARGED, DENSE_PX / min(scales_px))
    boxes_px = _with_data(scene, window_boxes(scene.width_px, scene.height_px, scales_px))
    across, down = (_equal(length * ratio) for length in (scene.width_px, scene.height_px))
    reach_px = round(max(scales_px) * ratio) + _MARGIN_PX  # reach of a block's windows beyond it
    for top, bottom in down:
        for left, right in across:
            begins = boxes_px[:, :2] * ratio
            inside = (begins >= (left, top)).all(axis=1) & (begins < (right, bottom)).all(axis=1)
            yield Part(
                boxes_px[inside], _pooled(bundle, scene, boxes_px[inside], (left, top, right, bottom), ratio, reach_px)
            )


def _equal(length_px: float) -> list[tuple[int, int]]:
    """Divide a length into the fewest equal blocks of at most `_BLOCK_PX`; the last one may end beyond it."""
    count = max(1, int(np.ceil(length_px / _BLOCK_PX)))
    step = int(np.ceil(length_px / count / STRIDE_PX)) * STRIDE_PX
    return [(number * step, (number + 1) * step) for number in range(count)]


def _pooled(
    bundle: DenseEncoders,
    scene: Scene,
    boxes_px: Boxes,
    block_px: tuple[int, int, int, int],
    ratio: float,
    reach_px: int,
) -> Callable[[], Floats]:
    """Map a block with the reach of its windows, and pool them; block and reach in px of the map's picture."""
    left, top, right, bottom = block_px
    wide, high = scene.width_px, scene.height_px
    x0, y0 = max(0, round((left - _MARGIN_PX) / ratio)), max(0, round((top - _MARGIN_PX) / ratio))
    x1, y1 = min(wide, round((right + reach_px) / ratio)), min(high, round((bottom + reach_px) / ratio))
    size_px = _mapped(x1 - x0, ratio), _mapped(y1 - y0, ratio)

    def encode() -> Floats:
        features = bundle.map_scene(scene.read((x0, y0, x1, y1), size_px))
        to_map = np.array([size_px[0] / (x1 - x0), size_px[1] / (y1 - y0)] * 2)
        return bundle.pool_windows(features, (boxes_px - (x0, y0, x0, y0)) * to_map)

    return encode


def _mapped(length_px: int, ratio: float) -> int:
    return max(1, round(length_px * ratio / STRIDE_PX)) * STRIDE_PX


def _crops(bundle: DenseEncoders, scene: Scene, scales_px: tuple[int, ...], batch_size: int) -> Iterator[Part]:
    """Yield one part for each batch of a ViT's crops: a box for each patch."""
    short_px = min(scene.width_px, scene.height_px)
    sizes_px = sorted({min(short_px, round(share * min(scales_px))) for share in _CROP_SHARES})
    boxes = [
        (left, top, left + size_px, top + size_px)
        for size_px in sizes_px
        for top in starts(scene.height_px, size_px, 0)
        for left in starts(scene.width_px, size_px, 0)
    ]
    crops_px = _with_data(scene, np.array(boxes, dtype=np.int64))
    side = bundle.encode_patches([Image.new("RGB", (STRIDE_PX, STRIDE_PX))]).shape[1]
    for rows in np.split(crops_px, range(batch_size, len(crops_px), batch_size)):
        yield Part(
            np.concatenate([_patches(crop, side) for crop in rows.tolist()] or [rows]),
            _read_patches(bundle, scene, rows),
        )


def _patches(crop_px: Sequence[int], side: int) -> Boxes:
    """Compute the (G * G, 4) boxes of a crop's patches, row by row; a crop of fewer px than patches has empty ones."""
    left, top, right, bottom = crop_px
    x = np.linspace(left, right, side + 1).round().astype(np.int64)
    y = np.linspace(top, bottom, side + 1).round().astype(np.int64)
    rows, columns = (part.ravel() for part in np.mgrid[:side, :side])
    return np.stack([x[columns], y[rows], x[columns + 1], y[rows + 1]], axis=1)


def _read_patches(bundle: DenseEncoders, scene: Scene, crops_px: Boxes) -> Callable[[], Floats]:
    def encode() -> Floats:
        vectors = bundle.encode_patches([_crop(scene, box) for box in crops_px.tolist()])
        return vectors.reshape(-1, vectors.shape[-1])

    return encode
