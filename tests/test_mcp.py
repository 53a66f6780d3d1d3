"""The endpoints as language models see them: a real MCP client over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import CallToolResult, TextContent

from app.pages import build, serve
from app.pictures import data_url
from tests.app_parts import draw_tile, make_state


def said(answer: CallToolResult) -> str:
    return "".join(part.text for part in answer.content if isinstance(part, TextContent))


async def used(url: str) -> tuple[set[str], CallToolResult, CallToolResult, CallToolResult]:
    async with streamablehttp_client(f"{url}gradio_api/mcp/") as (read, write, _), ClientSession(read, write) as client:
        await client.initialize()
        tools = {tool.name for tool in (await client.list_tools()).tools}
        found = await client.call_tool("search", {"text": "a harbour", "k": 2})
        named = await client.call_tool("classify", {"picture": f"{url}theme.css", "labels": "a\nb", "templates": "{}"})
        picture = {"picture": data_url(draw_tile("road", 1), "PNG"), "labels": "a\nb", "templates": "{}"}
        judged = await client.call_tool("classify", picture)
    return tools, found, named, judged


def test_a_language_model_lists_the_tools_and_searches_but_names_no_address(tmp_path: Path) -> None:
    demo = build(make_state(tmp_path))
    url = serve(demo, host="127.0.0.1", port=None, block=False, mcp=True)
    try:
        tools, found, named, judged = asyncio.run(used(url))
    finally:
        demo.close()
    assert {"search", "classify", "classify_many", "localize", "grow", "order", "swap"} == tools
    assert not found.isError and said(found).count("tile_id") == 2
    assert named.isError and "fetches no web addresses" in said(named)
    assert not judged.isError and said(judged).count("score_cos") == 2
