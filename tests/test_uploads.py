"""What becomes of an uploaded file: nothing that its camera or its maker wrote into it stays on the server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app.pictures import strip_metadata, uploaded
from app.scenes import opened_upload
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


def test_what_holds_nothing_of_the_kind_is_not_written_anew(tmp_path: Path) -> None:
    draw_tile("road", 1).save(tmp_path / "plain.jpg")
    draw_tile("road", 1).convert("P").save(tmp_path / "clear.png", transparency=3)
    (tmp_path / "fake.png").write_bytes(b"no picture")
    for path in sorted(tmp_path.iterdir()):
        content = path.read_bytes()
        strip_metadata(str(path))
        assert path.read_bytes() == content
