"""The lists of tags in a TIFF, as TIFF 6.0 and BigTIFF describe them: read alone, no pixel is decoded.

GDAL does not expose all of them: a file of one compressed strip it shows as so many rows, and decodes it from
its first row again for each window.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from lrsclip.errors import PictureError
from lrsclip.io.plain_file import open_plain

Fact = TypeVar("Fact")
Source = Path | BinaryIO
"""A file by its path, or open; an open one stands anywhere afterwards."""
SUB_DIRECTORIES = 330
TIFF_BEGINS: tuple[bytes, ...] = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"II\0*", b"MM*\0", b"II\0+", b"MM+\0")
"""First bytes of TIFFs; the last four are of none, and Pillow reads them all the same."""
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _ORIENTATION, _SAMPLES, _ROWS, _PLANAR = 256, 257, 258, 259, 274, 277, 278, 284
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_EXTRA_SAMPLES, _ASSOCIATED = 338, 1
_PIECES, _PIECE_BYTES, _FEW_PIECES = (273, 324), (279, 325), 8
_JPEG, _START_OF_SCAN = 7, b"\xff\xda"
_PLAIN, _SEPARATE = 1, 2  # no compression; a plane for each sample
_BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MAX_DIRECTORIES = 100  # overviews and masks are a dozen or two
_USUAL_BLOCK_BYTES = 2**26  # of a tile or strip, decoded: 4,096 x 4,096 px of four samples
_MAX_ENTRIES = 400  # of a list; a camera's have fifty
_MAX_NUMBERS_BYTES, _MAX_BYTES_BYTES = 2**20, 2**22  # of all values of a list but those below
_MAX_COUNTS = {258: 1024, 277: 1, 282: 1, 283: 1, 274: 1, 320: 3 * 2**16, 338: 1024, 339: 1024}  # by their meaning
# Descriptions, profiles, editors' layers and notes: bytes that are read once and not looked into.
_BLOBS = frozenset((270, 700, 33723, 34377, 34675, 37500, 37724, 42112, 50740))
_MAX_PIECES_OF_A_WHOLE = 2**19  # of a picture that is read at once, each of which takes its reader a while
_BYTE_TYPES = (1, 2, 6, 7)
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
        self._file, self.size = file, file.seek(0, os.SEEK_END)
        file.seek(0)
        self._left = _MAX_READ
        begin = file.read(4)
        if begin[:2] not in (b"II", b"MM") or begin[2:].strip(b"\0") not in (b"*", b"+"):
            raise NotUnderstoodError
        order, big = "<" if begin[:2] == b"II" else ">", b"+" in begin
        if big and file.read(4) != (b"\x08\0\0\0" if order == "<" else b"\0\x08\0\0"):  # no BigTIFF to all its readers
            raise NotUnderstoodError
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
            yield directory  # before it is followed: what hangs on it may be damaged
            waiting.append(int(directory.following[0]))
            waiting += [at for value in self.values(directory, SUB_DIRECTORIES) for at in self.numbers(value).tolist()]

    def values(self, directory: Directory, code: int) -> list[Value]:
        """Look up the values of a tag; both of one that comes twice, since readers differ in which one counts.

        Raises:
            NotUnderstoodError: one lies outside of the file, or is of an unknown type.
        """
        found = np.flatnonzero(directory.entries["code"] == code).tolist()
        return [self.value(directory, at) for at in found]

    def check_list(self, directory: Directory, codes: Collection[int] | None = None) -> None:
        """Refuse a list that no program writes: readers differ in what it says, or take minutes for it.

        Args:
            directory: the list.
            codes: the tags whose values are read; None for all.

        Raises:
            PictureError: a tag comes twice, there are very many, or a value is far longer than any needs.
        """
        entries = directory.entries
        if codes is not None:
            entries = entries[np.isin(entries["code"], list(codes))]
        found, counts = np.unique(entries["code"], return_counts=True)
        if len(entries) > _MAX_ENTRIES:
            raise PictureError(f"the file's list of tags has {len(entries):,} entries; save it anew")
        if len(counts) and counts.max() > 1:
            raise PictureError(f"tag {found[counts.argmax()]} stands in the file more than once; save it anew")
        left = {"numbers": _MAX_NUMBERS_BYTES, "bytes": _MAX_BYTES_BYTES}
        for entry in entries:
            code, kind, count = int(entry["code"]), int(entry["type"]), int(entry["count"])
            size = count * _BYTES_OF_TYPE.get(kind, 0)
            if code in (*_PIECES, *_PIECE_BYTES):
                too_long = size > _MAX_READ
            elif code in _BLOBS and kind in _BYTE_TYPES:
                too_long = size > self.size
            elif code in _MAX_COUNTS:
                too_long = count > _MAX_COUNTS[code]
            else:
                of = "bytes" if kind in _BYTE_TYPES else "numbers"
                left[of] -= size
                too_long = left[of] < 0
            if too_long:
                raise PictureError(f"tag {code} of the file has {size:,} bytes, far more than any needs; save it anew")

    def check_pieces(self, directory: Directory) -> None:
        """Refuse a picture in more strips or tiles than its size has room for, or than a reader of the whole can take.

        Raises:
            NotUnderstoodError: its list is damaged.
            PictureError: it has.
        """
        width, length = (self.largest(directory, code, 0) for code in (_WIDTH, _LENGTH))
        rows = max(1, min(length, self.largest(directory, _ROWS, length)))
        across, down = (max(1, self.largest(directory, code, 0)) for code in (_TILE_WIDTH, _TILE_LENGTH))
        planes = self.largest(directory, _SAMPLES, 1) if self.largest(directory, _PLANAR, 1) == _SEPARATE else 1
        for code, fits in ((_PIECES[0], -(-length // rows)), (_PIECES[1], -(-width // across) * -(-length // down))):
            for value in self.values(directory, code):
                if value.count > min(fits * planes + 1, _MAX_PIECES_OF_A_WHOLE):
                    raise PictureError(
                        f"the picture lies in {value.count:,} pieces in its file; save it in tiles of 256 px"
                    )

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

    def all_of(self, directory: Directory, code: int) -> set[int]:
        """Collect the numbers of a tag, all of one that comes twice; none where there is no such tag."""
        return {int(number) for value in self.values(directory, code) for number in self._whole(value)[:_FEW_PIECES]}

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


def _opened(source: Source) -> AbstractContextManager[BinaryIO]:
    return open_plain(source) if isinstance(source, Path) else nullcontext(source)


def _of_each(path: Source, fact: Callable[[TiffTags, Directory], Fact]) -> Iterator[Fact]:
    """Yield a fact of each picture in a TIFF, up to the first list that cannot be understood."""
    with _opened(path) as file, suppress(NotUnderstoodError):
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
    found: set[int] = set()
    for numbers in _of_each(path, lambda tiff, directory: tiff.all_of(directory, _COMPRESSION)):
        found |= numbers or {_PLAIN}
    return found


def orientation_of(path: Source) -> int:
    """Read the orientation of a TIFF's first picture, 1 (upright) to 8; 1 where it cannot be read.

    Args:
        path: the file.
    """
    try:
        first = next(_of_each(path, lambda tiff, directory: tiff.all_of(directory, _ORIENTATION)), set())
    except (PictureError, OSError):
        return 1
    return next((number for number in first if number in range(1, 9)), 1)


def size_of(path: Source) -> tuple[int, int, int]:
    """Read the size of a TIFF's first picture: width and height in px, and bytes of a pixel in all its bands.

    Args:
        path: the file.

    Returns:
        The three; zeros where its lists cannot be read.

    Raises:
        PictureError: it has more parts than any image.
    """

    def size(tiff: TiffTags, directory: Directory) -> tuple[int, int, int]:
        width, length = (tiff.largest(directory, code, 0) for code in (_WIDTH, _LENGTH))
        return width, length, tiff.largest(directory, _SAMPLES, 1) * _sample_bytes(tiff, directory)

    return next(_of_each(path, size), (0, 0, 0))


def is_premultiplied(path: Source) -> bool:
    """Tell whether a TIFF says that its colors are multiplied by their transparency already.

    Args:
        path: the file.
    """
    try:
        return _ASSOCIATED in next(_of_each(path, lambda tiff, directory: tiff.all_of(directory, _EXTRA_SAMPLES)), ())
    except (PictureError, OSError):
        return False


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
        for offset, size in tiff.pieces(directory) if _JPEG in tiff.all_of(directory, _COMPRESSION) else ():
            read_bytes += size
            if read_bytes > 2 * tiff.size:
                raise PictureError(f"the tiles of {path} overlap in the file; save it anew and give that")
            most = max(most, tiff.bytes_at(offset, size).count(_START_OF_SCAN))
        return most

    return max(_of_each(path, scans), default=0)


def hides_its_size(path: Source) -> bool:
    """Tell whether a TIFF needs far more bytes decoded at once than its size in pixels lets expect.

    A picture of 64 x 64 px may say that its one tile is 46,000 x 46,000 px, and its reader makes room for that.

    Args:
        path: the file.

    Raises:
        PictureError: it has more parts than any image.
    """
    return any(_of_each(path, _has_a_far_larger_block))


def texts_of(path: Source, code: int, max_bytes: int) -> list[bytes]:
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
                raise PictureError(f"the file holds a text of {size:,} bytes where a few are usual; save it anew")
            found.append(tiff.read(value.offset, size, np.dtype("u1")).tobytes())

    for _ in _of_each(path, collect):
        pass
    return found


def shares_pieces(path: Source) -> bool:
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
