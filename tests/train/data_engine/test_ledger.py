"""Nothing that was paid for is lost or asked again: torn lines, full disks, two runs, kills at any point."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lrsclip.errors import DataError
from tests.train.data_engine.llm_server import GOOD, Ask, Reply, serve_llm
from train.data_engine.writer.ledger import Answer, Ledger, Spent, read_answers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
ANSWER = Answer("a" * 64, "made/1", 0, 0, "Ein Dörfchen — “quoted”\nover two lines", "stop", 100, 50, "m")
WRITE = """
import asyncio, sys
from pathlib import Path
from tests.train.data_engine.llm_parts import record, settings, writer_of
from train.data_engine.writer.ledger import Ledger
url, path, count = sys.argv[1:]
writer = writer_of(settings(url, in_flight=4, variants=2, backoff_s=0.01))
with Ledger(Path(path)) as ledger:
    texts = asyncio.run(writer.write([record(n) for n in range(int(count))], ledger))
print(len(texts), sum(written.writer == "llm" for written in texts), writer.stats.answers, writer.stats.from_ledger)
"""


def another(number: int) -> Answer:
    return replace(ANSWER, request=f"{number:064x}", key=f"made/{number}")


def test_an_answer_is_found_again_after_opening_anew(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "ledger.jsonl"
    with Ledger(path) as ledger:
        assert ledger.find(ANSWER.request) is None
        ledger.append(ANSWER)
        assert ledger.find(ANSWER.request) == ANSWER
        assert list(read_answers(path)) == [ANSWER]  # on disk already
    with Ledger(path) as ledger:
        assert len(ledger) == 1 and ledger.find(ANSWER.request) == ANSWER


def test_a_line_holds_what_was_asked_and_answered(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l") as ledger:
        ledger.append(ANSWER)
    line = json.loads((tmp_path / "l").read_text())
    assert line == {name: value for name, value in vars(ANSWER).items() if name != "estimated"}


@pytest.mark.parametrize("kept", [1, 30, -2, -1])
def test_a_torn_last_line_is_cut_off_and_the_next_begins_clean(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append(another(1))
        whole = path.stat().st_size
        ledger.append(another(2))
    content = path.read_bytes()
    path.write_bytes(content[: whole + kept] if kept > 0 else content[:kept])
    assert list(read_answers(path)) == [another(1)]
    with Ledger(path) as ledger:
        assert path.stat().st_size == whole
        assert ledger.find(another(2).request) is None
        ledger.append(another(3))
    assert list(read_answers(path)) == [another(1), another(3)]


def test_a_torn_line_alone_leaves_an_empty_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b"\0" * 200_000)
    with Ledger(path) as ledger:
        assert len(ledger) == 0 and path.stat().st_size == 0


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"request": 1}\n{"request": 2}\n')
    with pytest.raises(DataError, match=r"line 1 of .*ledger\.jsonl is damaged"):
        Ledger(path)
    path.unlink()
    with Ledger(path):  # the lock was let go
        pass


def test_two_runs_do_not_share_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path), pytest.raises(DataError, match="another run writes"):
        Ledger(path)
    Ledger(path).close()


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "ledger.jsonl", os.write

    def half(file: int, content: bytes) -> int:
        if len(content) < 150:
            raise OSError(28, "No space left on device")
        return write(file, content[: len(content) // 2])

    with Ledger(path) as ledger:
        ledger.append(another(1))
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", half)
            with pytest.raises(DataError, match="No space left"):
                ledger.append(another(2))
        ledger.append(another(3))
    assert list(read_answers(path)) == [another(1), another(3)]


def test_spent_is_the_sum_over_ledgers(tmp_path: Path) -> None:
    for name in "ab":
        with Ledger(tmp_path / name) as ledger:
            ledger.append(another(1))
            ledger.append(another(2))
    spent = Spent.from_ledgers([tmp_path / "a", tmp_path / "b", tmp_path / "none"])
    assert (spent.prompt_tokens, spent.completion_tokens) == (400, 200)


def test_kills_at_any_point_cost_nothing_twice(tmp_path: Path) -> None:
    path, count, chance = tmp_path / "ledger.jsonl", 40, random.Random(1)

    def behave(ask: Ask) -> Reply:
        if ask.number % 9 == 4:
            return Reply(status=500, error="for a change")
        if ask.number % 7 == 5:
            return Reply(content="no JSON", wait_s=0.01)
        return Reply(content=GOOD, wait_s=chance.uniform(0, 0.04))

    with serve_llm(behave) as server:
        command = [sys.executable, "-c", WRITE, server.url, str(path), str(count)]
        in_flight: set[str] = set()
        for _ in range(4):
            begun, most = len(server.asks), len(server.asks) + chance.randint(8, 16)
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            end_at = time.monotonic() + 20
            while len(server.asks) < most and time.monotonic() < end_at and process.poll() is None:
                time.sleep(chance.uniform(0.001, 0.01))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert process.returncode == -signal.SIGKILL
            time.sleep(0.1)  # what was in flight is worked out all the same
            kept = {answer.request for answer in read_answers(path)}
            assert kept  # it had got somewhere
            in_flight |= set(server.keys[begun:]) - kept
        finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert finished.returncode == 0, finished.stderr
    texts, by_model, answers, from_ledger = map(int, finished.stdout.split())
    assert texts == by_model == 2 * count
    requests = [answer.request for answer in read_answers(path)]
    assert len(requests) == len(set(requests)) == answers + from_ledger
    assert set(requests) == set(server.answered)
    twice = {key for key, times in server.answered.items() if times > 1}
    assert twice <= in_flight and len(in_flight) <= 4 * 4
    assert set(server.paid.values()) == {1}
