"""Kinds of picture files, told by their first bytes: which reader takes one, and what a file is that none takes."""

from __future__ import annotations

from typing import BinaryIO

HEAD_BYTES = 1024
"""First bytes of a file that tell its kind."""
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .webp .tif .tiff .btf .gtiff .jp2 .j2k .j2c .jpx .bmp .gif .avif".split()
)
"""Endings of names, in lower case, under which pictures are looked for."""
READ = "JPEG, PNG, WebP, TIFF, JPEG 2000, BMP, GIF or AVIF"
"""The kinds that are read, for messages."""
_DEEP_BITS, _BITS_AT = 16, 24  # of a PNG's samples; where its head says so
_BEGINS = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"BM": "BMP",
    b"GIF8": "GIF",
}
# Never read here: a name in the message helps more than "no picture".
_OTHERS = {
    b"\0\0\0\x0cJXL \r\n\x87\n": "a JPEG XL picture",
    b"\xff\x0a": "a JPEG XL picture",
    b"8BPS": "a Photoshop document",
    b"%PDF": "a PDF document",
    b"\0\0\1\0": "an icon",
    b"NITF": "a NITF image",
    b"\x89HDF\r\n\x1a\n": "an HDF5 or netCDF file",
    b"CDF\x01": "a netCDF file",
    b"CDF\x02": "a netCDF file",
    b"\x0e\x03\x13\x01": "an HDF4 file",
    b"GRIB": "a GRIB file",
    b"EHFA_HEADER_TAG": "an ERDAS Imagine file",
    b"msid": "a MrSID image",
    b"ecw": "an ECW image",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"P4": "a PNM picture",
    b"P5": "a PNM picture",
    b"P6": "a PNM picture",
    b"PAR1": "a Parquet table",
    b"ENVI": "an ENVI header, whose pixels lie in another file",
    b"\x76\x2f\x31\x01": "an OpenEXR picture",
    b"IIRO": "a camera's raw picture",
    b"IIU\0": "a camera's raw picture",
}
_AVIF = (b"avif", b"avis")
_HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def kind_of(head: bytes) -> str:
    """Tell the kind of a picture that is read, by the first bytes of its file; "" for every other file.

    Args:
        head: the first 64 bytes or more.

    Returns:
        "TIFF", "JPEG", "PNG", "WebP", "JPEG 2000", "BMP", "GIF", "AVIF" or "".
    """
    if head[:4] == b"RIFF":
        return "WebP" if head[8:12] == b"WEBP" else ""
    if head[4:8] == b"ftyp":
        return "AVIF" if any(brand in _AVIF for brand in _brands(head)) else ""
    return next((kind for begin, kind in _BEGINS.items() if head.startswith(begin)), "")


def is_raster(head: bytes) -> bool:
    """Tell whether a file is read by rasterio: TIFF, JPEG 2000, and PNG of 16 bits, whose low half Pillow drops."""
    kind = kind_of(head)
    return kind in ("TIFF", "JPEG 2000") or (kind == "PNG" and head[_BITS_AT : _BITS_AT + 1] == bytes([_DEEP_BITS]))


def other_kind(head: bytes) -> str:
    """Name a file that is not read, with its article; "" where its first bytes tell nothing.

    Args:
        head: as for `kind_of`.
    """
    if not head:
        return "an empty file"
    if head[4:8] == b"ftyp" and any(brand in _HEIF for brand in _brands(head)):
        return "a HEIC picture"
    if found := next((kind for begin, kind in _OTHERS.items() if head.startswith(begin)), ""):
        return found
    begin = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()
    if b"<vrtdataset" in begin:
        return "a virtual raster, whose pixels lie in other files"
    if begin.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if b"<svg" in begin:
        return "an SVG drawing"
    if begin.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, without the picture"
    return "an XML file" if begin.startswith(b"<?xml") else ""


def refusal_of(head: bytes) -> str:
    """Say what a file is that is not read, and what to do, to stand behind "cannot read NAME: "."""
    other = other_kind(head)
    if not other:
        return f"not a {READ} picture, whatever its name says; replace or remove the file"
    if other == "an empty file":
        return "the file is empty; replace or remove it"
    return f"it is {other}, not a {READ} picture; save it as one of these"


def head_of(file: BinaryIO) -> bytes:
    """Read the first bytes of an open file, which stands at its start before and afterwards."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return head


def _brands(head: bytes) -> list[bytes]:
    """List the brands of an ISO base media file, the major one first."""
    size = min(int.from_bytes(head[:4], "big"), len(head), 256)
    return [head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))]
