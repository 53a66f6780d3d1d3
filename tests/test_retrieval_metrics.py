"""Recalls worked out by hand, ties and duplicates included; and a plain loop for the rest."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsclip.metrics import retrieval_scores


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
