"""Logistic regression on a few numbers, its answer in three words, and its entry in a checkpoint's manifest.

A probability near a half is no answer, and a yes or a no made of it is often wrong: between two bounds, which were
chosen so that either error is rare, the answer is "unsure".

`presence`, `match` and `labels` each have an entry, which a command of `train` measures and writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lrsclip.errors import CheckpointError

Doubles = npt.NDArray[np.float64]
Verdict = Literal["yes", "unsure", "no"]
Entry = TypeVar("Entry", bound=BaseModel)


class Logistic(BaseModel):
    """A logistic regression with its error rates on held-out cases; subclasses fix the number of weights.

    Attributes:
        weights: of the evidence, (k,).
        bias: beside them.
        false_alarm_rate: of the cases where no is right, the share answered with yes, 0 to 1.
        miss_rate: of the cases where yes is right, the share answered with no, 0 to 1.
        no_below: a lower probability is a no.
        yes_from: this one or a higher is a yes.
        unsure_rate: share of all cases between the two, 0 to 1.
    """

    model_config = ConfigDict(frozen=True)

    weights: tuple[float, ...]
    bias: float
    false_alarm_rate: float
    miss_rate: float
    no_below: float = Field(default=0.5, ge=0, le=0.5)
    yes_from: float = Field(default=0.5, ge=0.5, le=1)
    unsure_rate: float = 0.0

    def verdict(self, probability: float) -> Verdict:
        """Answer yes, no, or unsure."""
        return "no" if probability < self.no_below else "yes" if probability >= self.yes_from else "unsure"

    def probability(self, evidence: Doubles) -> float:
        """Compute the probability of yes, 0 to 1, from (k,) numbers."""
        return float(logistic(evidence, self.weights, self.bias))


def logistic(evidence: Doubles, weights: npt.ArrayLike, bias: float) -> Doubles:
    """Compute probabilities, (...), from evidence, (..., k), and (k,) weights."""
    logits = evidence @ np.asarray(weights, np.float64) + bias
    chances: Doubles = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
    return chances


def calibration_of(manifest: Mapping[str, Any], path: tuple[str, ...], kind: type[Entry], command: str) -> Entry | None:
    """Read an entry of a checkpoint's manifest; None if the checkpoint was not calibrated for it.

    Args:
        manifest: the checkpoint's.
        path: the entry's key, or the keys that lead to it.
        kind: class of the entry.
        command: module of `train` that writes it.

    Raises:
        CheckpointError: the entry is broken.
    """
    found: Any = manifest
    for key in path:
        if not isinstance(found, Mapping) or found.get(key) is None:
            return None
        found = found[key]
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise CheckpointError(
            f"the checkpoint's manifest has a broken {path[0]!r} entry ({why}); run {command} again"
        ) from error
