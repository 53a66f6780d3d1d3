"""JPEG, PNG and WebP files without the metadata of their camera or maker: the pixels stay as they are stored.

Nothing is decoded: a file is a row of parts, and a copy holds those that the display of the pixels needs. The
orientation is one of them, so that a picture still stands upright.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from lrsclip.errors import PictureError
from lrsclip.io.picture_parts import FRAMES_OF_JPEG, ONCE_IN_PNG, UPRIGHT, is_frame, orientation_in

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# A mark that is neither data nor a restart. A run of 0xFF is looked at once, from its begin and never back: going back
# takes a time that grows with the square of its length.
_END_OF_SCAN = re.compile(rb"(?<!\xff)\xff++[^\x00\xd0-\xd7]")
_FILLING = re.compile(rb"\xff*+")
_EXIF_MARK, _EXIF_HEAD = 0xE1, b"Exif\0\0"
_TABLES_OF_JPEG, _PROFILE_OF_JPEG = 0xDB, 0xE2
_MAX_TABLE_BYTES, _MAX_PROFILE_BYTES = 2**18, 2**22  # each table costs its reader a copy of the rest
_MAX_PARTS_OF_JPEG = 5_000  # a hundred scans with their tables, and a color profile of 255
_MAX_PARTS = 100_000  # of 64 MB in pieces of 8 kB there are 8,000
_START_OF_SCAN, _END_OF_JPEG = 0xDA, 0xD9
# Tables, frames and scans; of the parts for applications only those below.
_PIXELS_OF_JPEG = frozenset({*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF} - {0xC8})
_SHOWN_OF_JPEG = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
_JFIF, _JFIF_BYTES = 0xE0, 14  # without its thumbnail
_CHUNKS_OF_PNG = frozenset(b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT bKGD pHYs cICP".split())
_CHUNKS_OF_WEBP = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP", b"ANIM", b"ANMF"))
_ONCE_IN_WEBP = frozenset((b"VP8X", b"ICCP", b"ANIM", b"EXIF"))
_EXIF_OF_WEBP, _XMP_OF_WEBP = 0x08, 0x04


def is_known(head: bytes) -> bool:
    """Return whether a file that begins so is a JPEG, PNG or WebP."""
    return head.startswith((_JPEG, _PNG)) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def without_metadata(content: bytes) -> bytes:
    """Return a picture file with the parts that its pixels need, and nothing else.

    Of a damaged file the parts up to the damage are left, so that a reader still reports the damage.

    Args:
        content: a JPEG, PNG or WebP file.

    Raises:
        PictureError: it is in far more parts than any picture.
    """
    if content.startswith(_JPEG):
        return _jpeg(content)
    return _png(content) if content.startswith(_PNG) else _webp(content)


def _exif(orientation: int) -> bytes:
    """Build an EXIF block that holds nothing but an orientation."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def _jpeg(content: bytes) -> bytes:
    turn, parts = None, list[bytes]()
    table_bytes = profile_bytes = frames = 0
    for mark, part in _parts_of_jpeg(content):
        table_bytes += len(part) if mark == _TABLES_OF_JPEG else 0
        profile_bytes += len(part) if mark == _PROFILE_OF_JPEG else 0
        frames += mark in FRAMES_OF_JPEG
        if mark in FRAMES_OF_JPEG and not is_frame(int.from_bytes(part[2:4], "big"), part[4:10]):
            raise PictureError("the upload is a JPEG whose head is of an odd length; save it anew, and send that")
        _check_count(table_bytes, _MAX_TABLE_BYTES)
        _check_count(frames, 1)
        if mark == _PROFILE_OF_JPEG and profile_bytes > _MAX_PROFILE_BYTES:
            continue
        if mark == _EXIF_MARK and part[4:].startswith(_EXIF_HEAD):
            turn = orientation_in(part[4:]) if turn is None else turn  # the first one counts
        elif mark != _EXIF_MARK:
            parts.append(part)
    body = b"" if turn in (None, UPRIGHT) else _EXIF_HEAD + _exif(turn or UPRIGHT)
    said = struct.pack(">BBH", 0xFF, _EXIF_MARK, len(body) + 2) + body if body else b""
    begin = parts.pop(0) if parts and parts[0][1] == _JFIF else b""  # nothing may stand before it
    return b"\xff\xd8" + begin + said + b"".join(parts)


