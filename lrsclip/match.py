"""Does the best tile of a search fit at all? A search always finds something, and a score alone does not say how good.

Three numbers speak for it: the cosine of the best tile; by how many standard deviations it stands out from the scores
of all tiles of the collection; and how many tiles there are, since the best of many is high by chance.
`train.calibrate_match` weighs them on descriptions whose tile is in a collection or was taken out of it with all of its
kind, and writes the weights into the checkpoint's manifest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from lrsclip.errors import CheckpointError

Floats = npt.NDArray[np.float32]
MANIFEST_KEY = "match"
MOST_LOOKED_AT = 4096
"""Tiles that the spread of the scores is taken from; more do not change it."""
_LEAST_SPREAD_COS = 1e-4


class Calibrated(Protocol):
    """What is needed of a model; `lrsclip.LRSCLIP` has it."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The checkpoint's manifest."""
        ...


class Calibration(BaseModel):
    """What `train.calibrate_match` writes; more fields say what it was measured on."""

    model_config = ConfigDict(frozen=True)

    weights: tuple[float, float, float]
    bias: float
    false_alarm_rate: float
    miss_rate: float


@dataclass(frozen=True)
class Match:
    """A calibrated judgement of a search.

    Attributes:
        probability: that the collection has what was described, 0 to 1, if that is as likely as not beforehand.
        good: whether that is enough to show the results without a warning.
        false_alarm_rate: how often no warning was given although nothing fitted, on held-out descriptions, 0 to 1.
        miss_rate: how often the warning was given although the tile was there.
    """

    probability: float
    good: bool
    false_alarm_rate: float
    miss_rate: float


def sample_of(vectors: npt.NDArray[np.floating]) -> Floats:
    """Tiles to take the spread of the scores from, evenly out of all: (n, D) L2-normalised.

    Args:
        vectors: (N, D) of the collection.
    """
    rows = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), MOST_LOOKED_AT)).round().astype(np.int64))
    some = np.asarray(vectors[rows], np.float32)
    sample: Floats = some / np.maximum(np.linalg.norm(some, axis=1, keepdims=True), 1e-12)
    return sample


def evidence(best_cos: float, scores_cos: Floats, tiles: int) -> npt.NDArray[np.float64]:
    """The three numbers, (3,).

    Args:
        best_cos: of the best tile.
        scores_cos: (n,) of the tiles of `sample_of`.
        tiles: how many there are to search.
    """
    spread = max(float(scores_cos.std()), _LEAST_SPREAD_COS)
    return np.array([best_cos, (best_cos - float(scores_cos.mean())) / spread, math.log(tiles)], np.float64)


def match_of(bundle: Calibrated, best_cos: float, scores_cos: Floats, tiles: int) -> Match | None:
    """The judgement of a description in words and its best tile.

    Args:
        bundle: the model.
        best_cos: cosine of the description and the best tile.
        scores_cos: (n,) cosines of the description and the tiles of `sample_of`.
        tiles: how many there are to search.

    Returns:
        None where the checkpoint is not calibrated, or there are too few tiles to tell.

    Raises:
        CheckpointError: what its manifest says of that is broken.
    """
    entry = bundle.manifest.get(MANIFEST_KEY)
    if entry is None or len(scores_cos) < 2:
        return None
    try:
        said = Calibration.model_validate(entry)
    except ValidationError as error:
        raise CheckpointError(
            f"the checkpoint's manifest has a broken {MANIFEST_KEY!r} entry ({error.errors()[0]['msg']}); "
            "run train.calibrate_match again"
        ) from error
    logit = float(evidence(best_cos, scores_cos, tiles) @ np.array(said.weights) + said.bias)
    probability = 1 / (1 + math.exp(-max(-50.0, min(50.0, logit))))
    return Match(probability, probability >= 0.5, said.false_alarm_rate, said.miss_rate)
