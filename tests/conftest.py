"""What holds for every test: no network, no telemetry, one thread.

The environment is set here, before any test module imports torch, FAISS or Gradio, which read it once on import.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browsing import chromium

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the same numbers on every machine
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
for threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "1")  # small models on few cores: more threads only wait for each other
os.environ["LRSCLIP_CACHE"] = tempfile.mkdtemp(prefix="lrsclip-tests-")  # never the cache of whoever runs the tests


@pytest.fixture(scope="session", autouse=True)
def _no_cache_left_behind() -> Iterator[None]:
    yield
    shutil.rmtree(os.environ["LRSCLIP_CACHE"], ignore_errors=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium for the tests of one file: its driver would be in the way of other tests' event loops."""
    with chromium() as opened:
        yield opened
