"""Judgment whether the best tile of a search fits at all, since a search always finds something, good or not.

Four numbers speak for it: the cosine of the best tile; how far text and tile agree on which of thirty land uses they
show; whether the five best tiles are alike, as those of one kind are, or a medley; and how many tiles there are, since
the best of many is high by chance. `train.calibration.match` weighs them on descriptions whose tile is in a collection
or was taken out of it with all of its kind, and writes the weights into the checkpoint's manifest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lrsclip.calibration.land_use import Referencing, land_use_references
from lrsclip.calibration.logistic import Logistic, Verdict, calibration_of
from lrsclip.vectors import Floats, unit

MANIFEST_KEY = "match"
MOST_LOOKED_AT = 4096
"""Most tiles that the centroid of a collection is taken from; more do not move it."""
BEST = 5
"""Number of the best tiles in the evidence."""
_SHARPNESS = 30.0  # of the choice between land uses; about the worth of a cosine in such models


class Calibration(Logistic):
    """The entry of `train.calibration.match`, for the four numbers of `evidence`."""

    weights: tuple[float, float, float, float]


class Calibrated(Referencing, Protocol):
    """The part of a model that the judgment needs; `lrsclip.LRSCLIP` has it."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The checkpoint's manifest."""
        ...


@dataclass(frozen=True)
class Match:
    """A calibrated judgment of a search.

    Attributes:
        probability: that the collection has a tile as described, 0 to 1, if that is as likely as not beforehand.
        verdict: "yes", a tile probably fits; "no", probably none does; "unsure", the model cannot tell.
        good: whether the verdict is yes.
        false_alarm_rate: of held-out descriptions that nothing fits, the share with a yes, 0 to 1.
        miss_rate: of those whose tile is there, the share with a no, 0 to 1.
        unsure_rate: of both, the share that is left unsure, 0 to 1.
    """

    probability: float
    verdict: Verdict
    good: bool
    false_alarm_rate: float
    miss_rate: float
    unsure_rate: float


def centroid(vectors: npt.NDArray[np.floating]) -> Floats:
    """Average a collection's vectors, (D,) float32, from tiles evenly spread over all.

    Args:
        vectors: (N, D).
    """
    rows = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), MOST_LOOKED_AT)).round().astype(np.int64))
    middle: Floats = unit(vectors[rows]).mean(axis=0)
    return middle


def evidence(
    text_vector: Floats, best: Floats, middle: Floats, references: Floats, tiles: int
) -> npt.NDArray[np.float64]:
    """Compute the four numbers, (4,) float64: best score, agreement, likeness of the best, log of the number of tiles.

    Args:
        text_vector: (D,) L2-normalized.
        best: (BEST, D) the best tiles, best first, L2-normalized.
        middle: (D,) of `centroid`.
        references: (R, D) of `land_use_references`.
        tiles: number of tiles in the search.
    """
    of_text, of_tile = _shares(references @ text_vector), _shares(references @ best[0])
    beyond = unit(best - middle)  # all tiles of a collection have much in common
    alike = (beyond @ beyond.T)[np.triu_indices(len(best), 1)].mean()
    agreement = np.sqrt(of_text * of_tile).sum()
    return np.array([best[0] @ text_vector, agreement, alike, math.log(tiles)], np.float64)


def _shares(scores_cos: Floats) -> Floats:
    raised = np.exp(_SHARPNESS * (scores_cos - scores_cos.max()))
    shares: Floats = raised / raised.sum()
    return shares


def match_of(bundle: Calibrated, text_vector: Floats, best: Floats, middle: Floats, tiles: int) -> Match | None:
    """Judge the match of a description in words with the tiles that fit it best.

    Args:
        bundle: the model.
        text_vector: (D,) L2-normalized.
        best: (n, D) the best tiles, best first, L2-normalized.
        middle: (D,) of `centroid`.
        tiles: number of tiles in the search.

    Returns:
        None where the checkpoint is not calibrated, or there are fewer than `BEST` tiles to judge by.

    Raises:
        CheckpointError: the manifest's entry is broken.
    """
    said = calibration_of(bundle.manifest, (MANIFEST_KEY,), Calibration, "train.calibration.match")
    if said is None or len(best) < BEST:
        return None
    probability = said.probability(evidence(text_vector, best[:BEST], middle, land_use_references(bundle), tiles))
    verdict = said.verdict(probability)
    return Match(probability, verdict, verdict == "yes", said.false_alarm_rate, said.miss_rate, said.unsure_rate)
