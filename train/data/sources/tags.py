"""A table of pictures with OpenStreetMap tags, as SkyScript has it."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from lrsclip.errors import DataError
from lrsclip.io.caption_json import one_line, texts_in
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

_SURPLUS = "\0surplus"  # no header can be called so


class TagSource(Source):
    """A CSV with a header, read line by line; a picture's name is kept as a hash of 8 bytes to notice it twice.

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
        """Yield where a line stands, and what it holds."""
        try:
            file = self.table.open(encoding="utf-8-sig", errors="replace", newline="")
        except OSError as error:
            raise DataError(f"{self.table} cannot be read ({error.strerror}); mend the path of {self.name}") from error
        with file:
            reader = csv.DictReader(file, restkey=_SURPLUS)
            columns = _columns(reader)
            if self.picture_column not in columns:
                told = f"{self.table} has no column {self.picture_column!r}, it has {', '.join(columns)[:300]}"
                raise DataError(f"{told}; name it with picture_column")
            while True:
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    faults.add(
                        "broken table line", f"line {reader.line_num} of {self.table}: {error}; mend or remove it"
                    )
                    continue
                where = f"line {reader.line_num} of {self.table}"
                if _SURPLUS in row or None in row.values():
                    faults.add("broken table line", f"{where} has not {len(columns)} fields; mend or remove it")
                else:
                    yield where, row

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


def _columns(reader: csv.DictReader[str]) -> list[str]:
    try:
        return [str(name) for name in reader.fieldnames or ()]
    except csv.Error:  # a header without end
        return []


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
