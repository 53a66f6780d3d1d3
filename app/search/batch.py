"""Search for many descriptions of a CSV file, with the answers as a CSV file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from app.collections import AppState
from app.search.service import Found, Query, search
from app.server.upload_folder import Upload
from app.ui.csv_export import csv_text
from lrsclip.errors import Busy, Cancelled, TextError
from lrsclip.io.table import read_column
from lrsclip.io.text_file import decode_text

MAX_ROWS = 200
MAX_LINES = 20_000
MAX_BYTES = 2_000_000
MAX_BATCH_CHARACTERS = 300_000
"""Characters of all descriptions of a file together: 200 of what the model reads; each hit repeats its own."""

_SHOWN_HEADING, _SHOWN_WORDS = 60, 5
# Headings of a column of descriptions: what people call it, in the languages of their spreadsheets, the surest first.
_KEYS = tuple(
    """
    query queries description descriptions caption captions text texts sentence sentences prompt prompts search
    beschreibung beschreibungen anfrage suche suchtext suchbegriff requete texte recherche descripcion consulta texto
    busqueda descricao descrizione testo ricerca omschrijving beskrivning beskrivelse opis tekst zapytanie popis dotaz
    leiras описание запрос текст опис запит 描述 查询 文本 说明 图像描述 场景描述 查詢 說明 説明 検索
    설명 검색 وصف विवरण
    """.split()
)
_BESIDE = tuple(
    """
    the of for in a my your image images picture scene tile long short full free english en natural language string term
    phrase words raw column input user 1
    """.split()
)


@dataclass(frozen=True)
class Row:
    """One description and its answer.

    Attributes:
        number: of the row, 1 is the first description.
        text: the description.
        found: the answer; None where there is none.
        fault: the reason for that.
        note: what the model cannot read well in the description.
    """

    number: int
    text: str
    found: Found | None = None
    fault: str = ""
    note: str = ""


def read_queries(upload: Upload, tell: Callable[[str], None] = lambda _: None) -> list[str]:
    """Read the descriptions of a CSV file as spreadsheets write it, in any encoding and with any usual separator.

    They stand in the column whose heading says so (`query`, `Search text`, `DESCRIPTION`, ...), or in the only column,
    then with or without such a heading.

    Args:
        upload: the file.
        tell: called with a sentence about each thing that was guessed: the encoding, the column.

    Raises:
        PictureError: the file is gone.
        TextError: the file is too large, no CSV, has too many rows or none, a quote is not closed, or a comma in a
            description would cut it.
    """
    with upload.open() as file:
        raw = file.read(MAX_BYTES + 1)
    if max(raw.count(b"\n"), raw.count(b"\r")) > MAX_LINES:  # a million empty ones take a second to read
        raise TextError(f"the CSV file has more than {MAX_LINES:,} lines; leave out empty ones, or split it")
    if len(raw) > MAX_BYTES:
        raise TextError(f"the CSV file has more than {MAX_BYTES // 1_000_000} MB; split it")
    decoded = decode_text(raw)
    column = read_column(decoded.text, _KEYS, _BESIDE)
    queries = list(column.texts)
    if not queries:
        raise TextError(f"the CSV file has no descriptions; put them into a column named {_KEYS[0]}, or into the first")
    if len(queries) > MAX_ROWS:
        raise TextError(f"the CSV file has {len(queries):,} descriptions; {MAX_ROWS} at a time can be searched")
    if (characters := sum(map(len, queries))) > MAX_BATCH_CHARACTERS:
        raise TextError(
            f"the descriptions have {characters:,} characters together; {MAX_BATCH_CHARACTERS:,} at a time can be "
            "searched: split the file"
        )
    if decoded.note:
        tell(decoded.note)
    if not column.is_alone:
        tell(f'The descriptions are those of the column "{column.heading[:_SHOWN_HEADING]}".')
    return queries


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
            rows.append(Row(number, text, search(state, replace(template, text=text)), note=_note(state, text)))
        except (TextError, Busy) as error:
            rows.append(Row(number, text, fault=str(error)))
        except Cancelled as error:
            stopped = True
            rows.append(Row(number, text, fault=str(error)))
        done(number, len(queries))
    return rows


def _note(state: AppState, text: str) -> str:
    """Say which words of a description the model reads letter by letter; "" where there are none."""
    words = state.bundle.describe_tokens(text).spelled_words
    shown = ", ".join(word[:_SHOWN_HEADING] for word in words[:_SHOWN_WORDS])
    return f"read letter by letter, hardly understood: {shown}; write in English" if words else ""


def as_csv(rows: list[Row]) -> str:
    """Format all hits of all descriptions as CSV, a row each; a description without any has one row too."""
    out: list[tuple[object, ...]] = []
    for row in rows:
        match = row.found.match if row.found else None
        judged = (round(match.probability, 4), match.verdict) if match else ("", "")
        hits = row.found.hits if row.found else ()
        for hit in hits:
            out.append((row.number, row.text, hit.rank, hit.tile_id, round(hit.score_cos, 6), *judged, row.note))
        if not hits:
            out.append((row.number, row.text, "", "", "", *judged, row.fault or "no tile passes"))
    names = ("number", "query", "rank", "tile_id", "score_cos", "match_probability", "match", "note")
    return csv_text(names, out)
