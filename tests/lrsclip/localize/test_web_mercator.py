"""The web map: every pixel of a scene lies where its coordinates say, in any projection, turned or at the date line."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import transform

from lrsclip.errors import PictureError
from lrsclip.localize.georeference import GeoReference
from lrsclip.localize.web_mercator import WebMercatorImage, warped
from tests.helpers.scene_places import PLACES, place, reference

WIDTH, HEIGHT = 300, 200
POINTS = [(0, 0), (299, 0), (0, 199), (299, 199), (150, 100), (20, 170), (222, 31)]  # column, row

Grid = npt.NDArray[np.float64]


def coordinates(width: int, height: int) -> npt.NDArray[np.float32]:
    """A picture that tells of each pixel where it is: (H, W, 2), x and y of its center in px."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x, y], axis=2).astype(np.float32)


def leaflet_meters(image: WebMercatorImage, x: Grid, y: Grid) -> tuple[Grid, Grid]:
    """Where Leaflet draws a point of an overlay: both corners projected, and in between in even steps."""
    radius = 6_378_137
    west, east = (radius * math.radians(v) for v in (image.west, image.east))
    south, north = (radius * math.log(math.tan(math.pi / 4 + math.radians(v) / 2)) for v in (image.south, image.north))
    height, width = image.pixels.shape[:2]
    return west + (east - west) * x / width, north + (south - north) * y / height


def scene_px(image: WebMercatorImage, spot: GeoReference) -> tuple[Grid, Grid]:
    """Where in the scene rasterio's own transform puts the center of each pixel of the overlay, (H, W) each."""
    height, width = image.pixels.shape[:2]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    mapped = transform("EPSG:3857", spot.crs_wkt, *(axis.ravel() for axis in leaflet_meters(image, x, y)))
    a, b, c, d, e, f = (~Affine(*spot.transform))[:6]
    columns, rows = (np.array(mapped[0]) * p + np.array(mapped[1]) * q + r for p, q, r in ((a, b, c), (d, e, f)))
    return columns.reshape(x.shape), rows.reshape(x.shape)


@pytest.mark.parametrize("name", PLACES)
def test_a_dot_lands_where_its_coordinates_are(name: str) -> None:
    spot = place(name)
    for column, row in POINTS:
        picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        picture[..., 3] = 255
        picture[row, column, :3] = 255
        image = warped(picture, WIDTH, HEIGHT, spot, longest_px=1200)
        weight = image.pixels[..., 0].astype(np.float64) * (image.pixels[..., 3] > 0)
        y, x = (np.array([(axis * weight).sum() / weight.sum() + 0.5]) for axis in np.indices(weight.shape))
        there = transform("EPSG:3857", spot.crs_wkt, *leaflet_meters(image, x, y))
        found = ~Affine(*spot.transform) @ (there[0][0], there[1][0])
        assert math.dist(found, (column + 0.5, row + 0.5)) < 0.5, (column, row)


