"""Regions: exactly the pixels that reach the threshold, as valid outlines, with their areas on the ground."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.warp import transform

from lrsclip.localize import CellMap
from lrsclip.localize.regions import find_regions
from tests.helpers.scene_places import PLACES, place


def grid(values: npt.NDArray[np.floating[Any]], seed: int | None = None) -> CellMap:
    """Cells of unequal size (of 10 px without a seed)."""
    rng = np.random.default_rng(seed)
    sides = [np.full(n, 10) if seed is None else rng.integers(1, 40, n) for n in values.shape]
    rows, columns = (np.concatenate([[0], np.cumsum(side)]).astype(np.int64) for side in sides)
    return CellMap(values.astype(np.float32), rows, columns)


@st.composite
def maps(draw: st.DrawFn) -> CellMap:
    """Few different values on many cells, so that parts wind round and touch at corners; some cells hold no data."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    values = rng.choice([0.1, 0.3, 0.5], (draw(st.integers(1, 12)), draw(st.integers(1, 12))))
    values[rng.random(values.shape) < draw(st.sampled_from([0, 0.2]))] = np.nan
    return grid(values, seed)


@settings(deadline=None, max_examples=150)
@given(maps(), st.sampled_from([None, 0.2, 0.4]))
def test_outlines_are_valid_apart_and_cover_just_the_mask(cells: CellMap, threshold: float | None) -> None:
    found = find_regions(cells, threshold_cos=threshold, min_area_share=0)
    mask = cells.per_pixel() >= found.threshold_cos
    if threshold is None and not found.regions:
        assert np.unique(cells.values_cos[~np.isnan(cells.values_cos)]).size < 2
        return
    outlines = [region.outline for region in found.regions]
    assert all(outline.is_valid for outline in outlines)
    assert all(not one.relate_pattern(other, "T********") for one, other in combinations(outlines, 2))
    drawn = rasterio.features.rasterize(outlines, mask.shape) if outlines else np.zeros(mask.shape, np.uint8)
    np.testing.assert_array_equal(drawn > 0, mask)
    assert sum(region.outline.area for region in found.regions) == sum(r.area_px for r in found.regions) == mask.sum()


@settings(deadline=None, max_examples=60)
@given(maps())
def test_scores_are_those_of_the_pixels_within(cells: CellMap) -> None:
    scores = cells.per_pixel()
    found = find_regions(cells, threshold_cos=0.2, min_area_share=0)
    assert [r.mean_cos for r in found.regions] == sorted((r.mean_cos for r in found.regions), reverse=True)
    for region in found.regions:
        within = scores[rasterio.features.rasterize([region.outline], scores.shape) > 0]
        assert region.mean_cos == pytest.approx(within.mean(dtype=np.float64), abs=1e-6)
        assert region.peak_cos == within.max()
        assert region.area_px == within.size


def test_otsu_parts_two_heaps_in_the_middle_of_the_gap() -> None:
    values = np.full((10, 10), 0.1) + np.random.default_rng(0).uniform(-0.01, 0.01, (10, 10))
    values[2:5, 3:7] += 0.2
    found = find_regions(grid(values))
    assert found.chosen_by == "otsu"
    assert 0.11 < found.threshold_cos < 0.29
    assert [region.outline.bounds for region in found.regions] == [(30, 20, 70, 50)]


def test_cells_weigh_by_their_area_in_the_threshold() -> None:
    # By cells the low values would be one heap of three; by area they are two heaps, and 0.5 hardly counts.
    cells = CellMap(
        np.array([[0.0, 0.3, 0.5, 0.5, 0.5, 0.5]], np.float32),
        np.array([0, 100]),
        np.array([0, 480, 960, 961, 962, 963, 964]),
    )
    assert 0.0 < find_regions(cells).threshold_cos < 0.3


@pytest.mark.parametrize("value", [0.2, np.nan])
def test_an_even_map_and_one_without_data_have_no_region(value: float) -> None:
    values = np.full((4, 5), value) + np.linspace(0, 1e-7, 5)
    assert find_regions(grid(values)).regions == ()
    assert len(find_regions(grid(values), threshold_cos=0.1).regions) == (0 if np.isnan(value) else 1)


def test_crumbs_are_left_out() -> None:
    values = np.zeros((20, 20))
    values[0, 0] = values[10:15, 10:15] = 1
    assert len(find_regions(grid(values), min_area_share=1 / 400).regions) == 2
    assert [region.area_px for region in find_regions(grid(values), min_area_share=2 / 400).regions] == [2500]


@pytest.mark.parametrize("name", PLACES)
def test_area_on_the_ground_whatever_the_projection(name: str) -> None:
    """A ring of 3 km around a hole of 1 km, against its area in a projection that keeps areas."""
    spot = place(name)
    values = np.zeros((5, 5))
    values[1:4, 1:4] = 1
    values[2, 2] = 0
    (region,) = find_regions(grid(np.kron(values, np.ones((10, 10)))), georeference=spot).regions
    x, y = shapely.get_coordinates(shapely.segmentize(region.outline, 5)).T
    a, b, c, d, e, f = spot.transform
    equal = transform(spot.crs_wkt, "ESRI:102008", a * x + b * y + c, d * x + e * y + f)
    rings = np.stack(equal, axis=1)
    split = len(shapely.get_coordinates(shapely.segmentize(region.outline.exterior, 5)))
    expected = shapely.Polygon(rings[:split], [rings[split:]]).area
    assert region.area_m2 == pytest.approx(expected, rel=1e-4)
    assert find_regions(grid(values)).regions[0].area_m2 is None
