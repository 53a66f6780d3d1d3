"""An uploaded TIFF without what its camera or its maker said of it, and with its place: pixels are not written anew.

What stays is copied to where it was, and all between becomes zeros: so nothing is left behind that no tag leads to.
Only the lists of tags are read, as TIFF 6.0 and BigTIFF describe them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lrsclip.errors import PictureError

# What is needed to read the pixels, and where they lie; every other tag tells of somebody, or may.
_HARMLESS_TAGS = frozenset(
    (
        *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266),  # kind, size, bits, compression, colours
        *(273, 274, 277, 278, 279, 280, 281, 284, 290, 291, 292, 293, 297),  # strips, orientation, samples, grey, fax
        *(282, 283, 296, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330),  # density, predictor, palette, tiles
        *(332, 334, 336, 338, 339, 340, 341, 342, 347, 529, 530, 531, 532),  # inks, alpha, number format, JPEG, YCbCr
        *(33550, 33920, 33922, 34264, 34735, 34736, 34737, 50844),  # GeoTIFF: grid, reference system, RPC
        *(34675, 42112, 42113, 50674),  # colour profile, GDAL's scales and "no data", LERC
    )
)
_COMPRESSION, _SUB_DIRECTORIES = 259, 330
_OLD_JPEG = 6  # its tables lie where no list of strips says; given up in 1995
_PIXELS = ((273, 279), (324, 325))  # tags that say where strips and tiles lie, and how many bytes each has
_BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MOST_DIRECTORIES = 100  # overviews and masks are a dozen or two
_MOST_READ = 2**25  # bytes of lists: a thousand million pixels in tiles of 32 px have 8 MB of them
_COPIED_AT_ONCE = 2**20

Ranges = NDArray[np.int64]
"""Bytes of a file, (N, 2): where each range begins and where it ends."""


class _NotUnderstoodError(Exception):
    """It is no TIFF, or one whose pixels lie where this module cannot tell."""


@dataclass(frozen=True)
class _Value:
    """Where the value of a tag lies, how many numbers it has, and of how many bytes each."""

    offset: int
    count: int
    number_bytes: int

    @property
    def range(self) -> Ranges:
        return np.array([[self.offset, self.offset + self.count * self.number_bytes]], np.int64)


@dataclass(frozen=True)
class _Directory:
    """What stays of one picture in a file.

    Attributes:
        offset: where its list of tags lies.
        tags: that list without the tags that tell something, as long as before.
        kept: where its pixels and the values of its tags lie, (N, 2).
        tells: whether a tag was left out.
        others: where further lists of tags lie.
    """

    offset: int
    tags: bytes
    kept: Ranges
    tells: bool
    others: tuple[int, ...]


def copy_stripped_tiff(path: Path, copy: Path) -> bool:
    """Write a copy of a TIFF with its pixels and its place; all else in the file becomes zeros.

    A file that is not understood stays as it is; whatever is to read it then says that it cannot, or can all the same.

    Args:
        path: the file, which is only read.
        copy: where the copy is to lie.

    Returns:
        Whether there is one: not of a file that has nothing to leave out, or is not understood.

    Raises:
        PictureError: it holds more pictures than an image with its overviews, or more parts of them than anyone needs.
    """
    size = path.stat().st_size
    with path.open("rb") as old:
        try:
            tiff = _Tiff(old, size)
            directories = list(tiff.directories())
        except _NotUnderstoodError:
            return False
        lists = [(0, tiff.head_bytes), *((d.offset, d.offset + len(d.tags)) for d in directories)]
        kept = _merged(np.concatenate([np.array(lists, np.int64), *(d.kept for d in directories)]))
        if kept[-1, 1] >= size and not any(d.tells for d in directories):
            return False
        try:
            with copy.open("xb") as new:
                for first, end in kept.tolist():
                    _copy(old, new, first, end)
                for directory in directories:
                    new.seek(directory.offset)
                    new.write(directory.tags)
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
    return True


class _Tiff:
    """An open file, and how its numbers are written."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._left = _MOST_READ
        begin = file.read(4)
        if begin[:2] not in (b"II", b"MM") or begin[2:].strip(b"\0") not in (b"*", b"+"):
            raise _NotUnderstoodError
        order, big = "<" if begin[:2] == b"II" else ">", b"+" in begin
        self._order = order
        self._number = np.dtype(f"{order}u{8 if big else 2}")
        self._offset = np.dtype(f"{order}u{8 if big else 4}")
        self._entry = np.dtype(
            [("code", f"{order}u2"), ("type", f"{order}u2"), ("count", self._offset), ("value", self._offset)]
        )
        self.head_bytes = 16 if big else 8

    def directories(self) -> Iterator[_Directory]:
        """Every picture of a file: those in its chain, and those that hang on one of them."""
        first = self._read(self.head_bytes - self._offset.itemsize, 1, self._offset)
        waiting, seen = [int(first[0])], {0}
        while waiting:
            if (offset := waiting.pop()) in seen:
                continue
            seen.add(offset)
            if len(seen) > _MOST_DIRECTORIES:
                raise PictureError(f"the upload holds more than {_MOST_DIRECTORIES} pictures; send one of them")
            directory = self._directory(offset)
            waiting += directory.others
            yield directory

    def _directory(self, offset: int) -> _Directory:
        number = self._read(offset, 1, self._number)
        begin = offset + number.nbytes
        entries = self._read(begin, int(number[0]), self._entry)
        following = self._read(begin + entries.nbytes, 1, self._offset)
        values = {
            int(entry["code"]): self._value(begin + at * self._entry.itemsize, entry)
            for at, entry in enumerate(entries)
            if int(entry["code"]) in _HARMLESS_TAGS
        }
        if _COMPRESSION in values and self._numbers(values[_COMPRESSION]).tolist() == [_OLD_JPEG]:
            raise _NotUnderstoodError
        kept = [value.range for value in values.values()]
        kept += [self._pixels(values[at], values.get(length)) for at, length in _PIXELS if at in values]
        stay = entries[np.isin(entries["code"], list(values))]
        tags = np.array([len(stay)], self._number).tobytes() + stay.tobytes() + following.tobytes()
        others = self._numbers(values[_SUB_DIRECTORIES]).tolist() if _SUB_DIRECTORIES in values else []
        return _Directory(
            offset,
            tags.ljust(number.nbytes + entries.nbytes + following.nbytes, b"\0"),
            np.concatenate([np.empty((0, 2), np.int64), *kept]),
            len(stay) < len(entries),
            (int(following[0]), *others),
        )

    def _value(self, at: int, entry: np.void) -> _Value:
        count, number_bytes = int(entry["count"]), _BYTES_OF_TYPE.get(int(entry["type"]))
        if number_bytes is None:
            raise _NotUnderstoodError
        inside = count * number_bytes <= self._offset.itemsize
        offset = at + self._entry.itemsize - self._offset.itemsize if inside else int(entry["value"])
        if offset + count * number_bytes > self._size:
            raise _NotUnderstoodError
        return _Value(offset, count, number_bytes)

    def _pixels(self, at: _Value, length: _Value | None) -> Ranges:
        if length is None or length.count != at.count:
            raise _NotUnderstoodError
        first = self._numbers(at)
        return np.stack([first, first + self._numbers(length)], axis=1)

    def _numbers(self, value: _Value) -> NDArray[np.int64]:
        """The whole numbers that a tag has for a value, (count,)."""
        kind = np.dtype(f"{self._order}u{value.number_bytes}")
        numbers = self._read(value.offset, value.count, kind)
        if len(numbers) and int(numbers.max()) > self._size:
            raise _NotUnderstoodError
        return numbers.astype(np.int64)

    def _read(self, offset: int, count: int, kind: np.dtype[Any]) -> NDArray[Any]:
        asked = count * kind.itemsize
        if offset + asked > self._size:
            raise _NotUnderstoodError
        self._left -= asked
        if self._left < 0:
            raise PictureError("the upload is in far too many parts; save it in tiles of 256 px and send that")
        self._file.seek(offset)
        return np.frombuffer(self._file.read(asked), kind)


def _merged(ranges: Ranges) -> Ranges:
    """The same bytes in as few ranges as there can be, in their order."""
    ranges = ranges[np.argsort(ranges[:, 0], kind="stable")]
    ends = np.maximum.accumulate(ranges[:, 1])
    begins = np.flatnonzero(np.append(True, ranges[1:, 0] > ends[:-1]))
    return np.stack([ranges[begins, 0], ends[np.append(begins[1:], len(ranges)) - 1]], axis=1)


def _copy(old: BinaryIO, new: BinaryIO, first: int, end: int) -> None:
    """Copy a range to the same place; what lies between two ranges is a hole, which reads as zeros."""
    old.seek(first)
    new.seek(first)
    while first < end and (some := old.read(min(end - first, _COPIED_AT_ONCE))):
        new.write(some)
        first += len(some)
