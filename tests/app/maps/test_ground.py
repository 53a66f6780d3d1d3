"""Squares of maps behind the front door: whose are kept, and what one costs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette

import lrsclip
from app.collections import AppState, Collections
from app.maps import ground
from app.maps.world import draw_square
from app.server.callers import Callers
from app.server.fair_work import FairWork
from app.server.front_door import FrontDoor, Known, Limits
from app.server.upload_folder import own_folder
from lrsclip.index import build_index
from lrsclip.tiles import open_tiles

MINE, OTHER = "192.0.2.1", "192.0.2.2"
Ask = Callable[[str, str], Any]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    """An app over one picture in the Gulf of Guinea."""
    folder = tmp_path_factory.mktemp("ground")
    (folder / "tiles").mkdir()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(folder / "tiles" / "0.5_0.5.png")
    source, bundle = open_tiles(str(folder / "tiles")), lrsclip.random_model()
    return AppState(bundle, build_index(source, bundle, folder / "index"), source)


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> FairWork:
    """The line of squares to be drawn, of this test's own loop."""
    line = FairWork(at_once=2, of_one_client=1)
    monkeypatch.setattr(ground, "DRAWING", line)
    return line


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, drawing: FairWork) -> list[tuple[int, int, int]]:
    """The squares of the world that are drawn, in a store that is empty at first."""
    squares: list[tuple[int, int, int]] = []

    def noted(zoom: int, x: int, y: int) -> Image.Image:
        squares.append((zoom, x, y))
        return draw_square(zoom, x, y)

    monkeypatch.setattr(ground, "draw_square", noted)
    monkeypatch.setattr(ground, "_SQUARES", type(ground._SQUARES)(40_000))  # room for some fifty
    return squares


def asking(state: AppState, work: Callable[[Ask], Any], per_minute: int = 100_000) -> Any:
    """Do something with a function that asks for a square, `<ground>/<zoom>/<x>/<y>`, as a client."""
    known = Known(
        frozenset(), frozenset(), own_folder(), Callers(), waiting=lambda: [], unread=lambda _: 0
    )  # fmt: skip
    app = Starlette(routes=[ground.ground_route(Collections(state))])
    door = FrontDoor(app, limits=Limits(per_minute, 2**20, proxies=1), known=known)

    async def run() -> Any:
        transport = httpx.ASGITransport(app=door)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:

            async def ask(square: str, who: str) -> httpx.Response:
                return await client.get(f"/ground/{square}.webp", headers={"x-forwarded-for": who})

            return await work(ask)

    return asyncio.run(run())


def test_a_flood_of_one_client_costs_no_other_its_squares(state: AppState, drawn: list[tuple[int, int, int]]) -> None:
    async def flood(ask: Ask) -> None:
        own = [f"world/8/{x}/90" for x in range(100, 108)]
        for square in own:
            assert (await ask(square, OTHER)).status_code == 200
        for number in range(120):
            assert (await ask(f"world/11/{number}/700", MINE)).status_code == 200
        drawn.clear()
        for square in own:
            assert (await ask(square, OTHER)).status_code == 200
        assert drawn == []
        await ask("world/11/0/700", MINE)
        assert drawn == [(11, 0, 700)], "its own first one has gone"

    asking(state, flood)


def test_the_world_from_afar_is_kept_for_good(state: AppState, drawn: list[tuple[int, int, int]]) -> None:
    async def flood(ask: Ask) -> None:
        for square in ("world/0/0/0", "world/5/16/11"):
            await ask(square, MINE)
        for number in range(120):
            await ask(f"world/11/{number}/700", MINE)
        drawn.clear()
        for square in ("world/0/0/0", "world/5/16/11"):
            await ask(square, OTHER)
        assert drawn == []

    asking(state, flood)


@pytest.mark.usefixtures("drawn")
def test_a_square_that_must_be_drawn_costs_more_than_one_that_is_kept(state: AppState) -> None:
    async def spend(ask: Ask) -> None:
        answers = [await ask(f"world/9/{number}/200", MINE) for number in range(20)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert 10 <= sum(answer.status_code == 200 for answer in answers) <= 14, "0.3 of 3 requests each"
        assert len(refused) >= 6 and all("retry-after" in answer.headers for answer in refused)
        assert [(await ask("world/9/0/200", OTHER)).status_code for _ in range(25)] == [200] * 25
        own = ground.ground_key(state)
        assert (await ask(f"{own}/3/4/3", "192.0.2.3")).status_code == 200
        assert [(await ask(f"{own}/3/4/3", "192.0.2.3")).status_code for _ in range(25)] == [200] * 25

    asking(state, spend, per_minute=3)


def test_a_kept_square_waits_behind_no_drawing(
    state: AppState, drawn: list[tuple[int, int, int]], drawing: FairWork
) -> None:
    async def behind(ask: Ask) -> None:
        await ask("world/8/100/90", MINE)
        let_go = threading.Event()
        slow = [asyncio.create_task(drawing.run(who, lambda: let_go.wait(20))) for who in (MINE, OTHER)]
        await asyncio.sleep(0.1)
        try:
            answer = await asyncio.wait_for(ask("world/8/100/90", MINE), 10)
        finally:
            let_go.set()
            await asyncio.gather(*slow)
        assert answer.status_code == 200 and len(drawn) == 1

    asking(state, behind)
