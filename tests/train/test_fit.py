"""Training on a small corpus: it learns, and a run that is killed and resumed ends as one that is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.utils.tensorboard import SummaryWriter

import lrsclip
from lrsclip.checkpoints.native import read_checkpoint, read_manifest
from lrsclip.io.atomic import file_sha256
from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import seeded_model
from tests.helpers.corpora import make_class_folders, make_rsicd, write_trunk
from train import curves, fit
from train.data.feature_cache import prepare_features
from train.runlog import read_log
from train.settings import Settings
from train.state import read_state
from train.trainer import Trainer

pytestmark = pytest.mark.slow

SETTINGS = {
    "model": "tiny-causal",
    "trunk": "frozen",
    "stages": [
        {"context_length": 77, "epochs": 2, "long_weight": 0.5},
        {"context_length": 248, "epochs": 2, "long_weight": 0.4},
    ],
    "batch_size": 8,
    "learning_rate": 0.001,
    "weight_decay": 0.1,
    "warmup_steps": 2,
    "class_folder_share": 0.5,
    "feature_dropout": 0.1,
    "word_drop": 0.1,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, trunk weights and settings."""
    root = tmp_path_factory.mktemp("fit")
    make_rsicd(root / "data")
    make_class_folders(root / "data/EuroSAT_RGB")
    write_trunk(root / "init/trunk.safetensors")
    (root / "settings.json").write_text(json.dumps(SETTINGS))
    return root


def arguments(place: Path, out: str, *more: str) -> list[str]:
    """The command line of one run."""
    return [
        *("--config", str(place / "settings.json"), "--data", str(place / "data"), "--out", str(place / out)),
        *("--init", str(place / "init/trunk.safetensors"), "--cache", str(place / "cache"), "--device", "cpu", *more),
    ]


@pytest.fixture(scope="module")
def unbroken(place: Path) -> Path:
    """A run from start to end."""
    assert fit.main(arguments(place, "unbroken")) == 0
    return place / "unbroken"


def test_run_leaves_a_checkpoint_that_loads(unbroken: Path) -> None:
    rows = read_log(unbroken / "log.csv")
    assert rows[-1]["loss"] < rows[0]["loss"]
    bundle = lrsclip.load(unbroken / "checkpoint", precision="fp32")
    assert bundle.context_length == 248
    assert bundle.describe_tokens("a forest with gazebos").unseen_words == ("gazebos",)
    manifest = read_manifest(unbroken / "checkpoint")
    assert manifest["training"]["pictures"]["rsicd"] == 32
    assert manifest["vocabulary"]["desert"] > 0


