"""Recalls worked out by hand, ties and duplicates included; and a plain loop for the rest."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsclip.metrics import hit_chances, many_to_many_scores, retrieval_scores


def onehot(*rows: int, width: int = 4) -> np.ndarray:
    """Unit vectors."""
    return np.eye(width, dtype=np.float32)[list(rows)]


def test_perfect_and_swapped() -> None:
    owner = np.array([0, 1])
    assert retrieval_scores(onehot(0, 1), onehot(0, 1), owner).mean_recall == 100
    swapped = retrieval_scores(onehot(0, 1), onehot(1, 0), owner)
    assert swapped.image_to_text == (0, 100, 100)
    assert swapped.text_to_image == (0, 100, 100)
    assert swapped.mean_recall == pytest.approx(400 / 6)


def test_one_of_several_texts_is_enough_for_a_picture() -> None:
    image = np.array([[1, 0], [0, 1]], np.float32)
    text = np.array([[1, 0], [0, 1], [0, 1]], np.float32)  # picture 0 has one good and one bad text
    scores = retrieval_scores(image, text, np.array([0, 0, 1]))
    # picture 1: its text ties with the bad text of picture 0, so it comes first half of the time
    assert scores.image_to_text == (75, 100, 100)
    # text 1 belongs to picture 0 but looks like picture 1
    assert scores.text_to_image == pytest.approx((200 / 3, 100, 100))


def test_one_point_for_everything_scores_as_chance() -> None:
    same = np.ones((20, 1), np.float32)
    scores = retrieval_scores(same, same, np.arange(20))
    assert scores.image_to_text == pytest.approx((5, 25, 50))
    assert scores.text_to_image == pytest.approx((5, 25, 50))


def test_not_a_number_never_scores() -> None:
    broken = np.full((20, 3), np.nan, np.float32)
    assert retrieval_scores(broken, broken, np.arange(20)).mean_recall == 0


def test_duplicate_texts_stay_separate() -> None:
    """`raw`: the same sentence under two pictures is two texts, and each is wrong for the other."""
    image = np.array([[1, 0], [0.8, 0.6]], np.float32)
    text = np.array([[1, 0], [1, 0]], np.float32)
    scores = retrieval_scores(image, text, np.array([0, 1]))
    assert scores.text_to_image == (50, 100, 100)
    assert scores.image_to_text == (50, 100, 100)


def test_ties_are_the_mean_over_all_orders() -> None:
    """Two own and three foreign texts tie, one foreign is above: counted over every order of the tied five."""
    image = np.array([[1, 0], [0, 1]], np.float32)
    above, level = [1.0, 0.0], [0.6, 0.8]
    text = np.array([level, level, level, level, level, above], np.float32)
    owner = np.array([0, 0, 1, 1, 1, 1])
    orders = list(itertools.permutations(range(5)))
    hits = [any(number < 2 for number in order[:4]) for order in orders]  # one of the five places is taken
    rates = retrieval_scores(image, text, owner).image_to_text
    # picture 1 finds one of its own first in 3 of 5 orders, and always among the five best
    assert rates[0] == pytest.approx((0 + 60) / 2)
    assert rates[1] == pytest.approx(100 * (np.mean(hits) + 1) / 2)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        retrieval_scores(onehot(0, 1), onehot(0, 1), np.array([0, 0]))


@given(st.integers(1, 12), st.integers(1, 3), st.integers(0, 2**31))
def test_equals_a_plain_loop(pictures: int, texts_each: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    image, text = random.normal(size=(pictures, 5)), random.normal(size=(pictures * texts_each, 5))
    owner = random.permutation(np.repeat(np.arange(pictures), texts_each))
    scores = retrieval_scores(image.astype(np.float32), text.astype(np.float32), owner)
    cos = image.astype(np.float32) @ text.astype(np.float32).T
    for position, k in enumerate((1, 5, 10)):
        hits = [any(owner[j] == i for j in np.argsort(-cos[i])[:k]) for i in range(pictures)]
        assert scores.image_to_text[position] == pytest.approx(100 * np.mean(hits))
        hits = [owner[j] in np.argsort(-cos[:, j])[:k] for j in range(len(text))]
        assert scores.text_to_image[position] == pytest.approx(100 * np.mean(hits))


def table(*rows: str) -> np.ndarray:
    """Rows of ones and zeros as a relation."""
    return np.array([[mark == "1" for mark in row] for row in rows])


def test_a_merged_text_is_found_by_any_of_its_pictures() -> None:
    score = np.array([[0.9, 0.5, 0.5], [0.9, 0.2, 0.1]], np.float32)  # two pictures, three texts
    merged = table("110", "101")  # the first text belongs to both pictures
    scores = many_to_many_scores(score, merged)
    assert scores.image_to_text == (100, 100, 100)  # that text is each picture's best
    # by text: the first hits either way; the second is its picture's alone; the third scores higher on the other one
    assert scores.text_to_image == pytest.approx((200 / 3, 100, 100))
    assert scores.direction_means == pytest.approx((100, 800 / 9))
    assert scores.mean_recall == pytest.approx((300 + 800 / 3) / 6)


def test_merged_ties_by_hand() -> None:
    """One text, two right pictures and two wrong ones, all of one score: 1/2 at K = 1, 1 - 1/6 at 2, sure at 3."""
    chances = hit_chances(np.ones((1, 4), np.float32), table("1010"), (1, 2, 3))
    assert chances.tolist() == pytest.approx(np.array([[1 / 2, 5 / 6, 1]]))
    # a wrong one above takes the first place from them
    above = np.array([[1, 2, 1, 1]], np.float32)
    assert hit_chances(above, table("1010"), (1, 2, 3)).tolist() == pytest.approx(np.array([[0, 2 / 3, 1]]))
    # of the right ones only the better counts: the worse cannot come before it
    worse = np.array([[3, 2, 1, 3]], np.float32)
    assert hit_chances(worse, table("1010"), (1, 2)).tolist() == pytest.approx(np.array([[1 / 2, 1]]))


def test_merging_helps_only_those_who_share() -> None:
    """The same two pictures under one sentence: apart, each is wrong for the other half of the time."""
    image, text = np.ones((2, 1), np.float32), np.ones((2, 1), np.float32)
    assert retrieval_scores(image, text, np.array([0, 1])).text_to_image[0] == 50
    assert many_to_many_scores(image @ text[:1].T, table("1", "1")).text_to_image[0] == 100


def test_a_positive_that_is_not_a_number_is_no_hit() -> None:
    score = np.array([[np.nan, 0.0, -1.0], [np.nan, np.nan, np.nan]], np.float32)
    assert hit_chances(score, table("101", "100"), (1, 2, 3)).tolist() == [[0, 1, 1], [0, 0, 0]]


def test_a_query_that_nothing_belongs_to() -> None:
    with pytest.raises(ValueError, match="no positive"):
        hit_chances(np.ones((2, 2), np.float32), table("10", "00"))
    with pytest.raises(ValueError, match="do not fit"):
        hit_chances(np.ones((2, 2), np.float32), table("10"))


def over_all_orders(score: np.ndarray, positive: np.ndarray, k: int) -> list[float]:
    """The plain way: every order of the candidates, sorted stably, counted one by one."""
    rows = []
    for values, own in zip(score, positive, strict=True):
        keys = [np.inf if np.isnan(v) else -v for v in values]
        hits = []
        for order in itertools.permutations(range(len(values))):
            best = sorted(order, key=lambda c: keys[c])[:k]  # sorted keeps the order of equal ones
            hits.append(any(own[c] and not np.isnan(values[c]) for c in best))
        rows.append(float(np.mean(hits)))
    return rows


@given(st.data(), st.integers(1, 3), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_equals_the_mean_over_all_orders(data: st.DataObject, queries: int, candidates: int) -> None:
    def rows(cell: st.SearchStrategy[Any]) -> list[list[Any]]:
        row = st.lists(cell, min_size=candidates, max_size=candidates)
        return data.draw(st.lists(row, min_size=queries, max_size=queries))

    score = np.array(rows(st.sampled_from([0.0, 1.0, 2.0, np.nan])), np.float32)  # few values, so that many tie
    positive = np.array(rows(st.booleans()))
    positive[:, data.draw(st.integers(0, candidates - 1))] = True
    fast = hit_chances(score, positive, (1, 2, 3))
    for column, k in enumerate((1, 2, 3)):
        assert fast[:, column] == pytest.approx(over_all_orders(score, positive, k))
