"""The app as a service: limits, health, what files can be read, what is logged, how it is set."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from app import cli
from app.collections import AppState
from app.media.images import check_pixels, uploaded
from app.media.scene_input import opened_upload
from app.server import settings
from app.server.callers import Callers
from app.server.events import for_page, for_programs
from app.server.front_door import FrontDoor, Known, Limits
from app.server.rate_limit import Buckets, client_of
from app.server.settings import SettingError, Settings
from app.server.upload_folder import Upload, own_folder
from lrsclip.errors import Busy, PictureError, TextError
from tests.helpers.app_parts import KINDS, PER_KIND, as_sent, make_state, running

ROOT = Path(__file__).resolve().parents[3]
ASKED = b'{"data": ["a road"]}'
JOINED = b'{"data": ["a road"], "fn_index": 0, "session_hash": "me"}'
SECRET = "my secret <garden> of 7 white boats"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    return make_state(tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="module")
def url(state: AppState) -> Iterator[str]:
    settings.use(Settings(max_upload_mb=1, max_text=500, max_pixels=90_000))
    try:
        with running(state) as address:
            yield address
    finally:
        settings.use(Settings())


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


def ask(url: str, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """One request with the path as it is, dots and all."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


# settings


def test_settings_come_from_the_environment_and_the_command_line_wins() -> None:
    read = Settings.from_environment(
        {"LRSCLIP_TILES": "atlas:?seed=5", "LRSCLIP_PORT": "8000", "LRSCLIP_LOG": "yes", "LRSCLIP_MAX_TEXT": " "}
    )
    assert (read.tiles, read.port, read.log, read.max_text) == ("atlas:?seed=5", 8000, True, 10_000)
    args = cli._parser(read).parse_args(["--port", "9000"])
    assert (args.port, args.tiles, args.log) == (9000, "atlas:?seed=5", True)
    assert Settings.from_environment({}) == Settings()


def test_a_space_listens_to_all() -> None:
    on_space = Settings.from_environment({"SPACE_ID": "someone/something"})
    assert (on_space.host, on_space.port, on_space.log) == ("0.0.0.0", 7860, True)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("LRSCLIP_PORT", "http", "LRSCLIP_PORT is 'http'; give a whole number"),
        ("LRSCLIP_PORT", "70000", "LRSCLIP_PORT is 70000; give a number from 1 to 65,535"),
        ("LRSCLIP_LOG", "perhaps", "LRSCLIP_LOG is 'perhaps'; give 1 or 0"),
        ("LRSCLIP_MAX_PIXELS", "-1", "LRSCLIP_MAX_PIXELS is -1"),
    ],
)
def test_a_bad_value_is_named(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingError, match=re.escape(says)):
        Settings.from_environment({name: value})
    monkeypatch.setenv(name, value)
    assert cli.main([]) == 2
    assert says in capsys.readouterr().err


def test_every_setting_is_told_on_the_deployment_page() -> None:
    page = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    for name in Settings.__dataclass_fields__:
        assert f"`LRSCLIP_{name.upper()}`" in page


def test_mcp_without_its_package_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda _: None)
    assert cli.main(["--mcp"]) == 2
    assert "pip install 'gradio[mcp]'" in capsys.readouterr().err


# health


def test_health_tells_model_index_and_versions(url: str, state: AppState) -> None:
    status, body = ask(url, "GET", "/health")
    told = json.loads(body)
    assert (status, told["status"]) == (200, "ok")
    assert told["model"]["sha256"] == state.bundle.sha256
    assert told["index"] == {"tiles": len(KINDS) * PER_KIND}
    assert told["queue"]["waiting"] == 0
    assert set(told["versions"]) == {"lrsclip", "gradio", "torch", "faiss"}
    assert told["uptime_s"] >= 0
    assert ask(url, "HEAD", "/health")[0] == 200
    assert str(Path(state.source.spec.removeprefix("folder:"))) not in body.decode()


# limits


def test_a_bucket_empties_and_fills_again() -> None:
    now = [0.0]
    buckets = Buckets(60, clock=lambda: now[0])
    assert all(buckets.wait_s("a") == 0 for _ in range(60))
    assert buckets.wait_s("a") == pytest.approx(1.0)
    assert buckets.wait_s("b") == 0, "one client's haste is not another's"
    now[0] = 1.5
    assert buckets.wait_s("a") == 0
    assert buckets.wait_s("a") > 0
    assert Buckets(0).wait_s("a", 1e9) == 0


def test_clients_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.server.rate_limit._MAX_CLIENTS", 5)
    buckets = Buckets(60)
    for number in range(50):
        buckets.wait_s(str(number))
    assert len(buckets) == 5


def test_only_a_proxy_of_ours_says_who_asks() -> None:
    scope: dict[str, Any] = {
        "client": ("192.0.2.1", 1),
        "headers": [(b"x-forwarded-for", b"made up, 198.51.100.7"), (b"X-Forwarded-For", b"203.0.113.9")],
    }
    assert client_of(scope, 0) == "192.0.2.1"
    assert client_of(scope, 1) == "203.0.113.9"
    assert client_of(scope, 2) == "198.51.100.7"
    assert client_of(scope, 5) == "192.0.2.1"
    near, same, far = (
        client_of({"client": (address, 1), "headers": []}, 0)
        for address in ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", "2001:db8:0:2::1")
    )
    assert near == same != far, "a client has a whole network of IPv6"


