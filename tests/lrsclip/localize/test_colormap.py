"""Colors: an even palette, one scale for two maps, nothing drawn where there is no data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsclip.errors import PictureError
from lrsclip.localize import CellMap
from lrsclip.localize.colormap import (
    Palette,
    cell_table,
    colorized,
    legend_gradient,
    normalized,
    overlay,
    palette_rgb,
    smoothed,
)
from lrsclip.localize.score_grid import Floats

PALETTES: tuple[Palette, ...] = ("viridis", "cividis")


@dataclass(frozen=True)
class Map:
    """What is drawn of a heat-map."""

    cells: CellMap
    scales_px: tuple[int, ...] = (48,)

    @property
    def width_px(self) -> int:
        return int(self.cells.column_edges_px[-1])

    @property
    def height_px(self) -> int:
        return int(self.cells.row_edges_px[-1])


def random_map(seed: int = 0, width: int = 300, height: int = 200, scale: int = 48) -> Map:
    rng = np.random.default_rng(seed)
    rows, columns = (np.unique([0, *rng.integers(1, side, 12), side]) for side in (height, width))
    values = rng.uniform(-0.1, 0.4, (len(rows) - 1, len(columns) - 1)).astype(np.float32)
    return Map(CellMap(values, rows, columns), (scale,))


def tent_by_definition(values: Floats, radius: int) -> Floats:
    """Two means over the neighbors of each pixel, the border repeated; NaN has no part in a mean."""
    known, weight = np.nan_to_num(values.astype(np.float64)), (~np.isnan(values)).astype(np.float64)
    side = 2 * radius + 1
    for _ in range(2):
        known, weight = (
            np.lib.stride_tricks.sliding_window_view(np.pad(layer, radius, mode="edge"), (side, side)).mean(axis=(2, 3))
            for layer in (known, weight)
        )
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(np.isnan(values), np.nan, known / weight)
    return mean


@pytest.mark.parametrize("palette", PALETTES)
def test_palettes_grow_lighter_all_the_way(palette: Palette) -> None:
    luminance = palette_rgb(palette) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luminance) > -0.5).all()
    assert luminance[-1] > luminance[0] + 150
    stops = legend_gradient(palette).split(", ")
    assert [stops[0], stops[-1]] == [f"#{bytes(color).hex()}" for color in palette_rgb(palette)[[0, -1]]]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(16, 70), st.integers(16, 70), st.integers(1, 60), st.booleans())
def test_smoothing_is_the_mean_of_the_means_of_what_is_there(
    seed: int, width: int, height: int, scale: int, holes: bool
) -> None:
    drawn = random_map(seed, width, height, scale)
    if holes:
        values = drawn.cells.values_cos
        values[np.random.default_rng(seed).random(values.shape) < 0.2] = np.nan
    radius = round(scale / 4)
    expected = drawn.cells.per_pixel()
    if radius:
        expected = tent_by_definition(expected, radius)
    np.testing.assert_allclose(smoothed(drawn), expected, atol=1e-5)


def test_overlay_stretches_over_the_map_s_own_range() -> None:
    drawn = random_map()
    picture = overlay(drawn)
    levels = np.asarray(picture)
    assert picture.size == (300, 200)
    assert (levels.min(), levels.max()) == (1, 255)
    assert levels[np.unravel_index(smoothed(drawn).argmax(), levels.shape)] == 255
    assert max(overlay(drawn, longest_px=120).size) == 120


def test_two_maps_can_share_one_scale() -> None:
    alone = np.asarray(colorized(np.array([[0.0, 0.1]], np.float32)).convert("RGBA"))[0]
    weak, strong = (
        np.asarray(colorized(np.array([[0.0, high]], np.float32), low_cos=0.0, high_cos=0.4).convert("RGBA"))[0]
        for high in (0.2, 0.4)
    )
    assert (strong[1] == alone[1]).all()
    assert (weak[0] == strong[0]).all()
    assert weak[1, :3].tolist() == palette_rgb()[128].tolist()
    outside = normalized(np.array([[-1.0, 1.0]], np.float32), 0.0, 0.4)
    assert outside.tolist() == [[0, 1]]
    with pytest.raises(PictureError, match="low_cos below high_cos"):
        overlay(random_map(), low_cos=0.4, high_cos=0.1)


def test_no_data_is_transparent_and_has_no_say_in_the_scale() -> None:
    values = np.array([[np.nan, 0.1], [0.2, 0.3]], np.float32)
    rgba = np.asarray(colorized(values, palette="cividis").convert("RGBA"))
    assert rgba[0, 0, 3] == 0
    assert (rgba[..., 3].ravel()[1:] > 80).all()
    assert rgba[1, 1, :3].tolist() == palette_rgb("cividis")[255].tolist()
    assert cell_table(CellMap(values, np.array([0, 1, 2]), np.array([0, 5, 9])))["values"] == [[None, 0.1], [0.2, 0.3]]


@pytest.mark.parametrize(("value", "alpha"), [(0.25, 89), (np.nan, 0)])
def test_an_even_map_and_one_without_data_are_drawn_too(value: float, alpha: int) -> None:
    even = Map(CellMap(np.full((1, 1), value, np.float32), np.array([0, 64]), np.array([0, 64])), (64,))
    rgba = np.asarray(overlay(even).convert("RGBA"))
    assert rgba.shape == (64, 64, 4)
    assert np.abs(rgba[..., 3].astype(int) - alpha).max() <= 1
