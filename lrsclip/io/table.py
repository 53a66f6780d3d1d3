"""Tables in CSV as spreadsheets write them: which separator, where a row begins, which column is meant."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lrsclip.errors import TextError

SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'\s*"?sep=(?P<mark>\\t|[^\n])"?[\s,;]*', re.IGNORECASE)
_LONGEST_CELL_LINES = 1000
_LONG_CELL = f"a cell has more than {csv.field_size_limit():,} characters; shorten it"
_INNER_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_OPEN_QUOTE = 'it has a quote (") that is not closed; close it, or write a quote inside of a cell twice ("")'


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes:
        number: as a spreadsheet counts it: from 1, the heading and empty rows included.
        line: of the file that it begins in, from 1.
        cells: as they stand; () where the row is broken.
        fault: reason why it cannot be read; "" for a sound row.
    """

    number: int
    line: int
    cells: tuple[str, ...]
    fault: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return not self.fault and not any(cell.strip() for cell in self.cells)

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"row {self.number}" if self.number == self.line else f"row {self.number} (line {self.line})"


def text_lines(text: str) -> list[str]:
    """Split a text into lines that end in a line feed, however they end in it: CR LF, LF, or CR as on old Macs."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    last = lines.pop()
    return [f"{line}\n" for line in lines] + ([last] if last else [])


def separator_line(line: str) -> str | None:
    """Return the separator that Excel's first line `sep=;` names; None for any other line."""
    found = _SEPARATOR_LINE.fullmatch(line)
    if found is None:
        return None
    return "\t" if found["mark"] == "\\t" else found["mark"]


def table_rows(lines: Iterable[str], separator: str) -> Iterator[TableRow]:
    """Read the rows of a table one by one.

    A quote that is not closed breaks the row that it stands in, and the lines after it are rows of their own again: it
    never swallows the rest of the file.

    Args:
        lines: each with its line end.
        separator: one character between cells.

    Yields:
        Every row, empty and broken ones included.
    """
    source, line, number = _Source(lines), 1, 1
    while True:
        feed, fault = _Feed(source), ""
        try:
            cells = tuple(next(csv.reader(feed, delimiter=separator), ()))
            if len(feed.taken) > 1:  # a quote that is closed by the next one that opens gives no error otherwise
                tuple(csv.reader(feed.taken, delimiter=separator, strict=True))
        except csv.Error:
            fault = _OPEN_QUOTE if len(feed.taken) > 1 else _LONG_CELL
        if not feed.taken:
            return
        if fault or feed.is_short:
            source.give_back(feed.taken[1:])
            yield TableRow(number, line, (), fault or _OPEN_QUOTE)
            line, number = line + 1, number + 1
        else:
            yield TableRow(number, line, cells)
            line, number = line + len(feed.taken), number + 1


class _Source:
    """Lines one by one, of which some can be given back."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines, self._again = iter(lines), deque[str]()

    def take(self) -> str | None:
        return self._again.popleft() if self._again else next(self._lines, None)

    def give_back(self, lines: Sequence[str]) -> None:
        self._again.extendleft(reversed(lines))


class _Feed:
    """The lines that one row takes, as a CSV reader asks for them."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self.taken: list[str] = []
        self.is_short = False  # more lines were asked for than there are

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self._source.take() if len(self.taken) < _LONGEST_CELL_LINES else None
        if line is None:
            self.is_short = True
            raise StopIteration
        self.taken.append(line)
        return line


def heading_words(cell: str) -> tuple[str, ...]:
    """Split a heading into its words: lower case, without accents and without signs between them.

    `queryText` has two.
    """
    apart = unicodedata.normalize("NFKD", _INNER_CAPITAL.sub(" ", cell)).casefold()
    accents_off = "".join(letter for letter in apart if not unicodedata.combining(letter))
    whole = unicodedata.normalize("NFC", accents_off)
    # Signs of vowels, as in Hindi, are no letters for a regular expression and belong to their word all the same.
    return tuple("".join(letter if _in_word(letter) else " " for letter in whole).split())


def _in_word(letter: str) -> bool:
    return letter.isalnum() or unicodedata.category(letter)[0] == "M"


def column_named(headings: Sequence[str], keys: Sequence[str], also: Iterable[str] = ()) -> int | None:
    """Find the column of a table by its heading, in any case and among other words.

    `Query`, `SEARCH_QUERY`, `Query text` and `query (English)` all name the key `query`.

    Args:
        headings: the cells of the first row.
        keys: words that name the column, the first one first.
        also: words that may stand beside a key.

    Returns:
        Number of the column, or None.
    """
    known = [word for key in keys for word in heading_words(key)]
    allowed = {*known, *(word for one in also for word in heading_words(one))}
    words = [heading_words(cell) for cell in headings]
    exact = [number for key in known for number, these in enumerate(words) if these == (key,)]
    among = [
        number for key in known for number, these in enumerate(words) if key in these and allowed.issuperset(these)
    ]
    return next(iter([*exact, *among]), None)


@dataclass(frozen=True)
class TableColumn:
    """The texts of one column.

    Attributes:
        texts: of its cells that are not empty, without spaces around them.
        heading: the cell above them; "" for the only column of a table without headings.
        is_alone: whether it is the only column.
    """

    texts: tuple[str, ...]
    heading: str
    is_alone: bool


def read_column(text: str, keys: Sequence[str], also: Iterable[str] = (), what: str = "the CSV file") -> TableColumn:
    """Read one column of a table, whichever separator it has.

    Args:
        text: the whole table; its first line may name the separator, as in `sep=;`.
        keys: words that name the column in a heading, as in `column_named`.
        also: words that may stand beside a key.
        what: is read, for messages.

    Returns:
        The column under such a heading; without one, the only column that the table has.

    Raises:
        TextError: a quote is not closed, a row has more cells than the heading, or there are several columns and none
            of such a heading; it names the row.
    """
    lines, also = text_lines(text), tuple(also)
    separator = separator_line(lines[0]) if lines else None
    if separator is not None:
        lines[0] = "\n"  # an empty row, so that rows are counted as they stand
    rows = [row for row in table_rows(lines, separator or _separator(lines, keys, also)) if not row.is_empty]
    if broken := next((row for row in rows if row.fault), None):
        raise TextError(f"{broken.place} of {what} cannot be read: {broken.fault}")
    column = column_named(rows[0].cells, keys, also) if rows else None
    widest = 1 if column is None else len(rows[0].cells)
    if broken := next((row for row in rows if any(map(str.strip, row.cells[widest:]))), None):
        raise TextError(
            f"{broken.place} of {what} has {len(broken.cells)} columns instead of {widest}; put texts with commas or "
            f'semicolons into "quotes" or, with several columns, name the one that is meant "{keys[0]}"'
        )
    at, first = (0, 0) if column is None else (column, 1)
    texts = (row.cells[at].strip() for row in rows[first:] if len(row.cells) > at)
    heading = "" if column is None else rows[0].cells[column].strip()
    return TableColumn(tuple(filter(None, texts)), heading, widest == 1)


def _separator(lines: Sequence[str], keys: Sequence[str], also: Sequence[str]) -> str:
    """Choose the separator by the first row that is not empty.

    It is the one that makes a heading of one of the keys; else a comma, unless the row has another and no comma.
    """
    first = next((line for line in lines if line.strip()), "")
    for mark in SEPARATORS if first else ():
        cells = next(iter(table_rows([first], mark))).cells
        if len(cells) > 1 and column_named(cells, keys, also) is not None:
            return mark
    return next((mark for mark in SEPARATORS if mark in first and "," not in first), ",")
