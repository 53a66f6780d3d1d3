"""Picture files without metadata: the same pixels, no word of a camera, and no decoder at work."""

from __future__ import annotations

import io
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from app.media.picture_scrub import is_known, without_metadata
from lrsclip.errors import PictureError
from lrsclip.io.decode import open_image
from tests.helpers.app_parts import as_sent

SECRET = b"SECRET CAMERA"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()  # once: it holds the time
MODES = {"JPEG": ("RGB", "L", "CMYK"), "PNG": ("RGB", "L", "P", "RGBA", "1", "I;16"), "WEBP": ("RGB", "RGBA")}


def picture_of(mode: str, seed: int) -> Image.Image:
    """A small picture of any mode."""
    rng = np.random.default_rng(seed)
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 4000, (20, 33)).astype(np.uint16))
    colored = Image.fromarray(rng.integers(0, 255, (20, 33, 3), np.uint8))
    return colored.quantize(16) if mode == "P" else colored.convert(mode)


def written(kind: str, mode: str, turn: int, seed: int, **more: Any) -> bytes:
    """A picture file that says all that it can say beside its pixels."""
    exif, text = Image.Exif(), PngInfo()
    exif[0x0112], exif[0x010F] = turn, SECRET.decode()
    text.add_text("Comment", SECRET.decode())
    text.add_itxt("XML:com.adobe.xmp", SECRET.decode())
    how: dict[str, Any] = {
        "exif": exif,
        "icc_profile": PROFILE,
    }
    of_kind: dict[str, dict[str, Any]] = {
        "JPEG": {"comment": SECRET, "xmp": SECRET},
        "PNG": {"pnginfo": text},
        "WEBP": {"xmp": SECRET},
    }
    how |= of_kind[kind]
    picture_of(mode, seed).save(buffer := io.BytesIO(), kind, **how, **more)
    assert SECRET in buffer.getvalue()
    return buffer.getvalue()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([(kind, mode) for kind, modes in MODES.items() for mode in modes]),
    st.integers(1, 8),
    st.integers(0, 99),
)
def test_the_pixels_stay_and_what_was_said_goes(kind: tuple[str, str], turn: int, seed: int) -> None:
    content = written(*kind, turn, seed)
    assert is_known(content)
    stripped = without_metadata(content)
    assert SECRET not in stripped
    assert open_image(io.BytesIO(stripped)).tobytes() == open_image(io.BytesIO(content)).tobytes()
    with Image.open(io.BytesIO(stripped)) as opened:
        assert opened.info.get("icc_profile"), "colors are shown as before"
    assert without_metadata(stripped) == stripped, "once is enough"


@pytest.mark.parametrize("more", [{"progressive": True}, {"restart_marker_rows": 1}, {"optimize": True}])
def test_a_jpeg_of_any_making_keeps_its_scans(more: dict[str, Any]) -> None:
    content = written("JPEG", "RGB", 1, 3, **more)
    assert open_image(io.BytesIO(without_metadata(content))).tobytes() == open_image(io.BytesIO(content)).tobytes()


def test_a_phones_second_picture_and_all_behind_the_end_goes() -> None:
    first, second = picture_of("RGB", 1), picture_of("RGB", 2)
    first.save(buffer := io.BytesIO(), "MPO", save_all=True, append_images=[second])
    content = buffer.getvalue() + SECRET
    stripped = without_metadata(content)
    assert len(stripped) < 0.7 * len(content) and SECRET not in stripped
    assert open_image(io.BytesIO(stripped)).tobytes() == open_image(io.BytesIO(content)).tobytes()


def test_a_thumbnail_in_the_jfif_part_goes() -> None:
    picture_of("RGB", 1).save(buffer := io.BytesIO(), "JPEG")
    content = buffer.getvalue()
    small = content[6:18] + bytes([2, 2]) + SECRET[:12]
    with_thumbnail = content[:2] + struct.pack(">BBH", 0xFF, 0xE0, len(small) + 2) + small + content[20:]
    assert without_metadata(with_thumbnail) == content


def test_an_animation_shows_its_first_frame() -> None:
    frames = [picture_of("RGB", seed) for seed in range(3)]
    for kind in ("PNG", "WEBP"):
        frames[0].save(buffer := io.BytesIO(), kind, save_all=True, append_images=frames[1:], lossless=True)
        stripped = without_metadata(buffer.getvalue())
        assert open_image(io.BytesIO(stripped)).tobytes() == frames[0].tobytes()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(MODES)), st.integers(1, 8), st.data())
def test_no_damage_ends_in_a_fault(kind: str, turn: int, data: st.DataObject) -> None:
    content = bytearray(written(kind, "RGB", turn, 1))
    for at in data.draw(st.lists(st.integers(12, len(content) - 1), max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(12, len(content)))
    try:
        assert len(without_metadata(bytes(content[:cut]))) <= len(content) + 64
    except PictureError as error:  # an end in words is none in a fault
        assert "save it anew" in str(error)


def test_a_text_that_pillow_would_only_find_when_it_decodes() -> None:
    picture_of("RGB", 1).save(buffer := io.BytesIO(), "PNG")
    plain, text = buffer.getvalue(), b"tEXtComment\0" + SECRET
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    assert without_metadata(plain[:-12] + chunk + plain[-12:]) == plain


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff\xda\0\4\0\0" + b"\xff" * 4_000_000 + b"\0",
        b"\xff\xd8" + b"\xff" * 4_000_000 + b"\xd9",
        b"\xff\xd8\xff\xda\0\4\0\0" + b"\xff\0" * 2_000_000,
        b"\xff\xd8\xff\xda\0\4\0\0" + b"\xff\xff\0" * 1_000_000,
    ],
)
def test_the_time_grows_with_the_length_and_not_with_its_square(content: bytes) -> None:
    begun = time.process_time()
    without_metadata(content)
    assert time.process_time() - begun < 3, "with the square it would be hours"


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8" + b"\xff\xdd\0\2" * 200_000,
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0IDAT\0\0\0\0" * 200_000,
        b"RIFF" + struct.pack("<I", 4 + 200_000 * 8) + b"WEBP" + b"ALPH\0\0\0\0" * 200_000,
    ],
)
def test_far_too_many_parts_are_refused(content: bytes) -> None:
    with pytest.raises(PictureError, match="far too many parts"):
        without_metadata(content)


def test_metadata_in_many_parts_is_gone_before_pillow_looks(tmp_path: Path) -> None:
    picture_of("RGB", 1).save(buffer := io.BytesIO(), "JPEG")
    plain = buffer.getvalue()
    part = b"\xff\xe1" + struct.pack(">H", 2 + 6 + 60) + b"Exif\0\0" + bytes(60)
    for content, kept in (
        (plain[:2] + part * 2_000 + plain[2:], True),
        (plain[:2] + part * 200_000 + plain[2:], False),
    ):
        path = tmp_path / "a.jpg"
        path.write_bytes(content)
        begun = time.process_time()
        upload = as_sent(path)
        assert time.process_time() - begun < 2
        assert upload.path.read_bytes() == (plain if kept else b"")
