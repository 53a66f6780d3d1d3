"""What a TIFF says of how it is stored, in all its pictures and however often."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lrsclip.errors import PictureError
from lrsclip.io.tiff_tags import largest_block_bytes
from tests.helpers.scene_parts import noise, write_raster

ROWS_PER_STRIP = 278


def test_the_block_of_a_file_is_told_by_its_tags(tmp_path: Path) -> None:
    pixels = noise(512, 640, 3)
    tiled: dict[str, Any] = {"tiled": True, "blockxsize": 128, "blockysize": 256}
    assert largest_block_bytes(write_raster(tmp_path / "plain.tif", pixels)) == 0, "read where it lies"
    for order in ("big", "little"):
        for big in ("yes", "no"):
            how: dict[str, Any] = {"compress": "deflate", "interleave": "pixel", "endianness": order, "bigtiff": big}
            assert largest_block_bytes(write_raster(tmp_path / "a.tif", pixels, **tiled, **how)) == 128 * 256 * 3
    how = {"compress": "lzw", "interleave": "band"}
    deep = pixels.astype(np.uint16)
    assert largest_block_bytes(write_raster(tmp_path / "b.tif", deep, **tiled, **how)) == 128 * 256 * 2
    Image.fromarray(pixels).save(tmp_path / "c.tif", compression="tiff_lzw", tiffinfo={ROWS_PER_STRIP: 512})
    assert largest_block_bytes(tmp_path / "c.tif") == 512 * 640 * 3
    (tmp_path / "no.tif").write_bytes(b"no TIFF")
    assert largest_block_bytes(tmp_path / "no.tif") == 0


def test_a_large_block_is_found_behind_a_small_one_and_beside_another_tag(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    how: dict[str, Any] = {"compression": "tiff_adobe_deflate", "tiffinfo": {ROWS_PER_STRIP: 3000}, "dpi": (72, 72)}
    Image.new("L", (64, 64)).save(path, save_all=True, append_images=[Image.new("L", (3000, 3000))], **how)
    assert largest_block_bytes(path) == 3000 * 3000
    Image.new("L", (3000, 3000)).save(path, **how)
    content = bytearray(path.read_bytes())
    spare = content.index(struct.pack("<HH", 282, 5))  # the resolution, in whose place the tag stands once more, with 1
    content[spare : spare + 12] = struct.pack("<HHIHH", ROWS_PER_STRIP, 3, 1, 1, 0)
    path.write_bytes(bytes(content))
    assert largest_block_bytes(path) == 3000 * 3000
    path.write_bytes(bytes(content[:20]))
    with pytest.raises(PictureError, match="damaged"):
        largest_block_bytes(path)
