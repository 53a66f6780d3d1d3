"""What one client can take from others: places, room, sessions; and files that cost more than they seem."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.state_holder import StateHolder

from app.build import build
from app.server import concurrency, front_door, request_log
from app.server.callers import Callers
from app.server.concurrency import WeightedSemaphore
from app.server.encoder_queue import STOP
from app.server.fair_line import FairLine, busy_clients
from app.server.front_door import FrontDoor, Known, Limits
from app.server.rate_limit import CLIENT
from app.server.session_share import MAX_SESSIONS_EACH, SessionShares
from app.server.upload_folder import UploadFolder, own_folder
from app.ui.tile_picker import _pictures, spread
from lrsclip.errors import Cancelled
from tests.helpers.app_parts import calling, make_state, running

CALL = b'{"data": ["a road"]}'
MINE, OTHER = ("192.0.2.1", 1), ("192.0.2.2", 1)


def asked(door: FrontDoor, path: str, client: tuple[str, int]) -> int:
    """Status of what a POST is answered with; 0 where it is passed on."""
    return asyncio.run(sent_to(door, path, client, CALL))


async def sent_to(
    door: FrontDoor, path: str, client: tuple[str, int], body: bytes, wait: asyncio.Event | None = None,
    method: str = "POST", **headers: str,
) -> int:  # fmt: skip
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
        "type": "http", "method": method, "path": path, "client": client, "query_string": b"",
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

    assert asyncio.run(at_once(40)) == [5, 32, 0]  # four of mine and the other's; four of mine wait for their turn


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


def test_a_client_has_its_share_of_sessions_and_the_open_ones_stay(tmp_path: Path) -> None:
    demo = build(make_state(tmp_path), untrusted=True)
    holder = StateHolder()  # type: ignore[no-untyped-call]
    holder.set_blocks(demo)
    shares = SessionShares(demo.callers)
    with demo.callers.open_page("mine"):
        shares.bound(holder, holder["of another"], "192.0.2.2")
        for name in ("mine", *(f"made-up-{number}" for number in range(2 * MAX_SESSIONS_EACH))):
            shares.bound(holder, holder[name], "192.0.2.1")
        assert {"mine", "of another", f"made-up-{2 * MAX_SESSIONS_EACH - 1}"} <= set(holder.session_data)
        assert len(holder.session_data) == MAX_SESSIONS_EACH + 1 and "made-up-0" not in holder


def test_calls_of_one_client_are_counted_by_session(tmp_path: Path) -> None:
    demo = build(make_state(tmp_path), untrusted=True)
    holder = StateHolder()  # type: ignore[no-untyped-call]
    holder.set_blocks(demo)
    function = next(one for one in demo.fns.values() if one.api_name == "search")
    request = SimpleNamespace(scope={CLIENT: "192.0.2.1"})

    async def call_each() -> None:
        for number in range(MAX_SESSIONS_EACH + 5):
            with pytest.raises(gr.Error):  # refused for its values, and yet a session is there
                await demo.process_api(function, [], holder[f"of-{number}"], request=request)

    asyncio.run(call_each())
    assert len(holder.session_data) == MAX_SESSIONS_EACH


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


def test_nothing_is_begun_for_a_caller_who_has_left() -> None:
    stop = threading.Event()
    stop.set()
    token = STOP.set(stop)
    try:
        with pytest.raises(Cancelled), WeightedSemaphore(10).of(1):
            pytest.fail("the room is free, and nobody wants it")
    finally:
        STOP.reset(token)


def test_a_client_that_had_much_comes_after_one_that_had_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "_PATIENCE_S", 0.0)
    room, order, begun = WeightedSemaphore(10), list[str](), threading.Barrier(9)

    def take(client: str) -> None:
        with calling(client):
            begun.wait()
            if client == "other":
                time.sleep(0.3)  # it comes last
            with room.of(8):
                order.append(client)
                time.sleep(0.1)

    with calling("many"), room.of(8):
        threads = [threading.Thread(target=take, args=(name,)) for name in [*["many"] * 7, "other"]]
        for thread in threads:
            thread.start()
        begun.wait()
        time.sleep(0.5)
    for thread in threads:
        thread.join()
    assert order[0] == "other"


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


def test_requests_of_one_client_take_turns_and_those_of_others_need_not_wait() -> None:
    working: list[str] = []
    go_on = asyncio.Event()

    async def slow(scope: Any, _receive: Any, send: Any) -> None:
        working.append(scope[CLIENT])
        await go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await asyncio.Event().wait()  # its reader is slow: that is no work

    async def told() -> None:
        door = FrontDoor(slow, limits=Limits(1000, 2**20), known=door_with([])._known)
        asked = [asyncio.ensure_future(sent_to(door, "/", MINE, b"", method="GET")) for _ in range(9)]
        asked.append(asyncio.ensure_future(sent_to(door, "/", OTHER, b"", method="GET")))
        await asyncio.sleep(0.1)
        assert sorted(working) == [MINE[0]] * 4 + [OTHER[0]]
        go_on.set()
        await asyncio.sleep(0.1)
        assert len(working) == 10
        for one in asked:
            one.cancel()

    asyncio.run(told())


def test_until_the_start_is_over_nobody_but_the_server_itself_is_answered() -> None:
    up = [False]
    door = FrontDoor(passed_on, limits=Limits(1000, 2**20), known=door_with([])._known, is_up=lambda: up[0])
    for path, status in (("/", 503), ("/health", 503), ("/gradio_api/startup-events", 0)):
        assert asyncio.run(sent_to(door, path, MINE, b"", method="GET")) == status
    up[0] = True
    assert asyncio.run(sent_to(door, "/", MINE, b"", method="GET")) == 0


def test_the_start_asks_nothing_that_a_busy_server_answers_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def busy(url: str, **_: Any) -> httpx.Response:
        asked.append(url)
        return httpx.Response(504)

    monkeypatch.setattr(httpx, "head", busy)
    with running(make_state(tmp_path)) as url:
        assert httpx.get(f"{url}health").status_code == 200
    assert not asked


def test_what_one_reader_of_use_via_api_asked_for_is_not_told_to_another(tmp_path: Path) -> None:
    with running(make_state(tmp_path)) as url:
        path = f"{url}gradio_api/info"
        assert "http://elsewhere.example" in httpx.get(path, headers={"host": "elsewhere.example"}).text
        told = httpx.get(path).text
    assert "elsewhere.example" not in told and url.rstrip("/") in told


def test_only_small_things_run_outside_the_queue(tmp_path: Path) -> None:
    """They count a tenth of a request: what draws tiles, reads a collection or asks the model stands in the queue."""
    demo = build(make_state(tmp_path))
    direct = {
        f"{one.fn.__module__.removeprefix('app.')}.{request_log.name_of(one.fn)}"
        for one in demo.fns.values()
        if not one.queue and one.fn is not None
    }
    assert direct == {
        "classify.page.choose",
        "classify.page.lambda",
        "classify.page.show",
        "classify.page.typed",
        "hand_over.at_load",
        "learn.page.choose_mode",
        "learn.page.stop",
        "localize.page.stop",
        "places.page.forget_plan",
        "places.page.stop",
        "search.batch_panel.stop",
        "search.controls.forget_picture",
        "search.controls.forget_tile",
        "ui.token_counter.measure",
    }


def test_a_strip_of_tiles_is_chosen_and_drawn_once(tmp_path: Path) -> None:
    state = make_state(tmp_path)
    assert state.varied(3) is state.varied(3)
    build(state)
    strip = spread(state)
    assert _pictures(state, strip) == _pictures(state, strip)  # the same files
