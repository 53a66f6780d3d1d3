"""What is no scene, too large, damaged, or not for strangers is refused in words."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from lrsclip.errors import PictureError
from lrsclip.localize import scene as scenes
from lrsclip.localize.scene import open_scene
from lrsclip.localize.scene_kinds import PictureScene
from tests.helpers.scene_parts import noise, smooth, whole, write_raster

ROWS_PER_STRIP = 278  # a TIFF tag


@pytest.mark.parametrize(
    ("scene", "told"),
    [
        (Image.new("RGB", (15, 400)), "at least 16 px"),
        (Image.new("RGB", (1, 50_000)), "at least 16 px"),
        (Image.new("L", (0, 5)), "at least 16 px"),
        (np.zeros((0, 20), np.uint8), "at least 16 px"),
        (np.zeros((20, 20, 2), np.uint8), r"\(H, W, 4\)"),
        (np.zeros((3, 20, 20), np.uint8), r"\(H, W, 3\)"),
        (np.zeros(20, np.uint8), r"\(H, W\)"),
        (np.zeros((1, 20, 20, 3), np.uint8), r"\(H, W\)"),
        (np.zeros((20, 20), np.int32), "uint8, uint16 or floats"),
        (np.zeros((20, 20), bool), "uint8, uint16 or floats"),
        (np.zeros((20, 20), complex), "uint8, uint16 or floats"),
        (np.ma.masked_equal(np.zeros((20, 20), np.uint8), 0), "masked"),
        (np.full((20, 20), np.nan), "finite"),
        (Image.fromarray(np.full((20, 20), np.nan, np.float32)), "finite"),
        (7, "int; give a PIL picture"),
        (b"a.tif", "bytes; give"),
        ("/no/such/file.tif", "no file"),
        ("~nobody-of-that-name/a.tif", "no path"),
        (str(Path(__file__).parent), "is a folder"),
        ("https://example.org/a.tif", "on this machine"),
        (Path("https://example.org/a.tif"), "on this machine"),
        ("s3://bucket/a.tif", "on this machine"),
        ("/vsicurl/https://example.org/a.tif", "on this machine"),
        ("zip:///tmp/a.zip!a.tif", "on this machine"),
        ("GTIFF_DIR:1:/tmp/a.tif", "no file"),
        ("a\0.tif", "no file"),
    ],
)
def test_what_is_no_scene_is_refused_in_words(scene: Any, told: str) -> None:
    with pytest.raises(PictureError, match=told):
        open_scene(scene)


def test_a_scene_is_handed_back_and_bands_are_for_rasters(tmp_path: Path) -> None:
    scene = open_scene(noise())
    assert open_scene(scene) is scene
    with pytest.raises(PictureError, match="of a file only"):
        open_scene(scene, bands=(1, 2, 3))
    path = write_raster(tmp_path / "a.tif", noise())
    for bands, told in (((1, 2), "2 bands"), ((4,), "no band 4"), ((1, 2, 0), "no band 0")):
        with pytest.raises(PictureError, match=told):
            open_scene(path, bands=bands)
    path = write_raster(tmp_path / "c.tif", np.zeros((64, 80, 1), np.complex64))
    with pytest.raises(PictureError, match="complex numbers"):
        open_scene(path)


def test_too_many_pixels_are_refused_before_they_are_read(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.tif"
    facts = {"driver": "GTiff", "count": 1, "dtype": "uint8", "sparse_ok": True, "compress": "deflate"}
    with rasterio.open(sparse, "w", width=100_000, height=10_001, tiled=True, **facts):
        pass
    with pytest.raises(PictureError, match="limit of 1,000,000,000 pixels"):
        open_scene(sparse)
    with rasterio.open(
        sparse, "w", width=30_000, height=30_000, tiled=True, blockxsize=24_000, blockysize=24_000, **facts
    ):
        pass
    with pytest.raises(PictureError, match="save it tiled"):
        open_scene(sparse)
    for size_px in ((14_000, 13_000), (60_000, 60_000)):  # under and over what Pillow itself allows
        head = Image.new("1", (16, 16))
        head.save(tmp_path / "a.png")
        stored = bytearray((tmp_path / "a.png").read_bytes())
        stored[16:24] = b"".join(px.to_bytes(4, "big") for px in size_px)
        stored[29:33] = zlib.crc32(stored[12:29]).to_bytes(4, "big")
        (tmp_path / "a.png").write_bytes(stored)
        with pytest.raises(PictureError, match="limit of 175,000,000 pixels for pictures"):
            open_scene(tmp_path / "a.png")


def test_a_stranger_s_raster_in_one_block_is_decoded_once_or_not_at_all(tmp_path: Path) -> None:
    """Each window of it would decode all of it again: 400 megapixels of one strip took 66 s."""
    large, small = tmp_path / "large.tif", tmp_path / "small.tif"
    Image.new("L", (8000, 8000)).save(large, compression="tiff_adobe_deflate", tiffinfo={ROWS_PER_STRIP: 8000})
    with pytest.raises(PictureError, match=r"blocks of 61 MB.*save it tiled"):
        open_scene(large, untrusted=True)
    assert open_scene(large).width_px == 8000, "one's own machine may take its time"
    pixels = np.tile(noise(128, 160, 3), (20, 20, 1))
    Image.fromarray(pixels).save(small, compression="tiff_adobe_deflate", tiffinfo={ROWS_PER_STRIP: 2560})
    with rasterio.open(small, "r+") as data:
        data.crs, data.transform = "EPSG:32710", rasterio.Affine(1, 0, 500_000, 0, -1, 4_588_000)
    scene = open_scene(small, untrusted=True)
    assert isinstance(scene, PictureScene) and scene.georeference is not None
    np.testing.assert_array_equal(scene.read((5, 7, 105, 67)), pixels[7:67, 5:105])
    deep = np.tile(noise(128, 160), (30, 30)).astype(np.uint16) * 9
    Image.fromarray(deep).save(small, compression="tiff_adobe_deflate", tiffinfo={ROWS_PER_STRIP: 3840})
    with pytest.raises(PictureError, match="save it tiled"):
        open_scene(small, untrusted=True)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_a_picture_cut_off_is_refused_when_opened(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(noise(200, 200, 3)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PictureError, match=name):
        open_scene(path)


@pytest.mark.parametrize("compress", [None, "deflate", "jpeg"])
def test_a_raster_cut_off_fails_in_words_where_it_is_read(tmp_path: Path, compress: str | None) -> None:
    more: dict[str, Any] = {"compress": compress} if compress else {}
    path = write_raster(tmp_path / "a.tif", noise(512, 512, 3), tiled=True, blockxsize=128, blockysize=128, **more)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    scene = open_scene(path)
    assert scene.read((0, 0, 64, 64)).std() > 10
    for size_px in (None, (64, 64)):
        with pytest.raises(PictureError, match=r"a\.tif"):
            scene.read((0, 0, 512, 512), size_px)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(PictureError, match=r"a\.tif"):
        open_scene(path)


@pytest.mark.parametrize(
    "content", [b"", b"no raster", b"II*\0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF0000WEBP"]
)
def test_what_is_no_raster_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    for untrusted in (False, True):
        with pytest.raises(PictureError, match=r"a\.tif"):
            open_scene(path, untrusted=untrusted)


def test_nobody_can_name_other_files(tmp_path: Path) -> None:
    pixels = noise(64, 80, 3)
    secret = write_raster(tmp_path / "secret.tif", pixels)
    template = (
        '<VRTDataset rasterXSize="80" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        "<SourceFilename>{}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    path = tmp_path / "a.tif"  # the name does not matter
    path.write_text(template.format(secret))
    for untrusted in (False, True):
        with pytest.raises(PictureError, match=r"a virtual raster.* gdal_translate mosaic\.vrt mosaic\.tif"):
            open_scene(path, untrusted=untrusted)


def test_a_stranger_gets_nothing_from_beside_his_file(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", np.full((64, 80, 3), 90, np.uint8))
    beside = np.zeros((64, 80, 1), np.uint8)
    write_raster(tmp_path / "a.tif.msk", beside)
    assert whole(open_scene(path, untrusted=True)).min() == 90
    assert not open_scene(path, untrusted=True).has_gaps


def test_strangers_may_send_the_common_kinds(tmp_path: Path) -> None:
    pixels = smooth(64, 80)
    for name in ("a.jpg", "a.png", "a.webp", "a.tif"):
        Image.fromarray(pixels).save(tmp_path / name)
        shown = whole(open_scene(tmp_path / name, untrusted=True))
        assert np.abs(shown.astype(int) - pixels).mean() < 8, name
    placed = open_scene(write_raster(tmp_path / "b.tif", pixels), untrusted=True)
    assert placed.georeference is not None


def test_a_closed_scene_says_so(tmp_path: Path) -> None:
    for what in (noise(), write_raster(tmp_path / "a.tif", noise())):
        with open_scene(what) as scene:
            assert scene.data_share((0, 0, 9, 9)) == 1
        with pytest.raises(PictureError, match="closed"):
            scene.read((0, 0, 9, 9))
        scene.close()
    assert (Image.MAX_IMAGE_PIXELS or 0) * 2 > scenes.MAX_PICTURE_PX, "our own message comes first"
