"""HTML of the Classify page: bars with a hint, and several pictures as a table and as CSV."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from markupsafe import Markup

from app.classify.service import Row
from app.ui.csv_export import csv_text as csv_file
from app.ui.html import class_bars
from app.ui.render import render
from lrsclip.calibration.labels import Classification

NO_FIT = "None of these labels fits well"
ALONE = "A single label always gets 100 %: give at least two to choose from."
_CSV_HEAD = (
    "file", "best label", "probability", "cosine", "second label", "second probability", "second cosine", "fits",
    "calibrated", "problem",
)  # fmt: skip


def verdict(judged: Classification, count: int) -> Markup:
    """Draw the scores of one picture: a hint if no label fits, bars of the best labels, and how reliable they are.

    Args:
        judged: the scores of all labels.
        count: how many labels have a bar at most.
    """
    return render(
        "classify/verdict.html",
        unfit=judged.fits is False,
        no_fit=NO_FIT,
        bars=class_bars(judged.scores, count),
        alone=ALONE if len(judged.scores) == 1 else "",
        calibration=judged.calibration,
    )


def table(rows: Sequence[Row]) -> Markup:
    """Draw several pictures as a table, with a link that saves it as CSV."""
    judged = [row.judged for row in rows if row.judged is not None]
    return render(
        "classify/table.html",
        rows=[(row, _as_sentence(row.problem)) for row in rows],
        judged=len(judged),
        unfit=sum(one.fits is False for one in judged),
        no_fit=NO_FIT,
        csv_url=_csv_url(rows),
        calibration=judged[0].calibration if judged else None,
    )


def csv_text(rows: Sequence[Row]) -> str:
    """Write several pictures as CSV; no name of a file or a label begins a formula in a spreadsheet."""
    lines: list[list[object]] = []
    for row in rows:
        if row.judged is None:
            lines.append([row.file, *[""] * 8, row.problem])
            continue
        cells: list[object] = []
        for score in row.judged.scores[:2]:
            cells += [score.label, round(score.probability, 4), round(score.score_cos, 4)]
        cells += [""] * (6 - len(cells))
        fits = "" if row.judged.fits is None else "yes" if row.judged.fits else "no"
        lines.append([row.file, *cells, fits, "yes" if row.judged.calibration else "no", ""])
    return csv_file(_CSV_HEAD, lines)


def _csv_url(rows: Sequence[Row]) -> str:
    # within the page, so that no file of a visitor's stays on the server
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(csv_text(rows).encode()).decode()}"


def _as_sentence(problem: str) -> str:
    return problem[:1].upper() + problem[1:].rstrip(".") + "."
