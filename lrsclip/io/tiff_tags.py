"""The lists of tags in a TIFF, as TIFF 6.0 and BigTIFF describe them: read alone, no pixel is decoded.

GDAL does not expose all of them: a file of one compressed strip it shows as so many rows, and decodes it from
its first row again for each window.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from lrsclip.errors import PictureError
from lrsclip.io.plain_file import open_plain

Fact = TypeVar("Fact")
SUB_DIRECTORIES = 330
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _SAMPLES, _ROWS, _PLANAR = 256, 257, 258, 259, 277, 278, 284
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_PIECES, _PIECE_BYTES, _FEW_PIECES = (273, 324), (279, 325), 8
_JPEG, _START_OF_SCAN = 7, b"\xff\xda"
_PLAIN, _SEPARATE = 1, 2  # no compression; a plane for each sample
_BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MAX_DIRECTORIES = 100  # overviews and masks are a dozen or two
_USUAL_BLOCK_BYTES = 2**26  # of a tile or strip, decoded: 4,096 x 4,096 px of four samples
_MAX_READ = 2**22  # bytes of lists: half a million pieces, each of which costs its reader some hundred bytes


class NotUnderstoodError(Exception):
    """An error for a file that is no TIFF, or one whose pixels this module cannot locate."""


@dataclass(frozen=True)
class Value:
    """The place of a tag's value: its offset, its count of numbers, and the bytes of each."""

    offset: int
    count: int
    number_bytes: int

    @property
    def range(self) -> NDArray[np.int64]:
        """First byte and the one behind the last, (1, 2) int64."""
        return np.array([[self.offset, self.offset + self.count * self.number_bytes]], np.int64)


@dataclass(frozen=True, eq=False)
class Directory:
    """The list of tags of one picture in a file.

    Attributes:
        offset: its first byte in the file.
        begin: first byte of its first entry.
        number: its count of entries, (1,).
        entries: (N,) with code, type, count and value each.
        following: first byte of the next list, (1,); 0 for none.
    """

    offset: int
    begin: int
    number: NDArray[Any]
    entries: NDArray[Any]
    following: NDArray[Any]


