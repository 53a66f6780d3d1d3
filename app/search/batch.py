"""Search for many descriptions of a CSV file, with the answers as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, replace

from app.collections import AppState
from app.search.service import Found, Query, search
from app.server.upload_folder import Upload
from app.ui.csv_export import csv_text
from lrsclip.errors import Busy, Cancelled, TextError

MAX_ROWS = 200
MAX_LINES = 20_000
MAX_BYTES = 2_000_000
_COLUMN = "query"


MAX_BATCH_CHARACTERS = 300_000
"""Characters of all descriptions of a file together: 200 of what the model reads; each hit repeats its own."""


@dataclass(frozen=True)
class Row:
    """One description and its answer.

    Attributes:
        number: of the row, 1 is the first description.
        text: the description.
        found: the answer; None where there is none.
        fault: the reason for that.
    """

    number: int
    text: str
    found: Found | None = None
    fault: str = ""


def read_queries(upload: Upload) -> list[str]:
    """Read the descriptions of a CSV file: its column `query`, or its only column, then without a heading.

    Raises:
        PictureError: the file is gone.
        TextError: the file is too large, no CSV, has too many rows or none, or a comma in a description would cut it.
    """
    with upload.open() as file:
        raw = file.read(MAX_BYTES + 1)
    if max(raw.count(b"\n"), raw.count(b"\r")) > MAX_LINES:  # a million empty ones take a second to read
        raise TextError(f"the CSV file has more than {MAX_LINES:,} lines; leave out empty ones, or split it")
    if len(raw) > MAX_BYTES:
        raise TextError(f"the CSV file has more than {MAX_BYTES // 1_000_000} MB; split it")
    if b"\0" in raw:
        raise TextError("the file is no CSV text; save it as CSV in UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    try:
        rows = [row for row in csv.reader(io.StringIO(text), _dialect(text)) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise TextError(f"the CSV file cannot be read ({error}); save it as CSV in UTF-8") from error
    names = [cell.strip().lower() for cell in rows[0]] if rows else []
    column, first = (names.index(_COLUMN), 1) if _COLUMN in names else (0, 0)
    widest = len(names) if first else 1
    if broken := next((number for number, row in enumerate(rows, 1) if any(map(str.strip, row[widest:]))), None):
        raise TextError(
            f"row {broken} of the CSV file has {len(rows[broken - 1])} columns instead of {widest}; put descriptions "
            f'with commas or semicolons into "quotes" or, with several columns, name the description column "{_COLUMN}"'
        )
    queries = [row[column].strip() for row in rows[first:] if len(row) > column and row[column].strip()]
    if not queries:
        raise TextError(f"the CSV file has no descriptions; put them into a column named {_COLUMN}, or into the first")
    if len(queries) > MAX_ROWS:
        raise TextError(f"the CSV file has {len(queries):,} descriptions; {MAX_ROWS} at a time can be searched")
    if (characters := sum(map(len, queries))) > MAX_BATCH_CHARACTERS:
        raise TextError(
            f"the descriptions have {characters:,} characters together; {MAX_BATCH_CHARACTERS:,} at a time can be "
            "searched: split the file"
        )
    return queries


def _dialect(text: str) -> type[csv.Dialect]:
    """Detect the separator: a comma, unless the heading has semicolons or tabs and no comma, as Excel may write."""
    heading = text.split("\n", 1)[0]
    found = next((mark for mark in ";\t" if mark in heading and "," not in heading), ",")
    return type("Marked", (csv.excel,), {"delimiter": found})


def run(state: AppState, queries: list[str], template: Query, done: Callable[[int, int], None]) -> list[Row]:
    """Search for each description; one that cannot be answered does not stop the others.

    Where the work is stopped, the answers so far stand, and the other rows say so.

    Args:
        state: the app's.
        queries: the descriptions.
        template: number of tiles, exclusion and area, the same for all.
        done: called with the number of descriptions done, and of all.
    """
    rows, stopped = [], False
    for number, text in enumerate(queries, 1):
        try:
            if stopped:
                raise Cancelled("stopped before its turn came")
            rows.append(Row(number, text, search(state, replace(template, text=text))))
        except (TextError, Busy) as error:
            rows.append(Row(number, text, fault=str(error)))
        except Cancelled as error:
            stopped = True
            rows.append(Row(number, text, fault=str(error)))
        done(number, len(queries))
    return rows


def as_csv(rows: list[Row]) -> str:
    """Format all hits of all descriptions as CSV, a row each; a description without any has one row too."""
    out: list[tuple[object, ...]] = []
    for row in rows:
        match = row.found.match if row.found else None
        judged = (round(match.probability, 4), match.verdict) if match else ("", "")
        hits = row.found.hits if row.found else ()
        for hit in hits:
            out.append((row.number, row.text, hit.rank, hit.tile_id, round(hit.score_cos, 6), *judged, ""))
        if not hits:
            out.append((row.number, row.text, "", "", "", *judged, row.fault or "no tile passes"))
    names = ("number", "query", "rank", "tile_id", "score_cos", "match_probability", "match", "note")
    return csv_text(names, out)
