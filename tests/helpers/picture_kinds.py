"""Small picture and raster files of many kinds, each with the pixels that every door should show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

HIGH, WIDE = 48, 64
Y, X = np.mgrid[:HIGH, :WIDE]
RGB = np.stack([X * 3, Y * 3 + 60, 220 - X * 2]).clip(0, 255).astype(np.uint8)
"""(3, H, W): red grows to the right, green downward, blue to the left."""
REFLECTANCE = RGB.astype(np.uint16) * 12 + 300
ALPHA = np.where(X < WIDE // 2, 0, 255).astype(np.uint8)[None]
NEAR_INFRARED = (40 + X * 2 + Y).astype(np.uint8)[None]
PLACE: dict[str, Any] = {"crs": "EPSG:32632", "transform": from_origin(5e5, 5e6, 10, 10)}


def write(
    path: Path,
    values: NDArray[Any],
    *,
    names: tuple[str, ...] = (),
    colors: tuple[ColorInterp, ...] = (),
    tags: tuple[dict[str, str], ...] = (),
    mask: NDArray[np.uint8] | None = None,
    inside: bool = True,
    **facts: Any,
) -> Path:
    """Write (bands, H, W) values with rasterio, as GeoTIFF by default."""
    count, high, wide = values.shape
    facts = {"driver": "GTiff", "dtype": values.dtype, **facts}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside):
        with rasterio.open(path, "w", count=count, height=high, width=wide, **facts) as data:
            data.write(values)
            if mask is not None:
                data.write_mask(mask)
        if names or colors or tags:
            with rasterio.open(path, "r+") as data:
                if names:
                    data.descriptions = names
                if colors:
                    data.colorinterp = colors
                for number, told in enumerate(tags, 1):
                    data.update_tags(number, **told)
    return path


def _picture(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(RGB.transpose(1, 2, 0)).convert(mode)


def _rasters() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    deep, four = REFLECTANCE, np.concatenate([REFLECTANCE, REFLECTANCE[:1]])
    gone = np.where(Y < 16, -9999, RGB[:1] / 12 + 200).astype(np.float32)
    hole = np.where(Y < 16, np.nan, deep / 1e4).astype(np.float32)
    masked = np.where(Y < 16, 0, 255).astype(np.uint8)
    return {
        "rgb.tif": (RGB, {}),
        "rgb16.tif": (deep, {"photometric": "RGB"}),
        "rgbn16.tif": (four, {"photometric": "RGB"}),
        "big_endian.tif": (deep, {"ENDIANNESS": "BIG"}),
        "bigtiff_big_endian.tif": (deep, {"ENDIANNESS": "BIG", "BIGTIFF": "YES"}),
        "planar.tif": (deep, {"interleave": "band"}),
        "tiled.tif": (deep, {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}),
        "bits12.tif": (deep, {"nbits": 12}),
        "signed.tif": (deep.astype(np.int16) - 900, {}),
        "unsigned32.tif": (deep.astype(np.uint32) * 1000, {}),
        "share.tif": ((deep / 1e4).astype(np.float32), {"predictor": 3, "compress": "deflate"}),
        "reflectance.tif": (deep.astype(np.float32), {}),
        "double.tif": (deep / 1e4, {}),
        "radar_db.tif": ((np.log10(deep[:2] / 1e4) * 10).astype(np.float32), {}),
        "sentinel13.tif": (np.concatenate([deep] * 5)[:13], {}),
        "lerc.tif": (RGB, {"compress": "LERC"}),
        "zstd.tif": (deep, {"compress": "ZSTD"}),
        "webp.tif": (RGB, {"compress": "WEBP"}),
        "jpeg.tif": (RGB, {"compress": "JPEG"}),
        "ycbcr.tif": (RGB, {"compress": "JPEG", "photometric": "YCBCR"}),
        "nodata.tif": (gone, {"nodata": -9999}),
        "nan.tif": (hole, {}),
        "mask.tif": (RGB, {"mask": masked}),
        "mask_beside.tif": (RGB, {"mask": masked, "inside": False}),
        "alpha.tif": (np.concatenate([RGB, ALPHA]), {}),
        "alpha_of_five.tif": (
            np.concatenate([RGB, NEAR_INFRARED, ALPHA]),
            {"colors": (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.nir, ColorInterp.alpha)},
        ),
        "near_infrared.tif": (np.concatenate([RGB, NEAR_INFRARED]), {}),
        "gray_alpha.tif": (np.concatenate([RGB[:1], ALPHA]), {"alpha": "yes"}),
        "cmyk.tif": (np.concatenate([255 - RGB, RGB[:1] * 0]), {"photometric": "CMYK"}),
        "cmyk16.tif": (np.concatenate([255 - RGB, RGB[:1] * 0]).astype(np.uint16) * 257, {"photometric": "CMYK"}),
        "planet.tif": (np.concatenate([deep[::-1], deep[:1]]), {"names": ("blue", "green", "red", "nir")}),
        "palette_without_table.tif": (RGB[:1] // 37, {"colors": (ColorInterp.palette,)}),
        "deep.png": (deep, {"driver": "PNG"}),
        "deep_alpha.png": (np.concatenate([deep, ALPHA.astype(np.uint16) * 257]), {"driver": "PNG"}),
        "deep_gray.png": (deep[:1], {"driver": "PNG"}),
        "deep_gray_alpha.png": (np.concatenate([deep[:1], ALPHA.astype(np.uint16) * 257]), {"driver": "PNG"}),
        "cmyk_jpeg.tif": (np.concatenate([255 - RGB, RGB[:1] * 0]), {"photometric": "CMYK", "compress": "JPEG"}),
        "paper.tif": (RGB[:1], {"photometric": "MINISWHITE"}),
        "int8.tif": ((RGB // 2).astype(np.int8), {}),
        "int64.tif": (deep.astype(np.int64) * 10**12, {}),
        "float16.tif": ((deep / 1e4).astype(np.float32), {"nbits": 16}),
        "lerc_deflate.tif": (deep.astype(np.float32), {"compress": "LERC_DEFLATE"}),
        "gray_alpha.jp2": (np.concatenate([RGB[:1], ALPHA]), {"driver": "JP2OpenJPEG", "REVERSIBLE": "YES"}),
        "deep.jp2": (deep, {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"}),
        "bits12.jp2": (deep // 4, {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES", "NBITS": "12"}),
        "plain.jp2": (RGB, {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"}),
    }


def _pictures() -> dict[str, Callable[[Path], None]]:
    turned = Image.Exif()
    turned[0x0112] = 6
    clear = _picture("RGBA")
    clear.putalpha(Image.fromarray(ALPHA[0] // 2))
    second = Image.new("RGB", (WIDE, HIGH), (9, 9, 9))
    return {
        "plain.jpg": lambda path: _picture().save(path, quality=95),
        "turned.jpg": lambda path: _picture().save(path, exif=turned),
        "cmyk.jpg": lambda path: _picture("CMYK").save(path),
        "mpo.jpg": lambda path: _picture().save(path, "MPO", save_all=True, append_images=[second]),
        "turned_deep.png": lambda path: Image.fromarray(REFLECTANCE[0]).save(path, exif=turned),
        "fax.tif": lambda path: _picture("1").save(path, compression="group4"),
        "packbits.tif": lambda path: _picture().save(path, compression="packbits"),
        "palette_alpha.tif": lambda path: _picture("P").convert("PA").save(path),
        "turned.tif": lambda path: _picture().save(path, exif=turned),
        "turned_deep.tif": lambda path: Image.fromarray(REFLECTANCE[0]).save(path, tiffinfo={274: 7}),
        "two_pages.tif": lambda path: _picture().save(path, save_all=True, append_images=[second]),
        "bits.tif": lambda path: _picture("1").save(path),
        "palette.tif": lambda path: _picture("P").save(path),
        "lab.tif": lambda path: Image.new("LAB", (WIDE, HIGH), (150, 128, 128)).save(path),
        "plain.png": lambda path: _picture().save(path),
        "palette.png": lambda path: _picture("P").save(path, transparency=3),
        "clear.png": lambda path: clear.save(path),
        "gray_alpha.png": lambda path: clear.convert("LA").save(path),
        "clear.webp": lambda path: clear.save(path, lossless=True),
        "moving.webp": lambda path: _picture().save(path, save_all=True, append_images=[second], lossless=True),
        "moving.png": lambda path: _picture().save(path, save_all=True, append_images=[second]),
        "moving.gif": lambda path: _picture("P").save(path, save_all=True, append_images=[second.convert("P")]),
        "plain.bmp": lambda path: _picture().save(path),
        "palette.bmp": lambda path: _picture("P").save(path),
        "plain.avif": lambda path: _picture().save(path, quality=90),
    }


NAMES = (*_rasters(), *_pictures())
"""Names of all kinds, by which `make` writes one."""


def make(name: str, folder: Path) -> Path:
    """Write a file of a kind to a folder."""
    if name in _pictures():
        _pictures()[name](folder / name)
        return folder / name
    values, facts = _rasters()[name]
    placed = PLACE if name.endswith(".tif") else {}
    return write(folder / name, values, **placed, **facts)
