"""What the Classify page says: bars with a hint, and several pictures as a table and as CSV."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from app.classify.service import Row
from app.ui.csv_export import csv_text as csv_file
from app.ui.html import class_bars
from lrsclip.calibration.labels import Calibration, Classification

NO_FIT = "No label fits well"
ALONE = "One label alone always gets 100 %: give at least two to choose from."
_CSV_HEAD = (
    "file", "best label", "probability", "cosine", "second label", "second probability", "second cosine", "fits",
    "calibrated", "problem",
)  # fmt: skip


def verdict(judged: Classification, shown: int) -> str:
    """One picture: the hint if no label fits, the best labels as bars, and how far the numbers hold."""
    alone = f'<p class="why">{ALONE}</p>' if len(judged.scores) == 1 else ""
    return f"{_hint(judged)}{class_bars(judged.scores, shown)}{alone or _basis(judged.calibration)}"


def _hint(judged: Classification) -> str:
    if judged.fits is not False or judged.calibration is None:
        return ""
    said = judged.calibration
    return (
        f'<p class="no-fit" role="status"><b>{NO_FIT}.</b> The picture may show something that is not on the list. '
        f"<span>On test pictures this is said of {_percent(said.false_alarm_rate)} whose label is on the list, "
        f"and not said of {_percent(said.miss_rate)} whose label is not.</span></p>"
    )


def _basis(said: Calibration | None) -> str:
    if said is None:
        return (
            '<p class="why">This checkpoint is not calibrated: the probabilities are its plain softmax, '
            "which is mostly surer than it is right.</p>"
        )
    return (
        f'<p class="why">Calibrated probabilities: off by {_percent(said.error_rate)} on average on test pictures of '
        "five data sets. They are shares among the labels given; the cosine does not depend on the other labels.</p>"
    )


def table(rows: Sequence[Row]) -> str:
    """Several pictures as a table, with a link that saves it as CSV."""
    body = "".join(_row(row) for row in rows)
    lost = sum(row.judged is None for row in rows)
    unfit = sum(row.judged is not None and row.judged.fits is False for row in rows)
    told = [f"{len(rows) - lost} of {len(rows)} pictures classified"] + [f"no label fits {unfit} of them well"] * (
        unfit > 0
    )
    said = next((row.judged.calibration for row in rows if row.judged is not None), None)
    head = "".join(
        f'<th scope="col"{extra}>{name}</th>'
        for name, extra in (
            ("File", ""), ("Best label", ""), ("Probability", ' class="number"'), ("Cosine", ' class="number"'),
            ("Second best", ""),
        )
    )  # fmt: skip
    return (
        f'<p class="summary"><b>{"; ".join(told)}</b></p>'
        '<div class="table-frame" tabindex="0" role="region" aria-label="Classified pictures">'
        f'<table class="classified"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f'<p class="take-home"><a class="save" download="classified.csv" href="{_csv_url(rows)}">Save as CSV</a></p>'
        f"{_basis(said) if lost < len(rows) else ''}"
    )


def _row(row: Row) -> str:
    name = f'<th scope="row" data-head="File">{escape(row.file)}</th>'
    if row.judged is None:
        return (
            f'<tr class="lost">{name}<td colspan="4" data-head="Problem">{escape(_as_sentence(row.problem))}</td></tr>'
        )
    best, *others = row.judged.scores
    warned = f' <em class="no-fit-mark">{NO_FIT.lower()}</em>' if row.judged.fits is False else ""
    second = f"<div>{escape(others[0].label)} <span>{_share(others[0].probability)}</span></div>" if others else ""
    return (
        f'<tr>{name}<td data-head="Best label">{escape(best.label)}{warned}</td>'
        f'<td class="number" data-head="Probability">{_share(best.probability)}</td>'
        f'<td class="number" data-head="Cosine">{best.score_cos:.3f}</td><td data-head="Second best">{second}</td></tr>'
    )


def csv_text(rows: Sequence[Row]) -> str:
    """Several pictures as CSV; no cell that a file or a visitor named begins a formula in a spreadsheet."""
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


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"
