"""The rings: the library knows neither the page nor the training, and every module stays small and explained."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FEATURES = ("search", "classify", "localize", "learn", "places")
FORBIDDEN = {
    "lrsclip": {"gradio", "folium", "app", "train"},
    "train": {"gradio", "folium", "app"},
    "app": set[str](),
}
LONGEST_MODULE = 600  # what a function may hold, ruff says (C901, PLR0915)
MAX_FLAT = 12
# Who may import whom inside a ring: a room, and what it must not know. What is not named may be imported.
CLOSED = {
    "lrsclip.io": {"lrsclip.models", "lrsclip.checkpoints", "lrsclip.tiles", "lrsclip.index", "lrsclip.localize"},
    "lrsclip.models": {"lrsclip.checkpoints", "lrsclip.clip", "lrsclip.tiles", "lrsclip.index", "lrsclip.localize"},
    "lrsclip.checkpoints": {"lrsclip.tiles", "lrsclip.index", "lrsclip.localize", "lrsclip.zero_shot"},
    "lrsclip.calibration": {"lrsclip.atlas", "lrsclip.tiles", "lrsclip.index", "lrsclip.localize", "lrsclip.clip"},
    "lrsclip.index": {"lrsclip.atlas", "lrsclip.localize", "lrsclip.clip"},
    "lrsclip.localize": {"lrsclip.atlas", "lrsclip.index", "lrsclip.tiles", "lrsclip.clip"},
    "lrsclip.atlas": {"lrsclip.tiles", "lrsclip.index", "lrsclip.localize", "lrsclip.models"},
    "train.data": {"train.trainer", "train.fit", "train.step", "train.data_engine", "train.evaluation"},
    "train.data_engine.gate": {"train.data_engine.writer", "train.data_engine.facts", "train.data_engine.steps"},
    "train.data_engine.lexicon": {"train.data_engine.gate", "train.data_engine.writer", "train.data_engine.facts"},
    "app.server": {"app.media", "app.ui", "app.maps", *(f"app.{one}" for one in FEATURES)},
    "app.media": {"app.ui", "app.maps", *(f"app.{one}" for one in FEATURES)},
    "app.ui": {"app.maps", *(f"app.{one}" for one in FEATURES)},
    "app.maps": {f"app.{one}" for one in FEATURES},
    # What one tab hands to another is wired in app/hand_over.py.
    **{f"app.{one}": {f"app.{other}.page" for other in FEATURES if other != one} for one in FEATURES},
}
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


def imports(root: Path) -> dict[str, set[str]]:
    """Returns which modules of the tree at `root` each of its modules imports, anywhere in it."""
    paths = {
        path.relative_to(root).as_posix().removesuffix(".py").removesuffix("/__init__").replace("/", "."): path
        for package in FORBIDDEN
        for path in (root / package).rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for module, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        typing = [
            node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        ]
        unseen = {id(inner) for node in typing for inner in ast.walk(node)}
        found[module] = set()
        for node in ast.walk(tree):
            if id(node) in unseen:
                continue
            if isinstance(node, ast.Import):
                found[module].update(alias.name for alias in node.names if alias.name in paths)
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found[module].update(inner & set(paths) or {node.module} & set(paths))
        found[module].discard(module)
    return found


def cycles(arrows: dict[str, set[str]]) -> list[str]:
    """Returns a sentence for each ring of arrows, with one way round it."""
    done: set[str] = set()
    found: list[str] = []

    def go(here: str, way: list[str]) -> None:
        if here in way:
            found.append(" -> ".join([*way[way.index(here) :], here]))
            return
        if here in done:
            return
        for there in sorted(arrows.get(here, ())):
            go(there, [*way, here])
        done.add(here)

    for start in sorted(arrows):
        go(start, [])
    return found


def rooms(arrows: dict[str, set[str]], packages: set[str]) -> dict[str, set[str]]:
    """Returns the same arrows between folders; a folder and what lies inside it may know each other."""
    between: dict[str, set[str]] = {}
    for module, others in arrows.items():
        here = module if module in packages else module.rpartition(".")[0]
        for other in others:
            there = other if other in packages else other.rpartition(".")[0]
            if here != there and not here.startswith(f"{there}.") and not there.startswith(f"{here}."):
                between.setdefault(here, set()).add(there)
    return between


def packages_of(root: Path) -> set[str]:
    return {
        path.parent.relative_to(root).as_posix().replace("/", ".")
        for package in FORBIDDEN
        for path in (root / package).rglob("__init__.py")
    }


def test_no_file_and_no_folder_imports_itself_round_a_corner() -> None:
    arrows = imports(ROOT)
    assert len(arrows) > 250
    assert cycles(arrows) == []
    assert cycles(rooms(arrows, packages_of(ROOT))) == []


def test_a_ring_of_imports_is_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b -> c -> b"]
    arrows = {"app.maps.x": {"app.search.y"}, "app.search.z": {"app.maps.x"}, "app.search.y": set[str]()}
    assert cycles(arrows) == []
    assert cycles(rooms(arrows, {"app", "app.maps", "app.search"})) == ["app.maps -> app.search -> app.maps"]


def test_every_room_knows_only_what_it_may() -> None:
    arrows = imports(ROOT)
    for room, closed in CLOSED.items():
        inside = [module for module in arrows if module == room or module.startswith(f"{room}.")]
        assert inside, room
        for module in inside:
            wrong = [other for other in arrows[module] for shut in closed if f"{other}.".startswith(f"{shut}.")]
            assert not wrong, f"{module} imports {wrong}"


def test_only_the_tiles_know_the_atlas_and_few_files_lie_flat() -> None:
    arrows = imports(ROOT)
    users = {module for module, others in arrows.items() if any(other.startswith("lrsclip.atlas") for other in others)}
    library = {module for module in users if module.startswith("lrsclip.") and not module.startswith("lrsclip.atlas")}
    assert library == {"lrsclip.tiles.atlas"}
    assert len(list((ROOT / "app").glob("*.py"))) <= MAX_FLAT


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
        ("train/a.py", '"""Doc."""\nfrom app import build\n', "train/a.py imports app"),
        ("train/a.py", '"""Doc."""\nimport torch, gradio\n', "train/a.py imports gradio"),
        ("app/a.py", "import gradio\n", "app/a.py has no docstring"),
        ("app/a.py", '"""Doc."""\n' + "x = 1\n" * 600, "app/a.py has 601 lines"),
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
        ("lrsclip/a.py", '"""It never says `import gradio`."""\nfrom lrsclip import apples\n' + "x = 1\n" * 598),
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
