"""The result of every task: one row of figures with the data and the protocol they were measured on."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Result:
    """One row of a table.

    Attributes:
        task: name of the task; rows of one task share a table.
        data_set: the data set and the part of it.
        protocol: name of the protocol; rows of different protocols are not comparable.
        pictures: number of pictures.
        texts: number of texts.
        metrics: figure by name, in the order of the table.
        seconds: wall time of this row; pictures that an earlier row has encoded are not counted again.
        detail: figures that no table needs: accuracy by class, sizes, number of changed texts.
    """

    task: str
    data_set: str
    protocol: str
    pictures: int
    texts: int
    metrics: dict[str, float]
    seconds: float
    detail: dict[str, float] = field(default_factory=dict)
