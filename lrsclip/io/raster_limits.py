"""Limits of rasters whose makers nobody knows: what one costs to read, told before any of its pixels is decoded."""

from __future__ import annotations

import numpy as np
import rasterio
from rasterio.enums import Interleaving

from lrsclip.errors import PictureError
from lrsclip.io.tiff_tags import Source, shares_pieces

_MAX_STRANGERS_BYTES = 3 * 2**29  # of pixels, unpacked: Sentinel-2's 10,980 px a side in four bands have 0.9
_MAX_PACKED, _SLACK_BYTES = 2_000, 64 * 2**20  # deflate packs a thousandfold at most; nearly empty rasters more


def together(data: rasterio.DatasetReader, most: int | None = None) -> int:
    """Count the bands that are decoded together: all where they lie pixel by pixel, else `most`, 1 by default."""
    return data.count if data.interleaving == Interleaving.pixel else min(data.count, most or 1)


def item_bytes(kind: str) -> int:
    """Count the bytes of a value of one of rasterio's types."""
    return np.dtype(kind.replace("complex_int16", "int32")).itemsize


def check_total(source: Source, name: str, file_bytes: int, data: rasterio.DatasetReader) -> None:
    """Refuse a raster that takes minutes or gigabytes, however small its file is.

    Args:
        source: its file.
        name: for the message.
        file_bytes: size of the file.
        data: the raster.

    Raises:
        PictureError: it holds too much in all, or far more than a file of its size can, with one piece for many.
    """
    total = data.width * data.height * together(data) * max(item_bytes(kind) for kind in data.dtypes)
    if total > _MAX_STRANGERS_BYTES:
        raise PictureError(
            f"{name} holds {total / 2**30:.1f} GB of pixels in {data.count} bands; save the bands that are to be shown"
        )
    if total > _SLACK_BYTES + _MAX_PACKED * file_bytes or shares_pieces(source):
        raise PictureError(f"{name} holds far more pixels than a file of its size can; save it anew")
