"""What *Use via API* shows runs as it is copied, and says in our words what each parameter is."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.collections import AppState
from app.server.api_snippets import cli_snippet, code_snippets, file_named
from tests.helpers.app_parts import draw_tile, landscape_state

NAMES = ["search", "classify", "classify_many", "localize", "grow", "order", "swap", "reword"]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    """An app over nine rendered tiles, with random weights."""
    return landscape_state(tmp_path_factory.mktemp("atlas"), 9)


@pytest.fixture(scope="module")
def shown(url: str) -> dict[str, Any]:
    """The endpoints as the page gets them."""
    endpoints = httpx.get(f"{url}gradio_api/info", timeout=60).json()["named_endpoints"]
    return {name.lstrip("/"): told for name, told in endpoints.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw_tile("road", 1).save(tmp_path / "picture.jpg")
    return tmp_path


def test_every_endpoint_is_shown(shown: dict[str, Any]) -> None:
    assert sorted(shown) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_explained(shown: dict[str, Any], name: str) -> None:
    for parameter in shown[name]["parameters"]:
        words = parameter["python_type"]["description"]
        assert len(words) > 10 and "component" not in words, parameter["parameter_name"]


def test_the_python_of_every_endpoint_runs_as_shown(shown: dict[str, Any], folder: Path) -> None:
    script = "\n".join(shown[name]["code_snippets"]["python"] for name in NAMES)
    ran = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.count("Loaded as API") <= len(NAMES)
    assert "tile_id" in ran.stdout and "score_cos" in ran.stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_shell_line_of_every_endpoint_runs_as_shown(shown: dict[str, Any], folder: Path, name: str) -> None:
    script = shown[name]["code_snippets"]["bash"]
    ran = subprocess.run(["bash", "-ec", script], cwd=folder, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert answer and "error" not in answer


def test_gradio_s_own_command_takes_what_is_shown(shown: dict[str, Any]) -> None:
    for name in NAMES:
        line = shown[name]["code_snippets"]["cli"]
        command, verb, _, endpoint, values = shlex.split(line)
        assert (command, verb, endpoint) == ("{command}", "predict", f"/{name}")
        assert set(json.loads(values)) <= {one["parameter_name"] for one in shown[name]["parameters"]}


def test_odd_values_stay_what_they_are(tmp_path: Path) -> None:
    text = 'it\'s 100 % "white" {roofs} \\ here'
    values = {"text": text, "k": 3, "on": True, "none": None, "files": [file_named("my file.txt"), file_named("b")]}
    (tmp_path / "my file.txt").write_text("one")
    (tmp_path / "b").write_text("two")
    made = code_snippets("/x", values, "http://127.0.0.1:9/")
    python = made["python"].replace("from gradio_client import Client, handle_file", "handle_file = str")
    python = python.replace('client = Client("http://127.0.0.1:9/")\n', "")
    seen: dict[str, Any] = {}

    class client:  # as the snippet names it
        @staticmethod
        def predict(**sent: Any) -> None:
            seen.update(sent)

    exec(python, {"client": client})
    assert seen == {**values, "files": ["my file.txt", "b"], "api_name": "/x"}
    bash = made["bash"].split("|\n")[0]
    sent = json.loads(subprocess.run(["bash", "-c", bash], cwd=tmp_path, capture_output=True, text=True).stdout)
    assert sent == {**values, "files": ["b25l", "dHdv"]}
    assert json.loads(shlex.split(cli_snippet("/x", values))[4])["text"] == text
    assert '"it\'s 100 % \\"white\\" {roofs} \\\\ here"' in made["javascript"]
