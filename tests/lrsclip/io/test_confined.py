"""Work in a process of its own: what takes too much ends, and the next piece of work is done all the same."""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lrsclip.errors import Cancelled, PictureError
from lrsclip.io.confined import Confined
from tests.helpers import confined_tasks as tasks

MIB = 2**20


@pytest.fixture(scope="module")
def confined() -> Confined:
    return Confined(workers=1, memory_bytes=256 * MIB, what="the file")


def pid_of(confined: Confined) -> int:
    return int(confined.run(tasks.turn_round, {"times": 1}, seconds=60)[0]["pid"])


def test_bytes_go_in_and_come_out(confined: Confined) -> None:
    answer, content = confined.run(tasks.turn_round, {"times": 3}, b"abc" * MIB, seconds=60)
    assert content == (b"abc" * MIB)[::-1] * 3
    assert answer["times"] == 3
    assert answer["pid"] != os.getpid()
    assert pid_of(confined) == answer["pid"]  # the process stays


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux alone")
def test_more_memory_than_allowed_is_refused_in_words(confined: Confined) -> None:
    with pytest.raises(PictureError, match="cannot read the file: it takes more memory than one file may"):
        confined.run(tasks.take_memory, {"bytes": 2**33}, seconds=60)
    assert pid_of(confined)


def test_a_process_that_dies_is_replaced(confined: Confined) -> None:
    before = pid_of(confined)
    with pytest.raises(PictureError, match="cannot read the file"):
        confined.run(tasks.die, {}, seconds=60)
    assert pid_of(confined) != before


def test_a_fault_that_a_file_finds_is_a_refusal_without_a_trace(confined: Confined) -> None:
    before = pid_of(confined)
    with pytest.raises(PictureError, match="it cannot be read"):
        confined.run(tasks.fail, {}, seconds=60)
    assert pid_of(confined) == before


def test_a_refusal_comes_through_and_the_process_stays(confined: Confined) -> None:
    before = pid_of(confined)
    with pytest.raises(PictureError, match=r"^cannot read it: it is <odd>$"):
        confined.run(tasks.refuse, {}, seconds=60)
    assert pid_of(confined) == before


def test_what_takes_too_long_ends(confined: Confined) -> None:
    pid_of(confined)
    with pytest.raises(PictureError, match="takes longer than one file may"):
        confined.run(tasks.sleep_long, {"seconds": 600}, seconds=0.3)
    assert pid_of(confined)


def test_what_nobody_waits_for_ends_at_work_and_in_the_line(confined: Confined) -> None:
    before, stop = pid_of(confined), threading.Event()
    with ThreadPoolExecutor() as pool:
        slow = [
            pool.submit(confined.run, tasks.sleep_long, {"seconds": 600}, b"", seconds=600, stop=stop) for _ in range(3)
        ]
        time.sleep(0.3)
        stop.set()
        for one in slow:
            with pytest.raises(Cancelled):
                one.result(timeout=60)
    assert pid_of(confined) != before
