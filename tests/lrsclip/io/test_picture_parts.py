"""Files that would keep a decoder busy for minutes are refused before it reads them; all others pass."""

from __future__ import annotations

import io
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lrsclip.errors import PictureError
from lrsclip.io.decode import open_image, orientation
from lrsclip.io.picture_parts import OddFileError, check_parts, orientation_in
from lrsclip.io.tiff_tags import compressions, orientation_of

BASIC = [
    (256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1),
    (278, 4, 1, 64), (279, 4, 1, 4096),
]  # fmt: skip
SIDE = 64


def tiff(tags: list[tuple[int, int, int, int]], blob: bytes, *, elsewhere: tuple[int, ...] = ()) -> bytes:
    """A TIFF of (code, type, count, value) and what lies behind its head; values of `elsewhere` are places in that."""
    begin = 8 + len(blob) + len(blob) % 2
    entries = b"".join(
        struct.pack("<HHI", code, kind, count)
        + struct.pack("<H" if kind == 3 and code not in elsewhere else "<I", value + 8 * (code in elsewhere)).ljust(
            4, b"\0"
        )
        for code, kind, count, value in tags
    )
    head = (b"II*\0" + struct.pack("<I", begin) + blob).ljust(begin, b"\0")
    return head + struct.pack("<H", len(tags)) + entries + bytes(4)


def png(*more: tuple[bytes, bytes]) -> bytes:
    """A PNG with further chunks behind its head."""
    file = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (10, 90, 40)).save(file, "PNG")
    content = file.getvalue()
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in more
    ]
    return content[:33] + b"".join(chunks) + content[33:]


def jpeg(*segments: tuple[int, bytes], exif: bytes = b"") -> bytes:
    """A JPEG with further segments at its start."""
    file = io.BytesIO()
    Image.new("RGB", (SIDE, 2 * SIDE), (10, 90, 40)).save(file, "JPEG", **({"exif": exif} if exif else {}))
    content = file.getvalue()
    more = b"".join(struct.pack(">BBH", 0xFF, mark, len(body) + 2) + body for mark, body in segments)
    return content[:2] + more + content[2:]


PIXELS = b"\x80" * SIDE**2
RATIONALS = (282, 5, 2**18 + 1, 4096)
PROFILE = (b"iCCP", b"a\0\0" + zlib.compress(bytes(2**16)))
COMMENT = b"\xff\xfe\0\x04ab"
TABLE = (0xDB, b"\0" + bytes(range(1, 65)))
EXIF_TAG = struct.pack("<HHII", 0x9286, 7, 6000, 0)
LONG_EXIF = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 5_000) + EXIF_TAG * 5_000 + bytes(4)
EXIF = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 500) + EXIF_TAG * 500 + bytes(4)

