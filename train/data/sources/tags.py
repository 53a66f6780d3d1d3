"""A table of pictures with OpenStreetMap tags, as SkyScript has it."""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TextIO

from lrsclip.errors import DataError, TextError
from lrsclip.io.caption_json import one_line, texts_in
from lrsclip.io.plain_file import open_plain
from lrsclip.io.table import SEPARATORS, TableRow, separator_line, table_rows
from lrsclip.io.text_file import decode_text, utf16_without_mark
from train.data.faults import Faults
from train.data.names import split_or_none
from train.data.records import Facts, SourceRecord
from train.data.sources.base import Source
from train.data.sources.files import (
    Place,
    gsd_in,
    lonlat_in,
    need_folder,
    picture_in,
)

_SNIFFED_BYTES, _LONGEST_HEAD = 2**20, 2**20


class TagSource(Source):
    """A CSV with a header, in any encoding and with any usual separator, read line by line.

    A picture's name is kept as a hash of 8 bytes to notice it twice.

    Attributes:
        table: the CSV.
        pictures: folder that the file names are relative to.
        picture_column: file names.
        caption_columns: captions; those that the table lacks are passed over.
        lon_column, lat_column, gsd_column, split_column: may be lacking.
        tags_column: tags as a JSON object or as "key=value; key=value"; may be lacking.
        tag_prefix: a column `tag_landuse` holds the values of the tag landuse.
    """

    layout: Literal["tags"] = "tags"
    table: Place
    pictures: Place
    picture_column: str = "filepath"
    caption_columns: tuple[str, ...] = ("title", "caption")
    lon_column: str = "lon"
    lat_column: str = "lat"
    gsd_column: str = "gsd"
    split_column: str = "split"
    tags_column: str = "tags"
    tag_prefix: str = "tag_"

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        need_folder(self.pictures, self.name)
        seen: set[bytes] = set()
        for where, row in self._rows(faults):
            name = row[self.picture_column]
            picture = picture_in(self.pictures, name, where, faults)
            if picture is None:
                continue
            short = hashlib.blake2b(name.encode(), digest_size=8).digest()
            if short in seen:
                faults.add("picture named twice", f"{where} names {name} again; remove one of the two")
                continue
            seen.add(short)
            captions = tuple(text for column in self.caption_columns for text in texts_in(row.get(column)))
            facts = Facts(captions=tuple(dict.fromkeys(captions)), tags=self._tags(row, where, faults))
            lonlat = lonlat_in(row.get(self.lon_column), row.get(self.lat_column), where, faults)
            gsd = gsd_in(row.get(self.gsd_column), where, faults)
            split = split_or_none((row.get(self.split_column) or "").strip())
            yield self.record(name, picture, facts, split, lonlat=lonlat, gsd_m=gsd)

    def _rows(self, faults: Faults) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield where a line stands, and what it holds.

        Raises:
            DataError: the table cannot be read, is no text, or has no column of pictures.
        """
        try:
            codec = _encoding_of(self.table, faults)
            file = self.table.open(encoding=codec, errors="replace")  # a row with such a letter is a fault
        except OSError as error:
            raise DataError(f"{self.table} cannot be read ({error.strerror}); mend the path of {self.name}") from error
        with file:
            yield from self._cells(file, faults)

    def _cells(self, file: TextIO, faults: Faults) -> Iterator[tuple[str, dict[str, str]]]:
        head = file.readline(_LONGEST_HEAD)
        named = separator_line(head)
        first = file.readline(_LONGEST_HEAD) if named else head
        separator = named or next((mark for mark in SEPARATORS if self.picture_column in _cut(first, mark)), ",")
        rows = table_rows(chain([first], file), separator)
        columns = [cell.strip() for cell in next(rows, TableRow(1, 1, ())).cells]
        if self.picture_column not in columns:
            told = f"{self.table} has no column {self.picture_column!r}, it has {', '.join(columns)[:300]}"
            raise DataError(f"{told}; name it with picture_column")
        for row in rows:
            where = f"line {row.line + bool(named)} of {self.table}"
            if row.fault:
                faults.add("broken table line", f"{where}: {row.fault}")
            elif not row.cells:
                continue
            elif any("\ufffd" in cell for cell in row.cells):
                faults.add("broken table line", f"{where} has letters that are no {file.encoding}; mend or remove it")
            elif len(row.cells) != len(columns):
                faults.add("broken table line", f"{where} has not {len(columns)} fields; mend or remove it")
            else:
                yield where, dict(zip(columns, row.cells, strict=True))

    def _tags(self, row: Mapping[str, str], where: str, faults: Faults) -> tuple[tuple[str, str], ...]:
        try:
            pairs = parse_tags(row.get(self.tags_column) or "")
        except ValueError as error:
            faults.add("broken tags", f"{where}: {error}; write a JSON object or key=value; key=value")
            pairs = []
        prefix = self.tag_prefix
        if prefix:
            pairs += [(key.removeprefix(prefix), value) for key, value in row.items() if key.startswith(prefix)]
        cleaned = ((one_line(key), one_line(value)) for key, value in pairs)
        return tuple(dict.fromkeys((key, value) for key, value in cleaned if key and value))


def _cut(line: str, mark: str) -> list[str]:
    return [cell.strip() for row in table_rows([line], mark) for cell in row.cells]


def _encoding_of(table: Path, faults: Faults) -> str:
    """Find the encoding of a table: UTF-8 unless it has a mark of another, or a letter that UTF-8 has not.

    Raises:
        OSError: it cannot be read.
        DataError: it is no text.
    """
    decoder, proven = codecs.getincrementaldecoder("utf-8")(), False
    with open_plain(table) as file:
        head = part = file.read(_SNIFFED_BYTES)
        try:
            if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return "utf-16"
            if b"\0" in head:
                if (codec := utf16_without_mark(head)) is not None:
                    return codec
                if b"\0" in head.partition(b"\n")[0]:  # a stray one further down breaks its own row
                    raise DataError(f"{table} is no CSV text; save it as CSV in UTF-8")
            while part:
                sniffed, part = part, file.read(_SNIFFED_BYTES)
                proven |= not decoder.decode(sniffed, final=not part).isascii()
            return "utf-8-sig"
        except UnicodeDecodeError:
            if proven:  # a megabyte of other letters is no chance: only the row with this one is broken
                return "utf-8-sig"
    try:
        decoded = decode_text(sniffed, str(table))
    except TextError:  # UTF-8 with damage: the rows that are whole can be read
        return "utf-8-sig"
    if decoded.guess:
        faults.add("encoding guessed", f"{table} is not UTF-8, and is read as {decoded.guess}; save it as UTF-8")
    return decoded.encoding


def parse_tags(text: str) -> list[tuple[str, str]]:
    """Return key and value of each tag.

    Args:
        text: a JSON object, or `key=value; key=value`.

    Raises:
        ValueError: it is neither.
    """
    text = text.strip()
    if not text:
        return []
    if text.startswith("{"):
        try:
            read: dict[str, Any] = json.loads(text)
        except RecursionError as error:
            raise ValueError("tags are nested too deeply") from error
        return [(key, str(value)) for key, value in read.items() if isinstance(value, (str, int, float))]
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    if not all(equals and key.strip() and value.strip() for key, equals, value in pairs):
        raise ValueError(f"{text[:80]!r} are no tags")
    return [(key, value) for key, _, value in pairs]