def test_strangers_may_come_through_a_proxy() -> None:
    usual, behind = Settings(), Settings(trust_proxy=1)
    assert cli.only_own("127.0.0.1", False, usual)
    assert not cli.only_own("127.0.0.1", False, behind)
    assert not cli.only_own("0.0.0.0", False, usual) and not cli.only_own("127.0.0.1", True, usual)


@pytest.mark.parametrize("door", ["deep_link?session_hash=x", "process_recording", "vibe-edit"])
def test_doors_that_no_page_uses_are_closed(url: str, door: str) -> None:
    for method in ("GET", "POST"):
        status, body = ask(url, method, f"/gradio_api/{door}")
        assert status == 404 and b"there is nothing here" in body


@pytest.mark.parametrize("way", ["run", "api"])
def test_no_call_goes_past_the_queue(url: str, way: str) -> None:
    asked = b'{"data": ["a road"]}'
    status, body = ask(url, "POST", f"/gradio_api/{way}/search", asked, content_type="application/json")
    assert status == 404 and b"join the queue" in body


def test_a_program_hears_what_is_wrong_with_a_value(client: Client) -> None:
    with pytest.raises(AppError, match="text is a list; give a text"):
        client.predict(["a road"], api_name="/search")


def answers_of(door: FrontDoor, path: str, chunks: list[bytes], **headers: str) -> list[Any]:
    """What is sent for a POST."""
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = {"host": "127.0.0.1", "content_type": "application/json"} | headers
    told = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": told, "client": ("192.0.2.1", 1)}
    asyncio.run(door(scope, receive, send))
    return sent


def door_of(per_minute: int, max_upload_bytes: int, **limits: Any) -> FrontDoor:
    """What stands before an app of one function, `search`, which only reads."""
    known = Known(frozenset({0}), frozenset({"search"}), own_folder(), Callers())
    return FrontDoor(reader, limits=Limits(per_minute, max_upload_bytes, **limits), known=known)


async def reader(_scope: Any, receive: Any, send: Any) -> None:
    """An app that reads all it is sent, and tells how that ended."""
    while (message := await receive())["type"] == "http.request" and message["more_body"]:
        pass
    await send({"type": message["type"]})


def test_too_many_requests_are_refused_and_told_when_to_come_back() -> None:
    guard = door_of(2, 100)
    sent = [answers_of(guard, "/gradio_api/call/search", [ASKED]) for _ in range(3)]
    assert [one[0].get("status") for one in sent] == [None, None, 429]
    assert dict(sent[2][0]["headers"])[b"retry-after"] == b"30"
    assert b"wait a moment" in sent[2][1]["body"]


def test_large_uploads_count_as_many_requests() -> None:
    guard = door_of(10, 2**30)
    fifth = str(8 * 2**20)
    sent = [answers_of(guard, "/gradio_api/upload", [], content_length=fifth) for _ in range(6)]
    assert [one[0].get("status") for one in sent] == [None] * 5 + [429]
    lone = door_of(10, 2**30)
    assert answers_of(lone, "/gradio_api/upload", [], transfer_encoding="chunked")[0]["status"] == 411


def test_what_is_too_large_is_refused_whether_it_says_so_or_not() -> None:
    guard = door_of(0, 2**20)
    assert answers_of(guard, "/gradio_api/queue/join", [], content_length=str(3 * 2**20))[0]["status"] == 413
    assert answers_of(guard, "/gradio_api/queue/join", [b"x" * 2**20] * 3)[0]["status"] == 413
    assert answers_of(guard, "/gradio_api/queue/join", [b" " * 2**20, JOINED]) == [{"type": "http.request"}]
    assert answers_of(guard, "/gradio_api/upload", [b"x" * 2**20] * 10) == [{"type": "http.disconnect"}]
    assert answers_of(guard, "/gradio_api/upload", [b"x" * 2**20] * 9) == [{"type": "http.request"}]


def test_the_server_s_limits_hold(url: str, client: Client, tmp_path: Path) -> None:
    with pytest.raises(AppError, match="1,000 characters; 500 are the limit"):
        client.predict("x" * 1000, 3, api_name="/search")
    Image.new("RGB", (301, 300)).save(tmp_path / "large.png")
    for name, rest in (("/classify", ()), ("/localize", ("",))):
        told = (handle_file(tmp_path / "large.png"), *rest)
        with pytest.raises(AppError, match="301 x 300 pixels; 90,000 in all are the limit"):
            client.predict(*((*("boats",), *told) if rest else told), api_name=name)
    Image.new("RGB", (301, 300)).save(tmp_path / "large.tif")  # decoded whole where it is no scene
    with pytest.raises(AppError, match="301 x 300 pixels; 90,000 in all are the limit"):
        client.predict(handle_file(tmp_path / "large.tif"), api_name="/classify")
    for by in ("sentences", "clauses"):
        with pytest.raises(AppError, match="1,001 characters; 500 are the limit"):
            client.predict("road_1.png", "a road " * 143, by, api_name="/grow")
    big = io.BytesIO()
    Image.effect_noise((1500, 1500), 90).save(big, "PNG")
    head = b'--eeeeeeee\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n'
    head += b"Content-Type: image/png\r\n\r\n"
    status, _ = ask(
        url, "POST", "/gradio_api/upload", head + big.getvalue() + b"\r\n--eeeeeeee--\r\n",
        content_type="multipart/form-data; boundary=eeeeeeee",
    )  # fmt: skip
    assert status == 413


