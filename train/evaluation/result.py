"""What every task hands back: one row of figures with what they were measured on."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Result:
    """One row of a table.

    Attributes:
        task: what was measured; rows of one task share a table.
        data_set: the data set and the part of it.
        protocol: how it was measured; rows of different protocols are not comparable.
        pictures: how many pictures were asked about.
        texts: how many texts were asked with.
        metrics: figure by name, in the order of the table.
        seconds: wall time of this row; pictures that an earlier row has encoded are not counted again.
        detail: figures that no table needs: accuracy by class, sizes, how many texts were changed.
    """

    task: str
    data_set: str
    protocol: str
    pictures: int
    texts: int
    metrics: dict[str, float]
    seconds: float
    detail: dict[str, float] = field(default_factory=dict)
