"""Uploads that cost far more than their size tells: parts many times over are taken once, or refused in words."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import anyio
import pytest
from PIL import Image

from app.media.images import copy_without_metadata
from app.media.picture_scrub import without_metadata
from app.server import settings
from app.server.fair_work import FairWork
from lrsclip.errors import PictureError
from lrsclip.io.decode import orientation
from lrsclip.io.quiet_decoders import silence_libtiff
from tests.helpers.app_parts import as_sent
from tests.lrsclip.io.test_picture_parts import BASIC, EXIF, ODD, PIXELS, PROFILE, TABLE, jpeg, png, tiff


def turned(turn: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif.tobytes()


def test_of_a_profile_and_an_exif_that_repeat_the_first_stays() -> None:
    exif = turned(6).removeprefix(b"Exif\0\0")
    content = without_metadata(png(PROFILE, (b"eXIf", exif), PROFILE, (b"eXIf", turned(3).removeprefix(b"Exif\0\0"))))
    assert content.count(b"iCCP") == 1 and content.count(b"eXIf") == 1
    with Image.open(io.BytesIO(content)) as picture:
        assert orientation(picture) == 6
    several = jpeg((0xE1, EXIF), (0xE1, turned(6)), TABLE)
    with Image.open(io.BytesIO(without_metadata(several))) as picture:
        assert orientation(picture) == 1, "the first block says nothing of a turn"
        assert picture.size == (64, 128)


def test_a_profile_larger_than_any_is_left_out_and_tables_without_end_are_refused() -> None:
    segments = [(0xE2, b"ICC_PROFILE\0" + bytes([n, 255]) + bytes(65_000)) for n in range(1, 90)]
    assert without_metadata(jpeg(*segments)).count(b"ICC_PROFILE") == 64
    for name in ("tables by the hundred", "frames by the dozen", "a frame of 60 kB"):
        with pytest.raises(PictureError, match=r"too many parts|odd length"):
            without_metadata(ODD[name])


def test_a_tiff_that_begins_nowhere_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0" + bytes(100))
    with pytest.raises(PictureError, match="odd kind"):
        copy_without_metadata(tmp_path / "a.tif", tmp_path / "copy.tif")


def test_layers_of_an_editor_go_whatever_their_size(tmp_path: Path) -> None:
    layers = b"LAYER" * 5_000_000
    content = tiff(sorted([*BASIC, (37724, 7, len(layers), 4096)]), PIXELS + layers, elsewhere=(37724,))
    (tmp_path / "a.tif").write_bytes(content)
    assert copy_without_metadata(tmp_path / "a.tif", tmp_path / "copy.tif")
    assert b"LAYER" not in (tmp_path / "copy.tif").read_bytes()


@pytest.mark.parametrize(
    "name", ["a number as a long list", "a tag twice", "a tag many times", "a palette of megabytes"]
)
def test_an_odd_tiff_is_refused_as_it_comes_in(name: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.tif"
    file.write_bytes(ODD[name])
    upload = as_sent(file)
    assert upload.path.read_bytes() == b"", "nothing of it is kept"
    with pytest.raises(PictureError, match="save it anew"):
        upload.open()


def test_a_usual_tiff_is_copied_as_before(tmp_path: Path) -> None:
    file = tmp_path / "usual.tif"
    file.write_bytes(tiff(sorted([*BASIC, (315, 2, 8, 4096)]), PIXELS + b"SOMEBODY", elsewhere=(315,)))
    assert copy_without_metadata(file, tmp_path / "copy.tif")
    assert b"SOMEBODY" not in (tmp_path / "copy.tif").read_bytes()
    with Image.open(tmp_path / "copy.tif") as picture:
        assert picture.size == (64, 64)


def test_a_damaged_tiff_writes_nothing_to_the_log_of_the_server(tmp_path: Path) -> None:
    file = tmp_path / "damaged.tif"
    Image.effect_noise((64, 64), 50).save(file, compression="tiff_lzw")
    content = bytearray(file.read_bytes())
    content[20:400] = b"\xff" * 380
    file.write_bytes(content)
    code = (
        "import sys; from PIL import Image; from lrsclip.io.quiet_decoders import silence_libtiff\n"
        "if sys.argv[2] == 'quiet': assert silence_libtiff()\n"
        "try:\n    Image.open(sys.argv[1]).load()\nexcept OSError:\n    print('told')\n"
    )
    loud, quiet = (
        subprocess.run([sys.executable, "-c", code, str(file), how], capture_output=True, text=True, check=True)
        for how in ("loud", "quiet")
    )
    assert loud.stdout == quiet.stdout
    assert quiet.stderr == ""
    assert silence_libtiff()


def test_one_client_has_two_of_the_four_places_for_uploads() -> None:
    settings.use(settings.Settings(requests_per_minute=60))
    line, go_on, begun = FairWork(4, 2), threading.Event(), list[str]()

    def work(name: str) -> str:
        begun.append(name)
        go_on.wait(30)
        return name

    async def rush() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(line.run, "greedy", partial(work, f"greedy {number}"))
            await anyio.sleep(0.2)
            assert line.waiting == 5 and line.still_s > 0 and len(begun) == 2
            tasks.start_soon(line.run, "other", partial(work, "other"))
            await anyio.sleep(0.2)
            assert "other" in begun and len(begun) == 3
            go_on.set()
        assert len(begun) == 6 and line.waiting == 0 and line.still_s == 0.0

    try:
        anyio.run(rush)
    finally:
        settings.use(settings.Settings())
        go_on.set()
