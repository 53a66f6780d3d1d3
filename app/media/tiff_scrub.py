"""An uploaded TIFF without what its camera or its maker said of it, and with its place: pixels are not written anew.

What stays is copied to where it was, and all between becomes zeros: so nothing is left behind that no tag leads to.
Only the lists of tags are read, by `lrsclip.io.tiff_tags`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from lrsclip.io.tiff_tags import Directory, NotUnderstoodError, TiffTags, Value

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
_COMPRESSION = 259
_OLD_JPEG = 6  # its tables lie where no list of strips says; given up in 1995
_PIXELS = ((273, 279), (324, 325))  # tags that say where strips and tiles lie, and how many bytes each has
_COPIED_AT_ONCE = 2**20

Ranges = NDArray[np.int64]
"""Bytes of a file, (N, 2): where each range begins and where it ends."""


@dataclass(frozen=True)
class _Kept:
    """What stays of one picture in a file.

    Attributes:
        offset: where its list of tags lies.
        tags: that list without the tags that tell something, as long as before.
        ranges: where its pixels and the values of its tags lie, (N, 2).
        tells: whether a tag was left out.
    """

    offset: int
    tags: bytes
    ranges: Ranges
    tells: bool


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
    with path.open("rb") as old:
        try:
            tiff = TiffTags(old)
            pictures = [_kept_of(tiff, directory) for directory in tiff.directories()]
        except NotUnderstoodError:
            return False
        lists = [(0, tiff.head_bytes), *((one.offset, one.offset + len(one.tags)) for one in pictures)]
        ranges = _merged(np.concatenate([np.array(lists, np.int64), *(one.ranges for one in pictures)]))
        if ranges[-1, 1] >= tiff.size and not any(one.tells for one in pictures):
            return False
        try:
            with copy.open("xb") as new:
                for first, end in ranges.tolist():
                    _copy(old, new, first, end)
                for one in pictures:
                    new.seek(one.offset)
                    new.write(one.tags)
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
    return True


def _kept_of(tiff: TiffTags, directory: Directory) -> _Kept:
    entries = directory.entries
    stay = np.flatnonzero(np.isin(entries["code"], list(_HARMLESS_TAGS))).tolist()
    values = {int(entries["code"][at]): tiff.value(directory, at) for at in stay}
    if _COMPRESSION in values and tiff.numbers(values[_COMPRESSION]).tolist() == [_OLD_JPEG]:
        raise NotUnderstoodError
    ranges = [value.range for value in values.values()]
    ranges += [_pixels(tiff, values[at], values.get(length)) for at, length in _PIXELS if at in values]
    number, following = directory.number, directory.following
    tags = np.array([len(stay)], tiff.number).tobytes() + entries[stay].tobytes() + following.tobytes()
    return _Kept(
        directory.offset,
        tags.ljust(number.nbytes + entries.nbytes + following.nbytes, b"\0"),
        np.concatenate([np.empty((0, 2), np.int64), *ranges]),
        len(stay) < len(entries),
    )


def _pixels(tiff: TiffTags, at: Value, length: Value | None) -> Ranges:
    if length is None or length.count != at.count:
        raise NotUnderstoodError
    first = tiff.numbers(at)
    return np.stack([first, first + tiff.numbers(length)], axis=1)


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
