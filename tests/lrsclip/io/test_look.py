"""How a raster is shown is read from what its file says and holds: names of bands, wavelengths, transparency, turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp

from lrsclip.io.decode import decode, open_image
from lrsclip.io.look import Look
from lrsclip.io.raster_file import open_raster
from lrsclip.tiles import open_tiles
from tests.helpers.picture_kinds import ALPHA, HIGH, NEAR_INFRARED, RGB, WIDE, X, Y, write


def look(path: Path) -> Look:
    file = open_raster(path)
    try:
        return file.look()
    finally:
        file.close()


def layers(count: int) -> NDArray[np.uint16]:
    return np.stack([RGB[band % 3].astype(np.uint16) * (band + 5) for band in range(count)])


@pytest.mark.parametrize(
    ("names", "bands"),
    [
        (("blue", "green", "red", "nir"), (3, 2, 1)),
        (("Blue", "Green", "Red", "Near Infrared"), (3, 2, 1)),
        (("coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir"), (6, 4, 2)),
        (("Red Edge 1", "Red", "Green", "Blue"), (2, 3, 4)),
        (("sr_band_blue", "sr_band_green", "sr_band_red"), (3, 2, 1)),
        (("B1", "B2", "B3", "B4", "B8"), (4, 3, 2)),
        (("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A"), (4, 3, 2)),
        (("B8A", "B04", "B03", "B02"), (2, 3, 4)),
        (("T32TQM_20240101_B02_10m", "T32TQM_20240101_B03_10m", "T32TQM_20240101_B04_10m"), (3, 2, 1)),
        (("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7"), (4, 3, 2)),
        (("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7"), (3, 2, 1)),
        (("sur_refl_b01", "sur_refl_b02", "sur_refl_b03", "sur_refl_b04"), (1, 4, 3)),
        (("B2 (490 nm)", "B3 (560 nm)", "B4 (665 nm)"), (3, 2, 1)),
        (("Band 1", "Band 2", "Band 3", "Band 4"), (1, 2, 3)),
        (("B1", "B2", "B3", "B4"), (1, 2, 3)),  # of whom nobody knows; blue to near-infrared of many
        (("B1", "B2", "B3", "B4", "B5", "B6"), (4, 3, 2)),
        (("Band 2", "Band 3", "Band 4", "Band 8"), (3, 2, 1)),
        (("400.5", "480.0", "555.1", "659.9", "850.2"), (4, 3, 2)),
        (("band 7 (0.482 Micrometers)", "band 17 (0.56 Micrometers)", "band 29 (0.66 Micrometers)"), (3, 2, 1)),
        (("nir", "red", "green"), (1, 2, 3)),
        (("elevation", "slope", "aspect"), (1, 2, 3)),
        (("B4", "B3", "B2", "cloud_mask"), (1, 2, 3)),
        (("vv", "vh"), (1,)),
        ((), (1, 2, 3)),
    ],
)
def test_red_green_and_blue_are_the_bands_that_are_called_so(
    names: tuple[str, ...], bands: tuple[int, ...], tmp_path: Path
) -> None:
    path = write(tmp_path / "a.tif", layers(len(names) or 5), names=names)
    assert look(path).bands == bands
    assert look(path).summary.startswith(f"band{'s' * (len(bands) > 1)} {', '.join(map(str, bands))}; stretched 2-98 %")


def test_wavelengths_and_colors_say_it_where_no_name_does(tmp_path: Path) -> None:
    nanometers = tuple({"wavelength": f"{nm}", "wavelength_units": "Nanometers"} for nm in (450, 550, 650, 850))
    assert look(write(tmp_path / "a.tif", layers(4), tags=nanometers)).bands == (3, 2, 1)
    micrometers = tuple({"WAVELENGTH": f"{um}"} for um in (0.85, 0.65, 0.55, 0.47))
    assert look(write(tmp_path / "b.tif", layers(4), tags=micrometers)).bands == (2, 3, 4)
    colors = (ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined)
    assert look(write(tmp_path / "c.tif", layers(4), colors=colors)).bands == (3, 2, 1)
    eight_bits = np.concatenate([RGB[::-1], NEAR_INFRARED])  # rasterio calls the first three red, green and blue
    assert look(write(tmp_path / "d.tif", eight_bits, names=("blue", "green", "red", "nir"))).bands == (3, 2, 1)


def test_near_infrared_that_is_flagged_as_transparency_takes_no_light(tmp_path: Path) -> None:
    two_values = np.where(X < 40, 12, 120).astype(np.uint8)[None]
    water = np.where(X < 20, 0, 40 + X * 3).clip(0, 255).astype(np.uint8)[None]
    for number, band in enumerate((NEAR_INFRARED, two_values, water, np.full_like(water, 90))):
        path = write(tmp_path / f"{number}.tif", np.concatenate([RGB, band]))
        np.testing.assert_array_equal(np.asarray(open_image(path)), RGB.transpose(1, 2, 0))
        assert "band 4 is flagged as transparency, and taken for near-infrared" in decode(path).summary
    deep = np.concatenate([RGB, NEAR_INFRARED]).astype(np.uint16) * 12
    path = write(tmp_path / "deep.tif", deep, photometric="RGB", alpha="yes")
    assert np.asarray(open_image(path))[:, :, 1].mean() > 100
    named = write(tmp_path / "named.tif", np.concatenate([RGB, ALPHA]), names=("red", "green", "blue", "nir"))
    np.testing.assert_array_equal(np.asarray(open_image(named)), RGB.transpose(1, 2, 0))


@pytest.mark.parametrize("kind", ["flagged", "named", "soft", "of one bit in 16", "rasterio's flag one too early"])
def test_transparency_is_what_holds_clear_and_full(kind: str, tmp_path: Path) -> None:
    soft = (np.clip(X - WIDE // 2 + 1, 0, 8) * 31.875).astype(np.uint8)[None]
    values, more = {
        "flagged": (np.concatenate([RGB, ALPHA]), {}),
        "named": (np.concatenate([RGB, ALPHA]), {"photometric": "minisblack", "names": ("r", "g", "b", "alpha")}),
        "soft": (np.concatenate([RGB, soft]), {}),
        "of one bit in 16": (
            np.concatenate([RGB, ALPHA // 255]).astype(np.uint16),
            {"photometric": "RGB", "alpha": "yes"},
        ),
        "rasterio's flag one too early": (
            np.concatenate([RGB, NEAR_INFRARED, ALPHA]),
            {"photometric": "RGB", "alpha": "yes"},
        ),
    }[kind]
    path = write(tmp_path / "a.tif", values, **more)  # type: ignore[arg-type]
    shown = np.asarray(open_image(path))
    assert shown[:, : WIDE // 2 - 1].max() == 0
    assert shown[:, WIDE // 2 + 8 :].mean() > 60
    assert f"band {len(values)} is transparency" in decode(path).summary


def test_colors_that_are_multiplied_already_are_not_multiplied_again(tmp_path: Path) -> None:
    half = np.full((1, HIGH, WIDE), 255, np.uint8)
    half[0, :, :20] = 128
    colors = np.where(half < 255, RGB // 2, RGB)
    path = write(tmp_path / "a.tif", np.concatenate([colors, half]), alpha="premultiplied")
    np.testing.assert_array_equal(np.asarray(open_image(path)), colors.transpose(1, 2, 0))


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_raster_is_turned_as_its_tag_says_whole_and_by_windows(turn: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    values = (np.arange(HIGH * WIDE).reshape(HIGH, WIDE) * 9).astype(np.uint16)
    Image.fromarray(values).save(path, tiffinfo={274: turn})
    flat = np.asarray(open_image(write(tmp_path / "flat.tif", values[None])))
    turns = {
        1: flat, 2: flat[:, ::-1], 3: flat[::-1, ::-1], 4: flat[::-1], 5: flat.transpose(1, 0, 2),
        6: np.rot90(flat, -1), 7: np.rot90(flat, 2).transpose(1, 0, 2), 8: np.rot90(flat),
    }  # fmt: skip
    expected = turns[turn]
    np.testing.assert_array_equal(np.asarray(open_image(path)), expected)
    tiles = open_tiles(f"geotiff:{path}?tile_px=32")
    for tile_id in tiles.tile_ids():
        left, top = map(int, tile_id.split("@")[1].split(","))
        np.testing.assert_array_equal(
            np.asarray(tiles.picture(tile_id)), expected[top : top + 32, left : left + 32], err_msg=tile_id
        )


def test_one_value_all_over_and_nothing_at_all_are_no_error(tmp_path: Path) -> None:
    flat = write(tmp_path / "flat.tif", np.full((3, HIGH, WIDE), 700, np.uint16))
    assert open_image(flat).size == (WIDE, HIGH)
    empty = write(tmp_path / "empty.tif", np.full((1, HIGH, WIDE), np.nan, np.float32))
    assert np.asarray(open_image(empty)).max() == 0


def test_a_palette_of_16_bits_and_one_with_clear_colors_show_theirs(tmp_path: Path) -> None:
    numbers = (X // 8).astype(np.uint16) * 1000
    path = write(tmp_path / "a.tif", numbers[None])
    facts = {"driver": "GTiff", "width": WIDE, "height": HIGH, "count": 1, "dtype": "uint16"}
    with rasterio.open(path, "w", **facts) as data:
        data.write(numbers, 1)
        data.write_colormap(1, {number * 1000: (number * 30, 5, 255 - number, 255) for number in range(8)})
    assert np.asarray(open_image(path))[3, 20].tolist() == [60, 5, 253]
    assert decode(path).summary == "band 1; colors of its palette"


def test_the_least_and_the_most_of_noise_do_not_decide(tmp_path: Path) -> None:
    values = (RGB[:1].astype(np.int32) * 10 + Y).astype(np.int32)
    values[0, 0, :5], values[0, 1, :5] = -2_000_000_000, 2_000_000_000
    shown = np.asarray(open_image(write(tmp_path / "a.tif", values)))[2:]
    assert len(np.unique(shown)) > 60


def test_names_that_nobody_can_read_say_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", layers(3), names=("rXXXd", "green", "blue"), tags=({"wavelength": "QQQQ"}, {}, {}))
    path.write_bytes(path.read_bytes().replace(b"rXXXd", b"r\xe9\xe8\xffd").replace(b"QQQQ", b"\xe9\xe9\xe9\xe9"))
    assert look(path).bands == (1, 2, 3)


def test_a_mask_of_clouds_is_no_transparency(tmp_path: Path) -> None:
    values = np.concatenate([layers(3), ALPHA.astype(np.uint16) // 255])
    for name in ("cloud_mask", "mask", "QA60"):
        path = write(tmp_path / f"{name}.tif", values, names=("B4", "B3", "B2", name))
        assert np.asarray(open_image(path))[:, : WIDE // 2].max() > 0
