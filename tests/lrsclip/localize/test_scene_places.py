"""Where the pixels of a scene lie, across the date line, round the pole, and why that cannot be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds

from lrsclip.localize.georeference import georeference_of_corners
from lrsclip.localize.scene import open_scene
from tests.helpers.scene_parts import HIGH_PX, UTM, WIDE_PX, noise, whole, write_raster


def test_pixels_lie_where_the_raster_says(tmp_path: Path) -> None:
    scene = open_scene(write_raster(tmp_path / "a.tif", noise()))
    assert scene.georeference is not None
    assert scene.place_note == ""
    west, south, east, north = scene.georeference.bounds_lonlat(WIDE_PX, HIGH_PX)
    with rasterio.open(tmp_path / "a.tif") as data:
        assert (west, south, east, north) == pytest.approx(transform_bounds(data.crs, "EPSG:4326", *data.bounds))
    longitudes, latitudes = scene.georeference.lonlat([0, WIDE_PX], [0, HIGH_PX])
    assert longitudes == pytest.approx([west, east], abs=1e-6)
    assert latitudes == pytest.approx([north, south], abs=1e-6)


def test_a_turned_raster_is_turned_on_the_map(tmp_path: Path) -> None:
    turned = Affine.translation(12, 48) @ Affine.rotation(30) @ Affine.scale(1e-4, -1e-4)
    scene = open_scene(write_raster(tmp_path / "a.tif", noise(), crs="EPSG:4326", transform=turned))
    assert scene.georeference is not None
    x, y = np.array([[0, 10], [20, 90]]), np.array([[0, 70], [5, 3]])
    longitudes, latitudes = scene.georeference.lonlat(x, y)
    a, b, c, d, e, f = tuple(turned)[:6]
    np.testing.assert_allclose(longitudes, a * x + b * y + c, atol=1e-12)
    np.testing.assert_allclose(latitudes, d * x + e * y + f, atol=1e-12)


def test_bounds_run_on_across_the_date_line_and_round_the_pole(tmp_path: Path) -> None:
    across = from_origin(815_000, 8_000_000, 100, 100)  # 180 E lies at 817 km of zone 60
    scene = open_scene(write_raster(tmp_path / "a.tif", noise(), crs="EPSG:32760", transform=across))
    assert scene.georeference is not None
    west, _, east, _ = scene.georeference.bounds_lonlat(WIDE_PX, HIGH_PX)
    assert west < 180 < east < west + 0.2
    pole = from_origin(-450_000, 350_000, 10_000, 10_000)
    scene = open_scene(write_raster(tmp_path / "b.tif", noise(), crs="EPSG:3413", transform=pole))
    assert scene.georeference is not None
    west, south, east, north = scene.georeference.bounds_lonlat(WIDE_PX, HIGH_PX)
    assert (west, east, north) == (-180, 180, 90)
    assert 83 < south < 87
    earth = from_origin(-180, 90, 4, 180 / HIGH_PX)
    scene = open_scene(write_raster(tmp_path / "c.tif", noise(), crs="EPSG:4326", transform=earth))
    assert scene.georeference is not None
    assert scene.georeference.bounds_lonlat(WIDE_PX, HIGH_PX) == pytest.approx((-180, -90, 180, 90))


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ({"crs": None, "transform": Affine.identity()}, ""),
        ({"crs": None}, "no coordinate system"),
        ({"transform": Affine.identity()}, "not where its pixels lie"),
        ({"crs": 'LOCAL_CS["Local",UNIT["metre",1]]'}, "local one"),
        ({"crs": "EPSG:4326"}, "not on Earth"),
        ({"crs": "+proj=geos +h=35785831 +lon_0=0", "transform": from_origin(-6e6, 6e6, 1.5e5, 1.5e5)}, "beyond"),
        ({"transform": Affine(2, 0, 5e5, 4, 0, 5e6)}, "no size on the ground"),
    ],
)
def test_a_wrong_place_is_none_and_says_why(tmp_path: Path, place: dict[str, Any], told: str) -> None:
    scene = open_scene(write_raster(tmp_path / "a.tif", noise(), **place))
    assert scene.georeference is None
    assert told in scene.place_note
    assert bool(scene.place_note) == bool(told)
    np.testing.assert_array_equal(whole(scene), noise())


def test_a_world_file_places_a_picture_unless_a_stranger_sent_it(tmp_path: Path) -> None:
    pixels = noise()
    for ending, world in (("png", "pgw"), ("jpg", "jgw")):
        path = tmp_path / f"a.{ending}"
        Image.fromarray(pixels).save(path)
        (tmp_path / f"a.{world}").write_text("2\n0\n0\n-2\n500001\n4587999\n")
        assert "no coordinate system" in open_scene(path).place_note
        (tmp_path / "a.prj").write_text(CRS.from_epsg(32710).to_wkt(version="WKT1_ESRI"))
        found = open_scene(path).georeference
        assert found is not None
        assert found.transform == tuple(UTM)[:6]
        assert found.lonlat(0, 0)[0] == pytest.approx(-123)
        assert open_scene(path, untrusted=True).georeference is None
        (tmp_path / "a.prj").unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "a.prj").write_text(CRS.from_epsg(32710).to_wkt())
    assert "save it upright" in open_scene(tmp_path / "a.jpg").place_note


def test_a_picture_lies_where_its_corners_do(tmp_path: Path) -> None:
    scene = open_scene(write_raster(tmp_path / "a.tif", noise()))  # UTM: not quite a parallelogram in Web Mercator
    assert scene.georeference is not None
    x, y = np.array([0, WIDE_PX, WIDE_PX, 0]), np.array([0, 0, HIGH_PX, HIGH_PX])
    corners = list(zip(*(degrees.tolist() for degrees in scene.georeference.lonlat(x, y)), strict=True))
    found = georeference_of_corners(corners, WIDE_PX, HIGH_PX)
    assert found is not None
    picture = open_scene(scene.thumbnail(WIDE_PX), georeference=found)
    assert picture.georeference == found
    points = [3, WIDE_PX / 2], [5, HIGH_PX]
    np.testing.assert_allclose(found.lonlat(*points), scene.georeference.lonlat(*points), atol=2e-7)


@pytest.mark.parametrize(
    "corners", [(), ((0, 0),) * 4, ((0, 1), (1, 1), (1, 0), (0.2, 0)), ((0, 90), (1, 90), (1, 89), (0, 89))]
)
def test_corners_of_no_picture_are_no_place(corners: tuple[tuple[float, float], ...]) -> None:
    assert georeference_of_corners(corners, 100, 100) is None


def gridded(path: Path, transform: Affine) -> Path:
    return write_raster(path, noise(), crs="EPSG:4326", transform=transform)


@pytest.mark.parametrize(
    ("transform", "bounds"),
    [
        (from_origin(185, 10, 0.01, 0.01), (-175, 10 - HIGH_PX / 100, -175 + WIDE_PX / 100, 10)),
        (from_origin(179.9, 10, 0.01, 0.01), (179.9, 10 - HIGH_PX / 100, 179.9 + WIDE_PX / 100, 10)),
        (from_origin(0, 90, 360 / WIDE_PX, 180 / HIGH_PX), (0, -90, 360, 90)),
        (
            from_origin(-180 - 180 / WIDE_PX, 90 + 90 / (HIGH_PX - 1), 360 / WIDE_PX, 180 / (HIGH_PX - 1)),
            (-180 - 180 / WIDE_PX, -90, 180 - 180 / WIDE_PX, 90),
        ),
        (from_origin(-180, 90, (360 + 2e-5) / WIDE_PX, 180 / HIGH_PX), (-180, -90, 180, 90)),
    ],
)
def test_longitudes_beyond_180_and_half_a_cell_beyond_the_poles_are_usual(
    tmp_path: Path, transform: Affine, bounds: tuple[float, ...]
) -> None:
    scene = open_scene(gridded(tmp_path / "a.tif", transform))
    assert scene.georeference is not None and scene.place_note == ""
    assert scene.georeference.bounds_lonlat(WIDE_PX, HIGH_PX) == pytest.approx(bounds, abs=3e-5)


@pytest.mark.parametrize(
    "transform", [from_origin(700, 10, 0.01, 0.01), from_origin(0, 95, 0.01, 0.01), from_origin(-300, 90, 10, 1)]
)
def test_far_beyond_is_no_place(tmp_path: Path, transform: Affine) -> None:
    scene = open_scene(gridded(tmp_path / "a.tif", transform))
    assert scene.georeference is None and "not on Earth" in scene.place_note


def with_points(path: Path, bend: float) -> Path:
    """A raster that control points alone place; `bend` moves one of them, in degrees."""
    spots = [(0, 0), (0, WIDE_PX), (HIGH_PX, 0), (HIGH_PX, WIDE_PX), (HIGH_PX // 2, WIDE_PX // 2)]
    points = [GroundControlPoint(row, col, 12 + col * 1e-4, 48 - row * 1e-4) for row, col in spots]
    points[-1].x += bend
    with rasterio.open(path, "w", driver="GTiff", width=WIDE_PX, height=HIGH_PX, count=3, dtype="uint8") as data:
        data.write(noise().transpose(2, 0, 1))
        data.gcps = (points, CRS.from_epsg(4326))
    return path


def test_control_points_place_a_raster_if_they_lie_on_a_plane(tmp_path: Path) -> None:
    scene = open_scene(with_points(tmp_path / "flat.tif", 0))
    assert scene.georeference is not None
    assert scene.georeference.lonlat(WIDE_PX, 0) == pytest.approx((12 + WIDE_PX * 1e-4, 48), abs=1e-9)
    scene = open_scene(with_points(tmp_path / "bent.tif", 0.001))
    assert scene.georeference is None and "gdalwarp -tps" in scene.place_note
