"""Connections that say nothing, or too little, keep nobody else out."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit
from urllib.request import urlopen

import httpx
import pytest

from app.build import build, serve
from app.server.checked_blocks import CheckedBlocks
from app.server.connections import OpenConnections, max_connections
from app.server.rate_limit import network_of
from tests.helpers.app_parts import make_state


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CheckedBlocks, str]]:
    demo = build(make_state(tmp_path_factory.mktemp("connections")), untrusted=True)
    try:
        yield demo, serve(demo, host="127.0.0.1", port=None, block=False)
    finally:
        demo.close(verbose=False)


@pytest.fixture
def few(server: tuple[CheckedBlocks, str], monkeypatch: pytest.MonkeyPatch) -> OpenConnections:
    """The server's count, with room for twenty and half a second of patience."""
    demo, _ = server
    assert demo.connection is not None
    found: OpenConnections = demo.connection.open_connections
    monkeypatch.setattr(found, "most", 20)
    monkeypatch.setattr(found, "head_s", 0.5)
    return found


def connect(url: str) -> socket.socket:
    return socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=10)


def is_well(url: str) -> bool:
    with urlopen(f"{url}health", timeout=10) as answer:
        return bool(answer.status == 200)


WHOLE = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
REFUSED = b"POST /health HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize("said", [b"", WHOLE[:20], WHOLE + b"GET", REFUSED, REFUSED + b"x"])
def test_a_connection_that_stops_halfway_is_closed(
    server: tuple[CheckedBlocks, str], few: OpenConnections, said: bytes
) -> None:
    begun = time.monotonic()
    with connect(server[1]) as silent:
        silent.sendall(said)
        while silent.recv(65536):
            pass
    assert time.monotonic() - begun < 8, "with the patience of uvicorn it would last for ever"
    assert is_well(server[1])


def test_one_too_many_is_told_so_and_the_room_comes_back(
    server: tuple[CheckedBlocks, str], few: OpenConnections, lines: list[str]
) -> None:
    few.head_s = 30
    with ExitStack() as stack:
        held = [stack.enter_context(connect(server[1])) for _ in range(40)]
        time.sleep(0.5)
        assert len(few) <= 20
        told = held[-1].recv(4096)
        assert told.startswith(b"HTTP/1.1 503")
    assert any('"code": 503' in line for line in lines)
    until = time.monotonic() + 10
    while len(few) > 15 and time.monotonic() < until:
        time.sleep(0.05)
    assert is_well(server[1])


def test_what_is_no_request_is_one_line_of_the_log(
    server: tuple[CheckedBlocks, str], lines: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with connect(server[1]) as odd:
        odd.sendall(b"\x16\x03\x01 forged\r\n\r\n")
        assert odd.recv(4096).startswith(b"HTTP/1.1 400")
    assert len(lines) == 1 and '"code": 400' in lines[0]
    assert capfd.readouterr().err == ""


def test_one_address_has_its_share() -> None:
    count = OpenConnections(10, 4)
    assert [count.admit("192.0.2.1") for _ in range(6)] == [True] * 4 + [False] * 2
    assert count.admit("192.0.2.2") and len(count) == 5
    count.release("192.0.2.1")
    assert count.admit("192.0.2.1")


def test_there_is_room_for_files_beside_connections() -> None:
    assert 128 <= max_connections() <= 4096


def test_an_answer_that_nobody_reads_ends(server: tuple[CheckedBlocks, str], few: OpenConnections) -> None:
    few.unread_s, few.head_s = 0.5, 30
    demo, url = server
    place = demo.folder.new_place("large.csv")
    with place.open("wb") as file:
        file.truncate(2**27)  # more than the buffers of any system take
    with connect(url) as lazy:
        lazy.settimeout(60)
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.sendall(f"GET /gradio_api/file={place} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert lazy.recv(12) == b"HTTP/1.1 200", "a busy machine takes a while to begin"
        until = time.monotonic() + 120
        while len(few) and time.monotonic() < until:
            time.sleep(0.05)
        assert not len(few), "the server has let go of the connection"
    place.unlink()
    assert is_well(url)


def test_a_form_has_few_files(server: tuple[CheckedBlocks, str]) -> None:
    one = b'--eeeeeeee\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\na\r\n'
    answer = httpx.post(
        f"{server[1]}gradio_api/upload",
        content=one * 40 + b"--eeeeeeee--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=eeeeeeee"},
    )
    assert answer.status_code == 413 and "32" in answer.text


def test_a_byte_after_the_answer_starts_no_new_patience(
    server: tuple[CheckedBlocks, str], few: OpenConnections
) -> None:
    with connect(server[1]) as odd:
        odd.sendall(REFUSED)
        assert odd.recv(4096).startswith(b"HTTP/1.1 405")
        odd.sendall(b"x")
        begun = time.monotonic()
        while odd.recv(65536):
            pass
        assert time.monotonic() - begun < 5


def test_addresses_of_one_network_count_as_one() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff") != network_of("2001:db8:1::1")


@pytest.mark.parametrize(
    ("said", "meant"),
    [("192.0.2.1:4711", "192.0.2.1"), ("[2001:db8::1]:80", "2001:db8::1"), ("[2001:db8::1]", "2001:db8::1")],
)
def test_a_port_behind_an_address_makes_no_other_client(said: str, meant: str) -> None:
    assert network_of(said) == network_of(meant)
