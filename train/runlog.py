"""The log of a run, step by step and epoch by epoch, as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from lrsclip.errors import TrainingError
from lrsclip.io.atomic import write_atomically

LOG_FIELDS = ("epoch", "step", "loss", "loss_long", "loss_short", "scale", "learning_rate", "pictures_per_s")
SCORE_FIELDS = ("epoch", "short_mR", "long_mR", "classes_top1")


def write_log(path: Path, fields: tuple[str, ...], rows: list[dict[str, float]]) -> None:
    """Write a log as CSV, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fields)
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def read_log(path: Path) -> list[dict[str, float]]:
    """Read the rows of an earlier part of the run; none where there is no file.

    Raises:
        TrainingError: the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return [{k: int(v) if v.isdigit() else float(v) for k, v in row.items()} for row in rows]
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise TrainingError(f"{path} is not a log of a run ({error}); remove it, or choose another run") from error
