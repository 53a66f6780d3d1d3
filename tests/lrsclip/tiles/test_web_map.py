"""A collection as tiles of a web map: every picture lies where it belongs, to a pixel, however it is turned."""

from __future__ import annotations

import math
from pathlib import Path

import mercantile
import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rasterio.transform import Affine, from_origin
from rasterio.warp import transform

from lrsclip.errors import IndexArgumentError, PictureError
from lrsclip.tiles import Tile, open_tiles
from lrsclip.tiles.geotiff import GeoTiffTiles
from lrsclip.tiles.web_map import MAX_ZOOM, SQUARE_PX, WebMap, corners_lonlat

SIDE_PX, PATCH_PX = 256, 32
UTM = "EPSG:32632"


class Plain:
    """A source of one-colored pictures at given corners; counts what is read."""

    spec = "plain"

    def __init__(self, corners: dict[str, tuple[tuple[float, float], ...]], lost: tuple[str, ...] = ()) -> None:
        self._corners, self._lost, self.read = corners, lost, 0

    def __len__(self) -> int:
        return len(self._corners)

    def tile_ids(self) -> list[str]:
        return list(self._corners)

    def tile(self, tile_id: str) -> Tile:
        return Tile(tile_id, 64, 64, footprint_lonlat=self._corners[tile_id])

    def picture(self, tile_id: str) -> Image.Image:
        self.read += 1
        if tile_id in self._lost:
            raise PictureError(f"{tile_id} is gone")
        return Image.new("RGB", (64, 64), (200, 40, 40))

    def map(self) -> WebMap:
        return WebMap(self, [self.tile(tile_id) for tile_id in self.tile_ids()])


def square_at(lon: float, lat: float, side: float) -> tuple[tuple[float, float], ...]:
    return (lon, lat), (lon + side, lat), (lon + side, lat - side), (lon, lat - side)


def drawn_at(ground: WebMap, lon: float, lat: float, zoom: int) -> tuple[int, ...]:
    """The color, RGBA, at a place."""
    at = mercantile.tile(lon, lat, zoom)
    picture = ground.draw(zoom, at.x, at.y).picture
    if picture is None:
        return (0, 0, 0, 0)
    x, y = place_px(lon, lat, zoom)
    color = picture.getpixel((int(x) % SQUARE_PX, int(y) % SQUARE_PX))
    assert isinstance(color, tuple)
    return color


def place_px(lon: float, lat: float, zoom: int) -> tuple[float, float]:
    x, y = mercantile.xy(lon, lat)
    world = 2**zoom * SQUARE_PX
    around = 2 * math.pi * 6_378_137.0
    return (x / around + 0.5) * world, (0.5 - y / around) * world


def raster(path: Path, crs: str, place: Affine, rows: slice, columns: slice) -> Path:
    """A gray raster with a red patch."""
    pixels = np.full((3, SIDE_PX, SIDE_PX), 90, np.uint8)
    pixels[0, rows, columns], pixels[1:, rows, columns] = 255, 0
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE_PX, height=SIDE_PX, count=3, dtype="uint8", crs=crs, transform=place
    ) as file:
        file.write(pixels)
    return path


