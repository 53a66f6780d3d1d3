"""Fixtures of the index tests."""

from __future__ import annotations

from pathlib import Path

import pytest

import lrsclip
from lrsclip.index import build_parts as parts

from .helpers import Recorder, paint


@pytest.fixture(scope="module")
def model() -> lrsclip.LRSCLIP:
    return lrsclip.random_model()


@pytest.fixture
def named(model: lrsclip.LRSCLIP, monkeypatch: pytest.MonkeyPatch) -> lrsclip.LRSCLIP:
    """The model, which a shell's command loads under any name."""
    monkeypatch.setattr(lrsclip, "load", lambda _name: model)
    return model


@pytest.fixture
def recorder(model: lrsclip.LRSCLIP) -> Recorder:
    return Recorder(model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of 20 different pictures."""
    return paint(tmp_path / "tiles", range(20))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every batch becomes a part."""
    monkeypatch.setattr(parts, "PART_SECONDS", 0.0)
