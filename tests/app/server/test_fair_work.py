"""The line of calls over plain HTTP: many of a few clients do not shut the others out."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial

import anyio
import pytest

from app.server import settings
from app.server.fair_work import FairWork
from lrsclip.errors import Busy


@pytest.fixture(autouse=True)
def _counted() -> Iterator[None]:
    settings.use(settings.Settings(requests_per_minute=60))
    yield
    settings.use(settings.Settings())


class Rush:
    """Pieces of work that last until they are let go on, and what became of each."""

    def __init__(self, line: FairWork) -> None:
        self.line, self.go_on = line, threading.Event()
        self.begun, self.refused, self.done = list[str](), list[str](), list[str]()

    def _work(self, client: str) -> None:
        self.begun.append(client)
        self.go_on.wait(30)

    async def ask(self, client: str) -> None:
        try:
            await self.line.run(client, partial(self._work, client))
            self.done.append(client)
        except Busy:
            self.refused.append(client)


def test_three_clients_full_shares_let_others_in_and_begin() -> None:
    rush = Rush(FairWork(at_once=12, of_one_client=4, most=48))

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            for client in ("a", "b", "c") * 16:
                tasks.start_soon(rush.ask, client)
            await anyio.sleep(0.2)
            assert Counter(rush.begun) == {"a": 4, "b": 4, "c": 4} and rush.line.waiting == 48
            tasks.start_soon(rush.ask, "other")
            await anyio.sleep(0.2)
            assert "other" in rush.begun, "it waits for none of those that hold all places"
            assert rush.refused in (["a"], ["b"], ["c"]) and rush.line.waiting == 48
            tasks.start_soon(rush.ask, "a")  # holds most, or one less
            await anyio.sleep(0.2)
            assert len(rush.refused) == 2 and "other" not in rush.refused
            rush.go_on.set()

    anyio.run(run)
    assert rush.done.count("other") == 1 and len(rush.done) == 48 and rush.line.waiting == 0


def test_the_line_is_bounded_for_any_number_of_clients() -> None:
    rush = Rush(FairWork(at_once=2, of_one_client=1, most=4))

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(rush.ask, f"client {number}")
            await anyio.sleep(0.2)
            assert len(rush.begun) == 4 and rush.line.waiting == 8 and len(rush.refused) == 12
            rush.go_on.set()

    anyio.run(run)
    assert len(rush.done) == 8 and rush.line.waiting == 0


def test_what_leaves_the_line_gives_its_place_back() -> None:
    rush = Rush(FairWork(at_once=1, of_one_client=1, most=2))

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rush.ask, "a")
            await anyio.sleep(0.1)
            with anyio.move_on_after(0.1):
                await rush.ask("a")  # waits behind its own
            assert rush.line.waiting == 1
            rush.go_on.set()

    anyio.run(run)
    assert rush.done == ["a"] and not rush.refused and rush.line.still_s == 0.0
