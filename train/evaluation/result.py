"""What every evaluation task returns."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Result:
    """One row of a table of figures.

    Attributes:
        task: what was measured.
        data_set: on which data, with its split where it has one.
        protocol: by which rules, by name.
        pictures: how many pictures took part.
        texts: how many texts took part.
        metrics: the figures by name.
        seconds: wall time.
        detail: finer figures (per class, per query) by name.
    """

    task: str
    data_set: str
    protocol: str
    pictures: int
    texts: int
    metrics: dict[str, float]
    seconds: float
    detail: dict[str, float] = field(default_factory=dict)
