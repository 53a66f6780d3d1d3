"""What stands before Gradio: foreign names, closed doors, bodies that are no calls, a log that nobody else writes."""

from __future__ import annotations

import errno
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from gradio_client import Client
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from app.build import build, serve
from app.server import settings
from app.server.hosts import hosts_of, is_own_page, may_be_asked
from app.server.request_body import BodyError, read_call
from app.server.settings import Settings
from tests.helpers.app_parts import make_state

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on one's own machine, that lets a client ask 30 times a minute."""
    settings.use(Settings(requests_per_minute=30, hosts="tiles.example"))
    demo = build(make_state(tmp_path_factory.mktemp("door")), untrusted=False)
    try:
        yield serve(demo, host="127.0.0.1", port=None, block=False)
    finally:
        demo.close(verbose=False)
        settings.use(Settings())


@pytest.fixture(scope="module")
def open_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server for strangers, who are not counted."""
    settings.use(Settings(requests_per_minute=0))
    demo = build(make_state(tmp_path_factory.mktemp("open")), untrusted=True)
    try:
        yield serve(demo, host="127.0.0.1", port=None, block=False)
    finally:
        demo.close(verbose=False)
        settings.use(Settings())


def ask(url: str, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    """One request as it is written here."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def raw(url: str, request: bytes) -> bytes:
    """The first bytes of what is answered to bytes that need be no HTTP."""
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(4096)


# names


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example", "", "a b", "[::1"]
)
@pytest.mark.parametrize("path", ["/", "/config", "/health", "/gradio_api/info"])
def test_a_foreign_name_is_refused_on_ones_own_machine(url: str, host: str, path: str) -> None:
    status, body = ask(url, "GET", path, host=host)
    assert status in (421, 400) and "components" not in body and "status" not in body


def test_a_foreign_name_is_refused_before_the_old_protocol_and_gradio_look(url: str) -> None:
    for request in (b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.0\r\nOrigin: http://evil.example\r\n\r\n"):
        assert raw(url, request).split()[1] == b"421"
    preflight = (
        b"OPTIONS / HTTP/1.1\r\nHost: evil.example\r\nOrigin: null\r\nAccess-Control-Request-Method: POST\r\n\r\n"
    )
    assert raw(url, preflight).split()[1] == b"421"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:7860", "tiles.example", "10.0.0.7:80"]
)
def test_names_of_this_machine_and_those_allowed_are_answered(url: str, host: str) -> None:
    assert ask(url, "GET", "/health", host=host)[0] == 200


def test_a_server_for_strangers_is_asked_under_any_name(open_url: str) -> None:
    assert ask(open_url, "GET", "/health", host="tiles.example")[0] == 200


def test_a_page_elsewhere_cannot_ask_for_its_visitor(url: str) -> None:
    functions = json.loads(ask(url, "GET", "/config")[1])["dependencies"]
    number = next(one["id"] for one in functions if one["backend_fn"] and not one["queue"] and not one["inputs"])
    body = b'{"data": [], "fn_index": %d, "session_hash": "me"}' % number
    for origin in ("http://evil.example", "null", "http://localhost:1", "http://127.0.0.1.evil.example"):
        status, said = ask(url, "POST", "/gradio_api/run/predict", body, origin=origin, **JSON)
        assert status == 403 and "another server" in said
    own = url.rstrip("/")
    assert ask(url, "POST", "/gradio_api/run/predict", body, origin=own, **JSON)[0] == 200
    assert ask(url, "POST", "/gradio_api/run/predict", body, content_type="text/plain")[0] == 415


@given(st.text(max_size=60))
def test_no_made_up_name_is_taken_for_ours(name: str) -> None:
    if may_be_asked(name, ()):
        bare = name.strip().rsplit(":", 1)[0] if name.strip().count(":") == 1 else name.strip()
        assert (
            bare.strip("[]").rstrip(".").lower().rpartition(".")[2] in ("localhost", *"0123456789")
            or ":" in name
            or (all(part.isdigit() for part in bare.rstrip(".").split(".")))
        )
    assert not may_be_asked(f"{name}.example", ())


def test_hosts_are_read_from_a_setting() -> None:
    assert hosts_of(" A.example, b.example c.example ") == ("a.example", "b.example", "c.example")
    assert hosts_of("") == ()
    assert may_be_asked("whatever", ("*",)) and not may_be_asked("what ever", ("*",))
    assert is_own_page("", "a", ()) and not is_own_page("http://[", "a", ()) and is_own_page("null", "a", ("*",))


# doors

