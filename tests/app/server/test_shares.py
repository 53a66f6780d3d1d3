"""What one client can take from others: places, room, sessions; and files that cost more than they seem."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import rasterio
from PIL import Image

from app.build import build
from app.media.images import check_work, uploaded
from app.server import request_log as calls
from app.server.callers import Callers
from app.server.front_door import FrontDoor, Known, Limits
from app.server.rate_limit import CLIENT
from app.server.upload_folder import UploadFolder, own_folder
from lrsclip.errors import PictureError
from lrsclip.localize import open_scene
from tests.helpers.app_parts import as_sent, draw_tile, make_state

CALL = b'{"data": ["a road"]}'
MINE, OTHER = ("192.0.2.1", 1), ("192.0.2.2", 1)


def asked(door: FrontDoor, path: str, client: tuple[str, int]) -> int:
    """Status of what a POST is answered with; 0 where it is passed on."""
    return asyncio.run(sent_to(door, path, client, CALL))


async def sent_to(
    door: FrontDoor, path: str, client: tuple[str, int], body: bytes, wait: asyncio.Event | None = None, **headers: str
) -> int:
    """The same in a loop that runs; `wait` keeps the body from ending."""
    status = [0]

    async def receive() -> Any:
        if wait is not None:
            await wait.wait()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        status[0] = message.get("status", status[0])

    told = {"host": "127.0.0.1", "content_type": "application/json"} | headers
    scope = {
        "type": "http", "method": "POST", "path": path, "client": client, "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in told.items()],
    }  # fmt: skip
    await door(scope, receive, send)
    return status[0]


async def passed_on(_scope: Any, receive: Any, _send: Any) -> None:
    """An app that reads what it is sent."""
    await receive()


def door_with(waiting: list[Any], **limits: Any) -> FrontDoor:
    known = Known(frozenset({0}), frozenset({"search"}), own_folder(), Callers(), waiting=lambda: waiting)
    return FrontDoor(passed_on, limits=Limits(1000, 2**20, **limits), known=known)


def test_one_client_has_half_of_the_queue_at_most() -> None:
    door = door_with([{CLIENT: MINE[0]}] * 64)
    assert asked(door, "/gradio_api/call/search", MINE) == 429
    assert asked(door, "/gradio_api/call/search", OTHER) == 0
    assert asked(door_with([{CLIENT: MINE[0]}] * 63), "/gradio_api/call/search", MINE) == 0


def test_what_is_half_sent_keeps_its_room_and_no_more() -> None:
    async def both(path: str, size: int, bound: int) -> tuple[int, int, int]:
        door, wait = door_with([], uploads_bytes=bound), asyncio.Event()
        said: dict[str, Any] = {"content_length": str(size), "content_type": "application/json"}
        first = asyncio.create_task(sent_to(door, path, MINE, CALL, wait, **said))
        await asyncio.sleep(0.05)
        second = await sent_to(door, path, OTHER, CALL, **said)
        wait.set()
        return await first, second, await sent_to(door, path, OTHER, CALL, **said)

    assert asyncio.run(both("/gradio_api/upload", 2**20, 2**20 + 5)) == (0, 429, 0)
    assert asyncio.run(both("/gradio_api/upload", 2**20, 4 * 2**20)) == (0, 0, 0)


def test_a_session_whose_page_is_open_is_not_pushed_out(tmp_path: Path) -> None:
    demo = build(make_state(tmp_path), guests=True)
    holder = demo.state_holder
    holder.capacity = 10
    with demo.callers.open_page("mine"), demo.callers.listening("listens"):
        for name in ("mine", "listens", *(f"made-up-{number}" for number in range(50))):
            assert holder[name] is not None
        assert "mine" in holder and "listens" in holder and len(holder.session_data) == 10
    for number in range(50):
        assert holder[f"again-{number}"] is not None
    assert "mine" not in holder, "once it is closed it is as any other"


def test_the_pictures_of_the_page_itself_stay(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path.resolve())
    own, old, asked_for = (folder.new_place(name) for name in ("own.png", "old.png", "asked.png"))
    own.write_bytes(b"own")
    folder.keep_own()
    for path in (old, asked_for):
        path.write_bytes(b"of a visitor")
    for path in (own, old, asked_for):
        os.utime(path, (time.time() - 30_000,) * 2)
    folder.touch(folder.admit(str(asked_for)))
    folder.trim(10**9, 20_000)
    assert own.is_file() and asked_for.is_file() and not old.exists()
    folder.trim(0, 20_000)
    assert own.is_file() and not asked_for.exists()


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    content = io.BytesIO()
    draw_tile("road", 1).save(content, "JPEG", progressive=True)
    plain = content.getvalue()
    last = plain.rindex(b"\xff\xda")
    path = tmp_path / "scans.jpg"
    path.write_bytes(plain)
    check_work(path)
    assert uploaded(as_sent(path)).size == (128, 128)
    path.write_bytes(plain[:-2] + plain[last:-2] * 150 + plain[-2:])
    upload = as_sent(path)
    assert upload.path.read_bytes() == b""
    with pytest.raises(PictureError, match=r"JPEG of 1\d\d scans; save it anew"):
        uploaded(upload)


def test_a_fax_is_no_picture_of_the_earth(tmp_path: Path) -> None:
    """Of each damaged row libtiff writes a line, and a file may have 60,000."""
    for kind in ("group3", "group4", "tiff_ccitt"):
        Image.new("1", (64, 64)).save(tmp_path / "fax.tif", compression=kind)
        with pytest.raises(PictureError, match=r"compression [234]; save it with deflate"):
            uploaded(as_sent(tmp_path / "fax.tif"))
    for kind in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "raw"):
        draw_tile("road", 1).save(tmp_path / "a.tif", compression=kind)
        assert uploaded(as_sent(tmp_path / "a.tif")).size == (128, 128)


def test_a_raster_of_more_pixels_than_its_file_can_hold_is_refused(tmp_path: Path) -> None:
    facts: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": "uint8",
        "sparse_ok": True,
        "compress": "deflate",
        "tiled": True,
    }
    with rasterio.open(tmp_path / "a.tif", "w", width=20_000, height=20_000, count=1, **facts):
        pass
    with pytest.raises(PictureError, match="far more pixels than a file of its size can"):
        open_scene(tmp_path / "a.tif", untrusted=True)
    assert open_scene(tmp_path / "a.tif").width_px == 20_000
    facts |= {"dtype": "float32", "interleave": "pixel"}
    with rasterio.open(tmp_path / "b.tif", "w", width=9000, height=9000, count=20, **facts):
        pass
    with pytest.raises(PictureError, match=r"holds 6\.0 GB of pixels in 20 bands"):
        open_scene(tmp_path / "b.tif", untrusted=True)


def test_the_log_is_ours_alone(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    level, handlers, own = logging.getLogger().level, list(calls.log.handlers), calls.log.level
    try:
        with warnings.catch_warnings():
            calls.log_to_stderr()
            logging.getLogger("mcp.server").warning("forged")
            logging.warning("forged")  # as one library does, on the root logger
            warnings.warn("forged", stacklevel=1)
        assert "forged" not in "".join(capfd.readouterr())
    finally:
        logging.getLogger().setLevel(level)
        calls.log.handlers[:] = handlers
        calls.log.setLevel(own)
