"""Two thousand random calls of every function, hidden ones too: each is answered in words, and memory comes back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.app.server.fuzz import bombarded, fuzzed_server

pytestmark = pytest.mark.slow


def test_every_random_call_is_answered(tmp_path: Path, lines: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with fuzzed_server(tmp_path) as (demo, url):
        report = asyncio.run(bombarded(url, demo, 2000, seed=22))
    assert report.faults == []
    assert sum(report.counted.values()) > 1800
    assert report.counted["values"] > 100, "some calls are right, and run"
    assert report.after_mib <= 1.1 * report.before_mib
    told = [json.loads(line) for line in lines]
    assert not {one["status"] for one in told} & {"failed"}, [one for one in told if one["status"] == "failed"]
    assert all(set(one) <= {"time", "event", "status", "ms", "error", "code", "at"} for one in told)
    printed = "".join(capfd.readouterr())
    assert "Traceback" not in printed and "forged" not in printed and "script" not in printed