CLOSED = (
    "/monitoring", "/monitoring/", "/monitoring/summary", "/monitoring/x", "/login", "/logout", "/pwa_icon/9", "/user",
    "/gradio_api/proxy=http://127.0.0.1:1/x", "/gradio_api/custom_component/a/client/component/x.js",
    "/gradio_api/token",
    "/gradio_api/component_server", "/gradio_api/openapi.json", "/gradio_api/runs", "/gradio_api/dev/reload",
    "/gradio_api/stream/a/b/1/playlist.m3u8", "/gradio_api/queue/status", "/gradio_api/reset", "/gradio_api/vibe-code",
    "/gradio_api/deep_link", "/gradio_api/process_recording", "/gradio_api/profiling/traces", "/gradio_api/login_check",
    "/gradio_api/call/nothing", "/gradio_api/run/nothing", "/gradio_api/file=/etc/passwd", "/docs", "/redoc",
    "/openapi.json",
    "/gradio_api/run-history/connect", "/gradio_api/call/_checked", "/static/../config", "/assets//x", "//",
    "/config/x",
)  # fmt: skip


@pytest.mark.parametrize("path", CLOSED)
def test_what_no_page_needs_is_closed(open_url: str, path: str) -> None:
    for method in ("GET", "POST"):
        status, body = ask(open_url, method, path, None if method == "GET" else b'{"data": []}', **JSON)
        assert status in (404, 405) and len(body) < 400, (method, path, status, body[:200])


def test_an_odd_method_is_no_way_in(open_url: str) -> None:
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "CONNECTIT"):
        assert ask(open_url, method, "/gradio_api/queue/join", b"{}", **JSON)[0] == 405
    assert ask(open_url, "POST", "/health", b"{}", **JSON)[0] == 405


def test_every_request_counts(url: str) -> None:
    """Reading counts as well as asking; the small files of a page count little."""
    many = [ask(url, "GET", "/config", host="127.0.0.1")[0] for _ in range(40)]
    assert 200 in many and many[-1] == 429
    assert ask(url, "GET", "/gradio_api/info")[0] == 429


def test_headers_that_gradio_fails_at_or_believes_do_not_reach_it(open_url: str) -> None:
    picture = json.loads(ask(open_url, "GET", "/config")[1])
    files = [part for part in json.dumps(picture).split('"') if "/gradio_api/file=" in part]
    path = urlsplit(files[0]).path
    for ranged in ("bytes=0-1,2-3", "bytes=0-1-2", "bytes=\xb2-", "bytes=" + "9" * 5000 + "-", "bytes=9-1", "x"):
        assert ask(open_url, "GET", path, range=ranged)[0] in (200, 206), ranged
    assert ask(open_url, "GET", path, range="bytes=0-9")[0] == 206
    for name in ("evil.example", "[::1", "a b"):
        status, body = ask(open_url, "GET", "/config", x_forwarded_host=name)
        assert status == 200 and name not in json.loads(body)["root"]
    for long in ("/static/" + "a" * 5000, "/gradio_api/file=" + "a" * 9000, "/?q=" + "a" * 20_000):
        assert ask(open_url, "GET", long)[0] in (404, 414)


# bodies


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "no JSON"),
        (b"\xff\xfe", 400, "no JSON"),
        (b"[" * 100_000, 400, "more than 20,000 parts"),
        (b"[" * 9_000, 400, "no JSON"),
        (b'{"data": [' + b"1e5," * 400_000 + b"1]}", 400, "more than 20,000 parts"),
        (b'{"data": ' + b"[" * 40 + b"]" * 40 + b"}", 400, "inside each other"),
        (b"[]", 400, "no JSON object"),
        (b'{"data": [NaN]}', 400, "NaN"),
        (b'{"data": [Infinity]}', 400, "Infinity"),
        (b'{"data": [1e999]}', 400, "too large"),
        (b'{"data": [' + b"9" * 5000 + b"]}", 400, "5,000 digits"),
        (b"{}", 422, "data is no list"),
        (b'{"data": {}}', 422, "data is no list"),
        (b'{"data": []}', 422, "session_hash"),
        (b'{"data": [], "session_hash": "a b"}', 422, "session_hash"),
        (b'{"data": [], "session_hash": ["a"]}', 422, "session_hash"),
        (b'{"data": [], "session_hash": "a"}', 422, "fn_index is no whole number"),
        (b'{"data": [], "session_hash": "a", "fn_index": true}', 422, "fn_index is no whole number"),
        (b'{"data": [], "session_hash": "a", "fn_index": "1"}', 422, "fn_index is no whole number"),
        (b'{"data": [], "session_hash": "a", "fn_index": 99999}', 404, "fn_index is 99999"),
        (b'{"data": [], "session_hash": "a", "fn_index": -1}', 404, "fn_index is -1"),
    ],
)
def test_a_body_that_is_no_call_is_told_which_field_is_wrong(
    open_url: str, body: bytes, status: int, says: str
) -> None:
    answered, said = ask(open_url, "POST", "/gradio_api/queue/join", body, **JSON)
    assert answered == status and says in json.loads(said)["error"]


def test_what_passes_is_written_anew() -> None:
    body = (
        b'{"data": ["\\ud800 a"], "session_hash": "me", "fn_index": 1, "request": {}, "batched": true, "trigger_id": 5}'
    )
    clean = json.loads(read_call(body, "join", {1}, None))
    assert clean == {"data": ["? a"], "session_hash": "me", "fn_index": 1}


