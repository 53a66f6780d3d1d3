"""Pictures as other sensors would have taken them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from train.data.degrade import degraded, seed_of


def halves(px: int = 64) -> Image.Image:
    """Dark green on the left, pale sand on the right."""
    values = np.zeros((px, px, 3), np.uint8)
    values[:, : px // 2], values[:, px // 2 :] = (20, 70, 30), (220, 200, 150)
    return Image.fromarray(values)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(9, 90), st.integers(9, 90))
def test_size_and_mode_stay(seed: int, width: int, height: int) -> None:
    out = degraded(Image.new("RGB", (width, height), (90, 120, 60)), np.random.default_rng(seed))
    assert out.size == (width, height) and out.mode == "RGB"


def test_what_is_shown_stays_where_it_is() -> None:
    for seed in range(60):
        out = np.asarray(degraded(halves(), np.random.default_rng(seed)), np.float32).mean(axis=2)
        assert out[:, :28].mean() + 20 < out[:, 36:].mean(), seed


def test_each_view_is_another_and_the_same_again() -> None:
    def view(number: int) -> np.ndarray:
        return np.asarray(degraded(halves(), np.random.default_rng(seed_of("rsicd/a.jpg", number))))

    assert np.array_equal(view(1), view(1)) and not np.array_equal(view(1), view(2))
    assert seed_of("rsicd/a.jpg", 1) != seed_of("rsicd/b.jpg", 1)
    coarse = [
        np.abs(np.diff(np.asarray(degraded(halves(), np.random.default_rng(s)), np.float32), axis=1)).max()
        for s in range(40)
    ]
    assert min(coarse) < 60 < max(coarse), "some are coarse, some are sharp"
