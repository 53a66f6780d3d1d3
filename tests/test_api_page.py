"""docs/api.md: every snippet runs, and every public name has a place and an example."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

import lrsclip
from lrsclip import errors
from tests.helpers.app_parts import draw_tile, write_geotiff

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
API = ROOT / "docs/api.md"
SNIPPET = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def snippets(text: str) -> list[tuple[int, str]]:
    """Each snippet with the number of its first line."""
    return [(text.count("\n", 0, found.start(1)) + 1, found[1]) for found in SNIPPET.finditer(text)]


def run_snippets(path: Path) -> int:
    """Run a document's snippets one after the other in one namespace; a fault points at its line of the document."""
    space: dict[str, object] = {"__name__": "snippets"}
    found = snippets(path.read_text(encoding="utf-8"))
    for line, code in found:
        exec(compile("\n" * (line - 1) + code, str(path), "exec", dont_inherit=True), space)
    return len(found)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the documents speak of, and no network."""

    def refused(*_: object) -> None:
        raise AssertionError("a snippet asks the network")

    write_geotiff(tmp_path / "scene.tif", draw_tile("harbour", 2, 320))
    draw_tile("harbour", 3).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    return tmp_path


def test_every_snippet_of_the_api_runs(folder: Path) -> None:
    assert run_snippets(API) >= 18
    assert (folder / "heat.tif").is_file() and (folder / "regions.geojson").is_file()


def test_every_public_name_has_a_heading_and_an_example() -> None:
    text = API.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE))
    kinds = {name for name in lrsclip.__all__ if name in vars(errors)}
    assert set(sections) == set(lrsclip.__all__) - kinds
    for name, section in sections.items():
        assert any(name in code for _, code in snippets(section)) or name == "LRSCLIP", name
        assert f"(#{name.lower()})" in text, name
    listed = set(re.findall(r"^\| `(\w+)`.* \|", text[text.index("\n## Errors") :], re.MULTILINE))
    assert listed == kinds - {"LRSCLIPError"}


def test_a_broken_snippet_is_found_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# A page\n\n```python\nx = 1\n```\n\n```\nnot Python\n```\n\n```python\ny = x\n1 / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as raised:
        run_snippets(path)
    assert raised.traceback[-1].lineno == 12  # counted from 0
