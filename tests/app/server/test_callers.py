"""Work ends when its caller has gone, what nobody fetches is dropped, and /health tells of what does not move."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import httpx
import pytest
import torch

from app.build import build, serve
from app.server import health, settings
from app.server.callers import Callers
from app.server.checked_blocks import CheckedBlocks
from app.server.encoder_queue import EncoderQueue, Work
from app.server.front_door import Known
from app.server.health import encoder_of, stuck
from app.server.janitor import sweep
from app.server.settings import Settings
from tests.helpers.app_parts import as_sent, draw_tile, make_state

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CheckedBlocks, str]]:
    settings.use(Settings(requests_per_minute=0))
    demo = build(make_state(tmp_path_factory.mktemp("callers")), untrusted=True)
    try:
        yield demo, serve(demo, host="127.0.0.1", port=None, block=False)
    finally:
        demo.close(verbose=False)
        settings.use(Settings())


def until(holds: Callable[[], bool], max_s: float = 30.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + max_s
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


@pytest.fixture
def held(server: tuple[CheckedBlocks, str]) -> Iterator[threading.Event]:
    """The model stands still until the event is set."""
    encoder, go_on = encoder_of(server[0]), threading.Event()
    assert encoder is not None

    def stand(rows: Any) -> Any:
        go_on.wait(60)
        return rows

    thread = threading.Thread(target=lambda: encoder.do(Work(None, stand), torch.zeros(1, 1)))
    thread.start()
    until(lambda: encoder.still_s > 0)
    yield go_on
    go_on.set()
    thread.join()


def post(url: str, path: str, **call: Any) -> dict[str, Any]:
    """The answer to a call."""
    answer = httpx.post(f"{url}gradio_api/{path}", json=call, timeout=30)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_work_stops_when_its_caller_hangs_up(
    server: tuple[CheckedBlocks, str], held: threading.Event, tmp_path: Path
) -> None:
    demo, url = server
    draw_tile("road", 1, 400).save(tmp_path / "scene.png")
    scene = {"path": str(as_sent(tmp_path / "scene.png").path)}
    event = post(url, "call/localize", data=["a road", scene, "", "windows", "", None, None])["event_id"]
    with httpx.stream("GET", f"{url}gradio_api/call/localize/{event}", timeout=30):
        until(lambda: len(demo.callers.running()) == 1)
    until(lambda: not demo.callers.running())
    assert not held.is_set(), "the model has not moved meanwhile"
    assert encoder_of(demo).waiting == 0  # type: ignore[union-attr]


def test_a_page_that_is_closed_stops_its_work_and_another_one_goes_on(
    server: tuple[CheckedBlocks, str], held: threading.Event
) -> None:
    demo, url = server
    search = next(number for number, f in demo.fns.items() if f.api_name == "search")
    values = ["a road", 3, "", 0.5, "", None, 0.5, None, None, False]
    for session in ("leaves", "stays"):
        post(url, "queue/join", data=values, fn_index=search, session_hash=session)
    with httpx.stream("GET", f"{url}gradio_api/queue/data?session_hash=stays", timeout=60) as stays:
        with httpx.stream("GET", f"{url}gradio_api/queue/data?session_hash=leaves", timeout=30):
            until(lambda: len(demo.callers.running()) == 2)
        until(lambda: len(demo.callers.running()) == 1)
        held.set()
        lines = (json.loads(line[5:]) for line in stays.iter_lines() if line.startswith("data:"))
        done = next(told for told in lines if told["msg"] == "process_completed")
    assert done["success"] and done["output"]["data"][0]["hits"]


def test_a_call_that_is_canceled_stops(server: tuple[CheckedBlocks, str], held: threading.Event) -> None:
    demo, url = server
    search = next(number for number, f in demo.fns.items() if f.api_name == "search")
    call = {"fn_index": search, "session_hash": "mind"}
    event = post(url, "queue/join", data=["a", 3, "", 0.5, "", None, 0.5, None, None, False], **call)["event_id"]
    until(lambda: len(demo.callers.running()) == 1)
    post(url, "cancel", event_id=event, **call)
    until(lambda: not demo.callers.running() and encoder_of(demo).waiting == 0)  # type: ignore[union-attr]
    assert not held.is_set()


def test_what_nobody_fetches_is_dropped(server: tuple[CheckedBlocks, str], held: threading.Event) -> None:
    demo, url = server
    queue = demo._queue
    event = post(url, "call/search", data=["a road", 3, "", 0.5, "", None, 0.5, None, None, False])["event_id"]
    until(lambda: len(demo.callers.running()) == 1)
    asyncio.run(sweep(demo, 0.0))
    until(lambda: not demo.callers.running())
    asyncio.run(sweep(demo, 0.0))
    assert event not in queue.pending_event_ids_session and event not in queue.pending_messages_per_session
    assert httpx.get(f"{url}gradio_api/call/search/{event}").status_code == 404
    assert not demo.callers.asked_by("127.0.0.1")


def test_answers_that_nobody_reads_count_as_calls(server: tuple[CheckedBlocks, str]) -> None:
    demo, url = server
    known = Known.of(demo)
    values = ["a road", 3, "", 0.5, "", None, 0.5, None, None, False]
    search = next(number for number, f in demo.fns.items() if f.api_name == "search")
    for _ in range(5):
        post(url, "queue/join", data=values, fn_index=search, session_hash="slowreader")
    until(lambda: known.unread("127.0.0.1") == 5)
    with httpx.stream("GET", f"{url}gradio_api/queue/data?session_hash=slowreader", timeout=60) as reader:
        assert sum("process_completed" in line for line in reader.iter_lines()) == 5
    until(lambda: known.unread("127.0.0.1") == 0)


@pytest.mark.parametrize(
    ("method", "query"), [("HEAD", "session_hash=evades"), ("GET", "session_hash=evades&session_hash=nobody")]
)
def test_a_request_that_hears_nothing_is_no_listener(
    server: tuple[CheckedBlocks, str], method: str, query: str
) -> None:
    """It would keep answers that nobody reads for ever."""
    demo, url = server
    said = httpx.request(method, f"{url}gradio_api/queue/data?{query}", timeout=30)
    assert said.status_code in (405, 422)
    assert not demo.callers.is_there("evades")
    assert "evades" in demo.callers.unheard(["evades"], 0.0)


def test_a_client_with_megabytes_to_read_is_asked_to_read_them(
    server: tuple[CheckedBlocks, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    demo, url = server
    monkeypatch.setattr("app.server.checked_blocks._MAX_UNREAD_BYTES", 20)
    search = next(number for number, f in demo.fns.items() if f.api_name == "search")
    call = {"fn_index": search, "data": ["a road", 3, "", 0.5, "", None, 0.5, None, None, False]}
    post(url, "queue/join", **call, session_hash="first")
    until(lambda: Known.of(demo).unread("127.0.0.1") == 1)
    post(url, "queue/join", **call, session_hash="second")
    for session, says in (("second", "read them first"), ("first", "hits")):
        with httpx.stream("GET", f"{url}gradio_api/queue/data?session_hash={session}", timeout=60) as reader:
            told = [json.loads(line[5:]) for line in reader.iter_lines() if line.startswith("data:")]
        assert says in json.dumps([one for one in told if one["msg"] == "process_completed"])


def test_patience_is_for_those_who_do_not_listen() -> None:
    callers = Callers()
    assert callers.unheard(["a", "b"], 1000) == []
    with callers.listening("a"):
        assert callers.unheard(["a", "b"], 0) == ["b"]
    assert callers.unheard(["a"], 0) == ["a"]


# health


def told(url: str) -> tuple[int, dict[str, Any]]:
    """What /health says."""
    try:
        with urlopen(f"{url}health", timeout=30) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


def test_a_model_that_does_not_move_is_not_well(
    server: tuple[CheckedBlocks, str], held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo, url = server
    assert told(url)[0] == 200, "it may take its time"
    assert stuck(demo) == []
    monkeypatch.setattr(health, "_RUNS", 0)
    monkeypatch.setattr(health, "stuck", lambda demo: stuck(demo, 0.0))
    status, facts = told(url)
    assert status == 503 and facts["status"] == "stuck" and "the model has not moved" in facts["faults"][0]
    held.set()
    until(lambda: told(url)[0] == 200)


def test_a_server_whose_workers_all_hang_is_not_well(
    server: tuple[CheckedBlocks, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    demo, url = server
    go_on, hanging = threading.Event(), []
    number, function = next((n, f) for n, f in demo.fns.items() if f.name == "forget_tile")

    def hang() -> tuple[Any, ...]:
        hanging.append(1)
        go_on.wait(60)
        return "", "", None

    monkeypatch.setattr(function, "fn", hang)

    def press(session: int) -> None:
        call = {"data": [], "fn_index": number, "session_hash": f"s{session}"}
        httpx.post(f"{url}gradio_api/run/predict", timeout=60, json=call)

    clients = [threading.Thread(target=press, args=(session,)) for session in range(45)]
    for client in clients:
        client.start()
    try:
        until(lambda: len(hanging) >= 40)
        status, facts = told(url)
        assert status == 503 and "no worker is free" in facts["faults"]
    finally:
        go_on.set()
        for client in clients:
            client.join()
    until(lambda: told(url)[0] == 200)


def test_a_lane_in_which_nothing_ends_is_not_well(
    server: tuple[CheckedBlocks, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    demo, url = server
    go_on = threading.Event()
    number, function = next((n, f) for n, f in demo.fns.items() if f.name == "look")
    monkeypatch.setattr(function, "fn", lambda _: go_on.wait(60) and ("", None))
    for session in range(9):  # eight may run
        post(url, "queue/join", data=["atlas"], fn_index=number, session_hash=f"lane{session}")
    try:
        until(lambda: len(demo.callers.running()) == 8)
        monkeypatch.setattr(health, "_RUNS", 0)
        time.sleep(0.1)
        assert any("events wait" in fault for fault in stuck(demo, 0.05))
        assert not stuck(demo, 60)
    finally:
        go_on.set()
        until(lambda: not demo.callers.running())


def test_a_line_with_nothing_in_it_stands_still_for_no_time() -> None:
    queue = EncoderQueue()
    time.sleep(0.02)
    assert queue.still_s == 0
    queue.do(Work(None, lambda rows: rows), torch.zeros(1, 1))
    assert queue.still_s == 0 and queue.longest_run_s >= 0
