"""The parts of a picture file, looked through before a decoder reads it: none costs far more than its size suggests.

Pillow unpacks every color profile of a PNG, reads every entry of an EXIF block and every value of a TIFF's list,
however often they repeat or overlap, and nothing can stop it. A file of any program has each of them once, and small.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import BinaryIO

from lrsclip.io.tiff_tags import TIFF_BEGINS, NotUnderstoodError, TiffTags

_JPEG, _PNG, _GIF = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8"
_START_OF_SCAN, _END_OF_JPEG, _DQT, _APP1 = 0xDA, 0xD9, 0xDB, 0xE1
_EXIF_HEAD = b"Exif\0\0"
_MAX_SEGMENTS, _MAX_TABLE_BYTES, _MAX_EXIF_BYTES, _MAX_BETWEEN, _MAX_BANDS = 5_000, 2**18, 3 * 2**16, 2**16, 4
_WITHOUT_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xD9), 0xC8, *range(0xF0, 0xFE)})
FRAMES_OF_JPEG = frozenset({*range(0xC0, 0xD0), 0xDE} - {0xC4, 0xC8, 0xCC})
"""Marks of the segments that say how large a JPEG's picture is; it has one."""
_MAX_CHUNKS, _MAX_OTHER_CHUNKS, _MAX_CHUNK_BYTES = 100_000, 1_000, 2**24
_MAX_BLOCKS_OF_GIF = 5_000  # of 255 bytes: a color profile and notes of an editor
_PIXELS_OF_PNG = (b"IDAT", b"fdAT", b"fcTL")
ONCE_IN_PNG = frozenset(b"IHDR PLTE IEND tRNS gAMA cHRM sRGB iCCP sBIT bKGD pHYs cICP acTL eXIf".split())
"""Chunks that a PNG has once, if at all."""
_ORIENTATION_TAG, _SHORT, _MAX_ENTRIES = 0x0112, 3, 1_000
UPRIGHT = 1
"""The orientation of a picture that is stored as it is shown."""


class OddFileError(ValueError):
    """An error for a file that no program writes, and that would keep a decoder busy for long."""


def check_parts(file: BinaryIO) -> None:
    """Look through the parts of an open picture file; it stands at its start afterwards.

    Args:
        file: at its start; of a format that is not known nothing is checked.

    Raises:
        OddFileError: it has parts many times over, or of a size that none has.
    """
    head = file.read(8)
    file.seek(0)
    try:
        if head.startswith(_JPEG):
            _check_jpeg(file)
        elif head == _PNG:
            _check_png(file)
        elif head.startswith(TIFF_BEGINS):
            _check_tiff(file)
        elif head.startswith(_GIF):
            _check_gif(file)
    finally:
        file.seek(0)


def check_tags(file: BinaryIO) -> None:
    """Look through the tags of a TIFF alone, however many pieces it has: for readers of windows.

    Args:
        file: an open file of any format; it stands at its start afterwards.

    Raises:
        PictureError: a tag comes twice, or is far longer than any needs.
    """
    file.seek(0)
    try:
        if file.read(4) in TIFF_BEGINS:
            tiff = TiffTags(file)
            if (first := next(tiff.directories(), None)) is not None:
                tiff.check_list(first)
    except NotUnderstoodError:  # its reader says so
        pass
    finally:
        file.seek(0)


def orientation_in(exif: bytes) -> int:
    """Read the orientation of the pixels, 1 (upright) to 8, from an EXIF block, and nothing else of it.

    Args:
        exif: with or without the six letters that stand before it in a JPEG; a garbled one says upright.
    """
    block = exif.removeprefix(_EXIF_HEAD)
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return UPRIGHT
    (at,) = struct.unpack(f"{order}I", block[4:8])
    count = int.from_bytes(block[at : at + 2], "little" if order == "<" else "big")
    for number in range(min(count, _MAX_ENTRIES)):
        entry = block[at + 2 + 12 * number : at + 14 + 12 * number]
        if len(entry) < 12:
            break
        tag, kind, values, value = struct.unpack(f"{order}HHIH", entry[:10])
        if tag == _ORIENTATION_TAG:
            return value if kind == _SHORT and values == 1 and value in range(1, 9) else UPRIGHT
    return UPRIGHT