class TiffTags:
    """The tags of an open TIFF file, read in its byte order.

    Args:
        file: open for reading, at its start.

    Raises:
        NotUnderstoodError: it does not begin like a TIFF.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.size = file, os.fstat(file.fileno()).st_size
        self._left = _MAX_READ
        begin = file.read(4)
        if begin[:2] not in (b"II", b"MM") or begin[2:].strip(b"\0") not in (b"*", b"+"):
            raise NotUnderstoodError
        order, big = "<" if begin[:2] == b"II" else ">", b"+" in begin
        self._order = order
        self._number = np.dtype(f"{order}u{8 if big else 2}")
        self._offset = np.dtype(f"{order}u{8 if big else 4}")
        self._entry = np.dtype(
            [("code", f"{order}u2"), ("type", f"{order}u2"), ("count", self._offset), ("value", self._offset)]
        )
        self.head_bytes = 16 if big else 8

    @property
    def number(self) -> np.dtype[Any]:
        """Number type of a list's count of entries."""
        return self._number

    def directories(self) -> Iterator[Directory]:
        """Yield every list of a file: those in its chain, and those that hang on one of them.

        Raises:
            NotUnderstoodError: a list lies outside of the file.
            PictureError: there are more than any image with its overviews has.
        """
        first = self.read(self.head_bytes - self._offset.itemsize, 1, self._offset)
        waiting, seen = [int(first[0])], {0}
        while waiting:
            if (offset := waiting.pop()) in seen:
                continue
            seen.add(offset)
            if len(seen) > _MAX_DIRECTORIES:
                raise PictureError(f"the file holds more than {_MAX_DIRECTORIES} pictures; give one of them")
            directory = self._directory(offset)
            waiting.append(int(directory.following[0]))
            waiting += [at for value in self.values(directory, SUB_DIRECTORIES) for at in self.numbers(value).tolist()]
            yield directory

    def values(self, directory: Directory, code: int) -> list[Value]:
        """Look up the values of a tag; both of one that comes twice, since readers differ in which one counts.

        Raises:
            NotUnderstoodError: one lies outside of the file, or is of an unknown type.
        """
        found = np.flatnonzero(directory.entries["code"] == code).tolist()
        return [self.value(directory, at) for at in found]

    def value(self, directory: Directory, at: int) -> Value:
        """Look up the value of an entry by its place in the list.

        Raises:
            NotUnderstoodError: as of `values`.
        """
        entry = directory.entries[at]
        count, number_bytes = int(entry["count"]), _BYTES_OF_TYPE.get(int(entry["type"]))
        if number_bytes is None:
            raise NotUnderstoodError
        inside = count * number_bytes <= self._offset.itemsize
        place = directory.begin + (at + 1) * self._entry.itemsize - self._offset.itemsize
        offset = place if inside else int(entry["value"])
        if offset + count * number_bytes > self.size:
            raise NotUnderstoodError
        return Value(offset, count, number_bytes)

    def numbers(self, value: Value) -> NDArray[np.int64]:
        """Read the whole numbers of a value, (count,) int64.

        Raises:
            NotUnderstoodError: one is larger than the file, which no place in it and no length is.
        """
        numbers = self._whole(value)
        if len(numbers) and int(numbers.max()) > self.size:
            raise NotUnderstoodError
        return numbers.astype(np.int64)

    def pieces(self, directory: Directory) -> Iterator[tuple[int, int]]:
        """Yield (first byte, bytes) of each tile or strip, one that several share once.

        Raises:
            NotUnderstoodError: one lies outside of the file.
        """
        for at, long in zip(_PIECES, _PIECE_BYTES, strict=True):
            offsets = [self.numbers(value) for value in self.values(directory, at)]
            sizes = [self.numbers(value) for value in self.values(directory, long)]
            for some, lengths in zip(offsets, sizes, strict=False):
                yield from {(int(a), int(b)) for a, b in zip(some, lengths, strict=False)}

    def largest(self, directory: Directory, code: int, usual: int) -> int:
        """Find the largest number of a tag; `usual` where there is no such tag."""
        numbers = [self._whole(value) for value in self.values(directory, code)]
        return max((int(some.max()) for some in numbers if len(some)), default=usual)

    def smallest(self, directory: Directory, code: int) -> int:
        """Find the smallest number of a tag; 0 where there is no such tag."""
        numbers = [self._whole(value) for value in self.values(directory, code)]
        return min((int(some.min()) for some in numbers if len(some)), default=0)

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Read a tile or strip as it is stored; unlike lists it is not counted against their bound."""
        self._file.seek(offset)
        return self._file.read(size)

    def read(self, offset: int, count: int, kind: np.dtype[Any]) -> NDArray[Any]:
        """Read some numbers of a kind, (count,).

        Raises:
            NotUnderstoodError: they would lie outside of the file.
            PictureError: all lists together are longer than those of any image.
        """
        asked = count * kind.itemsize
        if offset + asked > self.size:
            raise NotUnderstoodError
        self._left -= asked
        if self._left < 0:
            raise PictureError("the file is in far too many parts; save it in tiles of 256 px and give that")
        self._file.seek(offset)
        return np.frombuffer(self._file.read(asked), kind)

    def _whole(self, value: Value) -> NDArray[Any]:
        return self.read(value.offset, value.count, np.dtype(f"{self._order}u{value.number_bytes}"))

    def _directory(self, offset: int) -> Directory:
        number = self.read(offset, 1, self._number)
        begin = offset + number.nbytes
        entries = self.read(begin, int(number[0]), self._entry)
        following = self.read(begin + entries.nbytes, 1, self._offset)
        return Directory(offset, begin, number, entries, following)


def _of_each(path: Path, fact: Callable[[TiffTags, Directory], Fact]) -> Iterator[Fact]:
    """Yield a fact of each picture in a TIFF, up to the first list that cannot be understood."""
    with open_plain(path) as file, suppress(NotUnderstoodError):
        tiff = TiffTags(file)
        for directory in tiff.directories():
            yield fact(tiff, directory)


def compressions(path: Path) -> set[int]:
    """Collect the numbers of the compressions in a TIFF, as far as its lists can be read.

    Args:
        path: the file.

    Raises:
        PictureError: it has more parts than any image.
    """
    return set(_of_each(path, lambda tiff, directory: tiff.largest(directory, _COMPRESSION, _PLAIN)))


def largest_block_bytes(path: Path) -> int:
    """Compute the most bytes of pixels that one pixel of a TIFF, its overviews or masks needs decoded at once.

    Uncompressed pixels are read where they lie and do not count.

    Args:
        path: the file.

    Returns:
        Bytes; 0 for a file that is no TIFF.

    Raises:
        PictureError: its lists of tags are damaged, or it has more parts than any image.
    """
    with open_plain(path) as file:
        try:
            tiff = TiffTags(file)
        except NotUnderstoodError:
            return 0
        try:
            return max((_block_bytes(tiff, directory) for directory in tiff.directories()), default=0)
        except NotUnderstoodError as error:
            raise PictureError(f"cannot read {path}: its list of tags is damaged; save it anew") from error


def samples_per_pixel(path: Path) -> int:
    """Find the most samples that a pixel of a TIFF has, as far as its lists can be read; 0 for a file that is none.

    Args:
        path: the file.

    Raises:
        PictureError: it has more parts than any image.
    """
    return max(_of_each(path, lambda tiff, directory: tiff.largest(directory, _SAMPLES, 1)), default=0)


def scans_of_a_piece(path: Path) -> int:
    """Count the scans of the JPEG tile or strip of a TIFF that has most; baseline ones have one, or one a band.

    Args:
        path: the file.

    Raises:
        PictureError: it has more parts than any image, or many that overlap, and so would be read again and again.
    """
    read_bytes = 0

    def scans(tiff: TiffTags, directory: Directory) -> int:
        nonlocal read_bytes
        most = 0
        for offset, size in tiff.pieces(directory) if tiff.largest(directory, _COMPRESSION, _PLAIN) == _JPEG else ():
            read_bytes += size
            if read_bytes > 2 * tiff.size:
                raise PictureError(f"the tiles of {path} overlap in the file; save it anew and give that")
            most = max(most, tiff.bytes_at(offset, size).count(_START_OF_SCAN))
        return most

    return max(_of_each(path, scans), default=0)


def hides_its_size(path: Path) -> bool:
    """Tell whether a TIFF needs far more bytes decoded at once than its size in pixels lets expect.

    A picture of 64 x 64 px may say that its one tile is 46,000 x 46,000 px, and its reader makes room for that.

    Args:
        path: the file.

    Raises:
        PictureError: it has more parts than any image.
    """
    return any(_of_each(path, _has_a_far_larger_block))


def texts_of(path: Path, code: int, max_bytes: int) -> list[bytes]:
    """Read the value of a tag in every picture of a TIFF, as far as its lists can be read.

    Args:
        path: the file.
        code: of the tag.
        max_bytes: of all of them together.

    Raises:
        PictureError: they hold more.
    """
    found: list[bytes] = []
    left_bytes = max_bytes

    def collect(tiff: TiffTags, directory: Directory) -> None:  # into `found`: of a damaged list the sound ones count
        nonlocal left_bytes
        for value in tiff.values(directory, code):
            left_bytes -= (size := value.count * value.number_bytes)
            if left_bytes < 0:
                raise PictureError(f"{path} holds a text of {size:,} bytes where a few are usual; save it anew")
            found.append(tiff.read(value.offset, size, np.dtype("u1")).tobytes())

    for _ in _of_each(path, collect):
        pass
    return found


def shares_pieces(path: Path) -> bool:
    """Tell whether many tiles or strips of a TIFF are one and the same piece of the file; no program writes them so.

    Args:
        path: the file.

    Raises:
        PictureError: it has more parts than any image.
    """
    return any(_of_each(path, _shares_pieces))


def _shares_pieces(tiff: TiffTags, directory: Directory) -> bool:
    for value in (value for code in _PIECES for value in tiff.values(directory, code)):
        places = tiff.numbers(value)
        there = places[places > 0]  # one that holds nothing is not in the file
        if len(there) > _FEW_PIECES and len(np.unique(there)) < len(there) / 2:
            return True
    return False


def _has_a_far_larger_block(tiff: TiffTags, directory: Directory) -> bool:
    width, length = (tiff.smallest(directory, code) for code in (_WIDTH, _LENGTH))
    whole = width * length * tiff.largest(directory, _SAMPLES, 1) * _sample_bytes(tiff, directory)
    return _block_bytes(tiff, directory) > max(_USUAL_BLOCK_BYTES, 2 * whole)


def _block_bytes(tiff: TiffTags, directory: Directory) -> int:
    if tiff.largest(directory, _COMPRESSION, _PLAIN) == _PLAIN:
        return 0
    width, length = (tiff.largest(directory, code, 0) for code in (_WIDTH, _LENGTH))
    wide = tiff.largest(directory, _TILE_WIDTH, width)
    rows = tiff.largest(directory, _ROWS, length)
    high = tiff.largest(directory, _TILE_LENGTH, min(rows, length))
    separate = tiff.largest(directory, _PLANAR, 1) == _SEPARATE
    together = 1 if separate else tiff.largest(directory, _SAMPLES, 1)
    return wide * high * together * _sample_bytes(tiff, directory)


def _sample_bytes(tiff: TiffTags, directory: Directory) -> int:
    return max(1, tiff.largest(directory, _BITS, 1) // 8)
