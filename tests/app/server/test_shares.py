"""What one client can take from others: places, room, sessions; and files that cost more than they seem."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import struct
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
from gradio.state_holder import StateHolder
from PIL import Image

from app.build import build
from app.media import images, scene_input
from app.media.images import check_work, uploaded
from app.media.scene_input import opened_upload
from app.server import concurrency, front_door, request_log, settings
from app.server.callers import Callers
from app.server.concurrency import WeightedSemaphore
from app.server.encoder_queue import STOP
from app.server.fair_line import FairLine, busy_clients
from app.server.front_door import FrontDoor, Known, Limits
from app.server.rate_limit import CLIENT
from app.server.upload_folder import UploadFolder, own_folder
from lrsclip.errors import Cancelled, PictureError
from lrsclip.io.decode import as_rgb
from lrsclip.localize import open_scene
from tests.helpers.app_parts import as_sent, calling, draw_tile, make_state

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


def door_with(waiting: list[Any], unread: int = 0, **limits: Any) -> FrontDoor:
    known = Known(
        frozenset({0}), frozenset({"search"}), own_folder(), Callers(),
        waiting=lambda: waiting, unread=lambda client: unread if client == MINE[0] else 0,
    )  # fmt: skip
    return FrontDoor(passed_on, limits=Limits(1000, 2**20, **limits), known=known)


def test_one_client_has_half_of_the_queue_at_most() -> None:
    door = door_with([{CLIENT: MINE[0]}] * 64)
    assert asked(door, "/gradio_api/call/search", MINE) == 429
    assert asked(door, "/gradio_api/call/search", OTHER) == 0
    assert asked(door_with([{CLIENT: MINE[0]}] * 63), "/gradio_api/call/search", MINE) == 0


def test_answers_that_are_not_read_count_as_calls() -> None:
    assert asked(door_with([{CLIENT: MINE[0]}] * 4, 60), "/gradio_api/call/search", MINE) == 429
    assert asked(door_with([{CLIENT: MINE[0]}] * 4, 59), "/gradio_api/call/search", MINE) == 0
    assert asked(door_with([], 64), "/gradio_api/call/search", OTHER) == 0


def test_no_lane_has_one_place_alone(tmp_path: Path) -> None:
    """Half of one is one: a client would hold the lane for as long as it has something to ask."""
    demo = build(make_state(tmp_path), untrusted=True)
    lanes = {str(f.concurrency_id): f.concurrency_limit for f in demo.fns.values() if f.queue}
    assert "batch" in lanes
    assert not [name for name, places in lanes.items() if isinstance(places, int) and places < 2]


@pytest.mark.parametrize("path", ["/gradio_api/run/predict", "/gradio_api/api/predict"])
def test_one_client_has_few_of_the_threads_outside_the_queue(path: str) -> None:
    """Forty threads serve all; one client took them with forty words of 10,000 letters."""

    async def at_once(count: int) -> list[int]:
        done, at_work = asyncio.Event(), 0

        async def work(_scope: Any, receive: Any, _send: Any) -> None:
            nonlocal at_work
            await receive()
            at_work += 1
            await done.wait()

        door = door_with([])
        door._app = work
        call = b'{"data": ["a road"], "fn_index": 0, "session_hash": "mine"}'
        mine = [asyncio.create_task(sent_to(door, path, MINE, call)) for _ in range(count)]
        await asyncio.sleep(0.1)
        other = asyncio.create_task(sent_to(door, path, OTHER, call))
        await asyncio.sleep(0.1)
        busy = at_work
        done.set()
        return [busy, (await asyncio.gather(*mine)).count(429), await other]

    assert asyncio.run(at_once(40)) == [13, 28, 0]


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
    demo = build(make_state(tmp_path), untrusted=True)
    holder = StateHolder()  # type: ignore[no-untyped-call]
    holder.set_blocks(demo)
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
    level, handlers, own = logging.getLogger().level, list(request_log.log.handlers), request_log.log.level
    try:
        with warnings.catch_warnings():
            request_log.log_to_stderr()
            logging.getLogger("mcp.server").warning("forged")
            logging.warning("forged")  # as one library does, on the root logger
            warnings.warn("forged", stacklevel=1)
        assert "forged" not in "".join(capfd.readouterr())
    finally:
        logging.getLogger().setLevel(level)
        request_log.log.handlers[:] = handlers
        request_log.log.setLevel(own)


def test_a_length_has_to_be_said() -> None:
    async def chunked(path: str) -> int:
        return await sent_to(door_with([]), path, MINE, CALL, transfer_encoding="chunked")

    assert asyncio.run(chunked("/gradio_api/call/search")) == 411
    assert asyncio.run(chunked("/gradio_api/mcp/")) == 411
    assert asyncio.run(chunked("/gradio_api/upload")) == 411


def test_one_client_leaves_room_for_the_bodies_of_others() -> None:
    async def rush() -> tuple[int, int, int]:
        door, wait = door_with([]), asyncio.Event()
        said: dict[str, Any] = {"content_length": str(8 * 2**20), "content_type": "application/json"}
        held = [asyncio.create_task(sent_to(door, "/gradio_api/mcp/", MINE, b"{}", wait, **said)) for _ in range(12)]
        await asyncio.sleep(0.05)
        refused = sum(task.done() and task.result() == 429 for task in held)
        other = await sent_to(door, "/gradio_api/call/search", OTHER, CALL, content_length=str(len(CALL)))
        own = await sent_to(door, "/gradio_api/mcp/", MINE, b"{}", **said)
        wait.set()
        await asyncio.gather(*held)
        return refused, other, own

    assert asyncio.run(rush()) == (10, 0, 429)


def test_one_client_has_so_many_requests_open_and_no_more() -> None:
    async def rush() -> tuple[int, int]:
        go_on = asyncio.Event()

        async def slow(_scope: Any, _receive: Any, _send: Any) -> None:
            await go_on.wait()

        known = Known(frozenset({0}), frozenset({"search"}), own_folder(), Callers())
        door = FrontDoor(slow, limits=Limits(100_000, 2**20), known=known)
        held = [asyncio.create_task(sent_to(door, "/gradio_api/call/search", MINE, CALL)) for _ in range(300)]
        refused = 0
        for _ in range(100):
            await asyncio.sleep(0.05)
            refused = sum(task.done() and task.result() == 429 for task in held)
            if refused >= 44:
                break
        other = asyncio.create_task(sent_to(door, "/gradio_api/call/search", OTHER, CALL))
        await asyncio.sleep(0.05)
        passed = not other.done()
        go_on.set()
        await asyncio.gather(*held, other)
        return refused, passed

    assert asyncio.run(rush()) == (44, True)


def test_an_upload_that_trickles_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_door, "_IDLE_S", 0.2)

    async def trickling() -> list[str]:
        async def receive() -> Any:
            await asyncio.sleep(0.05)
            return {"type": "http.request", "body": b"x", "more_body": True}

        body = front_door._measured(receive, 2**20, 0.5)
        return [str((await body())["type"]) for _ in range(14)]

    assert asyncio.run(trickling())[-1] == "http.disconnect"


def test_clients_take_turns_in_a_line() -> None:
    line = FairLine()
    for number, client in enumerate("aaaabbcaab"):
        line.append(SimpleNamespace(number=number, request=SimpleNamespace(scope={CLIENT: client})))
    assert [event.number for event in line] == [0, 4, 6, 1, 5, 2, 9, 3, 7, 8]
    assert [event.request.scope[CLIENT] for event in line][:3] == ["a", "b", "c"]


def test_every_lane_of_the_app_is_fair(tmp_path: Path) -> None:
    demo = build(make_state(tmp_path), untrusted=True)
    lanes = demo._queue.event_queue_per_concurrency_id
    for function in demo.fns.values():
        demo._queue.create_event_queue_for_fn(function)
    assert len(lanes) > 5
    assert all(isinstance(lane.queue, FairLine) for lane in lanes.values())


def events(clients: str, lane: str = "encoder") -> list[Any]:
    return [SimpleNamespace(concurrency_id=lane, request=SimpleNamespace(scope={CLIENT: one})) for one in clients]


def test_one_client_has_half_of_a_lane_and_of_all_places_at_most() -> None:
    assert busy_clients(events("aaab"), "encoder", 4, 40) == {"a"}
    assert busy_clients(events("aaab"), "encoder", 16, 40) == set()
    assert busy_clients(events("a"), "batch", 1, 40) == set(), "a lane of one place is free for everybody"
    assert busy_clients([*events("aa", "maps"), *events("aab", "files")], "encoder", 16, 8) == {"a"}
    line = FairLine(events("aab"))
    assert line.first({"a"}) is line[2] and line.first() is line[0] and line.first({"a", "b"}) is None


def test_long_calls_of_one_client_leave_places_to_others(tmp_path: Path) -> None:
    demo = build(make_state(tmp_path), untrusted=True)
    queue, function = demo._queue, next(one for one in demo.fns.values() if one.concurrency_id == "encoder")
    queue.create_event_queue_for_fn(function)
    queue.active_jobs = [None] * 40
    lane = queue.event_queue_per_concurrency_id["encoder"]
    for event in events("a" * 20 + "b"):
        lane.queue.append(event)
    begun: list[str] = []
    while (found := queue.get_events()) is not None:
        queue.active_jobs[len(begun)] = found[0]
        lane.current_concurrency += 1
        begun.append(found[0][0].request.scope[CLIENT])
    assert begun.count("a") == (lane.concurrency_limit or 0) // 2 == 8 and "b" in begun


def test_a_tile_far_larger_than_its_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.new("L", (64, 64)).save(path, compression="tiff_adobe_deflate")
    plain = path.read_bytes()
    check_work(path)
    at = int.from_bytes(plain[4:8], "little")
    count = int.from_bytes(plain[at : at + 2], "little")
    entries = [plain[at + 2 + 12 * n : at + 14 + 12 * n] for n in range(count)]
    tags = {int.from_bytes(entry[:2], "little"): entry for entry in entries}
    tags.pop(278, None)
    (_, _, _, begins), (_, _, _, lengths) = (struct.unpack("<HHII", tags.pop(code)) for code in (273, 279))
    tags |= {code: struct.pack("<HHII", code, 4, 1, value) for code, value in (
        (322, 46_320), (323, 46_320), (324, begins), (325, lengths)
    )}  # fmt: skip
    written = b"".join(tags[code] for code in sorted(tags))
    path.write_bytes(plain + struct.pack("<H", len(tags)) + written + bytes(4))
    content = bytearray(path.read_bytes())
    content[4:8] = struct.pack("<I", len(plain))
    path.write_bytes(bytes(content))
    with pytest.raises(PictureError, match="far larger than itself"):
        check_work(path)
    with pytest.raises(PictureError), open_scene(path, untrusted=True):
        pass


def test_bands_by_the_thousand_and_tiles_of_many_scans_are_refused(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"driver": "GTiff", "width": 16, "height": 16, "dtype": "uint8"}
    with rasterio.open(tmp_path / "bands.tif", "w", count=2000, **facts) as data:
        data.write(np.zeros((2000, 16, 16), np.uint8))
    with pytest.raises(PictureError, match="2,000 bands"):
        check_work(tmp_path / "bands.tif")
    with rasterio.open(
        tmp_path / "plain.tif", "w", count=3, compress="jpeg", photometric="ycbcr", tiled=True, blockxsize=16,
        blockysize=16, **facts | {"width": 64, "height": 64},
    ) as data:  # fmt: skip
        data.write(np.random.default_rng(1).integers(0, 255, (3, 64, 64), np.uint8))
    check_work(tmp_path / "plain.tif")
    draw_tile("road", 1, px=512).save(piece := io.BytesIO(), "JPEG", progressive=True)
    jpeg = piece.getvalue()
    assert jpeg.count(b"\xff\xda") > 8
    tags = {256: 512, 257: 512, 258: 8, 259: 7, 262: 6, 273: 8, 277: 3, 278: 512, 279: len(jpeg)}
    listed = b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in tags.items())
    begin = 8 + len(jpeg)
    odd = b"II*\0" + struct.pack("<I", begin) + jpeg + struct.pack("<H", len(tags)) + listed + bytes(4)
    (tmp_path / "odd.tif").write_bytes(odd)
    with pytest.raises(PictureError, match="scans"):
        check_work(tmp_path / "odd.tif")
    pixels = bytes(2**20)
    tags |= {273: 8 + len(pixels), 279: 8 + len(pixels) + 400}
    begin = 8 + len(pixels) + 800
    listed = b"".join(
        struct.pack("<HHII", code, 4, 100 if code in (273, 279) else 1, value) for code, value in tags.items()
    )
    places = np.arange(8, 108, dtype="<u4").tobytes() + np.full(100, 2**19, "<u4").tobytes()
    head = b"II*\0" + struct.pack("<I", begin)
    (tmp_path / "again.tif").write_bytes(head + pixels + places + struct.pack("<H", len(tags)) + listed + bytes(4))
    with pytest.raises(PictureError, match="overlap"):
        check_work(tmp_path / "again.tif")


def test_a_long_strip_is_kept_small_while_it_waits(tmp_path: Path) -> None:
    Image.new("RGB", (2047, 39_000)).save(tmp_path / "a.png")
    kept = uploaded(as_sent(tmp_path / "a.png"))
    assert kept.width * kept.height < 10_000_000 and min(kept.size) >= 600


def test_a_small_picture_need_not_wait_for_a_huge_one_nor_longer_than_its_caller() -> None:
    budget, stop = WeightedSemaphore(100), threading.Event()
    with budget.of(10_000):
        with budget.of(10):
            pass
        token = STOP.set(stop)
        threading.Timer(0.1, stop.set).start()
        try:
            with pytest.raises(Cancelled), budget.of(30):
                pytest.fail("there is no room")
        finally:
            STOP.reset(token)
    with budget.of(80):
        pass


def test_a_large_share_is_not_passed_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "_PATIENCE_S", 0.3)
    room, over, begun = WeightedSemaphore(10), threading.Event(), time.monotonic()

    def stream() -> None:
        with calling("many"):
            while not over.is_set():
                with room.of(4):
                    time.sleep(0.02)

    threads = [threading.Thread(target=stream) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.1)
        with calling("other"), room.of(8):
            waited_s = time.monotonic() - begun
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert waited_s < 10, "always two of the four would be at work"


def test_scans_count_for_what_they_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    draw_tile("road", 1).save(path, "JPEG", progressive=True)
    check_work(path)
    monkeypatch.setattr(images, "_MAX_SCANNED_PX", 128 * 128 * 5)
    with pytest.raises(PictureError, match="scans"):
        check_work(path)


def shared_tiles(path: Path) -> Path:
    """A TIFF whose tiles are all one and the same piece of the file."""
    facts: dict[str, Any] = {"driver": "GTiff", "width": 1024, "height": 1024, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", tiled=True, blockxsize=256, blockysize=256, compress="deflate", **facts) as data:
        data.write(np.random.default_rng(1).integers(0, 255, (1, 1024, 1024), np.uint8))
    content = bytearray(path.read_bytes())
    begin = struct.unpack_from("<I", content, 4)[0]
    for at in range(begin + 2, begin + 2 + 12 * struct.unpack_from("<H", content, begin)[0], 12):
        code, _, count, value = struct.unpack_from("<HHII", content, at)
        if code in (324, 325):
            content[value : value + 4 * count] = content[value : value + 4] * count
    path.write_bytes(content)
    return path


def test_tiles_that_are_all_one_piece_are_refused(tmp_path: Path) -> None:
    path = shared_tiles(tmp_path / "a.tif")
    assert open_scene(path).width_px == 1024
    with pytest.raises(PictureError, match="far more pixels than a file of its size can"):
        open_scene(path, untrusted=True)


def test_the_scene_box_has_the_limit_of_scenes_and_stops_with_its_caller(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    facts: dict[str, Any] = {"driver": "GTiff", "width": 5000, "height": 4000, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", tiled=True, **facts) as data:
        data.write(np.arange(20_000_000, dtype=np.uint32).reshape(1, 4000, 5000).astype(np.uint8))
    with open_scene(path) as scene:
        assert scene.thumbnail(1600).size == (1600, 1280)
        scene.stop = threading.Event()
        scene.stop.set()
        with pytest.raises(Cancelled):
            scene.thumbnail(1600)
    settings.use(settings.Settings(max_scene_px=1_000_000))
    try:
        with pytest.raises(PictureError, match="1,000,000 px are looked at in one go"), opened_upload(as_sent(path)):
            pytest.fail("it was opened")
    finally:
        settings.use(settings.Settings())


def test_a_transparent_picture_takes_no_whole_copies_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    whole = Image.fromarray(rng.integers(0, 255, (1300, 70, 4), np.uint8))
    ground = Image.new("RGBA", whole.size, (0, 0, 0, 255))
    expected = Image.alpha_composite(ground, whole).convert("RGB")
    largest: list[int] = []
    convert = Image.Image.convert

    def noted(self: Image.Image, *rest: Any, **more: Any) -> Image.Image:
        largest.append(self.height)
        return convert(self, *rest, **more)

    monkeypatch.setattr(Image.Image, "convert", noted)
    assert as_rgb(whole).tobytes() == expected.tobytes()
    assert max(largest) <= 512
    with open_scene(whole) as scene:
        assert scene.data_share((0, 0, 70, 1300)) == pytest.approx((np.asarray(whole)[:, :, 3] > 0).mean())
    assert max(largest) <= 512


def test_a_deep_picture_is_stretched_strip_by_strip_as_it_was_at_once() -> None:
    values = np.random.default_rng(3).normal(500, 100, (1700, 900)).astype(np.float32)
    values[5:9] = np.nan
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, (2, 98))
    shares = np.nan_to_num((values - low) / (high - low), nan=0.0)
    expected = np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
    made = np.asarray(as_rgb(Image.fromarray(values)))
    assert np.abs(made[:, :, 0].astype(int) - expected).max() <= 1
    flat = np.zeros((600, 4), np.float32)
    flat[577, 3] = 7
    assert np.asarray(as_rgb(Image.fromarray(flat)))[577, 3, 0] == 255, "what little there is shows"


def test_a_stranger_s_raster_that_lies_on_its_side_is_bounded_as_others_are(tmp_path: Path) -> None:
    deep = Image.fromarray(np.zeros((64, 64), np.float32))
    deep.save(tmp_path / "deep.tif", tiffinfo={274: 6})
    with pytest.raises(PictureError, match="save it upright"):
        open_scene(tmp_path / "deep.tif", untrusted=True)
    assert open_scene(tmp_path / "deep.tif").width_px == 64
    draw_tile("road", 1).resize((200, 100)).save(tmp_path / "plain.tif", tiffinfo={274: 6})
    assert open_scene(tmp_path / "plain.tif", untrusted=True).width_px == 100


def test_scenes_in_memory_share_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_tile("road", 1, 100).save(tmp_path / "a.png")
    monkeypatch.setattr(scene_input, "HELD", WeightedSemaphore(12_000))
    upload, stop = as_sent(tmp_path / "a.png"), threading.Event()
    token = STOP.set(stop)
    try:
        with opened_upload(upload):
            threading.Timer(0.1, stop.set).start()
            with pytest.raises(Cancelled), opened_upload(upload):
                pytest.fail("there is room for one")
    finally:
        STOP.reset(token)
    with opened_upload(upload):
        pass


@pytest.mark.slow
def test_a_large_deep_raster_is_sampled_in_pieces_and_read_in_strips(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    facts: dict[str, Any] = {"driver": "GTiff", "width": 6000, "height": 5000, "count": 3, "dtype": "uint16"}
    values = rng.normal(3000, 500, (3, 5000, 6000)).clip(0, 9000).astype(np.uint16)
    with rasterio.open(tmp_path / "a.tif", "w", tiled=True, interleave="pixel", **facts) as data:
        data.write(values)
    with open_scene(tmp_path / "a.tif", untrusted=True) as scene:
        assert scene.thumbnail(600).size == (600, 500)
        low, high = np.percentile(values[0], (2, 98))
        shown = scene.read((100, 100, 300, 300))[:, :, 0]
        expected = np.clip((values[0, 100:300, 100:300] - low) / (high - low), 0, 1) * 255
        assert np.abs(shown - expected).max() < 6, "pieces tell what the whole does"


def test_a_narrow_swath_in_a_wide_frame_is_stretched_by_what_it_holds(tmp_path: Path) -> None:
    facts: dict[str, Any] = {
        "driver": "GTiff",
        "width": 6000,
        "height": 5000,
        "count": 1,
        "dtype": "uint16",
        "nodata": 0,
    }
    values = np.zeros((1, 5000, 6000), np.uint16)
    values[0, :, 300:360] = np.random.default_rng(5).integers(1000, 1400, (5000, 60))
    with rasterio.open(tmp_path / "a.tif", "w", tiled=True, **facts) as data:
        data.write(values)
    with open_scene(tmp_path / "a.tif") as scene:
        shown = scene.read((300, 100, 360, 400))
    assert shown.min() < 20 and 100 < shown.mean() < 155 and shown.max() > 235
