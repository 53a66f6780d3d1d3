"""Strangers' pictures of costly kinds written anew as PNG or GeoTIFF, in a process of its own.

OpenJPEG and the decoder of AVIF have long lists of faults. So they run where a fault costs one child process, and once:
what is kept is a file of a plain kind, without the metadata of its maker.
"""

from __future__ import annotations

import io
from contextlib import closing, suppress
from typing import Any

import rasterio
from rasterio.enums import MaskFlags
from rasterio.io import MemoryFile
from rasterio.windows import Window

from lrsclip.errors import PictureError
from lrsclip.io.decode import DECODE_FAULTS, opened, unreadable, upright
from lrsclip.io.encode import encoded
from lrsclip.io.kinds import HEAD_BYTES, kind_of
from lrsclip.io.raster_file import RASTER_FAULTS, open_raster_bytes
from lrsclip.io.raster_limits import check_total, item_bytes

RECODED = frozenset({"JPEG 2000", "AVIF", "GIF", "BMP"})
"""Kinds of pictures, as `kind_of` calls them, that are kept in another one."""
_ROWS, _BLOCK_PX = 512, 256
_MAX_KEPT_BYTES = 512 * 2**20  # of pixels: a Sentinel-2 tile has 345 MiB in three bands of 8 bits


def recode_task(_request: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """Write a picture anew: JPEG 2000 as GeoTIFF with all its bands and its place, others as PNG.

    Returns:
        {"suffix": ".tif" or ".png"}, and the new file.

    Raises:
        PictureError: it is damaged, or holds more than a picture of its size can.
    """
    if kind_of(content[:HEAD_BYTES]) == "JPEG 2000":
        return {"suffix": ".tif"}, _as_tiff(content)
    return {"suffix": ".png"}, _as_png(content)


def _as_png(content: bytes) -> bytes:
    try:
        with opened(io.BytesIO(content)) as stored:
            stored.load()
            turned = upright(stored)
            plain = turned.convert("RGBA" if turned.has_transparency_data else "RGB")
    except DECODE_FAULTS as error:
        raise unreadable("the upload", error) from error
    plain.info.clear()
    return encoded(plain, "PNG")


def _as_tiff(content: bytes) -> bytes:
    try:
        with closing(open_raster_bytes(content, "the upload")) as file:
            return file.use(lambda data: _copied(data, content))
    except RASTER_FAULTS as error:
        raise unreadable("the upload", error) from error


def _copied(data: rasterio.DatasetReader, content: bytes) -> bytes:
    check_total(io.BytesIO(content), "the upload", len(content), data)
    if data.width * data.height * data.count * item_bytes(data.dtypes[0]) > _MAX_KEPT_BYTES:
        raise PictureError("the upload is too large a JPEG 2000 to be kept; cut it, or save it as GeoTIFF")
    if len(set(data.dtypes)) > 1:
        raise PictureError("the upload has bands of different types; save it as GeoTIFF, as by gdal_translate")
    facts = {
        "driver": "GTiff", "width": data.width, "height": data.height, "count": data.count, "dtype": data.dtypes[0],
        "crs": data.crs, "transform": data.transform, "nodata": data.nodata, "compress": "deflate", "zlevel": 1,
        "tiled": True, "blockxsize": _BLOCK_PX, "blockysize": _BLOCK_PX, "interleave": "pixel",
    }  # fmt: skip
    bits = data.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", "")
    if bits.isdecimal() and int(bits) < 8 * item_bytes(data.dtypes[0]):
        facts["nbits"] = int(bits)  # without it 12 bits would be shown as 16, as good as black
    with MemoryFile() as memory, rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with memory.open(**facts) as new:
            new.colorinterp = data.colorinterp
            if any(data.descriptions):
                new.descriptions = data.descriptions
            with suppress(ValueError):  # it has no table of colors
                new.write_colormap(1, data.colormap(1))
            if MaskFlags.per_dataset in data.mask_flag_enums[0] and MaskFlags.alpha not in data.mask_flag_enums[0]:
                new.write_mask(data.dataset_mask())
            for top in range(0, data.height, _ROWS):
                strip = Window(0, top, data.width, min(_ROWS, data.height - top))
                new.write(data.read(window=strip), window=strip)
        return bytes(memory.getbuffer())
