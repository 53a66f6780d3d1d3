"""Calibrated presence: whether a sentence is true of a scene at all, since a map always lights up somewhere.

Three numbers speak for it: the highest cosine of any window; how much a window prefers the sentence to the other kinds
of scene (the names of thirty land uses); and how many windows there were, since the best of many is high by
chance. `train.calibration.presence` weighs them on validation scenes in which the sentence is true or is not, and
writes the weights into the checkpoint's manifest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lrsclip.calibration.land_use import land_use_references
from lrsclip.calibration.logistic import Logistic, Verdict, calibration_of
from lrsclip.protocols import Encoders, Method

Floats = npt.NDArray[np.float32]
MANIFEST_KEY = "presence"
PRESENCE_WORDS: Mapping[Verdict, str] = {"yes": "probably present", "unsure": "unsure", "no": "probably not here"}


class Calibration(Logistic):
    """The entry of `train.calibration.presence` for a method, for the three numbers of `evidence`."""

    weights: tuple[float, float, float]


@dataclass(frozen=True)
class Presence:
    """A calibrated answer.

    Attributes:
        probability: that the sentence is true of the scene, 0 to 1, if that is as likely as not beforehand.
        verdict: "yes", probably present; "no", probably not here; "unsure", the model cannot tell.
        false_alarm_rate: of held-out scenes without it, the share with a yes, 0 to 1.
        miss_rate: of held-out scenes with it, the share with a no, 0 to 1.
        unsure_rate: of both, the share that is left unsure, 0 to 1.
    """

    probability: float
    verdict: Verdict
    false_alarm_rate: float
    miss_rate: float
    unsure_rate: float

    @property
    def present(self) -> bool:
        """Whether the verdict is yes."""
        return self.verdict == "yes"


def presence_of(bundle: Encoders, method: Method, text_vector: Floats, vectors: Floats) -> Presence | None:
    """Judge whether one sentence is true anywhere in one scene.

    Args:
        bundle: the model.
        method: method that encoded the scene.
        text_vector: (D,) L2-normalized.
        vectors: (N, D) of the scene's windows, L2-normalized.

    Returns:
        None where the checkpoint is not calibrated for the method.

    Raises:
        CheckpointError: the manifest's entry is broken.
    """
    manifest = getattr(bundle, "manifest", {})
    said = calibration_of(manifest, (MANIFEST_KEY, method), Calibration, "train.calibration.presence")
    if said is None:
        return None
    probability = said.probability(evidence(bundle, text_vector, vectors))
    return Presence(probability, said.verdict(probability), said.false_alarm_rate, said.miss_rate, said.unsure_rate)


def evidence(bundle: Encoders, text_vector: Floats, vectors: Floats) -> npt.NDArray[np.float64]:
    """Compute the three numbers, (3,) float64: best cosine, best lead over the references' mean, log of the windows."""
    scores_cos = vectors @ text_vector
    lead = scores_cos - vectors @ land_use_references(bundle).mean(axis=0)
    return np.array([scores_cos.max(), lead.max(), math.log(len(vectors))], dtype=np.float64)
