"""Parquet files as data sets on the Hugging Face Hub have them; the pictures in them are not read here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from lrsclip.io.caption_json import one_line, texts_in
from lrsclip.io.picture_column import paths_in, picture_columns, pictures_in
from train.data.faults import Faults
from train.data.names import split_in_name
from train.data.records import Facts, PictureRef, SourceRecord
from train.data.sources.base import Source
from train.data.sources.files import (
    Pattern,
    Place,
    below,
    gsd_in,
    lonlat_in,
    matching_files,
)

_FILES = ("image", "file_name", "filename", "filepath", "file_path", "image_path", "path")
_FAULTS = (OSError, ValueError, pa.ArrowException)
_ROWS, _PICTURE_ROWS = 1024, 32  # at once


class ParquetSource(Source):
    """A row is a picture; the split is the word in the file's path (`data/train-00000-of-00002.parquet`).

    Attributes:
        root: the folder.
        files: pattern of the files.
        image_column: pictures, as bytes, as structs of bytes and path, as names of files below the root, or as lists of
            these, of which the first is read; None: the one that its type tells.
        caption_columns: a string, or a list of them; those that a file lacks are passed over.
        scene_columns: the first that a file has gives the class; numbers are named by the file's ClassLabel, or by
            `classes` ("3" = "forest").
        lon_column, lat_column, gsd_column: may be lacking.
    """

    layout: Literal["parquet"] = "parquet"
    root: Place
    files: Pattern = "**/*.parquet"
    image_column: str | None = None
    caption_columns: tuple[str, ...] = ("caption", "captions", "text", "description", "sentences", "raw")
    scene_columns: tuple[str, ...] = ("label", "labels", "class", "scene")
    lon_column: str = "lon"
    lat_column: str = "lat"
    gsd_column: str = "gsd"

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        for path in matching_files(self.root, self.files, self.name):
            try:
                with pq.ParquetFile(path) as file:
                    yield from self._rows(path, file, faults)
            except _FAULTS as error:
                faults.add("file unreadable", f"{path} cannot be read ({one_line(str(error))}); fetch it again")

    def _rows(self, path: Path, file: Any, faults: Faults) -> Iterator[SourceRecord]:
        schema = file.schema_arrow
        image = self._image(schema)
        if image is None:
            told = f"{path} has no column of pictures, it has {', '.join(schema.names)}"
            faults.add("picture missing", f"{told}; name it with image_column")
            return
        scene = next((name for name in self.scene_columns if name in schema.names), None)
        wanted = [*self.caption_columns, self.lon_column, self.lat_column, self.gsd_column, *([scene] if scene else [])]
        columns = [name for name in dict.fromkeys(wanted) if name in schema.names and name != image]
        labels = _class_names(schema, scene)
        within = path.relative_to(self.root).as_posix()
        for row, (cells, held) in enumerate(zip(_cells(file, columns), _held(file, image), strict=True)):
            where = f"row {row} of {path}"
            picture = self._picture(path, row, image, held, where, faults)
            if picture is None:
                continue
            captions = tuple(text for name in self.caption_columns for text in texts_in(cells.get(name)))
            facts = Facts(
                scene=self._scene_of(cells.get(scene or ""), labels, where, faults),
                captions=tuple(dict.fromkeys(captions)),
            )
            yield self.record(
                f"{within.removesuffix('.parquet')}/{row}",
                picture,
                facts,
                split_in_name(within),
                lonlat=lonlat_in(cells.get(self.lon_column), cells.get(self.lat_column), where, faults),
                gsd_m=gsd_in(cells.get(self.gsd_column), where, faults),
            )

    def _image(self, schema: Any) -> str | None:
        if self.image_column:
            return self.image_column if self.image_column in schema.names else None
        named = (f.name for f in schema if f.name.lower() in _FILES and pa.types.is_string(f.type))
        return next(iter([*picture_columns(schema), *named]), None)

    def _picture(self, path: Path, row: int, image: str, held: _Held, where: str, faults: Faults) -> PictureRef | None:
        """Return where the picture of a row lies; None (and a fault) where it has none."""
        if held.count:
            if held.count > 1:
                faults.add(
                    "several pictures",
                    f"{where} has {held.count} pictures in {image!r}; the first is read: write a row for each",
                )
            return PictureRef(str(path), row=row, column=image)
        for folder in (path.parent, self.root):
            if held.path and (file := below(folder, held.path)):
                return PictureRef(str(file))
        told = f"only the name {held.path[:200]!r}, which is not in {self.root}" if held.path else "an empty cell"
        faults.add("picture missing", f"{where} has no picture in {image!r}, {told}; add it or remove the row")
        return None

    def _scene_of(self, cell: Any, labels: list[str], where: str, faults: Faults) -> str | None:
        if isinstance(cell, str):
            return (self.words_of(one_line(cell), faults, where) or None) if cell.strip() else None
        if isinstance(cell, bool) or not isinstance(cell, int) or cell == -1:  # the Hub's "no label"
            return None
        if 0 <= cell < len(labels):
            return self.words_of(labels[cell], faults, where) or None
        if str(cell) not in self.classes:
            faults.add("class not in the map", f"{where}: class {cell} has no name; add it to classes of {self.name}")
        return self.classes.get(str(cell))


def _cells(file: Any, columns: list[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the values of some columns, row by row; {} for each where there are no columns."""
    if not columns:
        yield from ({} for _ in range(file.metadata.num_rows))
        return
    for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
        yield from batch.to_pylist()


def _class_names(schema: Any, column: str | None) -> list[str]:
    """Return the names of a ClassLabel column, from what the data sets library writes into a file."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
    return [one_line(str(name)) for name in names] if isinstance(names, list) else []


@dataclass(frozen=True)
class _Held:
    """What a cell of pictures holds: how many, and the name of a file where there is none inside."""

    count: int = 1
    path: str = ""


def _held(file: Any, column: str) -> Iterator[_Held]:
    """Yield what the picture column holds, row by row, without reading pictures where the file's statistics suffice."""
    kind = file.schema_arrow.field(column).type
    is_list = not (pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
    for group in range(file.metadata.num_row_groups):
        facts = file.metadata.row_group(group)
        if not is_list and _has_no_null(facts, column):
            yield from repeat(_Held(), facts.num_rows)
            continue
        for batch in file.iter_batches(batch_size=_PICTURE_ROWS, row_groups=[group], columns=[column]):
            for cell in batch.column(0).to_pylist():
                yield _Held(len(pictures_in(cell)), next(iter(paths_in(cell)), ""))


def _has_no_null(facts: Any, column: str) -> bool:
    """Tell whether every row of a row group has bytes of a picture, as far as the statistics tell."""
    parts = [facts.column(number) for number in range(facts.num_columns)]
    inside = [part for part in parts if part.path_in_schema in (column, f"{column}.bytes")]
    counts = [part.statistics.null_count if part.statistics else None for part in inside]
    return counts == [0]
