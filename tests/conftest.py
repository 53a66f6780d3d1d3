"""What holds for every test: no network, no telemetry, one thread.

The environment is set here, before any test module imports torch, FAISS or Gradio, which read it once on import.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser

from tests.helpers.browsing import chromium

if TYPE_CHECKING:
    from app.collections import AppState

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the same numbers on every machine
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
for threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "1")  # small models on few cores: more threads only wait for each other
_FOLDER = Path(tempfile.mkdtemp(prefix="lrsclip-tests-"))  # the developer's own folders stay untouched
os.environ["LRSCLIP_CACHE"] = str(_FOLDER / "cache")
os.environ["GRADIO_TEMP_DIR"] = str(_FOLDER / "gradio")  # uploads, and what is made for the browser


_OF_SERVERS = frozenset({"url", "open_url", "server", "client", "hub", "wheel"})  # fixtures that start something


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser or a server; `make quick` runs the rest."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if "browser" in fixtures:
            item.add_marker(pytest.mark.browser)
        if fixtures & _OF_SERVERS:
            item.add_marker(pytest.mark.slow)


def _remove_folder(owner: int = os.getpid()) -> None:
    if os.getpid() == owner:
        shutil.rmtree(_FOLDER, ignore_errors=True)


atexit.register(_remove_folder)  # xdist's controller reads this file too, and runs no fixture


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    _remove_folder()  # a worker of xdist may end without its exit handlers


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium for the tests of one file: its driver would be in the way of other tests' event loops."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def url(state: AppState) -> Iterator[str]:
    """Address of a server with what the fixture `state` of the test's file makes."""
    from tests.helpers.app_parts import running  # it imports torch, for which the environment above must be set

    with running(state) as address:
        yield address


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged of calls."""
    written: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(record.getMessage())

    log = logging.getLogger("app.server.request_log")
    handler, level = Kept(), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield written
    log.removeHandler(handler)
    log.setLevel(level)