def orientation_of_png(file: BinaryIO) -> int:
    """Read the orientation of a PNG's pixels, 1 (upright) to 8, from the EXIF before them.

    Args:
        file: open at its start; it stands anywhere afterwards.
    """
    file.seek(len(_PNG))
    for _ in range(_MAX_OTHER_CHUNKS):
        head = file.read(8)
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8 or kind in (b"IDAT", b"IEND"):
            break
        if kind == b"eXIf":
            return orientation_in(file.read(min(size, _MAX_EXIF_BYTES)))
        file.seek(size + 4, 1)
    return UPRIGHT


def _check_jpeg(file: BinaryIO) -> None:
    """Look through the segments before the first scan, as a decoder does: it skips what lies between them."""
    file.seek(2)
    table_bytes = exif_bytes = frames = between = 0
    for _ in range(_MAX_SEGMENTS):
        while (head := file.read(1)) and head != b"\xff" and between < _MAX_BETWEEN:
            between += 1
        while (mark := file.read(1)) == b"\xff":
            between += 1
        if not head or not mark or mark[0] in (_START_OF_SCAN, _END_OF_JPEG):
            return
        if mark[0] in _WITHOUT_LENGTH:
            between += 2
            continue
        size = int.from_bytes(file.read(2), "big")
        begin = file.read(min(max(0, size - 2), len(_EXIF_HEAD)))
        table_bytes += size if mark[0] == _DQT else 0
        exif_bytes += size if mark[0] == _APP1 and begin == _EXIF_HEAD else 0
        if mark[0] in FRAMES_OF_JPEG:
            frames += 1
            if not is_frame(size, begin):
                raise OddFileError("the head of its picture is of an odd length; save the JPEG anew")
        if table_bytes > _MAX_TABLE_BYTES or exif_bytes > _MAX_EXIF_BYTES or frames > 1 or between >= _MAX_BETWEEN:
            raise OddFileError("it has far more tables, frames or EXIF than a JPEG; save it anew")
        file.seek(max(0, size - 2 - len(begin)), 1)
    raise OddFileError("it is a JPEG in far too many parts; save it anew")


def is_frame(size: int, begin: bytes) -> bool:
    """Return whether the head of a JPEG's frame is as long as its bands say.

    Args:
        size: its length, as it stands behind its mark.
        begin: six bytes or more behind that.
    """
    return len(begin) >= 6 and 1 <= begin[5] <= _MAX_BANDS and size == 8 + 3 * begin[5]


def _check_png(file: BinaryIO) -> None:
    file.seek(len(_PNG))
    found, others = Counter[bytes](), 0
    for _ in range(_MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8 or (kind := head[4:]) == b"IEND":
            return
        size = int.from_bytes(head[:4], "big")
        if kind not in _PIXELS_OF_PNG:
            found[kind] += 1
            others += 1
            if (kind in ONCE_IN_PNG and found[kind] > 1) or others > _MAX_OTHER_CHUNKS or size > _MAX_CHUNK_BYTES:
                raise OddFileError("it has parts many times over, or of odd size; save the PNG anew")
        file.seek(size + 4, 1)
    raise OddFileError("it is a PNG in far too many parts; save it anew")


def _check_tiff(file: BinaryIO) -> None:
    """Look through the first list, the only one that is read with the picture."""
    try:
        tiff = TiffTags(file)
        first = next(tiff.directories(), None)
        if first is not None:
            tiff.check_list(first)
            tiff.check_pieces(first)
    except NotUnderstoodError as error:
        raise OddFileError("its list of tags is damaged; save it anew") from error


def _check_gif(file: BinaryIO) -> None:
    """Look through the notes before the first picture: their reader takes a time that grows with their square."""
    head = file.read(13)
    if len(head) < 13:
        return
    if head[10] & 0x80:
        file.seek(3 * 2 ** ((head[10] & 7) + 1), 1)
    blocks = 0
    while file.read(1) == b"!":  # an extension; a picture begins otherwise
        file.read(1)
        while size := int.from_bytes(file.read(1), "big"):
            file.seek(size, 1)
            blocks += 1
            if blocks > _MAX_BLOCKS_OF_GIF:
                raise OddFileError("it is a GIF with far too many notes; save it anew")
