"""Bounds between yes, unsure and no, chosen so that either error is rare, and the errors that they have elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lrsclip.calibration.logistic import Doubles

MOST_WRONG = 0.08  # of the true cases fitted on a no, of the others a yes; elsewhere it is more
_NO_BELOW = tuple(step / 200 for step in range(101))  # as they are written, lest rounding moves one past a case
_YES_FROM = tuple(step / 200 for step in range(100, 201))
Truth = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Bounds:
    """A probability below `no_below` is a no, one from `yes_from` on a yes, any between them unsure."""

    no_below: float
    yes_from: float

    def rates(self, chances: Doubles, there: Truth) -> dict[str, float]:
        """Return error rates, the share left unsure, and the number of cases."""
        no, yes = chances < self.no_below, chances >= self.yes_from
        return {
            "false_alarm_rate": round(float(yes[~there].mean()), 4),
            "miss_rate": round(float(no[there].mean()), 4),
            "unsure_rate": round(float((~no & ~yes).mean()), 4),
            "cases": len(there),
        }

    def entry(self) -> dict[str, Any]:
        """Return the manifest's entries."""
        return {"no_below": self.no_below, "yes_from": self.yes_from}


def bounds_of(chances: Doubles, there: Truth, most_wrong: float = MOST_WRONG) -> Bounds:
    """Choose the bounds: as near to a half as the errors allow, so that no more than must be is left unsure.

    Args:
        chances: (N,) probabilities of yes.
        there: (N,) whether yes is right; both occur.
        most_wrong: share of the true cases that may get a no, and of the others that may get a yes.
    """
    no_below = max(step for step in _NO_BELOW if (chances[there] < step).mean() <= most_wrong)
    yes_from = min((step for step in _YES_FROM if (chances[~there] >= step).mean() <= most_wrong), default=1.0)
    return Bounds(no_below, yes_from)
