"""An uploaded TIFF without the metadata of its camera or maker, and with its place: pixels are not written anew.

Kept bytes are copied to their old offsets, and all between becomes zeros: so nothing is left that no tag leads to.
Only the lists of tags are read, by `lrsclip.io.tiff_tags`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from lrsclip.errors import PictureError
from lrsclip.io.tiff_tags import SUB_DIRECTORIES, Directory, NotUnderstoodError, TiffTags, Value

# These are needed to read the pixels and their place; every other tag tells of somebody, or may.
_HARMLESS_TAGS = frozenset(
    (
        *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266),  # kind, size, bits, compression, colors
        *(273, 274, 277, 278, 279, 280, 281, 284, 290, 291, 292, 293, 297),  # strips, orientation, samples, gray, fax
        *(282, 283, 296, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330),  # density, predictor, palette, tiles
        *(332, 334, 336, 338, 339, 340, 341, 342, 347, 529, 530, 531, 532),  # inks, alpha, number format, JPEG, YCbCr
        *(33550, 33920, 33922, 34264, 34735, 34736, 34737, 50844),  # GeoTIFF: grid, reference system, RPC
        *(34675, 42112, 42113, 50674),  # color profile, GDAL's scales and "no data", LERC
    )
)
_OF_THE_PIXELS = frozenset((256, 257, 258, 259, 262, 266, 277, 278, 284, 317, 320, 322, 323, 338, 339))
_COMPRESSION = 259
_OLD_JPEG = 6  # its tables lie outside of any list of strips; given up in 1995
_GDAL_METADATA = 42112
_ITEM = re.compile(
    rb'<Item name="(?:SCALE|OFFSET|DESCRIPTION|UNITTYPE|COLORINTERP)" sample="\d{1,6}" '
    rb'role="[a-z]{1,20}">[^<>]{0,64}</Item>'
    # Light has no owner: by it the red band is found.
    rb'|<Item name="(?i:[a-z_]{0,16}wavelength(?:_um|s)?)" sample="\d{1,6}"(?: domain="IMAGERY")?>'
    rb"\d{1,5}(?:\.\d{1,12})?</Item>"
)
_ROLE = re.compile(rb'role="([a-z]+)"')
_NUMERIC_ROLES = (b"scale", b"offset", b"description", b"unittype", b"colorinterp")
_PIXELS = ((273, 279), (324, 325))  # tags of the offsets and of the byte counts of strips and tiles
_COPIED_AT_ONCE, _MAX_RANGES = 2**20, 2**16

Ranges = NDArray[np.int64]
"""Bytes of a file, (N, 2): where each range begins and where it ends."""


@dataclass(frozen=True)
class _Kept:
    """The kept parts of one picture in a file.

    Attributes:
        offset: byte offset of its list of tags.
        tags: that list without the tags that tell something, as long as before.
        values: values written anew beside it: offset and content.
        ranges: bytes of its pixels and of the values of its tags, (N, 2).
        tells: whether a tag was left out.
    """

    offset: int
    tags: bytes
    ranges: Ranges
    tells: bool
    values: tuple[tuple[int, bytes], ...] = ()

    @property
    def written(self) -> tuple[tuple[int, bytes], ...]:
        """Offsets and contents of all that is not copied."""
        return ((self.offset, self.tags), *self.values)


def copy_stripped_tiff(path: Path, copy: Path) -> bool:
    """Write a copy of a TIFF with its pixels and its place; all else in the file becomes zeros.

    Of several pictures in a file all stay (overviews, masks), unless one is not understood, such as a camera's
    thumbnail: then the first one stays.

    Args:
        path: the file, which is only read.
        copy: path of the copy.

    Returns:
        Whether there is one: not of a file that has nothing to leave out.

    Raises:
        PictureError: it holds more pictures than an image with its overviews, more parts of them than anyone needs, or
            a tag twice;
            or the place of its pixels is not known, so that all else in it would stay.
    """
    with path.open("rb") as old:
        try:
            tiff = TiffTags(old)
            pictures = _kept(tiff)
        except NotUnderstoodError as error:
            raise PictureError(
                "the upload is a TIFF of an odd kind, in which pixels and what its camera wrote cannot be told apart; "
                "save it anew, and send that"
            ) from error
        lists = [(0, tiff.head_bytes), *((one.offset, one.offset + len(one.tags)) for one in pictures)]
        ranges = _merged(np.concatenate([np.array(lists, np.int64), *(one.ranges for one in pictures)]))
        if len(ranges) > _MAX_RANGES:
            raise PictureError("the upload is a TIFF in far too many parts; save it in tiles of 256 px, and send that")
        if ranges[-1, 1] >= tiff.size and not any(one.tells for one in pictures):
            return False
        try:
            with copy.open("xb") as new:
                for first, end in ranges.tolist():
                    _copy(old, new, first, end)
                for offset, content in ((at, content) for one in pictures for at, content in one.written):
                    new.seek(offset)
                    new.write(content)
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
    return True


def _kept(tiff: TiffTags) -> list[_Kept]:
    directories, pictures = tiff.directories(), list[_Kept]()
    if (first := next(directories, None)) is None:
        raise NotUnderstoodError
    try:
        pictures.append(_kept_of(tiff, first))
        pictures += [_kept_of(tiff, directory) for directory in directories]
    except NotUnderstoodError:
        if not pictures:
            raise
        return [_kept_of(tiff, first, alone=True)]
    return pictures


def _kept_of(tiff: TiffTags, directory: Directory, *, alone: bool = False) -> _Kept:
    entries = directory.entries
    harmless = _HARMLESS_TAGS - {SUB_DIRECTORIES} if alone else _HARMLESS_TAGS
    tiff.check_list(directory, harmless)  # what does not stay may be of any size
    stay, values, anew = list[int](), dict[int, Value](), list[tuple[int, bytes]]()
    for at in np.flatnonzero(np.isin(entries["code"], list(harmless))).tolist():
        code = int(entries["code"][at])
        try:
            value = tiff.value(directory, at)
        except NotUnderstoodError:  # of no known type, or outside of the file
            if code in _OF_THE_PIXELS:  # without it they would be read as other numbers
                raise
            continue
        if code == _GDAL_METADATA:
            old = tiff.read(value.offset, value.count * value.number_bytes, np.dtype("u1")).tobytes()
            if not (new := _without_owners(old)):
                continue
            anew += [(value.offset, new)] if new != old else []
        stay.append(at)
        values[code] = value
    if tiff.all_of(directory, _COMPRESSION) == {_OLD_JPEG}:  # a number that may be larger than the file
        raise NotUnderstoodError
    places = [_pixels(tiff, values[at], values.get(length)) for at, length in _PIXELS if at in values]
    if not places:
        raise NotUnderstoodError
    ranges = [*(value.range for value in values.values()), *places]
    number, following = directory.number, np.zeros_like(directory.following) if alone else directory.following
    tags = np.array([len(stay)], tiff.number).tobytes() + entries[stay].tobytes() + following.tobytes()
    return _Kept(
        directory.offset,
        tags.ljust(number.nbytes + entries.nbytes + following.nbytes, b"\0"),
        np.concatenate([np.empty((0, 2), np.int64), *ranges]),
        len(stay) < len(entries) or alone or bool(anew),
        tuple(anew),
    )


def _without_owners(metadata: bytes) -> bytes:
    """Keep of GDAL's metadata the items on the numbers' meaning, as long as before; b"" where none is."""
    parts = b"".join(
        item for item in _ITEM.findall(metadata) if (named := _ROLE.search(item)) is None or named[1] in _NUMERIC_ROLES
    )
    new = b"<GDALMetadata>" + parts + b"</GDALMetadata>\0"
    return new.ljust(len(metadata), b"\0") if parts and len(new) <= len(metadata) else b""


def _pixels(tiff: TiffTags, at: Value, length: Value | None) -> Ranges:
    if length is None or length.count != at.count:
        raise NotUnderstoodError
    first = tiff.numbers(at)
    return np.stack([first, first + tiff.numbers(length)], axis=1)


def _merged(ranges: Ranges) -> Ranges:
    """Merge ranges into as few as cover the same bytes, in their order."""
    ranges = ranges[np.argsort(ranges[:, 0], kind="stable")]
    ends = np.maximum.accumulate(ranges[:, 1])
    begins = np.flatnonzero(np.append(True, ranges[1:, 0] > ends[:-1]))
    return np.stack([ranges[begins, 0], ends[np.append(begins[1:], len(ranges)) - 1]], axis=1)


def _copy(old: BinaryIO, new: BinaryIO, first: int, end: int) -> None:
    """Copy a range to the same place; the gap between two ranges is a hole, which reads as zeros."""
    old.seek(first)
    new.seek(first)
    while first < end and (some := old.read(min(end - first, _COPIED_AT_ONCE))):
        new.write(some)
        first += len(some)
