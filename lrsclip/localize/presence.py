"""Is what a sentence says there at all? A calibrated answer beside a map that always lights up somewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Presence:
    """A calibrated answer.

    Attributes:
        probability: that what the sentence says is in the scene, 0 to 1.
        present: whether that is enough to say "probably present"; else "probably not here".
        false_alarm_rate: how often "probably present" was said of what was not there, on validation scenes, 0 to 1.
    """

    probability: float
    present: bool
    false_alarm_rate: float


def presence_of(bundle: object, text_vector: Floats, vectors: Floats) -> Presence | None:
    """The answer for one sentence and a scene's vectors; None where the checkpoint is not calibrated."""
    return None