def test_killed_and_resumed_ends_the_same(place: Path, unbroken: Path) -> None:
    command = [sys.executable, "-m", "train.fit", *arguments(place, "killed", "--save-every", "0")]
    log = place / "killed/log.csv"
    for wanted_rows, more in ((3, []), (11, ["--resume"])):  # once in each stage
        process = subprocess.Popen([*command, *more], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(read_log(log)) < wanted_rows and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None, "the run ended before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert fit.main(arguments(place, "killed", "--resume")) == 0
    assert read_log(log)[-1]["loss"] == read_log(unbroken / "log.csv")[-1]["loss"]
    assert read_manifest(place / "killed/checkpoint")["sha256"] == read_manifest(unbroken / "checkpoint")["sha256"]


def test_stopped_between_stages_and_resumed_ends_the_same(
    place: Path, unbroken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Trainer._epoch

    def stop_before_third(trainer: Trainer, writer: SummaryWriter) -> None:
        if trainer.epoch == 2:
            raise KeyboardInterrupt
        real(trainer, writer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_epoch", stop_before_third)
        assert fit.main(arguments(place, "between")) == 130
    for _ in range(2):  # the second time there is nothing left to do
        assert fit.main(arguments(place, "between", "--resume")) == 0
        assert read_manifest(place / "between/checkpoint")["sha256"] == read_manifest(unbroken / "checkpoint")["sha256"]
    assert [row["epoch"] for row in read_log(place / "between/validation.csv")] == [1, 2, 3, 4]


def test_two_processes_go_on_where_one_stopped(place: Path, unbroken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures differ by rounding and by dropout alone, which is off here."""
    settings = place / "quiet.json"
    settings.write_text(json.dumps(SETTINGS | {"feature_dropout": 0.0}))
    quiet = ["--config", str(settings), "--recipe", "lrsclip-curriculum"]
    assert fit.main([*arguments(place, "alone"), *quiet]) == 0
    real = Trainer._epoch

    def stop_before_second(trainer: Trainer, writer: SummaryWriter) -> None:
        if trainer.epoch == 1:
            raise KeyboardInterrupt
        real(trainer, writer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_epoch", stop_before_second)
        assert fit.main([*arguments(place, "shared"), *quiet]) == 130
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "train.fit",
    ]
    command += [*arguments(place, "shared", "--resume"), *quiet]
    subprocess.run(command, check=True, capture_output=True, timeout=500)
    alone, shared = (read_log(place / out / "log.csv") for out in ("alone", "shared"))
    assert len(alone) == len(shared) == 16
    assert [row["loss"] for row in shared] == pytest.approx([row["loss"] for row in alone], rel=0.02)
    assert len(read_log(place / "shared/validation.csv")) == 4
    assert lrsclip.load(place / "shared/checkpoint", precision="fp32").context_length == 248


def test_runs_read_the_sources_they_name(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings.model_validate(SETTINGS | {"sources": ["rsicd"]})
    model = fit.initial_model(settings, place / "init/trunk.safetensors")
    corpus = fit.build_corpus(place / "data", settings, model, place / "cache")
    assert {record.source for record in corpus.train} == {"rsicd"}
    assert len(corpus.prepared.rows) > len(corpus.train) + len(corpus.val)  # one cache serves every choice
    named = place / "named.json"
    named.write_text(json.dumps(SETTINGS | {"sources": ["nosuch"]}))
    assert fit.main([*arguments(place, "named"), "--config", str(named)]) == 2
    assert "'nosuch'; there are: eurosat, rsicd" in capsys.readouterr().err


def test_frozen_trunk_is_the_one_it_was_given(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.read(str(place / "settings.json"))
    model = fit.initial_model(settings, place / "init/trunk.safetensors")
    one = fit.build_corpus(place / "data", settings, model, place / "cache").train[:1]
    monkeypatch.setattr("train.data.feature_cache.fast_bf16", lambda device: True)  # seconds a picture where it is not
    prepare_features(one, model, place / "cache-bf16")
    assert list((place / "cache-bf16").glob("*-bfloat16-*.npy"))
    begun = load_file(place / "init/trunk.safetensors")
    for name, tensor in model.convolutional.trunk.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(tensor, begun[name])


def test_other_data_do_not_resume(place: Path, unbroken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_rsicd(place / "other", per_class=12)
    assert fit.main([*arguments(place, "unbroken", "--resume"), "--data", str(place / "other")]) == 2
    assert "other data" in capsys.readouterr().err


def test_other_settings_do_not_resume(place: Path, unbroken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = place / "other.json"
    other.write_text(json.dumps(SETTINGS | {"weight_decay": 0.5}))
    assert fit.main([*arguments(place, "unbroken", "--resume"), "--config", str(other)]) == 2
    assert "other settings" in capsys.readouterr().err
    assert fit.main(arguments(place, "unbroken")) == 2
    assert "--resume" in capsys.readouterr().err


@pytest.fixture(scope="module")
def few(place: Path) -> list[str]:
    """Arguments for a corpus of one batch: on a CPU a trunk that learns takes half a second a picture."""
    make_rsicd(place / "few", per_class=3, more=" beside a road that leads to a small town in the lower left corner")
    return ["--data", str(place / "few")]


def test_trained_trunk_learns_from_pixels(place: Path, few: list[str]) -> None:
    """The GPU recipe, rehearsed: no kept features, the trunk moves, its batch statistics do not."""
    settings = place / "pixels.json"
    stages = [
        {"context_length": 77, "epochs": 1, "long_weight": 0.5},
        {"context_length": 248, "epochs": 1, "long_weight": 0.5},
    ]
    pixels = {"trunk": "trained", "stages": stages, "class_folder_share": 0.0, "batch_size": 4}
    settings.write_text(json.dumps(SETTINGS | pixels))
    assert fit.main([*arguments(place, "pixels"), *few, "--config", str(settings)]) == 0
    trained = load_file(place / "pixels/checkpoint/model.safetensors")
    begun = load_file(place / "init/trunk.safetensors")
    assert not torch.equal(trained["visual.trunk.stem_conv.weight"].float(), begun["stem_conv.weight"].half().float())
    assert torch.equal(trained["visual.trunk.stem_bn.running_mean"], begun["stem_bn.running_mean"].half())


def test_a_finished_run_is_trained_further_from_its_third_stage_on(
    place: Path, unbroken: Path, few: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The last step of a CPU's recipe: everything moves but the stem, stages 1 and 2 and the kept positions."""
    settings = place / "further.json"
    stages = [{"context_length": 248, "epochs": 2, "long_weight": 0.5}]
    more = {"trunk": "trained", "trunk_frozen_stages": 2, "stages": stages, "crop_scale_min": 0.5, "color_jitter": 0.2}
    settings.write_text(json.dumps(SETTINGS | more | {"class_folder_share": 0.0, "batch_size": 4}))
    plain = [a for a in arguments(place, "further") if a not in ("--init", str(place / "init/trunk.safetensors"))]
    assert fit.main([*plain, *few, "--config", str(settings), "--from", str(unbroken)]) == 0
    before, after = (load_state(place / out) for out in ("unbroken", "further"))
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    still = ("visual.trunk.stem_conv", "visual.trunk.stage1", "visual.trunk.stage2", "text.positions.kept")
    assert not [name for name in moved if name.startswith(still)]
    assert {"visual.trunk.stage3.5.conv3.weight", "text.positions.rest", "visual.pool.proj", "logit_scale"} <= moved
    training = read_manifest(place / "further/checkpoint")["training"]
    assert training["begun_with"] == {"state.pt": file_sha256(unbroken / "state.pt")}
    assert training["before"] == read_manifest(unbroken / "checkpoint")["training"]
    assert fit.main([*arguments(place, "both"), "--from", str(unbroken)]) == 2
    assert "leave --init and --text out" in capsys.readouterr().err
    assert fit.main([*plain, "--out", str(place / "none"), "--from", str(place / "nosuch")]) == 2
    assert "nosuch holds no run" in capsys.readouterr().err


def test_the_average_of_the_weights_is_kept_and_trained_further(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = [{"context_length": length, "epochs": 1, "long_weight": 0.5} for length in (77, 248)]
    settings, further = place / "averaging.json", place / "further-averaging.json"
    settings.write_text(json.dumps(SETTINGS | {"average_decay": 0.5, "stages": stages}))
    assert fit.main([*arguments(place, "averaging"), "--config", str(settings)]) == 0
    state = read_state(place / "averaging")
    assert state is not None
    kept = read_checkpoint(place / "averaging/checkpoint")[0]
    assert kept.text.context_length == 248
    last, mean = state.model["visual.pool.proj"], state.average["module.visual.pool.proj"]
    own = kept.state_dict()["visual.pool.proj"]
    assert (own - mean).abs().mean() < 0.2 * (last - mean).abs().mean()  # what is written is the average, rounded
    further.write_text(json.dumps(SETTINGS | {"stages": stages[1:]}))
    plain = [a for a in arguments(place, "further-top") if a not in ("--init", str(place / "init/trunk.safetensors"))]
    for start in (place / "averaging", place / "averaging/checkpoint"):
        out = [*plain, "--out", str(place / f"from-{start.name}"), "--config", str(further)]
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "_epoch", interrupted)
            assert fit.main([*out, "--from", str(start), "--save-every", "0"]) == 130
        assert fit.main([*out, "--resume"]) == 0  # it knows by itself where it came from
        training = read_manifest(place / f"from-{start.name}/checkpoint")["training"]
        assert training["before"]["settings"]["average_decay"] == 0.5
        assert set(training["begun_with"]) == {"state.pt" if start.name == "averaging" else "model.safetensors"}
        rows = load_state(place / f"from-{start.name}")["text.positions.kept"]
        assert torch.allclose(rows, state.average["module.text.positions.kept"], atol=1e-3)  # float16 in the checkpoint


def interrupted(trainer: Trainer, writer: SummaryWriter | None) -> None:
    """An epoch that ends after its first step."""
    trainer._learn(next(trainer._batches()))
    trainer.step += 1
    trainer.save()
    raise KeyboardInterrupt


def test_a_run_that_averages_is_killed_and_resumed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = place / "averaged.json"
    settings.write_text(json.dumps(SETTINGS | {"average_decay": 0.8}))
    assert fit.main([*arguments(place, "whole"), "--config", str(settings)]) == 0
    real = Trainer._epoch

    def stop_before_fourth(trainer: Trainer, writer: SummaryWriter) -> None:
        if trainer.epoch == 3:
            raise KeyboardInterrupt
        real(trainer, writer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_epoch", stop_before_fourth)
        assert fit.main([*arguments(place, "stopped"), "--config", str(settings)]) == 130
    assert fit.main([*arguments(place, "stopped", "--resume"), "--config", str(settings)]) == 0
    one, other = (read_state(place / out) for out in ("whole", "stopped"))
    assert one is not None and other is not None
    assert all(torch.equal(one.average[name], other.average[name]) for name in one.average)


def load_state(run: Path) -> dict[str, torch.Tensor]:
    """The tensors of a run's last state."""
    state = read_state(run)
    assert state is not None
    return state.model


def test_a_text_tower_that_has_learned_keeps_its_words(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"model": "tiny", "stages": [{"context_length": 77, "epochs": 1, "long_weight": 0.5}]}
    settings = place / "begun.json"
    settings.write_text(json.dumps(SETTINGS | small | {"text_learning_rate": 1e-4}))
    assert fit.main([*arguments(place, "begun"), "--config", str(settings)]) == 2
    assert "python -m train.init.distill_text" in capsys.readouterr().err
    tower = seeded_model(ModelConfig.named("tiny").with_context(77), seed=7).text.state_dict()
    begin = {name: tensor.half() for name, tensor in tower.items() if not name.startswith("proj.")}
    save_file(begin, place / "begin.safetensors")
    assert (
        fit.main([*arguments(place, "begun"), "--config", str(settings), "--text", str(place / "begin.safetensors")])
        == 0
    )
    after = load_state(place / "begun")
    assert torch.equal(after["text.token_embedding.table.weight"], begin["token_embedding.table.weight"].float())
    layer = "layers.3.linear1.weight"
    assert 0 < (after[f"text.{layer}"] - begin[layer].float()).abs().max() < 0.02


def test_curves_of_runs_are_drawn(unbroken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = curves.curves([unbroken, unbroken])
    loss, recall = figure.axes
    assert [np.size(line.get_ydata()) for line in loss.get_lines()[:2]] == [2 * len(read_log(unbroken / "log.csv"))] * 2
    assert np.asarray(recall.get_lines()[1].get_ydata()).tolist() == 2 * [
        row["short_mR"] for row in read_log(unbroken / "validation.csv")
    ]
    assert curves.main([str(unbroken), "--out", str(tmp_path / "c.png")]) == 0
    assert Image.open(tmp_path / "c.png").size[0] > 600
    assert curves.main([str(tmp_path), "--out", str(tmp_path / "d.png")]) == 2
    assert "holds no log.csv" in capsys.readouterr().err and not (tmp_path / "d.png").exists()
    assert curves.main([str(unbroken), "--out", str(tmp_path / "c.png/e.png")]) == 2  # a file where a folder should be
    assert "e.png" in (said := capsys.readouterr().err) and "check that path" in said


def test_views_are_kept_beside_the_pictures_and_classes_choose_too(place: Path) -> None:
    settings = Settings.read(str(place / "settings.json")).model_copy(update={"views": 2})
    model = fit.initial_model(settings, place / "init/trunk.safetensors")
    corpus = fit.build_corpus(place / "data", settings, model, place / "cache")
    views = corpus.views(corpus.train)
    assert all(len(rows) == 3 for rows in views)
    flat = [row for rows in views for row in rows]
    assert len(set(flat)) == len(flat) and max(flat) < len(corpus.prepared.rows)
    plain, degraded, other = (corpus.prepared.rows[row] for row in views[0])
    assert not np.array_equal(plain, degraded) and not np.array_equal(degraded, other)
    assert all(record.split == "val" and record.label for record in corpus.val_classes)
    assert len(list((place / "cache").glob("*-view[12]-*.npy"))) == 2