@pytest.mark.parametrize("shrunk", [1, 4])
@pytest.mark.parametrize("name", PLACES)
def test_every_pixel_comes_from_where_rasterio_says(name: str, shrunk: int) -> None:
    """Also where the picture is smaller than the scene: its pixels then stand for several of the scene's."""
    spot = place(name)
    picture = coordinates(WIDTH // shrunk, HEIGHT // shrunk) * shrunk
    image = warped(picture, WIDTH, HEIGHT, spot, longest_px=700)
    columns, rows = scene_px(image, spot)
    inner = (columns > shrunk) & (columns < WIDTH - shrunk) & (rows > shrunk) & (rows < HEIGHT - shrunk)
    assert inner.mean() > 0.3
    assert np.abs(image.pixels[..., 0] - columns)[inner].max() < 0.1
    assert np.abs(image.pixels[..., 1] - rows)[inner].max() < 0.1
    outside = (columns < -1) | (columns > WIDTH + 1) | (rows < -1) | (rows > HEIGHT + 1)
    assert np.isnan(image.pixels[outside]).all()
    assert max(image.pixels.shape) == 700


def test_the_bounds_hold_the_whole_scene_and_no_more() -> None:
    spot = place("EPSG:26914 turned")
    image = warped(np.ones((HEIGHT, WIDTH, 1), np.float32), WIDTH, HEIGHT, spot)
    longitudes, latitudes = spot.lonlat(np.array([0, WIDTH, WIDTH, 0]), np.array([0, 0, HEIGHT, HEIGHT]))
    assert (image.west, image.east) == pytest.approx((longitudes.min(), longitudes.max()), abs=1e-6)
    assert (image.south, image.north) == pytest.approx((latitudes.min(), latitudes.max()), abs=1e-6)
    there = ~np.isnan(image.pixels[..., 0])
    assert 0.4 < there.mean() < 0.9
    assert all(there.any(axis=axis).mean() > 0.99 for axis in (0, 1))


def test_transparency_takes_no_color_and_no_data_does_not_spread() -> None:
    picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    picture[:, :150] = (200, 100, 50, 255)
    image = warped(picture, WIDTH, HEIGHT, place("EPSG:26914 turned"))
    seen = image.pixels[image.pixels[..., 3] > 0]
    assert 0.1 < len(seen) / image.pixels[..., 0].size < 0.5
    assert np.abs(seen[:, :3].astype(int) - (200, 100, 50)).max() <= 1
    values = np.where(picture[..., :1] > 0, np.float32(0.25), np.float32(np.nan))
    kept = warped(values, WIDTH, HEIGHT, place("EPSG:26914 turned")).pixels
    assert np.abs(kept[~np.isnan(kept)] - 0.25).max() < 1e-6
    assert (~np.isnan(kept)).sum() == pytest.approx(len(seen), rel=0.02)


@pytest.mark.parametrize(
    ("crs", "affine"),
    [
        ("EPSG:32660", Affine(100, 0, 810_000, 0, -100, 1_120_000)),
        ("EPSG:32601", Affine(100, 0, 160_000, 0, -100, 1_120_000)),
        ("EPSG:4326", Affine(0.001, 0, 179.9, 0, -0.001, 10)),
        ("EPSG:4326", Affine(0.001, 0, -180.1, 0, -0.001, 10)),
    ],
)
def test_a_scene_over_the_date_line_keeps_its_size(crs: str, affine: Affine) -> None:
    spot = reference(crs, affine)
    image = warped(coordinates(WIDTH, HEIGHT), WIDTH, HEIGHT, spot, longest_px=400)
    assert -180 <= image.west < 180 < image.east < 181
    columns, rows = scene_px(image, spot)
    if crs == "EPSG:4326":  # rasterio's transform ends at 180 degrees; here a longitude is a column
        x, _ = leaflet_meters(image, np.arange(image.pixels.shape[1], dtype=np.float64) + 0.5, np.zeros(1, np.float64))
        columns[:] = ((np.degrees(x / 6_378_137) - affine.c) % 360) / affine.a
    inner = (columns > 1) & (columns < WIDTH - 1) & (rows > 1) & (rows < HEIGHT - 1)
    assert inner.mean() > 0.8
    assert np.abs(image.pixels - np.stack([columns, rows], axis=2))[inner].max() < 0.1


def test_longitudes_that_run_to_360_are_brought_back() -> None:
    spot = reference("EPSG:4326", Affine(0.001, 0, 261, 0, -0.001, 40))
    image = warped(coordinates(WIDTH, HEIGHT), WIDTH, HEIGHT, spot, longest_px=300)
    assert (image.west, image.east) == pytest.approx((-99, -98.7))
    assert np.isfinite(image.pixels).mean() > 0.95


def test_a_map_of_the_whole_world_ends_where_the_web_map_ends() -> None:
    spot = reference("EPSG:4326", Affine(360 / WIDTH, 0, -180, 0, -180 / HEIGHT, 90))
    image = warped(coordinates(WIDTH, HEIGHT), WIDTH, HEIGHT, spot)
    assert (image.west, image.east) == pytest.approx((-180, 180))
    assert (image.south, image.north) == pytest.approx((-85.0511, 85.0511), abs=1e-3)
    columns, rows = scene_px(image, spot)
    inner = (columns > 1) & (columns < WIDTH - 1) & (rows > 1) & (rows < HEIGHT - 1)
    assert np.abs(image.pixels - np.stack([columns, rows], axis=2))[inner].max() < 0.1


def test_a_scene_that_no_web_map_shows_is_refused_in_words() -> None:
    picture = np.zeros((HEIGHT, WIDTH, 1), np.float32)
    around = reference("EPSG:3413", Affine(1000, 0, -150_000, 0, -1000, 100_000))
    beside = reference("EPSG:4326", Affine(0.01, 0, 0, 0, -0.01, 89))
    for spot in (around, beside):
        with pytest.raises(PictureError, match=r"beyond 85\.05"):
            warped(picture, WIDTH, HEIGHT, spot)


def test_a_scene_round_a_pole_reaches_all_the_way_round() -> None:
    around = reference("EPSG:3413", Affine(10_000, 0, -1_500_000, 0, -10_000, 1_000_000))
    image = warped(coordinates(WIDTH, HEIGHT), WIDTH, HEIGHT, around)
    assert (image.west, image.east) == (-180, 180)
    columns, rows = scene_px(image, around)
    inner = (columns > 1) & (columns < WIDTH - 1) & (rows > 1) & (rows < HEIGHT - 1)
    assert inner.any(axis=0).all()
    assert np.abs(image.pixels - np.stack([columns, rows], axis=2))[inner].max() < 0.2


def test_blending_can_be_left_out() -> None:
    picture = np.random.default_rng(0).choice([1, 7], (HEIGHT, WIDTH, 1)).astype(np.float32)
    image = warped(picture, WIDTH, HEIGHT, place("EPSG:26914"), resampling=Resampling.nearest)
    assert set(np.unique(image.pixels[~np.isnan(image.pixels)])) == {1, 7}


@pytest.mark.parametrize(
    ("west", "step", "north"),
    [
        (179, 0.01, -17),  # across the date line
        (185, 0.01, 10),  # of a grid from 0 to 360
        (0, 1.2, 60),  # all of such a grid
        (-180 - 0.6, 1.2, 60),  # half a cell beyond the edge
        (-181, 0.01, 10),
        (-180, (360 + 2e-5) / 300, 60),
    ],
)
def test_degrees_beyond_180_lie_where_the_grid_says(west: float, step: float, north: float) -> None:
    spot = GeoReference(CRS.from_epsg(4326).to_wkt(), (step, 0, west, 0, -step / 2, north))
    image = warped(coordinates(WIDTH, HEIGHT), WIDTH, HEIGHT, spot, 600)
    x_m, y_m = leaflet_meters(image, *np.meshgrid(np.arange(600) + 0.5, np.arange(image.pixels.shape[0]) + 0.5))
    longitudes, latitudes = np.degrees(x_m / 6_378_137), np.degrees(np.arctan(np.sinh(y_m / 6_378_137)))
    columns = (longitudes - west) % 360 / step
    rows = (north - latitudes) / (step / 2)
    inside = (columns > 1) & (columns < WIDTH - 1) & (rows > 1) & (rows < HEIGHT - 1)
    assert inside.mean() > 0.9 and np.isfinite(image.pixels[inside]).all()
    assert np.abs(image.pixels[inside] - np.stack([columns, rows], axis=2)[inside]).max() < 0.1
    back = spot.pixels(*spot.lonlat([3.5, 280], [7.25, 100]))
    np.testing.assert_allclose(back, [[3.5, 280], [7.25, 100]], atol=1e-6)
