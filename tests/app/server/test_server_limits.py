"""The limits of the settings as a running server has them: they must reach what stands before Gradio."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from app.server import settings
from app.server.settings import Settings
from tests.helpers.app_parts import make_state, running

SEARCH = "/gradio_api/call/search"
PROXY = "198.51.100.3"  # the outer one, as the inner one sees it
ASKED = json.dumps({"data": ["a road"]}).encode()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server behind two proxies that lets a client ask twice a minute.

    Two, because Uvicorn itself believes one that stands on this machine, whatever we say.
    """
    before = settings.in_force()
    settings.use(Settings(requests_per_minute=2, trust_proxy=2, max_upload_mb=1))
    try:
        with running(make_state(tmp_path_factory.mktemp("limits"))) as address:
            yield address
    finally:
        settings.use(before)


def post(url: str, path: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what a POST is answered with."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        told = {"Content-Type": "application/json"} | {name.replace("_", "-"): said for name, said in headers.items()}
        connection.request("POST", path, body, told)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_the_server_counts_each_client_behind_its_proxies(url: str) -> None:
    answers = [post(url, SEARCH, ASKED, X_Forwarded_For=f"192.0.2.7, {PROXY}") for _ in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 429]
    assert all(json.loads(body)["event_id"] for _, _, body in answers[:2])
    _, headers, body = answers[2]
    assert 1 <= int(headers["retry-after"]) <= 30  # half a minute for one request
    assert b"wait a moment" in body
    assert post(url, SEARCH, ASKED, X_Forwarded_For=f"192.0.2.8, {PROXY}")[0] == 200, "another client has not asked yet"
    made_up = f"192.0.2.9, 192.0.2.7, {PROXY}"  # what a client says of itself stands before what the proxies saw
    assert post(url, SEARCH, ASKED, X_Forwarded_For=made_up)[0] == 429


def test_the_server_lets_no_upload_in_that_is_larger_than_its_files_may_be(url: str) -> None:
    size = str(10 * 2**20)  # said, and not sent
    status, _, body = post(url, "/gradio_api/upload", b"", Content_Length=size, X_Forwarded_For=f"192.0.2.10, {PROXY}")
    assert status == 413 and b"over the limit of 9 MB" in body
