"""The load test runs: it speaks to the endpoints as they are, so a change of theirs must not break it unseen."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


def test_a_short_load_test_ends_without_an_error() -> None:
    asked = ["--users", "3", "--seconds", "6", "--think", "0.2", "--tiles", "1100", "--every", "3"]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", *asked], cwd=ROOT, capture_output=True, text=True, timeout=180
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]
    assert "errors: 0" in ran.stdout
    calls = {name: int(count) for name, count in re.findall(r"^\| ([\w, ]+?) \| (\d+) \|", ran.stdout, re.MULTILINE)}
    assert calls["search"] > 0
