"""docs/security.md names code and tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_every_file_and_every_test_that_the_page_names_is_there() -> None:
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", page)
    assert len(links) > 30
    for link in links:
        assert (ROOT / "docs" / link).is_file(), link
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    tests = re.findall(r"`(test_\w+)`", page)
    assert len(tests) > 10
    for name in tests:
        assert f"def {name}(" in code, name


def test_every_promise_has_code_and_a_test() -> None:
    rows = [
        line for line in (ROOT / "docs/security.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")
    ]
    promises = [row.split("|")[1:-1] for row in rows if "---" not in row and "how it is held" not in row]
    assert len(promises) > 20
    for promise, held, test in promises:
        assert promise.strip() and held.strip() and re.search(r"test|fuzz|the same|walk", test), promise
