"""Rasters cut into tiles: covered whole, at their place, with bands and depth as asked."""

from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.transform import from_origin

from lrsclip.errors import PictureError, TileSourceError
from lrsclip.io.raster import starts
from lrsclip.localize import open_scene
from lrsclip.tiles import Partial, Tile, open_tiles, unwrapped
from lrsclip.tiles.folder import FolderTiles
from lrsclip.tiles.geotiff import GeoTiffTiles

SHARED = Path(__file__).parents[3].parent / "shared" / "data" / "geotiff"


def write_raster(
    path: Path, values: np.ndarray, *, nodata: float | None = None, crs: str | None = "EPSG:32710"
) -> None:
    """A raster of two-meter pixels whose upper left corner lies at 500 km east, 4,588 km north of UTM 10 south."""
    place = {"crs": crs, "transform": from_origin(500_000, 4_588_000, 2, 2)} if crs else {}
    count, height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=count, dtype=values.dtype, nodata=nodata, **place
    ) as data:
        data.write(values)


@given(st.integers(1, 3000), st.integers(32, 700), st.data())
def test_windows_cover_a_side_whole(length: int, tile: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, tile - 1))
    first = starts(length, tile, overlap)
    size = min(tile, length)
    assert first[0] == 0
    assert first[-1] + size == length
    assert all(0 < b - a <= max(tile - overlap, 1) for a, b in pairwise(first))


def test_tiles_together_are_the_raster(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(1, 255, (3, 150, 230), dtype=np.uint8)
    write_raster(tmp_path / "a.tif", values)
    source = GeoTiffTiles(str(tmp_path / "*.tif"), tile_px=64)
    rebuilt = np.zeros((150, 230, 3), np.uint8)
    for tile_id in source.tile_ids():
        x, y = (int(part) for part in tile_id.split("@")[1].split(","))
        rebuilt[y : y + 64, x : x + 64] = np.asarray(source.picture(tile_id))
    assert (rebuilt == values.transpose(1, 2, 0)).all()


def test_a_tile_lies_where_the_raster_says(tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", np.full((3, 128, 128), 9, np.uint8))
    write_raster(tmp_path / "b.tif", np.full((3, 128, 128), 9, np.uint8), crs=None)
    source = GeoTiffTiles(str(tmp_path / "*.tif"), tile_px=64)
    tile = source.tile("a.tif@64,0")
    assert tile.footprint_lonlat is not None
    assert tile.footprint_lonlat[0][0] == pytest.approx(-123 + 128 / 73_300, abs=1e-4)  # the zone's middle is 123 W
    assert tile.footprint_lonlat[0][1] == pytest.approx(-48.86, abs=0.02)
    assert tile.ground_m == pytest.approx(128, rel=0.01)
    nowhere = source.tile("b.tif@0,0")
    assert nowhere.footprint_lonlat is None
    assert nowhere.middle_lonlat is None


def test_bands_are_chosen_and_deep_ones_stretched_alike_in_all_tiles(tmp_path: Path) -> None:
    ramp = np.linspace(0, 40_000, 256 * 128).reshape(128, 256).astype(np.uint16)
    write_raster(tmp_path / "deep.tif", np.stack([ramp, ramp[:, ::-1], ramp * 0 + 7, ramp]))
    source = open_tiles(f"geotiff:{tmp_path}/deep.tif?tile_px=128&bands=4,2,1")
    left, right = (np.asarray(source.picture(name)).astype(int) for name in source.tile_ids())
    assert left[0, 0].tolist()[0] == 0
    assert right[-1, -1].tolist()[0] == 255
    assert abs(left[60, 127, 0] - right[60, 0, 0]) <= 1  # no seam: one stretch for the raster
    assert left[60, 0, 1] > left[60, 127, 1]
    gray = open_tiles(f"geotiff:{tmp_path}/deep.tif?bands=1").picture("deep.tif@0,0")
    assert len(set(map(tuple, np.asarray(gray)[:, 5].tolist()))) > 10
    assert all(r == g == b for r, g, b in np.asarray(gray)[:, 5].tolist())


def test_what_holds_no_data_cannot_be_read_and_says_so(tmp_path: Path) -> None:
    values = np.full((3, 64, 128), 50, np.uint8)
    values[:, :, 64:] = 0
    write_raster(tmp_path / "half.tif", values, nodata=0)
    source = GeoTiffTiles(str(tmp_path / "half.tif"), tile_px=64)
    assert np.asarray(source.picture("half.tif@0,0")).max() == 50
    with pytest.raises(PictureError, match="no data"):
        source.picture("half.tif@64,0")


def test_many_threads_read_the_same_pixels(tmp_path: Path) -> None:
    for name in range(12):  # more rasters than are kept open
        write_raster(tmp_path / f"{name:02d}.tif", np.full((3, 64, 64), 10 + name, np.uint8))
    source = GeoTiffTiles(str(tmp_path / "*.tif"), tile_px=64)
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda name: int(np.asarray(source.picture(name)).max()), source.tile_ids() * 4))
    assert seen == [10 + name for name in range(12)] * 4


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        ("geotiff:", "no path"),
        ("geotiff:nowhere/*.tif", "no raster"),
        ("geotiff:{}/a.tif?bands=9", "no band 9"),
        ("geotiff:{}/a.tif?bands=1,2", "2 bands"),
        ("geotiff:{}/a.tif?tile_px=8", "32 to 8192"),
        ("geotiff:{}/a.tif?overlap_px=600", "less than tile_px"),
        ("geotiff:{}/a.tif?size=8", "no option 'size'"),
        ("geotiff:{}/a.tif?tile_px=x", "whole number"),
        ("geotiff:{}/note.txt", "cannot be read as a raster"),
    ],
)
def test_a_wrong_address_says_what_is_wrong(tmp_path: Path, ask: str, told: str) -> None:
    write_raster(tmp_path / "a.tif", np.full((3, 64, 64), 9, np.uint8))
    (tmp_path / "note.txt").write_text("no raster")
    with pytest.raises(TileSourceError, match=told):
        open_tiles(ask.format(tmp_path))