def test_pixels_are_counted_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (12_000, 12_000)).save(path)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(PictureError, match="12000 x 12000 pixels"):
        check_pixels(path)
    for upload in (Upload(path, "bomb.png"), as_sent(path)):  # also where it was not looked at when it came in
        with pytest.raises(PictureError, match="12000 x 12000 pixels"):
            uploaded(upload)
        with pytest.raises(PictureError, match="12000 x 12000 pixels"), opened_upload(upload):
            pytest.fail("it was opened")
    (tmp_path / "none.png").write_text("no picture")
    check_pixels(tmp_path / "none.png")  # its reader says that


# files and addresses


def test_no_file_outside_the_allowed_folders_is_read(url: str, state: AppState) -> None:
    tile = Path(state.source.spec.removeprefix("folder:")) / "road_1.png"
    assert tile.is_file()
    up = "/".join([".."] * 12)
    for path in (
        "/etc/passwd",
        str(tile),
        f"{up}/etc/passwd",
        f"{ROOT}/app.py",
        f"{ROOT}/app/../README.md",
        "/proc/self/environ",
        "file:///etc/passwd",
        "http://127.0.0.1:1/x",
    ):
        for sent in (path, quote(path, safe=""), path.replace("..", "%2e%2e")):
            for start in ("/gradio_api/file=", "/gradio_api/file/", "/file=", "/static/", "/assets/", "/svelte/"):
                status, body = ask(url, "GET", start + sent)
                assert status in (400, 404), (start + sent, status)
                assert b"root:" not in body and b"LRSCLIP" not in body[:2000], start + sent


@pytest.mark.parametrize("path", ["/etc/passwd", "TILE", "http://127.0.0.1:9/x.png", "https://example.com/x.png"])
def test_a_program_cannot_name_a_file_or_an_address(url: str, state: AppState, path: str) -> None:
    named = str(Path(state.source.spec.removeprefix("folder:")) / "road_1.png") if path == "TILE" else path
    picture = {"path": named, "meta": {"_type": "gradio.FileData"}}
    for name, arguments in (("classify", {"picture": picture}), ("localize", {"text": "a road", "picture": picture})):
        status, body = ask(
            url, "POST", f"/gradio_api/call/v2/{name}", json.dumps(arguments).encode(), content_type="application/json"
        )
        assert status == 200
        answer = ask(url, "GET", f"/gradio_api/call/{name}/{json.loads(body)['event_id']}")[1].decode()
        assert (
            "event: error" in answer
            and "picture: this server holds no such upload, and fetches no web addresses" in answer
        )


# logs


def test_a_call_is_one_line_without_what_was_said(client: Client, lines: list[str]) -> None:
    client.predict(SECRET, 3, api_name="/search")
    with pytest.raises(AppError):
        client.predict(SECRET, 987654321, api_name="/search")
    told = [json.loads(line) for line in lines]
    assert [(one["event"], one["status"]) for one in told] == [("api.search", "ok"), ("api.search", "refused")]
    assert told[1]["error"] == "IndexArgumentError"
    assert all(one["ms"] >= 0 and one["time"] for one in told)
    assert not [line for line in lines if "secret" in line or "boats" in line or "987654321" in line]


def test_a_fault_in_gradio_is_a_line_without_what_was_sent(
    client: Client, lines: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AppError):
        client.predict(SECRET, api_name="/classify")
    (told,) = [json.loads(line) for line in lines]
    assert (told["event"], told["status"], told["error"]) == ("api.classify", "refused", "CallError")
    assert "secret" not in "".join((*lines, *capfd.readouterr()))


def test_what_fails_is_told_by_type_and_place_alone(lines: list[str]) -> None:
    def look() -> None:
        raise RuntimeError(SECRET)

    def wait() -> None:
        raise Busy(SECRET)

    def say() -> None:
        raise TextError(SECRET)

    for function in (look, wait, say):
        with pytest.raises(Exception) as caught:
            for_programs(function)()
        assert function is not look or SECRET not in str(caught.value)
    with pytest.raises(Exception, match="in the log"):
        for_page(look)()
    told = [json.loads(line) for line in lines]
    assert [one["status"] for one in told] == ["failed", "busy", "refused", "failed"]
    assert told[0]["at"].startswith("test_service.py:")
    assert not [line for line in lines if "secret" in line]
