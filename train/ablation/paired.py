"""Two arms of a study compared on the same questions: the difference of their means, and how sure it is.

A paired bootstrap: seeds are drawn with replacement, and then questions, the same for both arms. So what is hard for
both arms alike does not widen the interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DRAWS = 2000


@dataclass(frozen=True)
class Comparison:
    """One arm against another.

    Attributes:
        one: mean of the first arm over seeds and questions.
        other: of the second.
        relative_pct: how far the first mean is above the second, in per cent of the second; NaN where that is 0.
        low_pct, high_pct: 95 % interval of `relative_pct`.
        seeds, questions: how many of each there are.
    """

    one: float
    other: float
    relative_pct: float
    low_pct: float
    high_pct: float
    seeds: int
    questions: int

    @property
    def is_null(self) -> bool:
        """Whether the interval holds no difference at all."""
        return not (self.low_pct > 0 or self.high_pct < 0)


def compared(one: np.ndarray, other: np.ndarray, seed: int = 0, draws: int = DRAWS) -> Comparison:
    """Compare two arms.

    Args:
        one: (S, Q) values of S seeds and Q questions.
        other: (S, Q), seed by seed and question by question the same.
        seed: of the draws.
        draws: of the bootstrap.

    Raises:
        ValueError: the shapes differ, or there is nothing.
    """
    if one.shape != other.shape or one.ndim != 2 or one.size == 0:
        raise ValueError(f"values {one.shape} and {other.shape} are no pairs of seeds and questions")
    random, (seeds, questions) = np.random.default_rng(seed), one.shape
    found = np.empty(draws)
    for draw in range(draws):
        rows, columns = random.integers(seeds, size=seeds), random.integers(questions, size=questions)
        found[draw] = _relative_pct(one[rows][:, columns].mean(), other[rows][:, columns].mean())
    low, high = np.nanpercentile(found, (2.5, 97.5)) if np.isfinite(found).any() else (np.nan, np.nan)
    mean_one, mean_other = float(one.mean()), float(other.mean())
    return Comparison(
        mean_one, mean_other, _relative_pct(mean_one, mean_other), float(low), float(high), seeds, questions
    )


def _relative_pct(one: float, other: float) -> float:
    return float(100 * (one / other - 1)) if other else float("nan")