SIGNS = st.text(st.sampled_from("[]*!?{}~#%&+ äøé港e\u0301-"), min_size=1, max_size=8).filter(
    lambda name: name.strip() == name and not name.startswith("~")
)


@settings(max_examples=60, deadline=None)
@given(SIGNS, SIGNS)
def test_a_path_may_have_any_signs(folder: str, name: str) -> None:
    with TemporaryDirectory() as root:
        path = Path(root, f"{folder}x", f"{name}.tif")
        path.parent.mkdir()
        write_raster(path, np.full((3, 64, 64), 9, np.uint8))
        for address in (f"geotiff:{path}", f"geotiff:{path}?tile_px=64", f"geotiff:{path.parent}/*.tif"):
            source = open_tiles(address)
            assert source.tile_ids() == [f"{path.name}@0,0"]
            assert open_tiles(source.spec).tile_ids() == source.tile_ids()


def test_brackets_in_a_pattern_are_a_choice_or_letters(tmp_path: Path) -> None:
    for name in ("a1.tif", "a2.tif", "scene [2024]b.tif"):
        write_raster(tmp_path / name, np.full((3, 64, 64), 9, np.uint8))
    assert len(open_tiles(f"geotiff:{tmp_path}/a[12].tif")) == 2
    assert len(open_tiles(f"geotiff:{tmp_path}/a?.tif?tile_px=64")) == 2
    assert open_tiles(f"geotiff:{tmp_path}/scene [2024]*.tif").tile_ids() == ["scene [2024]b.tif@0,0"]
    with pytest.raises(TileSourceError, match=r"is a folder; .*\*\.tif"):
        open_tiles(f"geotiff:{tmp_path}")


