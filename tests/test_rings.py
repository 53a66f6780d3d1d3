"""The rings: the library knows neither the page nor the training, and every module stays small and explained."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FORBIDDEN = {
    "lrsclip": {"gradio", "folium", "app", "train"},
    "train": {"gradio", "folium", "app"},
    "app": set[str](),
}
LONGEST_MODULE = 400
LONGEST_ENTRY = 59
IMPORTING_CALLS = {"import_module", "__import__"}


def imported_packages(tree: ast.Module) -> set[str]:
    """Returns the top-level packages that a module imports anywhere in it, by statement or by a literal call."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found.update(alias.name.split(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                found.add(module.split(".")[0])
            case ast.Call(
                func=ast.Name(id=name) | ast.Attribute(attr=name), args=[ast.Constant(value=str(module)), *_]
            ):
                if name in IMPORTING_CALLS:
                    found.add(module.split(".")[0])
    return found


def faults(root: Path) -> list[str]:
    """Returns one sentence for each breach of the rules in the tree at `root`."""
    found = []
    for package, forbidden in FORBIDDEN.items():
        for path in sorted((root / package).rglob("*.py")):
            name, source = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
            tree = ast.parse(source, name)
            found += [f"{name} imports {other}" for other in sorted(imported_packages(tree) & forbidden)]
            if not ast.get_docstring(tree):
                found.append(f"{name} has no docstring")
            if (lines := len(source.splitlines())) > LONGEST_MODULE:
                found.append(f"{name} has {lines} lines")
    entry = root / "app.py"
    if entry.is_file() and (lines := len(entry.read_text(encoding="utf-8").splitlines())) > LONGEST_ENTRY:
        found.append(f"app.py has {lines} lines")
    return found


def test_the_tree_keeps_the_rules() -> None:
    for package in FORBIDDEN:
        assert list((ROOT / package).rglob("*.py")), f"{package}/ has no modules to check"
    assert (ROOT / "app.py").is_file()
    assert faults(ROOT) == []


@pytest.mark.parametrize(
    ("path", "source", "fault"),
    [
        ("lrsclip/a.py", '"""Doc."""\nimport gradio as gr\n', "lrsclip/a.py imports gradio"),
        ("lrsclip/deep/a.py", '"""Doc."""\nfrom folium.plugins import Draw\n', "lrsclip/deep/a.py imports folium"),
        ("lrsclip/a.py", '"""Doc."""\ndef f():\n    import train.fit\n', "lrsclip/a.py imports train"),
        (
            "lrsclip/a.py",
            '"""Doc."""\nimport importlib\nimportlib.import_module("app.build")\n',
            "lrsclip/a.py imports app",
        ),
        ("train/a.py", '"""Doc."""\nfrom app import pages\n', "train/a.py imports app"),
        ("train/a.py", '"""Doc."""\nimport torch, gradio\n', "train/a.py imports gradio"),
        ("app/a.py", "import gradio\n", "app/a.py has no docstring"),
        ("app/a.py", '"""Doc."""\n' + "x = 1\n" * 400, "app/a.py has 401 lines"),
        ("app.py", '"""Doc."""\n' + "x = 1\n" * 59, "app.py has 60 lines"),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, path: str, source: str, fault: str) -> None:
    planted = tmp_path / path
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text(source, encoding="utf-8")

    assert faults(tmp_path) == [fault]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("app/a.py", '"""Doc."""\nimport folium, gradio, lrsclip\n'),
        ("train/a.py", '"""Doc."""\nimport lrsclip.models.text_tower\nfrom .gradio import local\n'),
        ("lrsclip/a.py", '"""It never says `import gradio`."""\nfrom lrsclip import apples\n' + "x = 1\n" * 398),
        ("app.py", '"""Doc."""\n' + "x = 1\n" * 58),
    ],
)
def test_what_is_allowed_passes(tmp_path: Path, path: str, source: str) -> None:
    planted = tmp_path / path
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text(source, encoding="utf-8")

    assert faults(tmp_path) == []


def test_what_asks_no_model_brings_no_torch() -> None:
    """It takes seconds to import, and a map of known vectors, a match or a calibration needs none of it."""
    quick = ("localize", "calibration.match", "calibration.labels", "zero_shot.classifier", "index")
    seen = f"import sys, {', '.join(f'lrsclip.{room}' for room in quick)}; print('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stdout.strip() == "False"
