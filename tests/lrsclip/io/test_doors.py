"""One file looks the same through every door: opened whole, as a tile of a folder or a raster, as a scene."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from lrsclip.errors import PictureError, TileSourceError
from lrsclip.io.decode import decode, open_image
from lrsclip.localize import open_scene
from lrsclip.tiles import open_tiles
from tests.helpers.picture_kinds import HIGH, NAMES, RGB, WIDE, make, write
from tests.helpers.scene_parts import whole

BESIDE = ("mask_beside.tif",)  # what lies beside a file is lost when the file alone is sent


def through_every_door(path: Path) -> dict[str, NDArray[np.uint8]]:
    tiles, raster = open_tiles(str(path.parent)), open_tiles(f"geotiff:{path}?tile_px=8192")
    found = {
        "open_image": np.asarray(open_image(path)),
        "folder": np.asarray(tiles.picture(path.name)),
        "geotiff": np.asarray(raster.picture(raster.tile_ids()[0])),
    }
    with open_scene(path) as scene:
        found["scene"] = whole(scene)
        strips = [scene.read((0, top, scene.width_px, top + 8)) for top in range(0, scene.height_px, 8)]
        found["windows of a scene"] = np.concatenate(strips)
    if path.name not in BESIDE:
        found["bytes"] = np.asarray(open_image(io.BytesIO(path.read_bytes())))
        if path.suffix != ".jp2":
            with open_scene(path, untrusted=True) as scene:
                found["a stranger's scene"] = whole(scene)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_door_shows_the_same_pixels(name: str, tmp_path: Path) -> None:
    path = make(name, tmp_path)
    shown = through_every_door(path)
    first = shown["open_image"]
    for door, pixels in shown.items():
        np.testing.assert_array_equal(pixels, first, err_msg=door)
    tile = open_tiles(str(tmp_path)).tile(name)
    assert (tile.height_px, tile.width_px) == first.shape[:2]
    assert first.max() > 80, "it is no dark picture"
    with open_scene(path) as scene:
        assert scene.summary == decode(path).summary
        small = np.asarray(scene.thumbnail(WIDE // 2)).astype(int)
    halves = first.reshape(first.shape[0] // 2, 2, first.shape[1] // 2, 2, 3).mean(axis=(1, 3))
    if name not in ("bits.tif", "fax.tif", "palette_without_table.tif"):
        assert np.abs(small - halves).mean() < 12, "a thumbnail is as bright"


@pytest.mark.parametrize(
    "name",
    "rgb16.tif rgbn16.tif big_endian.tif bigtiff_big_endian.tif planar.tif tiled.tif bits12.tif signed.tif "
    "unsigned32.tif share.tif reflectance.tif double.tif sentinel13.tif zstd.tif planet.tif deep.png deep.jp2".split(),
)
def test_deep_data_is_stretched_and_keeps_its_order(name: str, tmp_path: Path) -> None:
    path = make(name, tmp_path)
    shown = np.asarray(open_image(path)).astype(float).transpose(2, 0, 1)
    assert "stretched 2-98 %" in decode(path).summary
    for band, stored in zip(shown, RGB, strict=True):
        assert 100 < band.mean() < 160
        assert (band == 0).mean() < 0.06 and (band == 255).mean() < 0.06
        assert np.corrcoef(band.ravel(), stored.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("name", ["nodata.tif", "nan.tif", "mask.tif", "mask_beside.tif"])
def test_missing_data_is_black_and_no_part_of_the_stretch(name: str, tmp_path: Path) -> None:
    path = make(name, tmp_path)
    shown = np.asarray(open_image(path))
    assert shown[:16].max() == 0
    assert len(np.unique(shown[16:])) > 60, "one value far away takes no contrast"
    with open_scene(path) as scene:
        assert scene.data_share((0, 0, WIDE, 16)) == 0 and scene.data_share((0, 16, WIDE, HIGH)) == 1


@pytest.mark.parametrize(
    "name", ["alpha.tif", "alpha_of_five.tif", "gray_alpha.tif", "deep_alpha.png", "clear.png", "gray_alpha.png"]
)
def test_transparent_parts_are_black_wherever_the_band_stands(name: str, tmp_path: Path) -> None:
    path = make(name, tmp_path)
    shown = np.asarray(open_image(path))
    assert shown[:, : WIDE // 2].max() == 0 and shown[:, WIDE // 2 :].mean() > 40
    with open_scene(path) as scene:
        assert scene.data_share((0, 0, WIDE // 2, HIGH)) == 0 and scene.data_share((WIDE // 2, 0, WIDE, HIGH)) == 1


def test_a_preview_of_a_raster_is_smaller_and_as_bright(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.repeat(np.repeat(RGB.astype(np.uint16) * 12, 4, 1), 4, 2))
    small = open_image(path, min_px=50)
    assert small.size == (86, 64)
    assert abs(np.asarray(small).mean() - np.asarray(open_image(path)).mean()) < 3


@pytest.mark.parametrize("kind", ["folder", "geotiff"])
def test_bands_are_chosen_in_an_address(kind: str, tmp_path: Path) -> None:
    path = make("planet.tif", tmp_path)
    place = str(tmp_path) if kind == "folder" else str(path)
    usual, other = open_tiles(f"{kind}:{place}"), open_tiles(f"{kind}:{place}?bands=1,2,3")
    (tile,), (same,) = usual.tile_ids(), other.tile_ids()
    assert usual.summary(tile).startswith("bands 3, 2, 1; stretched")  # type: ignore[attr-defined]
    assert other.summary(same).startswith("bands 1, 2, 3; stretched")  # type: ignore[attr-defined]
    np.testing.assert_array_equal(np.asarray(usual.picture(tile)), np.asarray(other.picture(same))[:, :, ::-1])
    again = open_tiles(other.spec)
    assert again.spec == other.spec != usual.spec
    np.testing.assert_array_equal(np.asarray(again.picture(same)), np.asarray(other.picture(same)))


def test_bands_of_a_picture_can_be_chosen_too_and_absent_ones_are_named(tmp_path: Path) -> None:
    path = make("plain.png", tmp_path)
    np.testing.assert_array_equal(np.asarray(open_image(path, bands=(3, 2, 1))), RGB.transpose(1, 2, 0)[:, :, ::-1])
    assert (np.asarray(open_image(path, bands=(2,))) == RGB[1][:, :, None]).all()
    for what in (path, make("planet.tif", tmp_path)):
        with pytest.raises(PictureError, match=r"so there is no band 7; choose others"):
            open_image(what, bands=(7, 1, 2))
        with pytest.raises(PictureError, match="name one, or three"):
            open_image(what, bands=(1, 2))


@pytest.mark.parametrize(
    ("begin", "told"),
    [
        (b"", "the file is empty"),
        (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1", "it is a HEIC picture"),
        (b"8BPS\0\x01", "a Photoshop document"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 or netCDF file"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (b"nothing of the kind", "not a JPEG, PNG"),
    ],
)
def test_a_file_that_is_not_read_is_called_by_its_name(begin: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(begin + bytes(200 if begin else 0))
    with pytest.raises(PictureError, match=told):
        open_image(path)
    with pytest.raises(PictureError, match=told):
        open_image(io.BytesIO(path.read_bytes()), name="it")


def test_a_valid_tiff_is_never_called_something_else(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", (RGB[:1] + 1j * RGB[:1]).astype(np.complex64))
    with pytest.raises(PictureError, match="complex numbers; save their amplitude"):
        open_image(path)
    with pytest.raises(PictureError, match=r"^it holds complex numbers"):
        open_image(io.BytesIO(path.read_bytes()), name="it")


@given(name=st.sampled_from(NAMES), data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_refused_in_words(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = make(name, folder)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        # Most often in the head, which says how all else is to be read.
        last = data.draw(st.sampled_from([64, 512, len(content) - 1]))
        content[data.draw(st.integers(4, min(last, len(content) - 1)))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))]))
    for opened in (open_image, lambda at: open_image(io.BytesIO(at.read_bytes()), name="it"), raster_of, scene_of):
        with suppress(PictureError, TileSourceError):
            opened(path)


def raster_of(path: Path) -> Image.Image:
    tiles = open_tiles(f"geotiff:{path}")
    tiles.tile(tiles.tile_ids()[0])
    return tiles.picture(tiles.tile_ids()[0])


def scene_of(path: Path) -> Image.Image:
    with open_scene(path, untrusted=True) as scene:
        return scene.thumbnail(64)