@pytest.mark.parametrize(
    ("crs", "place", "first_row", "column"),
    [
        (UTM, from_origin(5e5, 5e6, 10, 10), 0, SIDE_PX - PATCH_PX),
        (UTM, Affine(10, 0, 5e5, 0, 10, 5e6 - 2560), SIDE_PX - PATCH_PX, SIDE_PX - PATCH_PX),  # south up
        (UTM, Affine.translation(5e5, 5e6) @ Affine.rotation(40) @ Affine.scale(10, -10), 0, SIDE_PX - PATCH_PX),
        (UTM, from_origin(7.2e5, 7.2e6, 10, 10), 0, SIDE_PX - PATCH_PX),  # 4.7 degrees off its meridian, 65 N
        (UTM, from_origin(5e5, 5.05e6, 429, 429), 112, 112),  # 110 km a side
        ("EPSG:4326", from_origin(179.7, -16.4, 0.002, 0.002), 112, 200),  # over the date line
    ],
    ids=["north up", "south up", "turned by 40 degrees", "far from the meridian", "110 km", "date line"],
)
def test_a_patch_of_a_raster_lies_where_it_lies_to_a_pixel(
    tmp_path: Path, crs: str, place: Affine, first_row: int, column: int
) -> None:
    rows, columns = slice(first_row, first_row + PATCH_PX), slice(column, column + PATCH_PX)
    path = raster(tmp_path / "one.tif", crs, place, rows, columns)
    source = GeoTiffTiles(str(path), tile_px=SIDE_PX // 2 if "4326" not in crs and place.a > 400 else SIDE_PX)
    ground = WebMap(source, [source.tile(tile_id) for tile_id in source.tile_ids()])
    x, y = place @ (column + PATCH_PX / 2, first_row + PATCH_PX / 2)
    (lon,), (lat,) = transform(crs, "EPSG:4326", [x], [y])
    lon = (lon + 180) % 360 - 180
    meters = math.hypot(place.a, place.d) if crs == UTM else place.a * 111_320
    zoom = round(math.log2(156_543 * math.cos(math.radians(lat)) / meters))  # pixels as large as the raster's
    at = mercantile.tile(lon, lat, zoom)
    red = []
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            picture = ground.draw(zoom, (at.x + dx) % 2**zoom, at.y + dy).picture
            if picture is None:
                continue
            rgba = np.asarray(picture).astype(int)
            ys, xs = np.nonzero((rgba[..., 0] - rgba[..., 1] > 90) & (rgba[..., 3] > 0))
            red += [
                (x + 0.5 + (at.x + dx) * SQUARE_PX, y + 0.5 + (at.y + dy) * SQUARE_PX)
                for x, y in zip(xs, ys, strict=True)
            ]
    found, true = np.mean(red, axis=0), place_px(lon, lat, zoom)
    assert np.abs(found - true).max() < 1.0, (found, true)


@pytest.mark.parametrize("lat", [0.5, 30.0, 60.0])
def test_a_tile_of_a_collection_over_half_the_earth_lies_at_its_latitude(lat: float) -> None:
    ground = Plain({f"{n}": square_at(10.0, n, 0.5) for n in (0.5, 30.0, 60.0)}).map()
    for zoom in (8, 12):
        assert drawn_at(ground, 10.25, lat - 0.25, zoom)[:3] == (200, 40, 40)
        assert drawn_at(ground, 10.25, lat + 0.05, zoom)[3] == 0
    assert ground.bounds_lonlat == (10.0, 0.0, 10.5, 60.0)


def test_tiles_on_both_sides_of_the_date_line_lie_beside_each_other() -> None:
    ground = Plain({"a": square_at(179.5, -16.0, 0.5), "b": square_at(-180.0, -16.0, 0.5)}).map()
    west, _, east, _ = ground.bounds_lonlat
    assert (west, east) == (179.5, 180.5)
    for lon in (179.75, -179.75):
        assert drawn_at(ground, lon, -16.25, 9)[:3] == (200, 40, 40)


@given(st.integers(3, 11), st.floats(-179, 178), st.floats(-80, 80), st.floats(0, 1), st.floats(0, 1))
def test_there_is_no_seam_between_neighbors(zoom: int, lon: float, lat: float, across: float, down: float) -> None:
    tiles = {f"{n}-{m}": square_at(lon + n * 0.25, lat + m * 0.25, 0.25) for n in range(3) for m in range(3)}
    ground = Plain(tiles).map()
    place = lon + 0.05 + 0.65 * across, lat + 0.45 - 0.65 * down
    assert drawn_at(ground, *place, zoom)[:3] == (200, 40, 40)


def test_from_afar_thousands_are_drawn_from_very_small_pictures_that_are_read_once() -> None:
    source = Plain({f"{n}": square_at(10 + n % 60 / 50, 40 - n // 60 / 50, 1 / 50) for n in range(3000)})
    ground = source.map()
    ground.fill()
    assert source.read == 3000
    for zoom in range(6):
        at = mercantile.tile(10.5, 39.5, zoom)
        drawn = ground.draw(zoom, at.x, at.y, budget_s=0)
        assert drawn.complete
        assert drawn.picture is not None
    assert source.read == 3000


def test_what_is_not_ready_in_time_is_drawn_when_asked_for_again() -> None:
    source = Plain({f"{n}": square_at(10 + n / 50, 40, 1 / 50) for n in range(40)})
    ground, at = source.map(), mercantile.tile(10.4, 39.99, 9)
    early = ground.draw(9, at.x, at.y, budget_s=-1)
    assert not early.complete
    assert early.picture is None
    late = ground.draw(9, at.x, at.y)
    assert late.complete
    assert late.picture is not None


def test_a_lost_file_leaves_a_gap() -> None:
    ground = Plain({"a": square_at(10, 40, 0.5), "b": square_at(10.5, 40, 0.5)}, lost=("b",)).map()
    assert drawn_at(ground, 10.25, 39.75, 10)[3] == 255
    assert drawn_at(ground, 10.75, 39.75, 10)[3] == 0
    assert drawn_at(ground, 10.75, 39.75, 3)[3] in (0, 255)  # so small that the other's dot may lie over it


def test_a_tile_is_seen_from_as_far_as_one_looks() -> None:
    ground = Plain({"a": square_at(13.4, 52.5, 0.001)}).map()
    for zoom in range(MAX_ZOOM + 1):
        assert drawn_at(ground, 13.4005, 52.4995, zoom)[:3] == (200, 40, 40)


@pytest.mark.parametrize(("zoom", "x", "y"), [(-1, 0, 0), (MAX_ZOOM + 1, 0, 0), (2, 4, 0), (2, 0, -1)])
def test_a_square_that_is_none_is_refused_in_words(zoom: int, x: int, y: int) -> None:
    with pytest.raises(IndexArgumentError, match=f"no square {zoom}/{x}/{y}; zoom levels go from 0 to {MAX_ZOOM}"):
        Plain({"a": square_at(0, 1, 1)}).map().draw(zoom, x, y)


def test_a_collection_without_places_has_an_empty_map(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    source = open_tiles(str(tmp_path))
    ground = WebMap(source, [source.tile(tile_id) for tile_id in source.tile_ids()])
    assert len(ground) == 0
    assert ground.draw(0, 0, 0).picture is None


def test_a_tile_with_a_center_alone_has_the_size_that_is_known() -> None:
    corners = corners_lonlat(Tile("a", 8, 8, center_lonlat=(10.0, 60.0))) or ()
    (west, north), (east, _), (_, south), _ = corners
    assert (west + east) / 2 == pytest.approx(10)
    assert (east - west) / 2 == pytest.approx(north - south, rel=0.01)  # a degree of longitude is half as long at 60 N
    (_, north), _, (_, south), _ = corners_lonlat(Tile("a", 8, 8, ground_m=2_000, center_lonlat=(10.0, 60.0))) or ()
    assert (north - south) * 111_320 == pytest.approx(2_000)
    assert corners_lonlat(Tile("a", 8, 8)) is None


@pytest.mark.parametrize("first", [179.9, -179.9])
def test_a_tile_on_the_date_line_is_not_as_wide_as_the_world(first: float) -> None:
    outline = ((first, 5.0), (-first, 5.0), (-first, 4.0), (first, 4.0))
    longitudes = [lon for lon, _ in corners_lonlat(Tile("a", 8, 8, footprint_lonlat=outline)) or ()]
    assert max(longitudes) - min(longitudes) == pytest.approx(0.2)
