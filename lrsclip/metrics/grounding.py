"""Grounding metrics of a heat-map with one marked target: the pointing game, and the IoU at the best threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class GroundingScores:
    """Means over pictures, in percent except the threshold.

    Attributes:
        pointing: how often the map's highest point is on the target (Zhang et al., Excitation Backprop, 2016).
        iou_own_threshold: IoU where every picture may choose its best threshold; an upper bound.
        iou_one_threshold: IoU where all pictures share the one threshold that is best for them together.
        one_threshold: that threshold, in the map's own unit.
        target_share: the targets' share of the picture: the pointing of a flat map or of a random point, and the IoU
            of a map that marks everything. A score that is not above it is chance.
    """

    pointing: float
    iou_own_threshold: float
    iou_one_threshold: float
    one_threshold: float
    target_share: float

    def as_dict(self) -> dict[str, float]:
        """Flatten for JSON and tables."""
        return {
            "pointing": self.pointing,
            "iou_own_threshold": self.iou_own_threshold,
            "iou_one_threshold": self.iou_one_threshold,
            "one_threshold": self.one_threshold,
            "target_share": self.target_share,
        }


def pointing_hit(values: Values, target: Mask) -> float:
    """Score whether the highest value is on the target; a tie counts by its share there, as a fair draw on average.

    Args:
        values: a map (H, W), or (N,) scores of N choices.
        target: of the same shape, at least one True.

    Returns:
        0 to 1.

    Raises:
        ValueError: shapes differ, a value is not finite, or the target is empty.
    """
    _check(values, target)
    return float(target[values == values.max()].mean())


def iou_steps(values: Values, target: Mask) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Compute the IoU of {map >= t} with the target for every t that makes a difference.

    Args:
        values: (H, W).
        target: (H, W), at least one True.

    Returns:
        (K,) distinct values of the map as thresholds, descending, and (K,) the IoU at each, 0 to 1.

    Raises:
        ValueError: shapes differ, a value is not finite, or the target is empty.
    """
    _check(values, target)
    thresholds, step = np.unique(values, return_inverse=True)
    marked = np.bincount(step.ravel(), minlength=len(thresholds))[::-1].cumsum()
    hit = np.bincount(step.ravel(), weights=target.ravel(), minlength=len(thresholds))[::-1].cumsum()
    return thresholds[::-1].astype(np.float64), hit / (marked + target.sum() - hit)


def best_iou(values: Values, target: Mask) -> tuple[float, float]:
    """Find the highest IoU over all thresholds and the highest threshold that gives it.

    Raises:
        ValueError: shapes differ, a value is not finite, or the target is empty.
    """
    thresholds, overlap = iou_steps(values, target)
    best = int(overlap.argmax())
    return float(overlap[best]), float(thresholds[best])


def best_common_iou(pairs: Sequence[tuple[Values, Mask]]) -> tuple[float, float]:
    """Find the highest mean IoU that one threshold for all pictures gives, and that threshold.

    The mean IoU changes only at values that some map has; all are tried. Maps must share a scale.

    Raises:
        ValueError: there are no pairs, or one does not fit together.
    """
    at, change = [], []
    for values, target in pairs:
        thresholds, overlap = iou_steps(values, target)
        at.append(thresholds)
        change.append(np.diff(overlap, prepend=0.0))
    if not at:
        raise ValueError("no maps to find a threshold for")
    falling = np.argsort(-np.concatenate(at), kind="stable")
    thresholds, mean = np.concatenate(at)[falling], np.concatenate(change)[falling].cumsum() / len(at)
    last = np.append(thresholds[:-1] != thresholds[1:], True)  # only once all that share a value are counted
    best = int(mean[last].argmax())
    return float(mean[last][best]), float(thresholds[last][best])


def grounding_scores(pairs: Sequence[tuple[Values, Mask]]) -> GroundingScores:
    """Score maps against their targets.

    Args:
        pairs: per picture an (H, W) map and its (H, W) target; the maps on one scale, the pictures of any size.

    Raises:
        ValueError: there are no pairs, or one does not fit together.
    """
    one_iou, one_threshold = best_common_iou(pairs)
    return GroundingScores(
        pointing=100 * float(np.mean([pointing_hit(*pair) for pair in pairs])),
        iou_own_threshold=100 * float(np.mean([best_iou(*pair)[0] for pair in pairs])),
        iou_one_threshold=100 * one_iou,
        one_threshold=one_threshold,
        target_share=100 * float(np.mean([target.mean() for _, target in pairs])),
    )


def _check(values: Values, target: Mask) -> None:
    if values.shape != target.shape:
        raise ValueError(f"a map of shape {values.shape} and a target of shape {target.shape} do not fit together")
    if not np.isfinite(values).all():
        raise ValueError("a map holds a value that is not finite")
    if not target.any():
        raise ValueError("the target is empty")
