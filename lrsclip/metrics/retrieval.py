"""Recall at K both ways and its mean, for any relation of queries and candidates.

Protocol `raw` (RemoteCLIP, RS5M) keeps every caption apart, so a text has one picture; protocol `merged` (SkyScript,
FarSLIP) makes equal captions one text, which then has many pictures. Both are a matrix of pairs that belong together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

KS = (1, 5, 10)
Scores = npt.NDArray[np.float32]
Relation = npt.NDArray[np.bool_]
Chances = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RetrievalScores:
    """Recalls in percent at K = 1, 5, 10.

    Attributes:
        image_to_text: a picture is a hit if at least one of its texts is among the K best.
        text_to_image: a text is a hit if its picture, or one of its pictures, is among the K best.
    """

    image_to_text: tuple[float, float, float]
    text_to_image: tuple[float, float, float]

    @classmethod
    def mean_of(cls, image_to_text: Chances, text_to_image: Chances) -> RetrievalScores:
        """Average the `hit_chances` for `KS` over pictures (N, 3) and over texts (M, 3), in percent."""
        by_picture, by_text = (100 * rows.mean(axis=0) for rows in (image_to_text, text_to_image))
        return cls(
            (float(by_picture[0]), float(by_picture[1]), float(by_picture[2])),
            (float(by_text[0]), float(by_text[1]), float(by_text[2])),
        )

    @property
    def mean_recall(self) -> float:
        """Mean of the six recalls (mR), in percent."""
        return float(np.mean(self.image_to_text + self.text_to_image))

    @property
    def direction_means(self) -> tuple[float, float]:
        """Mean of the three recalls of each direction, image-to-text first, as FarSLIP reports them."""
        return float(np.mean(self.image_to_text)), float(np.mean(self.text_to_image))

    def as_dict(self) -> dict[str, float]:
        """Flatten for JSON and tables."""
        rows = {f"i2t_r{k}": v for k, v in zip(KS, self.image_to_text, strict=True)}
        rows |= {f"t2i_r{k}": v for k, v in zip(KS, self.text_to_image, strict=True)}
        return rows | {"mR": self.mean_recall}


def retrieval_scores(
    image: npt.NDArray[np.float32], text: npt.NDArray[np.float32], picture_of_text: npt.NDArray[np.int64]
) -> RetrievalScores:
    """Score a test split with plain cosines; keep every text separate even when two read the same.

    Ties count as `hit_chances` says; a model that maps everything to one point scores as chance does.

    Args:
        image: (N, D) of length one.
        text: (M, D) of length one; the same text must have the same vector to the last bit (encode it once).
        picture_of_text: (M,) for each text the row of its picture; every picture needs at least one text.

    Raises:
        ValueError: shapes that do not fit, or a picture without a text.
    """
    if len(text) != len(picture_of_text) or set(picture_of_text.tolist()) != set(range(len(image))):
        raise ValueError(f"{len(text)} texts, {len(picture_of_text)} owners, {len(image)} pictures do not fit together")
    return many_to_many_scores(image @ text.T, np.arange(len(image))[:, None] == picture_of_text[None, :])


def many_to_many_scores(score: Scores, positive: Relation) -> RetrievalScores:
    """Score a test split in which a picture may have many texts and a text many pictures.

    Args:
        score: (N, M) score of each picture and text.
        positive: (N, M) whether they belong together; every row and every column needs one.

    Raises:
        ValueError: shapes that do not fit, or a picture or text that belongs to nothing.
    """
    return RetrievalScores.mean_of(hit_chances(score, positive), hit_chances(score.T, positive.T))


def hit_chances(score: Scores, positive: Relation, ks: tuple[int, ...] = KS) -> Chances:
    """Compute for each query the chance that at least one of its positives is among its K best.

    It is 0 or 1 except where scores tie. The caption sets hold the same sentence under many pictures, so exact ties
    are common. Published tools break them by the order that a sort happens to give; here a tie counts as what random
    order would give on average, which agrees with them in expectation and does not depend on the order of the data.
    NaN comes last and never hits.

    Args:
        score: (Q, C) of Q queries and C candidates.
        positive: (Q, C) bool, True for right candidates; every query needs one.
        ks: the K.

    Returns:
        (Q, len(ks)) from 0 to 1.

    Raises:
        ValueError: shapes that do not fit, or a query without a positive.
    """
    if score.shape != positive.shape or not positive.any(axis=1).all():
        raise ValueError(f"scores {score.shape} and positives {positive.shape} do not fit, or a query has no positive")
    score = np.where(np.isnan(score), -np.inf, score)
    best = np.where(positive, score, -np.inf).max(axis=1, keepdims=True)
    above = (score > best).sum(axis=1)  # rivals only: no positive is above the best positive
    tied = (score == best) & np.isfinite(best)
    right, wrong = (tied & positive).sum(axis=1), (tied & ~positive).sum(axis=1)
    chances = []
    for k in ks:
        places = np.where(right > 0, np.maximum(k - above, 0), 0)
        miss = np.ones(len(score))  # the chance that the tied rows' order gives every place to a rival
        for place in range(k):
            drawn = place < places
            left = np.maximum(wrong - place, 0)
            miss = np.where(drawn, miss * left / np.maximum(left + right, 1), miss)
        chances.append(1 - miss)
    return np.stack(chances, axis=1)
