"""Loading from the Hub, by a fresh process, from a real server on loopback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save

from lrsclip.checkpoints import hub
from lrsclip.checkpoints.native import write_checkpoint
from lrsclip.errors import CheckpointError
from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import seeded_model
from tests.helpers.clip_models import make_clip, model_config, state_of, write_open_clip, write_transformers
from tests.helpers.hub_server import serve_hub, serve_models
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
        addresses = ["cwz14/LRSCLIP_small", "us/tiny@main", "us/many", "us/nosuch", "us/tiny?activation=gelu"]
        published, own, many, none, needless = run(addresses, endpoint, tmp_path / "hf")
    assert published == "LRSCLIP_small 248 (1, 32)"
    assert own == "ours 248 (1, 256)"
    assert many.startswith("CheckpointError us/many should hold")
    assert none.startswith("UnknownModelError there is no repository us/nosuch")
    assert needless == "CheckpointError us/tiny says all of itself in its manifest.json; leave ?activation=gelu away"
    # the server is gone: what was fetched is used, what was not is named
    kept, other = run(["cwz14/LRSCLIP_small", "us/other"], endpoint, tmp_path / "hf")
    assert kept == published
    assert "cannot be fetched" in other


def saved(content: object) -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def content_of(folder: Path) -> dict[str, bytes]:
    """The files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_cannot_work_is_refused_before_its_weights_are_fetched(tmp_path: Path) -> None:
    config, pages = model_config(), {"README.md": b"# card"}
    model = make_clip(config)
    bare = saved({"state_dict": state_of(model)})
    siglip = json.dumps({"model_type": "siglip"}).encode()
    timm = json.dumps({"model_cfg": model_config(vision_cfg={"timm_model_name": "vit_base_patch16_siglip"})}).encode()
    other = json.dumps({"model_cfg": model_config(vision_cfg={"width": 192})}).encode()
    tensors = content_of(write_open_clip(tmp_path / "folder", config, model))
    wide = {"visual.conv1.weight": torch.zeros(128, 10, 32, 32)}
    repos = {
        "us/bare": pages | {"a.pt": bare},
        "us/siglip": {"config.json": siglip, "model.safetensors": bare},
        "us/timm": {"open_clip_config.json": timm, "open_clip_model.safetensors": bare},
        "us/other": tensors | {"open_clip_config.json": other},
        "us/bands": {"a.safetensors": save(state_of(model) | wide)},
        "us/objects": {"a.pt": saved({"state_dict": state_of(model), "args": Namespace(lr=1)})},
        "us/page": {"a.pt": b"<html>" + bytes(2_000_000)},
        "us/many": {"a.pt": bare, "b.pt": bare},
        "us/none": pages,
        "us/half": {k: v for k, v in tensors.items() if k.endswith("json")} | {"optimizer.pt": bare},
    }
    reasons = {
        "us/bare": "does not say its activation",
        "us/siglip": "type 'siglip'",
        "us/timm": "timm's vit_base_patch16_siglip",
        "us/other": "image_width 192, the weights have 128",
        "us/bands": "10 bands",
        "us/objects": "argparse.Namespace",
        "us/page": "web page",
        "us/many": "2 (a.pt, b.pt); say which one behind the name, such as ?file=a.pt",
        "us/none": "exactly one .pt file",
        "us/half": "has none",
        "us/bare@nosuch": "no such revision",
        "us/bare?file=b.pt": "no file b.pt; files of weights there: a.pt",
    }
    with serve_models(repos) as server:
        told = run(list(reasons), server.url, tmp_path / "hf")
        assert len(told) == len(reasons)
        for line, reason in zip(told, reasons.values(), strict=True):
            assert reason in line
        weights = sum(sent for name, sent in server.sent_bytes.items() if not name.endswith(".json"))
        assert weights < 9 * 600_000 < len(bare)  # some blocks of each
        assert not list((tmp_path / "hf").rglob("*.pt"))


def test_what_works_is_fetched_once_and_its_size_is_said(tmp_path: Path) -> None:
    config = model_config(vision_cfg={"head_width": 32})
    model = make_clip(config)
    clip = content_of(write_open_clip(tmp_path / "clip", config, model))
    face = content_of(write_transformers(tmp_path / "face", config, state_of(model), "pytorch_model.bin"))
    repos = {
        # as LAION's: everything twice, and a file of a trainer
        "laion/CLIP-x": clip | face | {"open_clip_pytorch_model.bin": b"not asked for", "optimizer.pt": b"no"},
        "openai/clip-x": face | {"tf_model.h5": b"not asked for"},
        "Zilun/Geo": {"ckpt/RS5M [H].pt": saved(state_of(model)), "ckpt/other.pt": b"no"},
    }
    geo = "Zilun/Geo?file=ckpt/RS5M [H].pt&activation=gelu&image_heads=4&text_heads=1"
    with serve_models(repos) as server:
        addresses = ["laion/CLIP-x", "openai/clip-x@main", geo]
        told = run(addresses, server.url, tmp_path / "hf")
        assert [line.split()[0] for line in told] == ["CLIP-x", "clip-x", "RS5M"]
        assert not {"open_clip_pytorch_model.bin", "tf_model.h5", "ckpt/other.pt", "optimizer.pt"} & set(
            server.sent_bytes
        )
        sent = dict(server.sent_bytes)
        assert run(addresses, server.url, tmp_path / "hf") == told
        assert {name: size for name, size in server.sent_bytes.items() if size != sent[name]} == {}
        # a server that sends no parts of files is asked for the whole
        server.ranges = False
        assert run(addresses, server.url, tmp_path / "hf2") == told
    assert run(addresses, server.url, tmp_path / "hf") == told  # without the server


def test_a_large_fetch_is_announced_and_a_full_disk_refused(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "not" / "made"))
    hub._tell_size("us/large", {"a.pt": 101_000_000, "b.pt": None})
    assert "fetching 101 MB of weights of us/large" in caplog.text
    with pytest.raises(CheckpointError, match=r"us/huge has 9000000\.0 GB of weights, and .* GB free; make room"):
        hub._tell_size("us/huge", {"a.pt": 9 * 10**15})
