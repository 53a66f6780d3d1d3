"""Calibrated probabilities of labels, and a warning when no label fits well.

A softmax over a fixed factor times the cosines is too sure of pictures unlike those trained on, and not sure enough of
the most familiar ones. Here the factor grows with the best cosine of the picture (a temperature, as Guo et al. 2017
have it, that depends on the picture); which label is best does not change. A softmax shares out 1 even where no label
is true, so a second fit gives the chance that the right label is given, from the best cosine and its lead over
the second. `train.calibration.labels` fits both and writes them into the checkpoint's manifest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image

from lrsclip.calibration.logistic import Doubles, Logistic, calibration_of, logistic
from lrsclip.zero_shot.classifier import ClassScore, Encoders, Floats, Prototypes, ranked

MANIFEST_KEY = "labels"


class CalibratedEncoders(Encoders, Protocol):
    """The part of a model that a calibrated classification needs; `lrsclip.LRSCLIP` has it."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The checkpoint's manifest."""
        ...


class Calibration(Logistic):
    """The entry of `train.calibration.labels`: the chance that the right label is given, and the scale of the logits.

    Here a false alarm is "no label fits well" although the right one was given, and a miss that it was not said
    although the right one was left out, both on held-out pictures.

    Attributes:
        weights: of the two numbers of `evidence`.
        threshold: "no label fits well" is said below this probability.
        scale: (a, b): the factor between a cosine and a logit is exp(a + b * best cosine).
        error_rate: expected calibration error on held-out pictures, mean over the sets, 0 to 1.
    """

    weights: tuple[float, float]
    threshold: float
    scale: tuple[float, float]
    error_rate: float


@dataclass(frozen=True)
class Classification:
    """The labels of one image with their scores, and whether any fits.

    Attributes:
        scores: every label, best first.
        calibration: source of the probabilities, with its error rates; None for the model's own softmax.
        fit_probability: that the right label is among those given, 0 to 1; None without a calibration, or for a label
            alone, which leads no other.
    """

    scores: tuple[ClassScore, ...]
    calibration: Calibration | None
    fit_probability: float | None

    @property
    def label(self) -> str:
        """Best label."""
        return self.scores[0].label

    @property
    def probability(self) -> float:
        """Probability of the best label among those given, 0 to 1."""
        return self.scores[0].probability

    @property
    def fits(self) -> bool | None:
        """Whether some label fits; None without a fit probability."""
        if self.calibration is None or self.fit_probability is None:
            return None
        return self.fit_probability >= self.calibration.threshold


def judge(bundle: CalibratedEncoders, pictures: Sequence[Image.Image], prototypes: Prototypes) -> list[Classification]:
    """Judge pictures against prototypes made before.

    Args:
        bundle: the model.
        pictures: N pictures of any size.
        prototypes: of C labels.

    Returns:
        One judgment per picture.

    Raises:
        PictureError: a picture cannot be encoded.
        CheckpointError: the checkpoint's calibration is broken.
    """
    said = calibration_of(bundle.manifest, (MANIFEST_KEY,), Calibration, "train.calibration.labels")
    cosines = bundle.encode_image(list(pictures)) @ prototypes.vectors.T  # (N, C)
    if said is None:
        return [
            Classification(tuple(ranked(row, prototypes.labels, bundle.logit_scale)), None, None) for row in cosines
        ]
    factors = np.exp(log_factors(cosines, said.scale))
    scores = [tuple(ranked(row, prototypes.labels, f)) for row, f in zip(cosines, factors, strict=True)]
    if len(prototypes.labels) < 2:
        return [Classification(row, said, None) for row in scores]
    chances = logistic(evidence(cosines), said.weights, said.bias)
    return [Classification(row, said, float(chance)) for row, chance in zip(scores, chances, strict=True)]


def log_factors(cosines: Floats | Doubles, scale: Sequence[float]) -> Doubles:
    """Compute the natural logarithm of each picture's factor, (N,) float64, from its (N, C) cosines."""
    best: Doubles = cosines.max(axis=1).astype(np.float64)
    return scale[0] + scale[1] * np.clip(best, -1, 1)


def evidence(cosines: Floats | Doubles) -> Doubles:
    """Compute the evidence for the right label being given, (N, 2): best cosine, and its lead over the second."""
    ordered = np.sort(cosines.astype(np.float64), axis=1)
    return np.stack([ordered[:, -1], ordered[:, -1] - ordered[:, -2]], axis=1)
