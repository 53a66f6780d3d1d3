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

    Ties count against the model: a rival with the same score as the right answer ranks before it.

    Args:
        image: (N, D) of length one.
        text: (M, D) of length one.
        picture_of_text: (M,) for each text the row of its picture; every picture needs at least one text.

    Raises:
        ValueError: shapes that do not fit, or a picture without a text.
    """
    if len(text) != len(picture_of_text) or set(picture_of_text.tolist()) != set(range(len(image))):
        raise ValueError(f"{len(text)} texts, {len(picture_of_text)} owners, {len(image)} pictures do not fit together")
    score = image @ text.T  # (N, M)
    own = np.arange(len(image))[:, None] == picture_of_text[None, :]
    best_own = np.where(own, score, -np.inf).max(axis=1, keepdims=True)
    rank_i2t = ((score >= best_own) & ~own).sum(axis=1)
    right = score[picture_of_text, np.arange(len(text))]
    rank_t2i = ((score >= right[None, :]) & ~own).sum(axis=0)
    i2t = tuple(float((rank_i2t < k).mean() * 100) for k in KS)
    t2i = tuple(float((rank_t2i < k).mean() * 100) for k in KS)
    return RetrievalScores((i2t[0], i2t[1], i2t[2]), (t2i[0], t2i[1], t2i[2]))