def _parts_of_jpeg(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the parts that are needed, each with its mark: those of the pixels, and EXIF."""
    at, number = 2, 0
    while at + 4 <= len(content) and content[at] == 0xFF:
        at, number = _filled(content, at), number + 1
        _check_count(number, _MAX_PARTS_OF_JPEG)
        if at + 4 > len(content) or (mark := content[at + 1]) == _END_OF_JPEG:
            break
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        begin = content[at + 4 : min(end, at + 4 + _JFIF_BYTES)]
        if mark == _START_OF_SCAN:
            found = _END_OF_SCAN.search(content, end)
            end = _filled(content, found.start()) if found else len(content)
        shown = _SHOWN_OF_JPEG.get(mark)
        if mark == _JFIF and shown and begin.startswith(shown) and len(begin) == _JFIF_BYTES:
            yield mark, struct.pack(">BBH", 0xFF, _JFIF, _JFIF_BYTES + 2) + begin[: _JFIF_BYTES - 2] + b"\0\0"
        elif mark in _PIXELS_OF_JPEG or mark == _EXIF_MARK or (mark != _JFIF and shown and begin.startswith(shown)):
            yield mark, content[at:end]
        at = end
    if content[at : at + 2] == bytes([0xFF, _END_OF_JPEG]):
        yield _END_OF_JPEG, content[at : at + 2]


def _filled(content: bytes, at: int) -> int:
    """Return the index of the last 0xFF of a run of them."""
    found = _FILLING.match(content, at)
    return max(at, found.end() - 1) if found is not None else at


def _check_count(number: int, most: int) -> None:
    if number > most:
        raise PictureError("the upload is a picture in far too many parts; save it anew, and send that")


def _png(content: bytes) -> bytes:
    turn, parts, at, number, had = UPRIGHT, list[bytes](), len(_PNG), 0, set[bytes]()
    while at + 8 <= len(content):
        _check_count(number := number + 1, _MAX_PARTS)
        size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        end = at + 12 + size
        again = kind in had and kind in ONCE_IN_PNG  # readers differ in which one counts, and some read all
        had.add(kind)
        if kind in _CHUNKS_OF_PNG and not again and (kind != b"iCCP" or size <= _MAX_PROFILE_BYTES):
            parts.append(content[at:end])
        elif kind == b"eXIf" and not again:
            turn = orientation_in(content[at + 8 : end - 4])
        if kind == b"IEND":
            break
        at = end
    if turn != UPRIGHT and parts:
        body = b"eXIf" + _exif(turn)
        parts.insert(1, struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)))
    return _PNG + b"".join(parts)


def _webp(content: bytes) -> bytes:
    turn, parts, at, number, had = UPRIGHT, list[bytes](), 12, 0, set[bytes]()
    end_of_file = min(len(content), 8 + int.from_bytes(content[4:8], "little"))
    while at + 8 <= end_of_file:
        _check_count(number := number + 1, _MAX_PARTS)
        kind, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        again = kind in had and kind in _ONCE_IN_WEBP
        had.add(kind)
        if kind in _CHUNKS_OF_WEBP and not again:
            parts.append(content[at : min(end, end_of_file)])
        elif kind == b"EXIF" and not again:
            turn = orientation_in(content[at + 8 : at + 8 + size])
        at = end
    turned = turn != UPRIGHT
    for place, part in enumerate(parts):
        if part.startswith(b"VP8X") and len(part) > 8:
            flags = part[8] & ~(_EXIF_OF_WEBP | _XMP_OF_WEBP) | (_EXIF_OF_WEBP if turned else 0)
            parts[place] = part[:8] + bytes([flags]) + part[9:]
    if turned:
        exif = _exif(turn)
        parts.append(b"EXIF" + struct.pack("<I", len(exif)) + exif)
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body
