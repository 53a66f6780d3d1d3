"""SeLo's metrics worked out on paper, and the fast attention centers against plain loops."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsclip.errors import DataError
from lrsclip.metrics.selo import (
    Circle,
    SeloScores,
    attention_centers,
    attention_focus,
    attention_shift,
    mean_scores,
    region_mask,
    salient_area_proportion,
    selo_scores,
    target_circle,
)

Floats = npt.NDArray[np.float64]


def box(left: float, top: float, right: float, bottom: float) -> Floats:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def plateau(size_px: int, *places: tuple[int, int, int, float]) -> Floats:
    """A square map of 0 with square plateaus: left, top, side in px, height."""
    values = np.zeros((size_px, size_px))
    for left, top, side, height in places:
        values[top : top + side, left : left + side] = height
    return values


def points(*xy: tuple[int, int]) -> npt.NDArray[np.int64]:
    return np.array(xy, dtype=np.int64).reshape(-1, 2)


def test_rsu_on_paper() -> None:
    values = np.full((4, 5), 0.25)
    values[:2, :2] = 1.0
    mask = region_mask([box(0, 0, 1, 1)], 5, 4)  # 4 px, the outline counts
    assert mask.sum() == 4
    # on 4 · 1, off 16 · 0.25 = 4, areas 16 / 4: the ratio is 4
    assert salient_area_proportion(values, mask) == pytest.approx(1 - math.exp(-0.707 * 4), abs=1e-6)
    # a map without contrast has the ratio 1 whatever the target
    assert salient_area_proportion(np.ones((4, 5)), mask) == pytest.approx(1 - math.exp(-0.707), abs=1e-6)


def test_rsu_at_its_ends() -> None:
    mask = region_mask([box(0, 0, 1, 1)], 5, 4)
    assert salient_area_proportion(np.zeros((4, 5)), mask) == 0
    assert salient_area_proportion(mask.astype(float), mask) == 1
    assert salient_area_proportion(1.0 - mask, mask) == 0


def test_the_mask_is_the_union_and_vertices_are_cut_to_pixels() -> None:
    mask = region_mask([box(1.9, 1.2, 5.7, 5), box(3, 3, 7, 7)], 9, 9)
    expected = np.zeros((9, 9), bool)
    expected[1:6, 1:6] = expected[3:8, 3:8] = True  # (4, 4) lies well inside both and stays
    np.testing.assert_array_equal(mask, expected)


def test_a_circle_on_paper() -> None:
    # every vertex is 30 across and 40 down from (60, 80): 50 px away, times 1.5
    assert target_circle(box(30, 40, 90, 120)) == Circle(60, 80, 75)
    # the mean 60.9 is cut to 60; corners lie 29.1 or 30.9 across and 40 down: 49.465 and 50.544 in the mean, 75.007
    assert target_circle(box(30.9, 40, 90.9, 120)) == Circle(60, 80, 75)
    # (9 + 0 + 0) / 3 = 3 and (0 + 9 + 0) / 3 = 3; distances √45, √45, √18: 5.886 · 1.5 = 8.83
    assert target_circle(np.array([[9.0, 0], [0, 9], [0, 0]])) == Circle(3, 3, 8)


def test_the_center_of_one_plateau_on_paper() -> None:
    # Columns 200 to 499. Every box reads 25 px back and 24 on, so after five passes the full height is left where
    # x - 125 >= 200 and x + 120 <= 499: 325 to 379, whose middle is 352. Rows alike.
    np.testing.assert_array_equal(attention_centers(plateau(700, (200, 200, 300, 1.0))), [[352, 352]])


@pytest.mark.parametrize(("height", "count"), [(0.5, 1), (0.49, 0), (0.0, 0)])
def test_faint_centers_do_not_count(height: float, count: int) -> None:
    assert len(attention_centers(plateau(700, (200, 200, 300, height)))) == count


def test_what_is_near_a_higher_peak_is_no_center() -> None:
    # The higher peak is at 325 to 379, the lower at 725 to 779 in x. A pixel reads 500 px back and 499 px on, so the
    # higher peak hides everything up to 879. Over 1,000 px away nothing is hidden.
    near = attention_centers(plateau(1200, (200, 200, 300, 1.0), (600, 200, 300, 0.8)))
    np.testing.assert_array_equal(near, [[352, 352]])
    far = attention_centers(plateau(1600, (100, 100, 300, 1.0), (1200, 100, 300, 0.8)))
    assert sorted(far.tolist()) == [[252, 252], [1352, 252]]


def test_equal_peaks_all_count_however_near() -> None:
    centers = attention_centers(plateau(1000, (100, 100, 300, 1.0), (600, 500, 300, 1.0)))
    assert sorted(centers.tolist()) == [[252, 252], [752, 652]]


def test_ground_of_nothing_is_no_center_even_around_a_peak() -> None:
    """The ground is as high as all around it, and its middle lies in the spot; the spot alone must count."""
    centers = attention_centers(plateau(41, (18, 18, 5, 1.0)), box_px=3, peak_px=5)
    np.testing.assert_array_equal(centers, [[20, 20]])


def test_the_map_without_smoothing_decides_what_is_faint() -> None:
    values = plateau(700, (200, 200, 300, 1.0))
    values[352, 352] = 0.4  # one dark pixel right at the centroid; the smooth map hardly changes
    assert len(attention_centers(values)) == 0


def test_ras_on_paper() -> None:
    circles = [Circle(0, 0, 100), Circle(1000, 0, 50)]
    # 30 and 50 px off in the first circle: 0.4 radii; none in the second: 1 radius; mean 0.7
    found = points((30, 0), (0, 50), (0, 101), (1000, 51))
    assert attention_shift(circles, found) == pytest.approx((math.exp(2.1) - 1) / (math.exp(3) - 1))
    assert attention_shift(circles, points((0, 0), (1000, 0))) == 0
    assert attention_shift(circles, points()) == 1
    # a center on the rim is inside and is one radius off
    assert attention_shift([Circle(0, 0, 50)], points((30, 40))) == 1


def test_rda_on_paper() -> None:
    circle = Circle(0, 0, 100)
    assert attention_focus([circle], points()) == 0
    assert attention_focus([circle], points((60, 80))) == 1  # on the rim
    assert attention_focus([circle], points((61, 80))) == 0
    # (-30, 0), (30, 0): each 30 px from their middle; n = 2
    two = 0.5 * (1 - 0.3) + math.exp(-2)
    assert attention_focus([circle], points((-30, 0), (30, 0))) == pytest.approx(two)
    # (0, 0), (30, 0), (60, 0): 30, 0 and 30 px from (30, 0), in the mean 20; n = 3
    three = 0.5 * (1 - 0.2) + math.exp(-2.5)
    assert attention_focus([circle], points((0, 0), (30, 0), (60, 0))) == pytest.approx(three)
    # the mean over targets: one with two centers, one without
    other = Circle(5000, 5000, 10)
    assert attention_focus([circle, other], points((-30, 0), (30, 0))) == pytest.approx(two / 2)


def test_rmi_on_paper() -> None:
    scores = SeloScores(rsu=0.7546, ras=0.2610, rda=0.7180)
    # GeoRSCLIP's published row: 0.40 · 0.7546 + 0.35 · 0.7390 + 0.25 · 0.7180 = 0.30184 + 0.25865 + 0.1795
    assert scores.rmi == pytest.approx(0.73999)
    assert scores.as_dict() == {"Rsu": 0.7546, "Ras": 0.2610, "Rda": 0.7180, "Rmi": scores.rmi}
    mean = mean_scores([scores, SeloScores(0.0, 1.0, 0.0)])
    assert mean.rmi == pytest.approx(scores.rmi / 2)
    with pytest.raises(ValueError, match="no scores"):
        mean_scores([])


def test_a_whole_map_on_paper() -> None:
    values, outline = plateau(700, (200, 200, 300, 1.0)), box(200, 200, 499, 499)
    scores = selo_scores(values, [outline])
    # All mass is on the target: Rsu = 1. One center, at (352, 352): Rda = 1. The circle: mean 349.5, cut to 349; corner
    # distances √(149² + 149²), √(150² + 149²) twice, √(150² + 150²): 211.425 in the mean, times 1.5: 317.
    # The center is √(3² + 3²) = 4.2426 px off.
    shift = math.sqrt(18) / 317
    assert scores.rsu == pytest.approx(1)
    assert scores.rda == 1
    assert scores.ras == pytest.approx((math.exp(3 * shift) - 1) / (math.exp(3) - 1))
    # the same map for a target elsewhere of which it knows nothing
    wrong = selo_scores(values, [box(600, 600, 690, 690)])
    assert wrong.as_dict() == {"Rsu": 0, "Ras": 1, "Rda": 0, "Rmi": 0}


def test_a_map_of_nothing_scores_nothing() -> None:
    assert selo_scores(np.zeros((50, 60)), [box(3, 3, 20, 20)]).as_dict() == {"Rsu": 0, "Ras": 1, "Rda": 0, "Rmi": 0}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gray_levels_survive_the_way_to_shares_and_back(dtype: type[np.floating]) -> None:
    """A level lost in 0.3 % of a map would move peaks: 255 · (k / 255) must be k again for every k."""
    values = np.arange(256, dtype=np.uint8).astype(dtype) / dtype(255)
    np.testing.assert_array_equal((values * 255).astype(np.uint8), np.arange(256))


def naive_centers(values: Floats, box_px: int, peak_px: int) -> set[tuple[int, int]]:
    """The definition, pixel by pixel."""
    height, width = values.shape
    smooth = np.floor(values * 255)
    before, after = box_px // 2, box_px - box_px // 2
    for _ in range(5):
        wide = np.pad(smooth, ((before, after - 1), (before, after - 1)), mode="reflect")
        smooth = np.array(
            [[np.rint(wide[y : y + box_px, x : x + box_px].mean()) for x in range(width)] for y in range(height)]
        )
    peak = np.zeros((height, width), bool)
    before, after = peak_px // 2, peak_px - peak_px // 2
    for y in range(height):
        for x in range(width):
            around = smooth[max(y - before, 0) : y + after, max(x - before, 0) : x + after]
            peak[y, x] = smooth[y, x] > 0 and smooth[y, x] == around.max()
    found = set()
    while peak.any():
        start = tuple(int(i) for i in np.argwhere(peak)[0])
        component, frontier = [], [start]
        peak[start] = False
        while frontier:
            y, x = frontier.pop()
            component.append((y, x))
            for ny in range(max(y - 1, 0), min(y + 2, height)):
                for nx in range(max(x - 1, 0), min(x + 2, width)):
                    if peak[ny, nx]:
                        peak[ny, nx] = False
                        frontier.append((ny, nx))
        y, x = (int(mean) for mean in np.mean(component, axis=0))
        if values[y, x] >= 0.5:
            found.add((x, y))
    return found


@settings(deadline=None, max_examples=30)
@given(st.integers(12, 30), st.integers(12, 30), st.sampled_from([3, 5, 20]), st.integers(2, 12), st.integers(0, 999))
def test_centers_equal_plain_loops(width: int, height: int, box_px: int, peak_px: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    coarse = random.uniform(0.3, 1, (-(-height // 4), -(-width // 4)))
    values = np.repeat(np.repeat(coarse, 4, axis=0), 4, axis=1)[:height, :width]
    values = np.floor(values * 255) / 255  # as maps come, in 256 levels
    centers = attention_centers(values, box_px=box_px, peak_px=peak_px)
    assert {(int(x), int(y)) for x, y in centers} == naive_centers(values, box_px, peak_px)


def test_centers_equal_plain_loops_with_the_published_kernels() -> None:
    random = np.random.default_rng(5)
    values = np.floor(np.repeat(np.repeat(random.uniform(0.2, 1, (5, 6)), 16, axis=0), 16, axis=1) * 255) / 255
    assert {(int(x), int(y)) for x, y in attention_centers(values)} == naive_centers(values, 50, 1000)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.zeros(5), "shape"),
        (np.zeros((0, 4)), "shape"),
        (np.full((4, 4), 1.5), "0 to 1"),
        (np.full((4, 4), -0.1), "0 to 1"),
        (np.full((4, 4), np.nan), "0 to 1"),
    ],
)
def test_maps_that_are_no_maps(values: Floats, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        selo_scores(values, [box(0, 0, 2, 2)])


@pytest.mark.parametrize(
    ("polygons", "match"),
    [
        ([], "no polygon"),
        ([box(90, 90, 99, 99)], "no polygon touches"),
        ([box(2, 2, 2.4, 2.4)], "smaller than a pixel"),
    ],
)
def test_targets_that_are_no_targets(polygons: list[Floats], match: str) -> None:
    with pytest.raises(DataError, match=match):
        selo_scores(np.zeros((50, 60)), polygons)
