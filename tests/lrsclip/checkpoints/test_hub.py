"""Loading from the Hub, by a fresh process, from a real server on loopback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lrsclip.checkpoints.native import write_checkpoint
from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import seeded_model
from tests.helpers.hub_server import serve_hub
from tests.helpers.published_forward import random_state

pytestmark = pytest.mark.slow

_SCRIPT = """
import sys, lrsclip
for address in sys.argv[1:]:
    try:
        bundle = lrsclip.load(address)
        print(bundle.name, bundle.context_length, bundle.encode_text(['a quay']).shape)
    except lrsclip.LRSCLIPError as error:
        print(type(error).__name__, error)
"""


def run(addresses: list[str], endpoint: str, home: Path) -> list[str]:
    """What a fresh process says of addresses, a line each."""
    env = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
    env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _SCRIPT, *addresses]
    told = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=True).stdout
    return told.strip().splitlines()


def test_hub_repositories(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(random_state(64, 64, 1, 1, 32, 32), buffer)
    write_checkpoint(
        tmp_path / "c",
        seeded_model(ModelConfig.named("tiny-causal"), 0),
        name="ours",
        vocabulary={},
        training={},
        metrics={},
    )
    ours = {p.name: p.read_bytes() for p in (tmp_path / "c").iterdir()}
    repos = {
        "cwz14/LRSCLIP_small": {"README.md": b"# card", "LRSCLIP_small.pt": buffer.getvalue()},
        "us/tiny": ours,
        "us/many": {"a.pt": b"1", "b.pt": b"2"},
    }
    with serve_hub(repos) as endpoint:
        addresses = ["cwz14/LRSCLIP_small", "us/tiny@main", "us/many", "us/nosuch"]
        published, own, many, none = run(addresses, endpoint, tmp_path / "hf")
    assert published == "LRSCLIP_small 248 (1, 32)"
    assert own == "ours 248 (1, 256)"
    assert many.startswith("CheckpointError us/many should hold")
    assert none.startswith("UnknownModelError there is no repository us/nosuch")
    # the server is gone: what was fetched is used, what was not is named
    kept, other = run(["cwz14/LRSCLIP_small", "us/other"], endpoint, tmp_path / "hf")
    assert kept == published
    assert "cannot be fetched" in other