ODD = {
    "a number as a long list": tiff(sorted([*BASIC, RATIONALS]), PIXELS + bytes(8 * 2**18 + 8), elsewhere=(282,)),
    "a tag twice": tiff(sorted([*BASIC, (259, 3, 1, 50000)]), PIXELS),
    "a tag many times": tiff([*BASIC, *[(34675, 7, 4096, 0)] * 300], PIXELS, elsewhere=(34675,)),
    "an endless list": tiff([*BASIC, *((code, 3, 1, 0) for code in range(40_000, 40_500))], PIXELS),
    "values that overlap": tiff(
        [*BASIC, *((code, 7, 2**21, 0) for code in range(40_000, 40_040))], PIXELS + bytes(2**21),
        elsewhere=tuple(range(40_000, 40_040)),
    ),
    "a profile twice": png(PROFILE, PROFILE),
    "a PNG of a thousand notes": png(*[(b"teXt", b"a\0b")] * 1001),
    "tables by the hundred": jpeg(*[(0xDB, (b"\0" + bytes(range(1, 65))) * 900)] * 6),
    "EXIF of 200 kB": jpeg(*[(0xE1, LONG_EXIF)] * 4),
    "frames by the dozen": jpeg(*[(0xC0, b"\x08\0\x40\0\x40\x03" + bytes(9))] * 12),
    "a frame of 60 kB": jpeg((0xC0, b"\x08\0\x40\0\x40\x03" + bytes(60_000))),
    "parts behind a mark without a length": jpeg()[:2] + b"\xff\xd0\xff\xff" + jpeg(*[(0xE1, LONG_EXIF)] * 4)[2:],
    "parts behind junk": jpeg()[:2] + COMMENT + b"\0" + jpeg(*[(0xE1, LONG_EXIF)] * 4)[2:],
    "a BigTIFF that two readers read differently": b"MM\0+" + bytes(60),
    "a palette of megabytes": tiff(sorted([*BASIC, (320, 1, 2**18, 0)]), PIXELS + bytes(2**18), elsewhere=(320,)),
    "more strips than rows": tiff(
        sorted([*(tag for tag in BASIC if tag[0] not in (273, 279)), (273, 4, 5000, 4096), (279, 4, 5000, 4096)]),
        PIXELS + bytes(20_000), elsewhere=(273, 279),
    ),
    "a list whose next one is nowhere": tiff(sorted([*BASIC, (330, 4, 9999, 0), (282, 5, 2**18 + 1, 4096)]), PIXELS)
    + bytes(8 * 2**18 + 8),
    "a list that is cut": tiff(BASIC, PIXELS)[:-40],
    "a JPEG of many parts": jpeg(*[(0xFE, b"x")] * 5001),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_refused_before_they_are_decoded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((OddFileError, PictureError)):
        check_parts(io.BytesIO(ODD[name]))
    monkeypatch.setattr(Image, "open", None)  # it would fail
    with pytest.raises(PictureError):
        open_image(io.BytesIO(ODD[name]), name="the file")


@pytest.mark.parametrize(
    "content",
    [
        tiff(BASIC, PIXELS),
        tiff(sorted([*BASIC, (282, 5, 1, 4096)]), PIXELS + struct.pack("<II", 72, 1), elsewhere=(282,)),
        png(PROFILE, (b"teXt", b"a\0b"), (b"teXt", b"c\0d")),
        jpeg(TABLE, *[(0xE1, EXIF)] * 3, (0xFE, b"a comment")),
        jpeg()[:2] + COMMENT + b"\0\0\0" + jpeg()[2:],
        tiff(sorted([*BASIC, (37724, 7, 2**23, 0)]), PIXELS + bytes(2**23), elsewhere=(37724,)),
        b"no picture",
        b"",
        b"\x89PNG\r\n\x1a\n\0\0",
        b"\xff\xd8\xff",
    ],
)
def test_usual_and_damaged_files_pass(content: bytes) -> None:
    file = io.BytesIO(content)
    check_parts(file)
    assert file.tell() == 0


@given(
    st.binary(max_size=400), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0+\0\x08\0\0"])
)
def test_any_bytes_are_looked_through(content: bytes, head: bytes) -> None:
    file = io.BytesIO(head + content)
    with suppress(OddFileError, PictureError):
        check_parts(file)
    assert file.tell() == 0


@given(st.integers(1, 8), st.sampled_from(["<", ">"]), st.lists(st.integers(0, 0x0111), max_size=5, unique=True))
def test_the_orientation_is_read_as_pillow_reads_it(turn: int, order: str, others: list[int]) -> None:
    entries = [(tag, 3, 1, 7) for tag in sorted(others)] + [(0x0112, 3, 1, turn)]
    block = b"".join(struct.pack(f"{order}HHIHH", *entry, 0) for entry in entries)
    exif = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries)) + block + bytes(4)
    known = Image.Exif()
    known.load(b"Exif\0\0" + exif)
    assert orientation_in(exif) == orientation_in(b"Exif\0\0" + exif) == turn == known[0x0112]


@given(st.binary(max_size=200), st.sampled_from([b"", b"II*\0\x08\0\0\0", b"Exif\0\0MM\0*\0\0\0\x08"]))
def test_a_garbled_exif_says_upright_or_a_turn(garbled: bytes, head: bytes) -> None:
    assert orientation_in(head + garbled) in range(1, 9)


def test_a_turned_picture_still_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = jpeg(exif=exif.tobytes())
    with Image.open(io.BytesIO(content)) as stored:
        assert orientation(stored) == 6
    assert open_image(io.BytesIO(content)).size == (2 * SIDE, SIDE)
    png_file, webp_file = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (4, 9)).save(png_file, "PNG", exif=exif)
    Image.new("RGB", (4, 9)).save(webp_file, "WEBP", exif=exif.tobytes())
    for file in (png_file, webp_file):
        assert open_image(io.BytesIO(file.getvalue())).size == (9, 4)


def test_all_values_of_a_compression_that_stands_twice_are_known(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(sorted([*BASIC, (259, 3, 1, 50000), (259, 3, 1, 3)]), PIXELS))
    assert compressions(tmp_path / "a.tif") == {1, 3, 50000}


def test_the_orientation_of_a_tiff_is_read_without_its_other_values(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(sorted([*BASIC, (274, 3, 1, 6)]), PIXELS))
    assert orientation_of(tmp_path / "a.tif") == 6
    (tmp_path / "b.tif").write_bytes(os.urandom(40))
    assert orientation_of(tmp_path / "b.tif") == 1
    noise = np.random.default_rng(0).integers(0, 255, (9, 4), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "c.tif")
    assert orientation_of(tmp_path / "c.tif") == 1
