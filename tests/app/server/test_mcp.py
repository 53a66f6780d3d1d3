"""The endpoints as language models see them: a real MCP client over HTTP."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent
from PIL import Image

from app.build import build, serve
from app.media.images import data_url
from app.search import api as search_api
from app.server import settings, tool_calls
from app.server.encoder_queue import STOP
from app.server.tool_calls import MAX_CALLS_EACH
from app.server.upload_folder import own_folder
from lrsclip.errors import Cancelled
from tests.helpers.app_parts import draw_tile, make_state

SECRET = "SECRET CAMERA"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    demo = build(make_state(tmp_path_factory.mktemp("mcp")))
    yield serve(demo, host="127.0.0.1", port=None, block=False, mcp=True)
    demo.close(verbose=False)


def said(answer: CallToolResult) -> str:
    return "".join(part.text for part in answer.content if isinstance(part, TextContent))


def used(url: str, *calls: tuple[str, dict[str, Any]]) -> tuple[set[str], list[CallToolResult]]:
    """Names of the tools, and the answers to some calls of them."""

    async def use() -> tuple[set[str], list[CallToolResult]]:
        address = f"{url}gradio_api/mcp/"
        async with streamable_http_client(address) as (read, write, _), ClientSession(read, write) as client:
            await client.initialize()
            tools = {tool.name for tool in (await client.list_tools()).tools}
            return tools, [await client.call_tool(name, values) for name, values in calls]

    return asyncio.run(use())


def judge(picture: str) -> tuple[str, dict[str, Any]]:
    return "classify", {"picture": picture, "labels": "a\nb", "templates": "{}"}


def test_a_client_has_a_few_calls_at_work_and_no_thread_waits_for_them(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, begun = threading.Event(), threading.Semaphore(0)
    real = vars(search_api)["found_of"]

    def slow(*args: Any, **values: Any) -> Any:
        begun.release()
        go_on.wait(60)
        return real(*args, **values)

    monkeypatch.setattr(search_api, "found_of", slow)

    async def rush() -> list[CallToolResult]:
        address = f"{url}gradio_api/mcp/"
        async with streamable_http_client(address) as (read, write, _), ClientSession(read, write) as client:
            await client.initialize()
            calls = [asyncio.create_task(client.call_tool("search", {"text": f"road {n}"})) for n in range(12)]
            refused, _ = await asyncio.wait(calls, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0.5)
            assert httpx.get(f"{url}health", timeout=30).status_code == 200 and refused
            go_on.set()
            return list(await asyncio.gather(*calls))

    answers = asyncio.run(rush())
    refused = [answer for answer in answers if answer.isError]
    assert len(refused) == 12 - MAX_CALLS_EACH and all("too many calls" in said(answer) for answer in refused)


def test_the_call_of_a_model_that_has_gone_is_ended(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, begun = threading.Event(), threading.Event()

    def slow(*_: Any, **__: Any) -> Any:
        begun.set()
        for _moment in range(600):
            if (stop := STOP.get()) is not None and stop.is_set():
                stopped.set()
                raise Cancelled("its caller has gone")
            time.sleep(0.05)

    monkeypatch.setattr(search_api, "found_of", slow)
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    for extra in ({}, {"_meta": {"progressToken": 7}}):  # with the progress told, and without
        stopped.clear()
        begun.clear()
        body = {**asked, "params": {"name": "search", "arguments": {"text": "a road"}, **extra}}
        head = {"Accept": "application/json, text/event-stream"}
        with httpx.stream("POST", f"{url}gradio_api/mcp/", json=body, headers=head, timeout=30):
            assert begun.wait(30)
        assert stopped.wait(10), "the search went on without its caller"


def test_each_picture_of_a_call_is_charged(tmp_path: Path) -> None:
    settings.use(settings.Settings(requests_per_minute=60))
    demo = build(make_state(tmp_path))
    try:
        url = serve(demo, host="127.0.0.1", port=None, block=False, mcp=True)
        many = {"pictures": [data_url(draw_tile("road", 1), "PNG")] * 30, "labels": "a", "templates": "{}"}
        _, answers = used(url, *[("classify_many", many)] * 2)
        assert not answers[0].isError and "too many pictures" in said(answers[1])
    finally:
        demo.close(verbose=False)
        settings.use(settings.Settings())


def test_a_language_model_lists_the_tools_searches_and_sends_a_picture(url: str) -> None:
    picture = data_url(draw_tile("road", 1), "PNG")
    tools, (found, judged) = used(url, ("search", {"text": "a harbour", "k": 2}), judge(picture))
    assert {"search", "classify", "classify_many", "localize", "grow", "order", "swap", "reword"} == tools
    assert not found.isError and said(found).count("tile_id") == 2
    assert not judged.isError and said(judged).count("score_cos") == 2
    # JSON, as other programs read it: Gradio's own text has single quotes, None and True
    assert [hit["rank"] for hit in json.loads(said(found))["hits"]] == [1, 2] and len(json.loads(said(judged))) == 2


def test_a_language_model_names_no_address_and_no_file(url: str, tmp_path: Path) -> None:
    draw_tile("road", 1).save(tmp_path / "there.png")
    there, absent = str(tmp_path / "there.png"), str(tmp_path / "absent.png")
    _, (address, of_there, of_absent) = used(url, judge(f"{url}theme.css"), judge(there), judge(absent))
    assert address.isError and "fetches no web addresses" in said(address)
    assert of_there.isError and said(of_there).replace(there, "") == said(of_absent).replace(absent, "")


def test_wrong_calls_are_answered_in_words_and_leave_no_trace(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    wrong: tuple[tuple[str, dict[str, Any]], ...] = (
        ("forged\nforged", {}),
        ("search", {"text": ["forged"], "k": {"forged": 1}}),
        ("search", {"forged": "forged\nforged"}),
        ("localize", {"text": "forged", "picture": "forged\nforged", "tile_id": ""}),
    )
    _, answers = used(url, *wrong)
    assert all(answer.isError and said(answer) for answer in answers)
    printed = "".join(capfd.readouterr())
    assert "forged" not in printed and "Traceback" not in printed


def test_a_picture_sent_as_data_leaves_its_metadata_behind(url: str) -> None:
    exif, content = Image.Exif(), io.BytesIO()
    exif[0x010F] = SECRET
    draw_tile("road", 1).save(content, "JPEG", exif=exif)
    assert SECRET.encode() in content.getvalue()
    _, (judged,) = used(url, judge(f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"))
    assert not judged.isError
    root = own_folder()
    served = [path for path in root.root.rglob("*") if path.is_file() and root.drafts not in path.parents]
    assert not [path for path in served if SECRET.encode() in path.read_bytes()]


def test_too_many_pictures_are_refused_before_any_is_taken_in(url: str) -> None:
    before = set(own_folder().root.rglob("*"))
    _, (many,) = used(
        url, ("classify_many", {"pictures": ["data:image/png;base64,AAAA"] * 33, "labels": "a", "templates": "{}"})
    )
    assert many.isError and "too many pictures" in said(many)
    assert set(own_folder().root.rglob("*")) == before


HEAD = {"Accept": "application/json, text/event-stream"}


def test_arguments_are_bounded_by_the_door_and_in_every_schema(url: str) -> None:
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    for name, arguments in (
        ("search", {"text": "x", "bbox": ["x"] * 19_900}),
        ("localize", {"text": "x", "scales_px": [[] for _ in range(9_900)]}),
        ("classify_many", {"pictures": ["x"] * 19_900}),
    ):
        body = {**asked, "params": {"name": name, "arguments": arguments}}
        answer = httpx.post(f"{url}gradio_api/mcp/", json=body, headers=HEAD, timeout=30)
        assert answer.status_code == 400 and "more than 256 parts" in answer.json()["error"]
    _, (box, pictures) = used(
        url, ("search", {"text": "a", "bbox": [1] * 65}), ("classify_many", {"pictures": ["x"] * 33})
    )
    assert box.isError and said(box).startswith("bbox: ") and "too long" in said(box)
    assert pictures.isError and said(pictures).startswith("pictures: ")


def test_arguments_are_checked_once_away_from_the_loop_and_refused_in_a_line(
    url: str, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, check = list[str](), tool_calls._check

    def watched(*given: Any) -> None:
        threads.append(threading.current_thread().name)
        check(*given)

    monkeypatch.setattr(tool_calls, "_check", watched)
    monkeypatch.setattr("jsonschema.validate", lambda *_, **__: pytest.fail("checked in the loop"))
    wrong: tuple[tuple[str, dict[str, Any]], ...] = (
        ("search", {"text": "a", "bbox": ["SECRET"] * 60}),
        ("search", {"text": "a", "SECRET": 1}),
        ("SECRET", {}),
    )
    _, answers = used(url, *wrong)
    assert [said(answer).partition(":")[0] for answer in answers[:2]] == ["bbox.0", "the arguments"]
    assert "there is no tool" in said(answers[2])
    assert len(threads) == 3 and all("worker" in name for name in threads)
    told = [line for line in lines if '"page.' not in line]  # pages of tests before may be closed meanwhile
    assert len(told) == 3 and all('"event": "mcp", "status": "refused"' in line for line in told)
    assert "SECRET" not in "".join(lines)


def test_an_error_does_not_repeat_what_was_sent(url: str) -> None:
    long = "x" * 200_000
    _, answers = used(
        url, (long, {}), ("search", {long: 1}), ("search", {"bbox": [long]}), ("classify", {"picture": long}),
        ("grow", {"tile_id": long}),
    )  # fmt: skip
    assert all(answer.isError and "xxx" in said(answer) and len(said(answer)) < 1_300 for answer in answers)


def test_a_picture_may_have_eight_megabytes_and_a_larger_call_is_refused_in_json(url: str) -> None:
    content = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (1_640, 1_640, 3), dtype=np.uint8)
    Image.fromarray(noise).save(content, "PNG", compress_level=0)
    assert 7.5 < len(content.getvalue()) / 2**20 < 8
    _, (judged,) = used(url, judge(f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"))
    assert not judged.isError, said(judged)
    answer = httpx.post(f"{url}gradio_api/mcp/", content=b" " * 12 * 2**20, headers=HEAD, timeout=30)
    assert answer.status_code == 413 and "11 MB" in answer.json()["error"]


def test_several_pictures_are_taken_and_what_may_be_left_out_is_not_asked_for(url: str) -> None:
    picture = data_url(draw_tile("road", 1), "PNG")
    _, (many, tile) = used(
        url,
        ("classify_many", {"pictures": [picture, picture], "labels": "a\nb", "templates": "{}"}),
        ("localize", {"text": "a road", "tile_id": "road_1.png"}),
    )
    assert not many.isError and said(many).count("score_cos") >= 2, said(many)
    assert not tile.isError, said(tile)


def test_there_are_no_prompts_and_a_made_up_one_calls_nothing(url: str, lines: list[str]) -> None:
    head = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "prompts/get", "params": {"name": "x"}}
    assert httpx.post(f"{url}gradio_api/mcp/", json=asked, headers=head).status_code == 422
    assert len(lines) == 1 and '"code": 422' in lines[0]


def test_pictures_of_language_models_are_charged_to_them_and_not_to_this_machine(tmp_path: Path) -> None:
    settings.use(settings.Settings(requests_per_minute=20))
    demo = build(make_state(tmp_path))
    try:
        url = serve(demo, host="127.0.0.1", port=None, block=False, mcp=True)
        picture = data_url(draw_tile("road", 1), "PNG")
        _, answers = used(url, *[judge(picture)] * 6)  # with its own uploads and calls these would be 30
        assert not any(answer.isError for answer in answers), [said(answer) for answer in answers]
        assert "language models" in own_folder()._senders.values()
    finally:
        demo.close(verbose=False)
        settings.use(settings.Settings())


def test_half_a_character_is_no_trouble(url: str) -> None:
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    body = b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "ping"}'
    answer = httpx.post(f"{url}gradio_api/mcp/", content=body, headers=headers, timeout=30)
    assert answer.status_code < 500 and answer.content
