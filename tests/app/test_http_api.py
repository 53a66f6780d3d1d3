"""Plain HTTP for programs: curl suffices, OpenAPI describes it, and it has the limits of all other calls."""

from __future__ import annotations

import asyncio
import base64
import io
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from pydantic import BaseModel

from app import http_api
from app.collections import AppState
from app.search import api as search_api
from app.search.service import Query, search
from app.server import settings
from app.server.fair_work import HTTP_CALLS
from app.server.upload_folder import own_folder
from tests.helpers.app_parts import landscape_state, running

DOC = Path(__file__).resolve().parents[2] / "docs/api.md"
NAMES = {"search", "classify", "classify_many", "localize", "grow", "order", "swap", "reword"}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    """An app over nine rendered tiles, with random weights."""
    return landscape_state(tmp_path_factory.mktemp("atlas"), 9)


@pytest.fixture(scope="module")
def api(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{url}api/v1/", timeout=60) as client:
        yield client


def picture(side: int = 64, color: str = "green") -> str:
    out = io.BytesIO()
    Image.new("RGB", (side, side), color).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def test_a_search_is_that_of_the_page(api: httpx.Client, state: AppState) -> None:
    answer = api.post("search", json={"text": "a pond in a meadow", "k": 3})
    assert answer.status_code == 200
    hits = search(state, Query("a pond in a meadow", k=3, hide_duplicates=False)).hits
    assert [hit["tile_id"] for hit in answer.json()["hits"]] == [hit.tile_id for hit in hits]
    liked = api.post("search", json={"picture": f"data:image/png;base64,{picture()}", "k": 2}).json()
    assert len(liked["hits"]) == 2


def test_every_endpoint_answers(api: httpx.Client, state: AppState) -> None:
    tile, many = state.tile_ids()[0], state.tile_ids()
    assert api.post("classify", json={"picture": picture()}).json()[0].keys() == {"label", "score_cos", "probability"}
    rows = api.post("classify_many", json={"pictures": [picture(), base64.b64encode(b"no").decode()]}).json()
    assert [bool(row["problem"]) for row in rows] == [False, True]
    dense = api.post("localize", json={"text": "a road", "tile_id": tile}).json()
    assert dense["method"] == "dense"
    assert api.post("localize", json={"text": "a road", "picture": picture(200)}).json()["width_px"] == 200
    assert api.post("grow", json={"tile_id": tile}).json()["tiles"] == len(many)
    assert len(api.post("order", json={"tile_id": tile}).json()["orders"]) == 4
    swapped = {"tile_id": tile, "true_text": "a road", "false_text": "no road"}
    assert api.post("swap", json=swapped).json()["alone"]["true_text"] == "a road"
    reworded = api.post("reword", json={"tile_id": tile, "text": "a road", "again": "a street"}).json()
    assert [one["text"] for one in reworded["texts"]] == ["a road", "a street"] and reworded["alike_cos"] < 1


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("search", {"text": "a pond", "k": 0}, "k is 0; ask for 1 to 300"),
        ("search", {"text": "a pond", "k": "many"}, "k: Input should be a valid integer"),
        ("search", {"text": ["a pond"]}, "text: Input should be a valid string"),
        ("search", {"txt": "a pond"}, "txt: Extra inputs are not permitted"),
        ("search", {"text": "a" * 200_001}, "text: String should have at most"),
        ("search", {"picture": "///"}, "picture is no base64"),
        ("search", {"picture": "/etc/passwd"}, "picture is no base64"),
        ("search", {"picture": {"path": "/etc/passwd"}}, "picture: Input should be a valid string"),
        ("search", {"picture": base64.b64encode(b"no picture").decode()}, "the upload is no"),
        ("search", {}, "the description is empty"),
        ("localize", {"text": "a road"}, "there is neither picture nor tile_id; give one of them"),
        ("localize", {}, "text: Field required"),
        ("grow", {}, "tile_id: Field required"),
        ("grow", {"tile_id": "nowhere"}, "no tile 'nowhere'"),
        ("classify", {}, "there is neither picture nor tile_id; give one of them"),
        ("classify_many", {"pictures": ["QQ=="] * 33}, "pictures: List should have at most 32"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_that_names_the_parameter(
    api: httpx.Client, name: str, body: dict[str, Any], says: str
) -> None:
    answer = api.post(name, json=body)
    assert answer.status_code == 422
    assert says.lower() in answer.json()["error"].lower()
    assert "/etc" not in answer.text


def test_lists_are_short_and_read_up_to_their_first_fault(api: httpx.Client) -> None:
    long = api.post("search", json={"text": "a", "bbox": ["x"] * 19_990})
    assert long.status_code == 400 and "more than 256 parts" in long.json()["error"]
    for name, body in (
        ("search", {"text": "a", "bbox": [1.0] * 65}),
        ("localize", {"text": "a", "scales_px": [9] * 65}),
    ):
        assert "at most 64 items" in api.post(name, json=body).json()["error"]
    faults = api.post("search", json={"text": "a", "bbox": ["x"] * 60}).json()["error"]
    assert faults.startswith("bbox.0: Input should be a valid number") and ";" not in faults


def test_values_are_read_away_from_the_loop_that_answers_everybody(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, read = list[str](), http_api._read

    def watched(model: type[BaseModel], body: bytes) -> BaseModel:
        threads.append(threading.current_thread().name)
        return read(model, body)

    monkeypatch.setattr(http_api, "_read", watched)
    assert api.post("search", json={"text": ["a"]}).status_code == 422
    assert len(threads) == 1 and "worker" in threads[0]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("search", {"x" * 1_000_000: 1}),
        ("search", {"text": "a", "like": "x" * 190_000}),
        ("grow", {"tile_id": "x" * 190_000}),
        ("localize", {"text": "a", "tile_id": "x" * 190_000}),
        ("localize", {"text": "a", "method": "x" * 190_000, "tile_id": "a"}),
    ],
)
def test_an_error_does_not_repeat_what_was_sent(api: httpx.Client, name: str, body: dict[str, Any]) -> None:
    answer = api.post(name, json=body)
    assert answer.status_code == 422 and "xxx" in answer.text and len(answer.text) < 1_300


def test_every_refusal_is_one_line_and_one_sentence(
    api: httpx.Client, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, body, status in (
        ("search", {"text": 1}, 422),
        ("search", {"text": "SECRET", "picture": "é"}, 422),
        ("search", {"text": "SECRET", "k": 0}, 422),
        ("nothing", {"text": "SECRET"}, 404),
    ):
        lines.clear()
        answer = api.post(name, json=body)
        assert answer.status_code == status and answer.json()["error"]
        (line,) = lines
        assert '"refused"' in line and "SECRET" not in line
    lines.clear()
    with monkeypatch.context() as patch:
        patch.setattr(http_api, "_MOST_EACH", 0)
        assert api.post("search", json={"text": "a"}).status_code == 429 and '"http.search"' in lines[0]
    lines.clear()
    with monkeypatch.context() as patch:
        patch.setattr(http_api, "take_in", lambda *_: 1 / 0)
        assert api.post("search", json={"picture": picture()}).status_code == 500
    (line,) = lines
    assert '"failed"' in line and "ZeroDivisionError" in line and "test_http_api.py:" in line


def test_three_clients_do_not_shut_out_others(state: AppState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_IN_FORCE", [settings.Settings(trust_proxy=1)])
    go_on, real = threading.Event(), vars(search_api)["found_of"]

    def slow(state: AppState, query: Query) -> Any:
        if query.text == "slow":
            go_on.wait(60)
        return real(state, query)

    monkeypatch.setattr(search_api, "found_of", slow)

    async def rush(url: str) -> tuple[list[int], int, str]:
        async with httpx.AsyncClient(base_url=f"{url}api/v1/", timeout=60) as client:

            async def ask(text: str, who: str) -> httpx.Response:
                return await client.post("search", json={"text": text}, headers={"X-Forwarded-For": who})

            slow = [asyncio.create_task(ask("slow", f"192.0.2.{n % 3}")) for n in range(48)]
            while HTTP_CALLS.waiting < 48:
                ended = [task.result().text for task in slow if task.done()]
                assert not ended, ended
                await asyncio.sleep(0.05)
            other = [(await ask("a road", f"192.0.2.{n}")).status_code for n in range(10, 14)]
            own = await ask("a road", "192.0.2.0")
            go_on.set()
            answers = await asyncio.gather(*slow)
            return other, sum(answer.status_code == 503 for answer in answers), own.text

    try:
        with running(state) as url:
            other, pushed_out, own = asyncio.run(rush(url))
    finally:
        go_on.set()
    assert other == [200] * 4
    assert 1 <= pushed_out <= 5 and "wait" in own


def test_each_picture_of_a_call_is_charged_before_any_is_taken_in(
    state: AppState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "_IN_FORCE", [settings.Settings(requests_per_minute=40)])
    with running(state) as url:
        body = {"pictures": [picture(8)] * 32, "labels": "a", "templates": "{}"}
        first = httpx.post(f"{url}api/v1/classify_many", json=body, timeout=60)
        monkeypatch.setattr(http_api, "take_in", lambda *_: pytest.fail("it was taken in"))
        second = httpx.post(f"{url}api/v1/classify_many", json=body, timeout=60)
    assert first.status_code == 200 and len(first.json()) == 32
    assert second.status_code == 429 and "too many pictures" in second.json()["error"]
    assert int(second.headers["Retry-After"]) > 1


def test_other_doors_are_closed(api: httpx.Client) -> None:
    assert api.get("search").status_code == 405
    assert api.post("nothing", json={}).status_code in (404, 405)
    assert api.get("docs").status_code in (404, 405)
    assert api.post("search", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert api.post("search", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert api.post("search", content=b"[1]", headers={"Content-Type": "application/json"}).status_code == 422
    foreign = api.post("search", json={"text": "a"}, headers={"Origin": "https://elsewhere.example"})
    assert foreign.status_code in (200, 403)


def test_openapi_describes_every_endpoint_in_words(api: httpx.Client) -> None:
    told = api.get("openapi.json").json()
    assert {path.removeprefix("/") for path in told["paths"]} == NAMES
    for name, body in told["components"]["schemas"].items():
        if not name.endswith("Body"):
            continue
        for field, facts in body["properties"].items():
            assert facts.get("description"), f"{name}.{field} says nothing"
    assert told["paths"]["/search"]["post"]["description"].startswith("Find the tiles")


def test_a_picture_that_was_sent_leaves_nothing(api: httpx.Client) -> None:
    before = {path for path in own_folder().root.rglob("*") if path.is_file()}
    assert api.post("classify", json={"picture": picture()}).status_code == 200
    assert {path for path in own_folder().root.rglob("*") if path.is_file()} == before


def test_calls_are_charged_like_all_others(state: AppState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_IN_FORCE", [settings.Settings(requests_per_minute=3)])
    with running(state) as url:
        codes = [httpx.post(f"{url}api/v1/search", json={"text": "a pond"}).status_code for _ in range(6)]
    assert codes[0] == 200
    assert codes[-1] == 429


def test_the_examples_of_the_documentation_run_as_they_stand(url: str, state: AppState, tmp_path: Path) -> None:
    section = DOC.read_text(encoding="utf-8").partition("## Over HTTP")[2]
    examples = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    draw = Image.new("RGB", (128, 128), "gray")
    draw.save(tmp_path / "scene.jpg")
    seen = set()
    for example in examples:
        script = example.replace("http://127.0.0.1:7860/", url).replace("r003c008", state.tile_ids()[0])
        ran = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
        assert '"error"' not in ran.stdout, ran.stdout
        seen |= set(re.findall(r"api/v1/(\w+)", script))
    assert seen >= NAMES
    assert shlex.split(examples[0])[0] == "curl"
