"""Files of a heat-map, read back by other programs: values, place on Earth, no data, and texts that mean harm."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import geopandas  # type: ignore[import-untyped]
import numpy as np
import pytest
import rasterio
import shapely
from pyproj import CRS
from rasterio.transform import Affine

from lrsclip.errors import ExportError
from lrsclip.io.georeference import GeoReference
from lrsclip.localize import CellMap, export
from lrsclip.localize.colormap import overlay
from lrsclip.localize.export import regions_geojson, write_geojson, write_geotiff, write_png
from lrsclip.localize.regions import find_regions
from tests.helpers.scene_places import PLACES, place, reference
from tests.lrsclip.localize.test_colormap import Map, random_map

NASTY = 'a "quay" </Item><script>alert(1)</script> & \x00\x07\ud800 für 港口\n; DROP'
TOLD = 'a "quay" </Item><script>alert(1)</script> &     für 港口 ; DROP'
UNPLACED = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def scene_map(width: int = 1300, height: int = 700) -> Map:
    """A map larger than a block of the GeoTIFF, with cells that hold no data."""
    drawn = random_map(3, width, height)
    drawn.cells.values_cos[2, 3] = np.nan
    return drawn


def turn(ring: list[list[float]]) -> float:
    """Area of a ring, positive where it runs counter-clockwise."""
    x, y = np.array(ring).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def written_geotiff(path: Path, cells: CellMap, spot: GeoReference | None) -> Path:
    write_geotiff(path, cells, spot, text=NASTY, method="windows", model="tiny")
    return path


@UNPLACED
@pytest.mark.parametrize("name", [*PLACES, None])
def test_a_geotiff_holds_every_pixel_and_its_place(tmp_path: Path, name: str | None) -> None:
    drawn, spot = scene_map(), place(name) if name else None
    with rasterio.open(written_geotiff(tmp_path / "map.tif", drawn.cells, spot)) as data:
        np.testing.assert_array_equal(data.read(1), drawn.cells.per_pixel())
        missing = np.isnan(drawn.cells.per_pixel())
        np.testing.assert_array_equal(data.read(1, masked=True).mask, missing)
        assert np.isnan(data.nodata)
        assert data.dtypes == ("float32",)
        assert data.block_shapes == [(512, 512)]
        assert data.tags()["text"] == TOLD
        assert (data.tags()["method"], data.tags()["model"]) == ("windows", "tiny")
        assert TOLD in data.descriptions[0]
        if spot is None:
            assert (data.crs, data.transform) == (None, Affine.identity())
        else:
            assert data.transform.almost_equals(Affine(*spot.transform), 1e-9)
            assert CRS.from_wkt(data.crs.to_wkt()).to_epsg() == int(str(name).split()[0].removeprefix("EPSG:"))
    assert [path.name for path in tmp_path.iterdir()] == ["map.tif"]


def test_a_low_scene_is_written_in_stretches(tmp_path: Path) -> None:
    drawn = random_map(1, 600, 40_000)
    with rasterio.open(written_geotiff(tmp_path / "map.tif", drawn.cells, None)) as data:
        np.testing.assert_array_equal(data.read(1), drawn.cells.per_pixel())
    assert export._part(drawn.cells, 0, 0).nbytes <= 2**25 + 2**21


def test_a_scene_of_a_hundred_million_pixels_is_written_by_blocks(tmp_path: Path) -> None:
    import resource

    drawn = random_map(1, 10_000, 10_000)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = written_geotiff(tmp_path / "map.tif", drawn.cells, place("EPSG:26914"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 250 * 1024
    assert path.stat().st_size < 10_000_000


@pytest.mark.parametrize("name", PLACES)
def test_geojson_lies_where_the_regions_are(tmp_path: Path, name: str) -> None:
    drawn, spot = scene_map(), place(name)
    found = find_regions(drawn.cells, georeference=spot)
    assert len(found.regions) > 3
    write_geojson(tmp_path / "regions.geojson", found, spot, NASTY, facts={"model": "tiny"})
    read = geopandas.read_file(tmp_path / "regions.geojson")
    assert read.crs.to_epsg() == 4326
    assert set(read["text"]) == {TOLD}
    assert set(read["model"]) == {"tiny"}
    assert set(read["threshold_cos"]) == {found.threshold_cos}
    for column in ("mean_cos", "peak_cos", "area_m2"):
        np.testing.assert_allclose(read[column], [getattr(region, column) for region in found.regions])
    affine = Affine(*spot.transform)
    in_scene_crs = read.geometry.to_crs(CRS.from_wkt(spot.crs_wkt))
    expected = [region.area_px * abs(affine.determinant) for region in found.regions]
    np.testing.assert_allclose(shapely.area(in_scene_crs.to_numpy()), expected, rtol=1e-4)
    corners = [affine @ corner for corner in ((0, 0), (1300, 0), (1300, 700), (0, 700))]
    margin = 0.01 * abs(affine.determinant) ** 0.5  # degrees are rounded
    assert in_scene_crs.within(shapely.Polygon(corners).buffer(margin)).all()
    assert read.geometry.is_valid.all()


def test_rings_run_as_the_standard_has_them() -> None:
    values = np.zeros((5, 5), np.float32)
    values[1:4, 1:4] = 1
    values[2, 2] = 0
    found = find_regions(CellMap(values, np.arange(6) * 10, np.arange(6) * 10))
    for spot in (None, *map(place, PLACES)):
        (feature,) = regions_geojson(found, spot, "a pond")["features"]
        assert feature["geometry"]["type"] == "Polygon"
        exterior, hole = feature["geometry"]["coordinates"]
        assert turn(exterior) > 0 > turn(hole)


@UNPLACED
def test_without_a_place_the_regions_lie_over_the_png(tmp_path: Path) -> None:
    drawn = scene_map()
    found = find_regions(drawn.cells)
    collection = regions_geojson(found, None, "a pond")
    assert "y = -10" in collection["crs_note"]
    assert collection["features"][0]["properties"]["area_m2"] is None
    write_png(tmp_path / "map.png", drawn, None, longest_px=500)
    with rasterio.open(tmp_path / "map.png") as data:
        assert data.crs is None
        assert (data.bounds.left, data.bounds.top) == (0, 0)
        assert (data.bounds.right, data.bounds.bottom) == pytest.approx((1300, -700))
        for feature, region in zip(collection["features"], found.regions, strict=True):
            west, south, east, north = shapely.geometry.shape(feature["geometry"]).bounds
            assert (west, -north, east, -south) == region.outline.bounds


def test_a_region_over_the_date_line_is_cut_there() -> None:
    values = np.zeros((5, 5), np.float32)
    values[1:4, 1:4] = 1
    values[2, 2] = 0
    cells = CellMap(values, np.arange(6) * 20, np.arange(6) * 20)
    spot = reference("EPSG:32660", Affine(100, 0, 823_900, 0, -100, 1_112_000))
    found = find_regions(cells, georeference=spot)
    (feature,) = regions_geojson(found, spot, "an atoll")["features"]
    shape = shapely.geometry.shape(feature["geometry"])
    assert shape.is_valid
    assert shape.geom_type == "MultiPolygon"
    assert max(part.bounds[2] - part.bounds[0] for part in shape.geoms) < 1
    assert {round(edge) for part in shape.geoms for edge in part.bounds[::2]} == {180, -180}
    assert all(turn(part.exterior.coords) > 0 for part in shape.geoms)
    degrees = shape.area
    moved = reference("EPSG:32660", Affine(100, 0, 623_900, 0, -100, 1_112_000))
    (whole,) = regions_geojson(found, moved, "an atoll")["features"]
    assert degrees == pytest.approx(shapely.geometry.shape(whole["geometry"]).area, rel=0.01)


@pytest.mark.parametrize("longest_px", [4096, 900])
@pytest.mark.parametrize("name", PLACES)
def test_a_png_has_its_place_beside_it(tmp_path: Path, name: str, longest_px: int) -> None:
    drawn, spot = scene_map(), place(name)
    files = write_png(tmp_path / "map.png", drawn, spot, palette="cividis", longest_px=longest_px)
    assert [file.name for file in files] == ["map.png", "map.pgw", "map.prj", "map.png.aux.xml"]
    assert sorted(files) == sorted(tmp_path.iterdir())
    with rasterio.open(files[0]) as data:
        assert data.width == min(1300, longest_px)
        shown = overlay(drawn, palette="cividis", longest_px=longest_px).convert("RGBA")
        np.testing.assert_array_equal(data.read().transpose(1, 2, 0), np.asarray(shown))
        for corner in ((0, 0), (1, 0), (0, 1), (1, 1), (0.3, 0.8)):
            there = data.transform @ (corner[0] * data.width, corner[1] * data.height)
            assert there == pytest.approx(Affine(*spot.transform) @ (corner[0] * 1300, corner[1] * 700), rel=1e-12)
        assert data.crs == rasterio.CRS.from_wkt(spot.crs_wkt)
    esri = CRS.from_wkt((tmp_path / "map.prj").read_text())
    assert esri.to_epsg(min_confidence=60) == CRS.from_wkt(spot.crs_wkt).to_epsg()


@UNPLACED
def test_a_later_map_without_a_place_does_not_inherit_one(tmp_path: Path) -> None:
    drawn = random_map()
    write_png(tmp_path / "map.png", drawn, place("EPSG:26914"))
    files = write_png(tmp_path / "map.png", drawn, None)
    assert sorted(files) == sorted(tmp_path.iterdir()) == [tmp_path / "map.pgw", tmp_path / "map.png"]


def write_all(folder: Path, kind: str) -> None:
    drawn, spot = random_map(), place("EPSG:3857")
    if kind == "tif":
        written_geotiff(folder / "map.tif", drawn.cells, spot)
    elif kind == "png":
        write_png(folder / "map.png", drawn, spot)
    else:
        write_geojson(folder / "map.geojson", find_regions(drawn.cells, georeference=spot), spot, "x")


@pytest.mark.parametrize("kind", ["tif", "png", "geojson"])
def test_where_nothing_can_be_written_the_folder_is_named(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ExportError, match=r"no folder .*absent; make it"):
        write_all(tmp_path / "absent", kind)

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    # A mode of 0o500 would not stop a superuser, and tests may run as one.
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ExportError, match=rf"cannot write {tmp_path}.*Permission denied.*may write to"):
        write_all(tmp_path, kind)
    assert list(tmp_path.iterdir()) == []


def test_a_png_by_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"end it in \.png"):
        write_png(tmp_path / "map.tif", random_map(), None)


def test_a_map_without_regions_is_a_valid_collection(tmp_path: Path) -> None:
    empty = CellMap(np.full((2, 2), np.nan, np.float32), np.array([0, 5, 9]), np.array([0, 5, 9]))
    write_geojson(tmp_path / "none.geojson", find_regions(empty), None, "x")
    assert json.loads((tmp_path / "none.geojson").read_text())["features"] == []
