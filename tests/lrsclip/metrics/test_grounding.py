"""The pointing game and the overlaps worked out by hand, ties included; and a plain loop for the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsclip.metrics.grounding import best_common_iou, best_iou, grounding_scores, iou_steps, pointing_hit

MAP = np.array([[0.9, 0.9, 0.1], [0.5, 0.9, 0.1]])
TARGET = np.array([[True, True, False], [True, False, False]])


def test_pointing_counts_ties_by_their_share() -> None:
    # three pixels share the maximum, two of them on the target
    assert pointing_hit(MAP, TARGET) == pytest.approx(2 / 3)
    assert pointing_hit(np.array([[0.1, 0.9]]), np.array([[False, True]])) == 1
    assert pointing_hit(np.array([[0.1, 0.9]]), np.array([[True, False]])) == 0


def test_a_flat_map_points_as_chance_does() -> None:
    assert pointing_hit(np.zeros((2, 3)), TARGET) == 0.5


def test_pointing_takes_scores_of_choices_too() -> None:
    cosines = np.array([0.2, 0.7, 0.7, 0.1])
    assert pointing_hit(cosines, np.arange(4) == 1) == 0.5
    assert pointing_hit(cosines, np.arange(4) == 3) == 0


def test_iou_at_every_threshold_by_hand() -> None:
    thresholds, overlap = iou_steps(MAP, TARGET)
    np.testing.assert_array_equal(thresholds, [0.9, 0.5, 0.1])
    # from 0.9: 3 marked, 2 right, union 4; from 0.5: 4 marked, 3 right, union 4; from 0.1: 6 marked, 3 right, union 6
    np.testing.assert_allclose(overlap, [2 / 4, 3 / 4, 3 / 6])
    assert best_iou(MAP, TARGET) == (0.75, 0.5)


def test_of_equal_overlaps_the_highest_threshold_is_named() -> None:
    # from 3: 1 of union 2; from 2: 1 marked more, wrong: 1 of 3; from 1: 2 of 4
    assert best_iou(np.array([3.0, 2, 1, 1]).reshape(1, 4), np.array([[True, False, True, False]])) == (0.5, 3.0)


def test_one_threshold_for_all_by_hand() -> None:
    first = (np.array([[0.9, 0.4]]), np.array([[True, False]]))  # IoU 1 above 0.4 up to 0.9, then 1/2
    second = (np.array([[0.6, 0.3]]), np.array([[True, True]]))  # IoU 0 above 0.6, 1/2 to 0.3, then 1
    # at 0.9: (1 + 0) / 2; at 0.6: (1 + 1/2) / 2; at 0.4: (1/2 + 1/2) / 2; at 0.3: (1/2 + 1) / 2, not higher than at 0.6
    assert best_common_iou([first, second]) == (0.75, 0.6)
    scores = grounding_scores([first, second])
    assert scores.as_dict() == {
        "pointing": 100,
        "iou_own_threshold": 100,
        "iou_one_threshold": 75,
        "one_threshold": 0.6,
        "target_share": 75,
    }


def test_a_value_that_two_maps_share_counts_once() -> None:
    # At 0.5 both maps mark everything they have: counted halfway, the second would seem not to mark anything.
    pair = (np.array([[0.5, 0.5]]), np.array([[True, False]]))
    assert best_common_iou([pair, pair]) == (0.5, 0.5)


@st.composite
def pairs(draw: st.DrawFn) -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    made = []
    for _ in range(draw(st.integers(1, 4))):
        shape = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
        target = random.random(shape) < 0.4
        target.flat[0] = True
        made.append((random.integers(0, draw(st.integers(1, 20)), shape) / 8, target))
    return made


@settings(max_examples=100)
@given(pairs())
def test_equals_a_plain_loop(made: list[tuple[np.ndarray, np.ndarray]]) -> None:
    def iou(values: np.ndarray, target: np.ndarray, threshold: float) -> float:
        marked = values >= threshold
        return float((marked & target).sum() / (marked | target).sum())

    levels = sorted({float(v) for values, _ in made for v in values.ravel()}, reverse=True)
    means = [np.mean([iou(*pair, level) for pair in made]) for level in levels]
    scores = grounding_scores(made)
    assert scores.iou_one_threshold == pytest.approx(100 * max(means))
    assert np.mean([iou(*pair, scores.one_threshold) for pair in made]) == pytest.approx(max(means))
    own = [max(iou(*pair, level) for level in np.unique(pair[0])) for pair in made]
    assert scores.iou_own_threshold == pytest.approx(100 * np.mean(own))
    hits = [np.mean([t for v, t in zip(m.ravel(), g.ravel(), strict=True) if v == m.max()]) for m, g in made]
    assert scores.pointing == pytest.approx(100 * np.mean(hits))
    assert scores.iou_one_threshold <= scores.iou_own_threshold + 1e-9


@pytest.mark.parametrize(
    ("values", "target", "match"),
    [
        (np.zeros((2, 3)), np.ones((3, 2), bool), "do not fit"),
        (np.array([[np.nan, 1.0]]), np.array([[True, False]]), "not finite"),
        (np.zeros((2, 2)), np.zeros((2, 2), bool), "empty"),
    ],
)
def test_what_does_not_fit(values: np.ndarray, target: np.ndarray, match: str) -> None:
    for score in (pointing_hit, best_iou):
        with pytest.raises(ValueError, match=match):
            score(values, target)


def test_no_maps_have_no_threshold() -> None:
    with pytest.raises(ValueError, match="no maps"):
        best_common_iou([])
