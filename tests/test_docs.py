"""The documents: links lead somewhere, commands and paths exist, figures of size hold, and their Python runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

import lrsclip
from lrsclip import cli

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "train").rglob("README.md"),
    )
)
MAX_README_LINES = 170
# The changelog says from where these moved.
GONE_PATHS = {"assets/checkpoints/tiny", "assets/collections", "train/requirements.txt"}
GONE_MODULES = {"train.lrs2m.sources", "lrsclip.tiles.source"}

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`]+)`")
_PATH = re.compile(r"(?:app|assets|benchmarks|docs|lrsclip|requirements|tests|train|\.ci|\.github)/[\w./-]*")
_DOTTED = re.compile(r"(?:app|assets|benchmarks|lrsclip|tests|train)(?:\.\w+)+")
_MODULE = re.compile(r"python -m ([\w.]+)")
_COMMAND = re.compile(r"(?:^|`)lrsclip ([a-z]\w*)", re.MULTILINE)
_HELD_IN = re.compile(r"`(\w+)` in \[[^\]]+\]\(([^)#]+)\)")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose_of(page: str) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", text_of(page))


@cache
def anchors_of(path: Path) -> set[str]:
    """What GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def python_of(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(page: str) -> None:
    for link in _LINK.findall(prose_of(page)):
        if link.startswith(("https://", "http://")):
            continue
        place, _, anchor = link.partition("#")
        target = (ROOT / page).parent / place if place else ROOT / page
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors_of(target.resolve()), f"{page}: {link}"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_exists(page: str) -> None:
    text = text_of(page)
    for module in _MODULE.findall(text):
        name = module.rstrip(".")
        spec = find_spec(name)
        assert spec is not None, f"{page}: python -m {name}"
        if spec.submodule_search_locations:
            spec = find_spec(f"{name}.__main__")
        elif spec.origin and ROOT in Path(spec.origin).parents:  # else it ends without a word
            assert '__name__ == "__main__"' in Path(spec.origin).read_text(encoding="utf-8"), f"{page}: {name}"
        assert spec is not None, f"{page}: python -m {name}"
    for command in _COMMAND.findall(text):
        assert command in cli.COMMANDS, f"{page}: lrsclip {command}"


@pytest.mark.parametrize("page", PAGES)
def test_every_path_and_every_name_in_code_exists(page: str) -> None:
    for span in _SPAN.findall(prose_of(page)):
        if _PATH.fullmatch(span) and "NAME" not in span and span not in GONE_PATHS:
            assert (ROOT / span).exists(), f"{page}: {span}"
        elif _DOTTED.fullmatch(span) and not (ROOT / span).exists() and page != "CHANGELOG.md":
            assert is_there(span), f"{page}: {span}"
    for name, link in _HELD_IN.findall(text_of(page)):
        assert re.search(rf"\b{name}\b", ((ROOT / page).parent / link).read_text(encoding="utf-8")), f"{page}: {name}"


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            here = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            if not hasattr(here, name):
                return False
            here = getattr(here, name)
        return True
    return False


def test_the_changelog_leads_from_every_old_module_to_one_that_is_there() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|$", text_of("CHANGELOG.md"), re.MULTILINE)
    assert len(rows) > 100
    old, new = {row[0] for row in rows}, {row[1] for row in rows}
    assert len(old) == len(new) == len(rows)
    for module in new:
        assert find_spec(module) is not None, module
    for span in _SPAN.findall(prose_of("CHANGELOG.md")):
        if _DOTTED.fullmatch(span) and span not in old | GONE_MODULES:
            assert is_there(span), span


def test_the_readme_is_short_and_begins_as_spaces_want_it() -> None:
    readme = text_of("README.md")
    assert len(readme.splitlines()) <= MAX_README_LINES
    assert readme.startswith("---\ntitle: LRSCLIP\n") and "\napp_file: app.py\n" in readme


def test_the_citation_names_this_version() -> None:
    citation = text_of("CITATION.cff")
    assert f"\nversion: {lrsclip.__version__}\n" in citation and "2503.19311" in citation


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md"])
def test_python_in_the_documents_runs_as_a_script(page: str, tmp_path: Path) -> None:
    """As a user would run it: from a file, in a folder with a scene; of the atlas a quarter, which draws sooner."""
    facts = {"driver": "GTiff", "width": 256, "height": 256, "count": 3, "dtype": "uint8", "crs": "EPSG:32610"}
    with rasterio.open(tmp_path / "scene.tif", "w", transform=from_origin(5e5, 4e6, 1, 1), **facts) as scene:
        scene.write(np.random.default_rng(0).integers(0, 255, (3, 256, 256), np.uint8))
    snippets = python_of(page)
    assert snippets
    for number, snippet in enumerate(snippets):
        script = tmp_path / f"snippet_{number}.py"
        script.write_text(snippet.replace("tiles=64", "tiles=16"), encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(
            [sys.executable, script.name], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
        )
        assert ended.returncode == 0, f"{page}, snippet {number}:\n{ended.stderr}"
        assert ended.stdout.strip()
