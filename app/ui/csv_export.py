"""CSV files for spreadsheets, in which nothing that a visitor or a file wrote is run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four: the same, wide


def csv_text(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A CSV file with a heading. Numbers stay numbers; a text that a spreadsheet would run gets an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([_defused(cell) for cell in row] for row in rows)
    return out.getvalue()


def _defused(cell: object) -> object:
    """A cell that begins no formula: also none behind blanks, tabs and line ends, which spreadsheets leave out."""
    if not isinstance(cell, str):
        return cell
    bare = cell.lstrip()
    return f"'{cell}" if bare.startswith(_FORMULA) or cell[:1] in ("\t", "\r", "\n") else cell