def test_broken_files_are_left_out_and_listed_and_sidecars_are_no_rasters(tmp_path: Path) -> None:
    for name in ("a.tif", "c.tif"):
        write_raster(tmp_path / name, np.random.default_rng(0).integers(1, 255, (3, 64, 64), dtype=np.uint8))
    (tmp_path / "b.tif").write_bytes(b"")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:300])
    (tmp_path / "foreign.tif").write_text("<html>")
    for sidecar in ("a.tfw", "a.tif.aux.xml", "a.prj"):
        (tmp_path / sidecar).write_text("10\n0\n0\n-10\n500005\n4999995\n" if sidecar == "a.tfw" else "<PAMDataset/>")
    shutil.copyfile(tmp_path / "c.tif", tmp_path / "c.tif.ovr")
    for pattern in ("*.tif", "*"):
        source = open_tiles(f"geotiff:{tmp_path}/{pattern}")
        assert source.tile_ids() == ["a.tif@0,0", "c.tif@0,0"]
        assert isinstance(source, Partial)
        assert sorted(source.left_out) == ["b.tif", "cut.tif", "foreign.tif"]
        assert all(str(tmp_path / name) in reason for name, reason in source.left_out.items())
    with pytest.raises(TileSourceError, match="cannot be read as a raster"):
        open_tiles(f"geotiff:{tmp_path}/b.tif")
    with pytest.raises(TileSourceError, match="none of the 2 files"):
        open_tiles(f"geotiff:{tmp_path}/[bf]*.tif")


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text need a file system that takes them")
def test_a_name_that_is_no_text_is_read_or_left_out(tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", np.full((3, 64, 64), 9, np.uint8))
    shutil.copyfile(tmp_path / "a.tif", os.fsencode(tmp_path) + b"/b\xff.tif")
    source = GeoTiffTiles(f"{tmp_path}/*.tif")
    assert {*source.tile_ids(), *source.left_out} & {"b\\xff.tif", "b\\xff.tif@0,0"}
    assert "a.tif@0,0" in source.tile_ids()


def test_a_raster_that_breaks_later_is_a_picture_error(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_raster(path, np.random.default_rng(0).integers(1, 255, (3, 600, 600), dtype=np.uint8))
    source = GeoTiffTiles(str(path), tile_px=64)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(PictureError, match=r"a\.tif@512,512"):
        source.picture("a.tif@512,512")
    path.unlink()
    assert source.fingerprint("a.tif@0,0") == "gone"


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data/geotiff is not there")
def test_real_rasters() -> None:
    source = open_tiles(f"geotiff:{SHARED}/*.tif*?tile_px=256")
    assert len({tile_id.split("@")[0] for tile_id in source.tile_ids()}) == 6
    for tile_id in source.tile_ids()[::60]:
        tile = source.tile(tile_id)
        assert tile.middle_lonlat is not None
        assert np.asarray(source.picture(tile_id)).std() > 3


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc to count open files in")
def test_few_rasters_are_held_open(tmp_path: Path) -> None:
    for number in range(20):
        write_raster(tmp_path / f"{number:02d}.tif", np.full((3, 64, 64), 90, np.uint8))
    source = GeoTiffTiles(str(tmp_path / "*.tif"), tile_px=64)
    for tile_id in source.tile_ids() * 2:
        source.picture(tile_id)
    links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert 0 < sum(link.is_relative_to(tmp_path) for link in links) <= 8


def test_a_palette_shows_its_colors(tmp_path: Path) -> None:
    path = tmp_path / "p.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=64, height=64, count=1, dtype="uint8", photometric="palette"
    ) as to:
        to.write(np.tile(np.array([[0, 1]], np.uint8).repeat(32, axis=1), (64, 1)), 1)
        to.write_colormap(1, {0: (200, 10, 10, 255), 1: (10, 20, 230, 255)})
    picture = GeoTiffTiles(str(path), tile_px=64).picture("p.tif@0,0")
    assert picture.getpixel((5, 5)) == (200, 10, 10)
    assert picture.getpixel((60, 5)) == (10, 20, 230)


def test_a_local_grid_has_no_place_on_earth(tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", np.full((3, 64, 64), 90, np.uint8), crs='LOCAL_CS["Local",UNIT["metre",1]]')
    tile = GeoTiffTiles(str(tmp_path / "a.tif"), tile_px=64).tile("a.tif@0,0")
    assert tile.footprint_lonlat is None
    assert tile.ground_m is None


def test_a_tile_across_the_date_line_is_as_small_as_it_is(tmp_path: Path) -> None:
    place = {"crs": "EPSG:32760", "transform": from_origin(815_000, 8_000_000, 20, 20)}  # 180 E lies at 817 km
    values = np.full((3, 256, 256), 90, np.uint8)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=256, height=256, count=3, dtype="uint8", **place
    ) as to:
        to.write(values)
    tile = GeoTiffTiles(str(tmp_path / "a.tif"), tile_px=256).tile("a.tif@0,0")
    assert tile.footprint_lonlat is not None
    east_west = [longitude for longitude, _ in tile.footprint_lonlat]
    assert min(east_west) < 0 < max(east_west), "it does cross"
    assert tile.ground_m == pytest.approx(5120, rel=0.02)
    assert tile.middle_lonlat is not None
    assert abs(tile.middle_lonlat[0]) > 179.9


@given(st.floats(-180, 179.9), st.floats(0.01, 179), st.floats(-80, 80))
def test_an_outline_across_the_date_line_is_the_same_elsewhere(west: float, wide: float, south: float) -> None:
    east = (west + wide + 180) % 360 - 180
    outline = [(west, south + 1), (east, south + 1), (east, south), (west, south)]
    lons = [lon for lon, _ in unwrapped(outline)]
    assert max(lons) - min(lons) == pytest.approx(wide, abs=1e-6)
    assert unwrapped([(-180.0, 1), (180.0, 1)]) == [(-180.0, 1), (180.0, 1)]


def one_tile(path: Path, crs: str, transform: rasterio.Affine, width: int = 128, height: int = 96) -> Tile:
    """The tile of a raster that is one."""
    values = np.full((3, height, width), 90, np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=3, dtype="uint8", crs=crs, transform=transform
    ) as data:
        data.write(values)
    source = GeoTiffTiles(str(path), tile_px=8192)
    return source.tile(source.tile_ids()[0])


@pytest.mark.parametrize(("crs", "latitude"), [("EPSG:3413", 90), ("EPSG:3031", -90)])
def test_the_middle_of_a_tile_that_holds_a_pole_is_the_pole(tmp_path: Path, crs: str, latitude: float) -> None:
    tile = one_tile(tmp_path / "a.tif", crs, from_origin(-640_000, 480_000, 10_000, 10_000))
    assert tile.middle_lonlat is not None and tile.middle_lonlat[1] == pytest.approx(latitude)


def test_the_middle_beside_a_pole_is_that_of_the_pixels(tmp_path: Path) -> None:
    tile = one_tile(tmp_path / "a.tif", "EPSG:3413", from_origin(10_000, 480_000, 10_000, 10_000))
    assert tile.middle_lonlat == pytest.approx((45, 84.0049), abs=1e-3)  # its corners' mean is 81.5 north


def test_grids_from_0_to_360_lie_where_they_do(tmp_path: Path) -> None:
    tile = one_tile(tmp_path / "a.tif", "EPSG:4326", from_origin(185, 10, 0.01, 0.01))
    assert tile.middle_lonlat == pytest.approx((-174.36, 9.52))
    assert tile.footprint_lonlat is not None and tile.footprint_lonlat[0] == pytest.approx((-175, 10))
    whole = one_tile(tmp_path / "b.tif", "EPSG:4326", from_origin(0, 90, 360 / 128, 180 / 96)).footprint_lonlat
    assert whole is not None and whole[1][0] - whole[0][0] == pytest.approx(360)
    beyond = one_tile(
        tmp_path / "c.tif", "EPSG:4326", from_origin(-180 - 180 / 128, 90 + 90 / 95, 360 / 128, 180 / 95)
    ).footprint_lonlat
    assert beyond is not None and max(abs(latitude) for _, latitude in beyond) == 90
    assert one_tile(tmp_path / "d.tif", "EPSG:4326", from_origin(700, 10, 0.01, 0.01)).middle_lonlat is None


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_world_file_places_no_picture_that_its_camera_turned(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (64, 64), (90, 80, 70)).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "a.jgw").write_text("1\n0\n0\n-1\n500000\n4588000\n")
    (tmp_path / "a.prj").write_text(rasterio.CRS.from_epsg(32710).to_wkt())
    source = GeoTiffTiles(str(tmp_path / "a.jpg"))
    tile = source.tile(source.tile_ids()[0])
    assert (tile.middle_lonlat is not None) == (orientation == 1)
    with open_scene(tmp_path / "a.jpg") as scene:
        assert (scene.georeference is not None) == (orientation == 1)


def test_what_was_encoded_of_another_look_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_raster(tmp_path / "a.tif", np.full((3, 64, 64), 90, np.uint8))
    Image.new("RGB", (64, 64)).save(tmp_path / "b.png")
    sources = FolderTiles(tmp_path), GeoTiffTiles(str(tmp_path / "a.tif"))
    before = [source.fingerprint(source.tile_ids()[0]) for source in sources] + [sources[0].fingerprint("b.png")]
    for module in ("folder", "geotiff"):
        monkeypatch.setattr(f"lrsclip.tiles.{module}.LOOKS", "look 99")
    after = [source.fingerprint(source.tile_ids()[0]) for source in sources] + [sources[0].fingerprint("b.png")]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]
