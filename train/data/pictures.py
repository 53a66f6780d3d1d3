"""From where a picture lies to its bytes and its pixels."""

from __future__ import annotations

import io
import os
import threading
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from lrsclip.errors import PictureError
from lrsclip.io.decode import open_image
from lrsclip.io.picture_column import pictures_in
from lrsclip.io.plain_file import open_plain
from train.data.records import PictureRef

_MAX_GROUP_BYTES = 2 * 2**30  # of a row group's pictures, unpacked: it is read whole
_lock = threading.Lock()  # one reader of a Parquet file at a time; its row group serves many pictures


def open_ref(ref: PictureRef) -> Image.Image:
    """Open the picture, upright and RGB.

    Raises:
        PictureError: it cannot be read.
    """
    return open_image(io.BytesIO(read_bytes(ref)), name=name_of(ref))


def name_of(ref: PictureRef) -> str:
    """Say what to call a picture in an error."""
    if ref.row is not None:
        return f"row {ref.row} of {ref.path}"
    return ref.path if ref.offset is None else f"the picture at byte {ref.offset} of {ref.path}"


def read_bytes(ref: PictureRef) -> bytes:
    """Read the picture's bytes as they lie.

    Raises:
        PictureError: the file is missing, shorter than it was, or has no such row.
    """
    if ref.row is not None:
        return _cell(ref, ref.row)
    try:
        if ref.offset is None:
            with open_plain(ref.path) as file:
                return file.read()
        with open_plain(ref.path) as file:
            file.seek(ref.offset)
            content = file.read(-1 if ref.size is None else ref.size)
    except (OSError, ValueError) as error:
        raise PictureError(f"cannot read {name_of(ref)}: {error}; put the file back or remove the record") from error
    if ref.size is not None and len(content) < ref.size:
        raise PictureError(f"cannot read {name_of(ref)}: the file ends before it; fetch the file again")
    return content


def _cell(ref: PictureRef, row: int) -> bytes:
    try:
        with _lock:
            facts = os.stat(ref.path)
            at, stamp = (os.getpid(), ref.path), (facts.st_mtime_ns, facts.st_size)
            starts = _starts(*at, *stamp)
            if not 0 <= row < starts[-1]:
                raise PictureError(f"{ref.path} has no row {row}, it has {starts[-1]}; read the source again")
            group = bisect_right(starts, row) - 1
            cell = _group(*at, *stamp, group, ref.column)[row - starts[group]].as_py()
    except (OSError, ValueError, LookupError, pa.ArrowException) as error:
        if isinstance(error, PictureError):
            raise
        raise PictureError(f"cannot read {name_of(ref)}: {error}; fetch the file again") from error
    found = pictures_in(cell)
    if not found:
        raise PictureError(f"{name_of(ref)} holds no picture in {ref.column!r}; only pictures inside the file are read")
    return found[0]


# The process is part of each key, because a forked one must not share open files; so is the file's stamp, because
# another file may take its place.


@lru_cache(maxsize=1)
def _opened(_process: int, path: str, _changed: int, _size: int) -> Any:
    return pq.ParquetFile(path)


@lru_cache(maxsize=64)
def _starts(process: int, path: str, changed: int, size: int) -> list[int]:
    """Return the first row of each row group, and the number of rows."""
    metadata = _opened(process, path, changed, size).metadata
    return [0, *accumulate(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))]


@lru_cache(maxsize=1)
def _group(process: int, path: str, changed: int, size: int, group: int, column: str) -> Any:
    """Read the picture column of a row group."""
    file = _opened(process, path, changed, size)
    if column not in file.schema_arrow.names:
        raise PictureError(f"{path} has no column {column!r}; it has {', '.join(file.schema_arrow.names)}")
    facts = file.metadata.row_group(group)
    parts = (facts.column(at) for at in range(facts.num_columns))
    unpacked = sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] == column)
    if unpacked > _MAX_GROUP_BYTES:
        raise PictureError(
            f"a row group of {path} holds {unpacked / 2**30:.1f} GB of pictures, more than the "
            f"{_MAX_GROUP_BYTES // 2**30} GB that are read at once; write it anew with smaller row groups"
        )
    return file.read_row_group(group, columns=[column]).column(column)
