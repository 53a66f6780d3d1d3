"""Recall at K both ways and its mean, as RemoteCLIP and RS5M report them (protocol `raw`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

KS = (1, 5, 10)


@dataclass(frozen=True)
class RetrievalScores:
    """Recalls in per cent at K = 1, 5, 10.

    Attributes:
        image_to_text: a picture is a hit if at least one of its texts is among the K best.
        text_to_image: a text is a hit if its picture is among the K best.
    """

    image_to_text: tuple[float, float, float]
    text_to_image: tuple[float, float, float]

    @property
    def mean_recall(self) -> float:
        """mR: the mean of the six recalls."""
        return float(np.mean(self.image_to_text + self.text_to_image))

    def as_dict(self) -> dict[str, float]:
        """Flat, for JSON and tables."""
        rows = {f"i2t_r{k}": v for k, v in zip(KS, self.image_to_text, strict=True)}
        rows |= {f"t2i_r{k}": v for k, v in zip(KS, self.text_to_image, strict=True)}
        return rows | {"mR": self.mean_recall}


def retrieval_scores(
    image: npt.NDArray[np.float32], text: npt.NDArray[np.float32], picture_of_text: npt.NDArray[np.int64]
) -> RetrievalScores:
    """Score a test split with plain cosines, every text separate even when two read the same.

    The caption sets hold the same sentence under many pictures, so exact ties are common. Published tools break them by
    the order that a sort happens to give; here a tie counts as what random order would give on average, which agrees
    with them in expectation and does not depend on the order of the data. A model that maps everything to one point
    scores as chance does.

    Args:
        image: (N, D) of length one.
        text: (M, D) of length one; the same text must have the same vector to the last bit (encode it once).
        picture_of_text: (M,) for each text the row of its picture; every picture needs at least one text.

    Raises:
        ValueError: shapes that do not fit, or a picture without a text.
    """
    if len(text) != len(picture_of_text) or set(picture_of_text.tolist()) != set(range(len(image))):
        raise ValueError(f"{len(text)} texts, {len(picture_of_text)} owners, {len(image)} pictures do not fit together")
    score = np.nan_to_num(image @ text.T, nan=-np.inf)  # (N, M)
    own = np.arange(len(image))[:, None] == picture_of_text[None, :]
    i2t, t2i = _hit_rates(score, own), _hit_rates(score.T, own.T)
    return RetrievalScores(i2t, t2i)


def _hit_rates(score: npt.NDArray[np.float32], own: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """Per cent of rows with one of their own among the K best, for each K, ties in random order on average."""
    best = np.where(own, score, -np.inf).max(axis=1, keepdims=True)
    above = (score > best).sum(axis=1)  # rivals only: nothing of one's own is above one's best
    tied = (score == best) & np.isfinite(best)
    right, wrong = (tied & own).sum(axis=1), (tied & ~own).sum(axis=1)
    rates = []
    for k in KS:
        places = np.where(right > 0, np.maximum(k - above, 0), 0)
        miss = np.ones(len(score))  # the chance that the tied rows' order gives every place to a rival
        for place in range(k):
            drawn = place < places
            left = np.maximum(wrong - place, 0)
            miss = np.where(drawn, miss * left / np.maximum(left + right, 1), miss)
        rates.append(float((1 - miss).mean() * 100))
    return rates[0], rates[1], rates[2]
