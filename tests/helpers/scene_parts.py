"""Pixels, and rasters on disk, for the tests of scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

from lrsclip.localize.scene import Scene

WIDE_PX, HIGH_PX = 90, 70
UTM = from_origin(500_000, 4_588_000, 2, 2)
Bytes = NDArray[np.uint8]


def noise(*shape: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(1, 256, shape or (HIGH_PX, WIDE_PX, 3), dtype=np.uint8)


def smooth(high_px: int = 256, wide_px: int = 320) -> Bytes:
    """Slow waves: what any sound way of shrinking leaves as they are."""
    y, x = np.mgrid[:high_px, :wide_px]
    waves = [np.sin(x / (40 + 9 * band)) + np.cos(y / (50 + 7 * band)) for band in range(3)]
    return np.rint(np.stack(waves, axis=2) * 50 + 128).astype(np.uint8)


def write_raster(
    path: Path, values: NDArray[Any], *, alpha: bool = False, mask: Bytes | None = None, **more: Any
) -> Path:
    """An (H, W, bands) array as GeoTIFF, at 500 km east, 4,588 km north of UTM 10 south if no place is given."""
    high, wide, count = values.shape
    facts = {"driver": "GTiff", "crs": "EPSG:32710", "transform": UTM, "dtype": values.dtype, **more}
    if alpha:
        facts["alpha"] = "yes"
    inside = rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True)
    with inside, rasterio.open(path, "w", width=wide, height=high, count=count, **facts) as data:
        data.write(values.transpose(2, 0, 1))
        if mask is not None:
            data.write_mask(mask)
    return path


def whole(scene: Scene) -> Bytes:
    return scene.read((0, 0, scene.width_px, scene.height_px))
