"""What becomes of an uploaded file: nothing that its camera or its maker wrote into it stays on the server."""

from __future__ import annotations

import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app import pictures
from app.pictures import strip_metadata, uploaded
from app.scenes import opened_upload
from app.state import Budget
from lrsclip.tiles import read_picture
from tests.app_parts import draw_tile

SECRET = b"SECRET CAMERA"


def exif_of(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = turn, SECRET.decode()
    return exif


def written(path: Path) -> Path:
    """A picture of 96 x 64 px with a secret in it, as its name's ending says."""
    picture, text = draw_tile("tanks", 3, 96).crop((0, 0, 96, 64)), PngInfo()
    text.add_text("Comment", SECRET.decode())
    match path.suffix:
        case ".jpg":
            picture.save(path, exif=exif_of(6), comment=SECRET, quality=95)
        case ".png":
            picture.save(path, exif=exif_of(8), pnginfo=text)
        case ".webp":
            picture.save(path, exif=exif_of(3), xmp=b"<x:xmpmeta>" + SECRET + b"</x:xmpmeta>", lossless=True)
    assert SECRET in path.read_bytes()
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("scene", [False, True])
def test_an_upload_is_read_as_before_and_keeps_no_secret(name: str, scene: bool, tmp_path: Path) -> None:
    path = written(tmp_path / name)
    before = np.asarray(read_picture(path), np.int16)
    if scene:
        with opened_upload({"path": str(path)}) as opened:
            assert (opened.scene.height_px, opened.scene.width_px) == before.shape[:2]
    else:
        assert uploaded({"path": str(path)}).size == before.shape[1::-1]
    assert SECRET not in path.read_bytes()
    after = np.asarray(read_picture(path), np.int16)
    assert after.shape == before.shape, "it stands as upright as it did"
    assert abs(after - before).mean() < (2 if name == "a.jpg" else 1e-9)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def hidden(path: Path) -> Path:
    """A picture with a secret where Pillow does not look when it opens a file."""
    draw_tile("tanks", 3, 96).save(path, quality=95)
    plain = path.read_bytes()
    match path.stem:
        case "behind-the-pixels":
            text = b"tEXtComment\0" + SECRET
            chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
            path.write_bytes(plain[:-12] + chunk + plain[-12:])
        case "in-a-part-of-its-own":  # as content credentials are (C2PA)
            path.write_bytes(plain[:2] + b"\xff\xeb" + struct.pack(">H", len(SECRET) + 2) + SECRET + plain[2:])
        case "behind-the-end":
            path.write_bytes(plain + SECRET)
    return path


@pytest.mark.parametrize(
    "name", ["behind-the-pixels.png", "in-a-part-of-its-own.jpg", "behind-the-end.jpg", "behind-the-end.png"]
)
def test_no_secret_is_left_where_few_look(name: str, tmp_path: Path) -> None:
    path = hidden(tmp_path / name)
    before = np.asarray(read_picture(path), np.int16)
    strip_metadata(str(path))
    assert SECRET not in path.read_bytes()
    assert abs(np.asarray(read_picture(path), np.int16) - before).mean() < 2


def test_large_uploads_are_decoded_one_after_the_other_and_kept_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (6000, 2100), (90, 120, 60)).save(tmp_path / "large.png")
    budget, at_work, most = Budget(20_000_000), [], []

    def read(*given: Any, **options: Any) -> Image.Image:
        at_work.append(1)
        most.append(len(at_work))
        time.sleep(0.05)
        at_work.pop()
        return read_picture(*given, **options)

    monkeypatch.setattr(pictures, "DECODING", budget)
    monkeypatch.setattr(pictures, "read_picture", read)
    with ThreadPoolExecutor(4) as pool:
        sizes = list(pool.map(lambda _: uploaded({"path": str(tmp_path / "large.png")}).size, range(4)))
    assert sizes == [(3000, 1050)] * 4
    assert most == [1] * 4
    with budget.of(10**9):  # more than there is: alone, and not never
        pass


def test_what_holds_nothing_of_the_kind_is_not_written_anew(tmp_path: Path) -> None:
    draw_tile("road", 1).save(tmp_path / "plain.jpg")
    draw_tile("road", 1).convert("P").save(tmp_path / "clear.png", transparency=3)
    (tmp_path / "fake.png").write_bytes(b"no picture")
    for path in sorted(tmp_path.iterdir()):
        content = path.read_bytes()
        strip_metadata(str(path))
        assert path.read_bytes() == content
