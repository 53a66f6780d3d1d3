"""Tables as spreadsheets write them: rows, separators, headings; and a quote that never ends."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsclip.errors import TextError
from lrsclip.io.table import column_named, read_column, separator_line, table_rows, text_lines

CELLS = st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from('",;\n')), min_size=1)


@given(st.lists(CELLS, min_size=1), st.sampled_from(",;\t|"), st.sampled_from(["\r\n", "\n", "\r"]))
def test_what_a_csv_writer_wrote_is_read(table: list[list[str]], separator: str, end: str) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table)
    rows = list(table_rows(text_lines(out.getvalue().replace("\n", end)), separator))
    assert [list(row.cells) for row in rows] == table
    assert [row.number for row in rows] == list(range(1, len(table) + 1))


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ('query\n"a harbor\na forest\na lake\n', [2]),
        ('query\na forest\n"a lake', [3]),
        ('query\n"a harbor\na forest\n"a lake"\n', [2]),
        ('"\n', [1]),
        ('a\n\n"two\nlines"\n"open\nb\n', [5]),
    ],
)
def test_an_open_quote_breaks_its_own_row_alone(text: str, broken: list[int]) -> None:
    rows = list(table_rows(text_lines(text), ","))
    lines = [row.line for row in rows if row.fault]
    assert [row.number for row in rows if row.fault] == lines or text.startswith("a\n")
    assert lines == [5 if text.startswith("a\n") else broken[0]]
    taken = {row.line for row in rows}
    assert {number for number, line in enumerate(text.split("\n"), 1) if line and '"' not in line} <= taken


def test_rows_are_counted_as_a_spreadsheet_counts_them() -> None:
    rows = list(table_rows(text_lines('a\n\n"two\nlines"\nb'), ","))
    assert [(row.number, row.line, row.cells) for row in rows] == [
        (1, 1, ("a",)), (2, 2, ()), (3, 3, ("two\nlines",)), (4, 5, ("b",)),
    ]  # fmt: skip
    assert rows[3].place == "row 4 (line 5)"


@given(st.text(st.sampled_from('"a,;\n '), max_size=60))
def test_every_line_is_in_one_row(text: str) -> None:
    rows = list(table_rows(text_lines(text), ","))
    begins = [row.line for row in rows]
    assert begins == sorted(set(begins))
    assert not begins or begins[0] == 1


@given(st.text(st.sampled_from('"a,;\t\n |=\ufeffsepqury'), max_size=60))
def test_a_column_is_read_or_refused_in_words(text: str) -> None:
    try:
        column = read_column(text, ["query"])
    except TextError as error:
        assert "row " in str(error)
        return
    assert all(one == one.strip() != "" for one in column.texts)


@pytest.mark.parametrize(
    ("line", "mark"),
    [("sep=;\n", ";"), ("SEP=,", ","), ('"sep=|"\n', "|"), ("sep=\t\n", "\t"), ("sep=\\t\n", "\t"),
     ("separate\n", None), ("a sep=;\n", None)],
)  # fmt: skip
def test_the_line_of_excel_that_names_the_separator(line: str, mark: str | None) -> None:
    assert separator_line(line) == mark


@pytest.mark.parametrize(
    ("headings", "column"),
    [
        (["id", "Query"], 1),
        (["id", "SEARCH_QUERY"], 1),
        (["nr", "text (English)", "name"], 1),
        (["queryText", "id"], 0),
        (["text", "query"], 1),
        (["id", "name"], None),
        (["a query of many other words", "id"], None),
        (["Requête"], 0),
        (["查询"], 0),
    ],
)
def test_a_column_is_found_by_its_heading(headings: list[str], column: int | None) -> None:
    assert column_named(headings, ["query", "search", "text", "requete", "查询"], ["english"]) == column
