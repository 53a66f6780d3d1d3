"""JPEG, PNG and WebP files without what their camera or their maker wrote: the pixels stay as they are stored.

Nothing is decoded: a file is a row of parts, and a copy holds those that say how the pixels are to be shown. How a
camera was held is one of them, so that a picture still stands upright.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from lrsclip.errors import PictureError

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# A mark that is neither data nor a restart. A run of 0xFF is looked at once, from its begin and never back: going back
# takes a time that grows with the square of its length.
_END_OF_SCAN = re.compile(rb"(?<!\xff)\xff++[^\x00\xd0-\xd7]")
_FILLING = re.compile(rb"\xff*+")
_MOST_PARTS = 100_000  # of 64 MB in pieces of 8 kB there are 8,000
_START_OF_SCAN, _END_OF_JPEG = 0xDA, 0xD9
# Tables, frames and scans; of the parts for applications only those below.
_PIXELS_OF_JPEG = frozenset({*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF} - {0xC8})
_SHOWN_OF_JPEG = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
_JFIF, _JFIF_BYTES = 0xE0, 14  # without its thumbnail
_CHUNKS_OF_PNG = frozenset(b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT bKGD pHYs cICP".split())
_CHUNKS_OF_WEBP = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP", b"ANIM", b"ANMF"))
_EXIF_OF_WEBP, _XMP_OF_WEBP = 0x08, 0x04
_UPRIGHT = 1


def is_known(head: bytes) -> bool:
    """Whether a file that begins so is one of the three."""
    return head.startswith((_JPEG, _PNG)) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def without_metadata(content: bytes, orientation: int) -> bytes:
    """A picture file with the parts that its pixels need, and nothing else.

    Of a damaged file the parts up to the damage are left, so that a reader still says what is wrong with it.

    Args:
        content: a JPEG, PNG or WebP file.
        orientation: how its pixels are to be turned, 1 (not at all) to 8, as EXIF has it.

    Raises:
        PictureError: it is in far more parts than any picture.
    """
    if content.startswith(_JPEG):
        return _jpeg(content, orientation)
    return _png(content, orientation) if content.startswith(_PNG) else _webp(content, orientation)


def _exif(orientation: int) -> bytes:
    """EXIF that says nothing but how a picture is to be turned."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def _jpeg(content: bytes, orientation: int) -> bytes:
    turn = b"" if orientation == _UPRIGHT else b"Exif\0\0" + _exif(orientation)
    said = struct.pack(">BBH", 0xFF, 0xE1, len(turn) + 2) + turn if turn else b""
    parts = list(_parts_of_jpeg(content))
    begin = parts.pop(0) if parts and parts[0][1:2] == bytes([_JFIF]) else b""  # nothing may stand before it
    return b"\xff\xd8" + begin + said + b"".join(parts)


def _parts_of_jpeg(content: bytes) -> Iterator[bytes]:
    at, number = 2, 0
    while at + 4 <= len(content) and content[at] == 0xFF:
        at, number = _filled(content, at), number + 1
        _check_count(number)
        mark = content[at + 1 : at + 2]
        if mark == bytes([_END_OF_JPEG]) or at + 4 > len(content):
            break
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        body = content[at + 4 : end]
        if mark[0] == _START_OF_SCAN:
            found = _END_OF_SCAN.search(content, end)
            end = _filled(content, found.start()) if found else len(content)
        if mark[0] == _JFIF and body.startswith(_SHOWN_OF_JPEG[_JFIF]) and len(body) >= _JFIF_BYTES:
            yield struct.pack(">BBH", 0xFF, _JFIF, _JFIF_BYTES + 2) + body[: _JFIF_BYTES - 2] + b"\0\0"
        elif mark[0] in _PIXELS_OF_JPEG or (mark[0] in _SHOWN_OF_JPEG and body.startswith(_SHOWN_OF_JPEG[mark[0]])):
            yield content[at:end]
        at = end
    if content[at : at + 1] == b"\xff" and content[at + 1 : at + 2] == bytes([_END_OF_JPEG]):
        yield content[at : at + 2]


def _filled(content: bytes, at: int) -> int:
    """The last 0xFF of a run of them."""
    found = _FILLING.match(content, at)
    return max(at, found.end() - 1) if found is not None else at


def _check_count(number: int) -> None:
    if number > _MOST_PARTS:
        raise PictureError("the upload is a picture in far too many parts; save it anew, and send that")


def _png(content: bytes, orientation: int) -> bytes:
    kept, at, number = [_PNG], len(_PNG), 0
    while at + 8 <= len(content):
        _check_count(number := number + 1)
        size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        end = at + 12 + size
        if kind in _CHUNKS_OF_PNG:
            kept.append(content[at:end])
        if kind == b"IHDR" and orientation != _UPRIGHT:
            body = b"eXIf" + _exif(orientation)
            kept.append(struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)))
        if kind == b"IEND":
            break
        at = end
    return b"".join(kept)


def _webp(content: bytes, orientation: int) -> bytes:
    kept, at, number = [], 12, 0
    end_of_file = min(len(content), 8 + int.from_bytes(content[4:8], "little"))
    turned = orientation != _UPRIGHT
    while at + 8 <= end_of_file:
        _check_count(number := number + 1)
        kind, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        if kind == b"VP8X" and size and at + 8 < end_of_file:
            flags = content[at + 8] & ~(_EXIF_OF_WEBP | _XMP_OF_WEBP) | (_EXIF_OF_WEBP if turned else 0)
            kept.append(content[at : at + 8] + bytes([flags]) + content[at + 9 : end])
        elif kind in _CHUNKS_OF_WEBP:
            kept.append(content[at : min(end, end_of_file)])
        at = end
    if turned:
        exif = _exif(orientation)
        kept.append(b"EXIF" + struct.pack("<I", len(exif)) + exif)
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body