@pytest.mark.slow
@example_settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_any_json_ends_as_a_call_or_in_words(value: Any) -> None:
    for kind in ("join", "call", "cancel", "named_call"):
        try:
            json.loads(read_call(json.dumps(value).encode(), kind, {0, 1}, None))
        except BodyError as error:
            assert str(error) and 400 <= error.status < 500


def test_a_body_that_never_comes_is_not_waited_for(open_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.server.front_door._BODY_S", 0.3)
    monkeypatch.setattr("app.server.front_door._IDLE_S", 0.3)
    head = b"POST /gradio_api/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: 99\r\n\r\nhalf"
    assert b" 408 " in raw(open_url, head % (b"queue/join", b"application/json"))
    assert b" 400 " in raw(open_url, head % (b"upload", b"multipart/form-data; boundary=eeeeeeee"))


# values


def test_every_wrong_value_is_named(open_url: str) -> None:
    client = Client(open_url, verbose=False)
    usual: list[Any] = ["a road", 3, "", 0.5, "", None, 0.5, None, None, False]
    wrong: dict[str, list[Any]] = {
        "text is a list; give a text": [["a road"]],
        "k is a list; give a number": ["a road", [3]],
        "k is a truth value; give a number": ["a road", True],
        "k is beyond all measure": ["a road", 10**30],
        "exclude_weight is beyond all measure": ["a road", 3, "", 10**299],
        "hide_duplicates is a text": ["a road", 3, "", 0.5, "", None, 0.5, None, None, "yes"],
        "bbox is a text; give a list": ["a road", 3, "", 0.5, "", None, 0.5, None, "1,2,3,4", False],
        "number 2 of bbox is a text": ["a road", 3, "", 0.5, "", None, 0.5, None, [1, "x", 3, 4], False],
        "picture is a text; upload the file": ["a road", 3, "", 0.5, "", "/etc/passwd", 0.5, None, None, False],
    }
    for says, values in wrong.items():
        full = [*values, *usual[len(values) :]]
        with pytest.raises(Exception, match=says):
            client.submit(*full, api_name="/search").result(timeout=60)


def test_numbers_of_values_are_counted(open_url: str) -> None:
    for values in ([], ["a road"] * 11):
        status, body = ask(open_url, "POST", "/gradio_api/call/search", json.dumps({"data": values}).encode(), **JSON)
        assert status == 200
        event = json.loads(body)["event_id"]
        said = ask(open_url, "GET", f"/gradio_api/call/search/{event}")[1]
        assert f"{len(values)} values were sent for 10 parameters (text, k" in said


# the log


def test_nobody_else_writes_into_the_log(open_url: str, lines: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    forged = (
        "/gradio_api/proxy=http://127.0.0.1:1/%0A%7B%22event%22:%22forged%22%7D",
        "/gradio_api/custom_component/forged/client/component/%0Aforged",
        "/gradio_api/file=/forged%0Aforged",
        "/gradio_api/queue/data?session_hash=forged%0Aforged",
        "/gradio_api/call/search/forged",
        "/%0Aforged",
    )
    for path in forged:
        assert ask(open_url, "GET", path)[0] in (200, 404)
    body = json.dumps({"data": ["forged\nforged"], "fn_index": 10**6, "session_hash": "x"}).encode()
    assert ask(open_url, "POST", "/gradio_api/queue/join", body, **JSON)[0] == 404
    assert ask(open_url, "POST", "/gradio_api/call/v2/search", b'{"forged": "forged"}', **JSON)[0] == 422
    assert (
        ask(open_url, "POST", "/gradio_api/upload", b"forged", content_type="multipart/form-data; boundary=x")[0] == 400
    )
    raw(open_url, b"forged forged forged\r\n\r\n")
    assert len(lines) == len(forged) + 4
    assert all(json.loads(line)["event"] == "request" or "upload" in line for line in lines)
    printed = "".join(capfd.readouterr())
    assert "forged" not in "".join(lines) and "forged" not in printed and "Traceback" not in printed


def test_a_full_disk_is_said(open_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gradio.components.JSON.postprocess", full)
    client = Client(open_url, verbose=False)
    with pytest.raises(Exception, match="disk of this server is full"):
        client.predict("a road", 3, api_name="/search")


def test_a_call_is_one_line_whether_it_is_right_or_wrong(open_url: str, lines: list[str]) -> None:
    client = Client(open_url, verbose=False)
    lines.clear()
    client.predict("a road", 3, api_name="/search")
    for values in (("a road", 999), (["a road"], 3)):
        with pytest.raises(Exception, match=r"give|ask for"):
            client.predict(*values, api_name="/search")
    told = [json.loads(line) for line in lines]
    assert [(one["event"], one["status"]) for one in told] == [("api.search", "ok"), *[("api.search", "refused")] * 2]


def test_the_settings_name_the_hosts() -> None:
    assert Settings.from_environment({"LRSCLIP_HOSTS": "a.example"}).hosts == "a.example"
    assert "LRSCLIP_HOSTS" in (Path(__file__).parents[3] / "docs/deploy.md").read_text(encoding="utf-8")
