"""ZeroGPU, against a stand-in of its package: what is decorated, and that answers are what the model gives."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client

import app.server.zero_gpu
import lrsclip
from lrsclip.errors import TextError
from lrsclip.localize import WindowMemory, localize
from tests.helpers.app_parts import draw_tile, make_state, running

pytestmark = pytest.mark.slow


@pytest.fixture
def lent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The module as it is on ZeroGPU; gives the loans, as they come."""
    loans: list[str] = []

    def gpu(duration: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            def run(name: str, *rest: Any) -> Any:
                loans.append(name)
                assert duration <= 60
                return function(name, *rest)

            return run

        return decorate

    package = types.ModuleType("spaces")
    package.GPU = gpu  # type: ignore[attr-defined]
    package.__spec__ = importlib.machinery.ModuleSpec("spaces", None)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "spaces", package)
        patch.setenv("SPACES_ZERO_GPU", "1")
        importlib.reload(app.server.zero_gpu)
        yield loans
    importlib.reload(app.server.zero_gpu)


def test_each_call_borrows_a_gpu_and_gives_what_the_model_gives(lent: list[str]) -> None:
    plain = lrsclip.load("tiny")  # which has a trunk, whose map stays between two calls
    model = app.server.zero_gpu.lent_model(plain, 100)
    assert app.server.zero_gpu.on_zero_gpu() and isinstance(model, lrsclip.LRSCLIP)
    np.testing.assert_array_equal(model.encode_text(["a road"]), plain.encode_text(["a road"]))
    scene = draw_tile("road", 1, 200)
    ours = localize(model, scene, "a road", method="dense", memory=WindowMemory())
    theirs = localize(plain, scene, "a road", method="dense", memory=WindowMemory())
    np.testing.assert_array_equal(ours.cells.values_cos, theirs.cells.values_cos)
    for refused in (lambda: model.encode_text(["x" * 101]), lambda: model.describe_tokens("x" * 101)):
        with pytest.raises(TextError, match="101 characters; 100 are the limit"):
            refused()
    assert lent[:4] == ["encode_text", "encode_text", "map_scene", "pool_windows"]


def test_the_page_borrows_a_gpu_for_its_searches(lent: list[str], tmp_path: Path) -> None:
    with running(make_state(tmp_path)) as url:
        lent.clear()
        assert len(Client(url, verbose=False).predict("white boats", 3, api_name="/search")) == 3
    assert lent == ["encode_text"]


def test_elsewhere_nothing_is_decorated() -> None:
    assert not app.server.zero_gpu.on_zero_gpu()

    def function() -> None: ...

    assert app.server.zero_gpu.with_gpu(function) is function
