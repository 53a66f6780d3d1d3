"""Runs that go wrong: the error names the setting to change, and a run with that changed goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import train.trainer
from lrsclip.errors import TrainingError
from tests.helpers.corpora import made_up_corpus, small_model
from train.data.batches import Batch
from train.distributed import World
from train.losses import DualTextLoss
from train.runlog import read_log
from train.settings import Settings
from train.state import read_state
from train.step import add_gradients, memory_named
from train.trainer import Trainer

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {
    "model": "small",
    "trunk": "frozen",
    "stages": [
        {"context_length": 77, "epochs": 1, "long_weight": 0.5},
        {"context_length": 248, "epochs": 1, "long_weight": 0.5},
    ],
    "batch_size": 8,
    "learning_rate": 0.001,
    "weight_decay": 0.1,
    "warmup_steps": 2,
    "class_folder_share": 0.0,
}


def trainer(out: Path, **change: Any) -> Trainer:
    """A run on a made-up corpus: three steps at 77 positions, three at 248."""
    out.mkdir(exist_ok=True)
    pixels = change.get("trunk") == "trained"
    settings = Settings.model_validate(SETTINGS | change)
    return Trainer(settings, made_up_corpus(24, pixels), small_model(pixels=pixels), out, World())


def resumed(out: Path, **change: Any) -> Trainer:
    """The same run, from its state on disk."""
    again, state = trainer(out, **change), read_state(out)
    assert state is not None
    again.resume(state, read_log(out / "log.csv"))
    return again


def failing_at(call: int, how: Callable[[torch.nn.Module], None]) -> Callable[..., Any]:
    """`add_gradients`, but at one of its calls something goes wrong behind it."""
    calls = iter(range(1, 100))

    def wrapped(model: torch.nn.Module, *rest: Any) -> Any:
        loss = add_gradients(model, *rest)  # type: ignore[arg-type]
        if next(calls) == call:
            how(model)
        return loss

    return wrapped


def spoil(model: torch.nn.Module) -> None:
    """A gradient that is not finite."""
    gradient = next(p.grad for p in model.parameters() if p.grad is not None)
    gradient.fill_(float("nan"))


def exhaust(model: torch.nn.Module) -> None:
    """What torch says on a CPU without memory."""
    raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights that a run without a fault ends with."""
    run = trainer(tmp_path_factory.mktemp("unbroken"))
    run.run()
    return run.model.state_dict()


@pytest.mark.parametrize(
    ("fault", "message", "cure"),
    [
        (spoil, r"step \d.*lower learning_rate \(0.001\).*--resume", {"learning_rate": 0.001}),
        (exhaust, r"no memory is left on cpu with 8 pictures.*set micro_batch to 4.*--resume", {"micro_batch": 4}),
    ],
)
@pytest.mark.parametrize("call", [3, 4])  # in the midst of the first stage; at the first step of the second
def test_nothing_learned_is_lost(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unbroken: dict[str, torch.Tensor],
    fault: Callable[[torch.nn.Module], None],
    message: str,
    cure: dict[str, Any],
    call: int,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(train.trainer, "add_gradients", failing_at(call, fault))
        with pytest.raises(TrainingError, match=message):
            trainer(tmp_path / "run").run()
    assert len(read_log(tmp_path / "run/log.csv")) == call - 1
    again = resumed(tmp_path / "run", **cure)
    assert again.epoch * 3 + again.step == call - 1
    again.run()
    assert len(read_log(tmp_path / "run/log.csv")) == 6
    for name, tensor in again.model.state_dict().items():
        assert torch.allclose(tensor, unbroken[name], atol=2e-3), name


def test_a_step_half_done_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer(tmp_path / "run")
    run.save_every_s = 0.0

    def half(*_: Any) -> None:
        for parameter in run.model.parameters():
            parameter.data.zero_()
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    real = run._learn
    steps = iter(range(3))

    def learn(batch: Any) -> Any:
        if next(steps) == 2:
            monkeypatch.setattr(run.optimizer, "step", half)
        return real(batch)

    monkeypatch.setattr(run, "_learn", learn)
    with pytest.raises(TrainingError, match="set micro_batch to 4"):
        run.run()
    state = read_state(tmp_path / "run")
    assert state is not None
    assert (state.epoch, state.step) == (0, 2)
    assert state.model["text.ln_final.weight"].any()


@pytest.mark.parametrize("rate", [1e18, float("inf"), 0.0, -1.0])
def test_a_learning_rate_that_can_only_do_harm_is_refused(tmp_path: Path, rate: float) -> None:
    (tmp_path / "s.json").write_text(json.dumps(SETTINGS | {"learning_rate": rate}))
    with pytest.raises(TrainingError, match=r"s\.json: learning_rate: .*change it there"):
        Settings.read(str(tmp_path / "s.json"))


@pytest.mark.parametrize("call", [2, 6])  # within an epoch, with a state after each step; the last step of the run
def test_weights_that_are_not_finite_do_not_take_the_place_of_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    run = trainer(tmp_path / "run")
    run.save_every_s = 0.0
    real, calls = run._learn, iter(range(1, 100))

    def learn(batch: Batch) -> DualTextLoss:
        loss = real(batch)
        if next(calls) == call:
            next(run.model.parameters()).data.fill_(float("inf"))
        return loss

    monkeypatch.setattr(run, "_learn", learn)
    with pytest.raises(TrainingError, match=r"not finite after step \d of epoch [12]: lower learning_rate"):
        run.run()
    state = read_state(tmp_path / "run")
    assert state is not None and all(t.isfinite().all() for t in state.model.values())
    assert state.epoch * 3 + state.step == call - 1


def test_other_faults_pass_as_they_are() -> None:
    settings = Settings.model_validate(SETTINGS)
    with pytest.raises(RuntimeError, match="shapes"), memory_named(settings, World()):
        raise RuntimeError("shapes cannot be multiplied")
    with pytest.raises(TrainingError, match=r"set micro_batch to 1 .*batch_size"), memory_named(settings, World(0, 4)):
        raise MemoryError


def test_a_batch_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="batch_size 8 does not divide among 3 processes"):
        Trainer(Settings.model_validate(SETTINGS), made_up_corpus(24), small_model(), tmp_path, World(0, 3))


def test_pixels_are_changed_held_and_learned_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU recipe's parts together: a run that stops and goes on ends as one that does not."""
    change = {
        "trunk": "trained",
        "stages": [{"context_length": 77, "epochs": 2, "long_weight": 0.5}],
        "crop_scale_min": 0.6,
        "color_jitter": 0.2,
        "hold_on_device": True,
        "micro_batch": 3,
    }
    whole = trainer(tmp_path / "whole", **change)
    whole.run()
    with monkeypatch.context() as patch:
        patch.setattr(train.trainer, "add_gradients", failing_at(5, exhaust))
        with pytest.raises(TrainingError, match="micro_batch"):
            trainer(tmp_path / "broken", **change).run()
    again = resumed(tmp_path / "broken", **change)
    again.run()
    assert not torch.equal(again.model.visual.conv1.weight, small_model(pixels=True).visual.conv1.weight)  # type: ignore[union-attr,arg-type]
    for name, tensor in again.model.state_dict().items():
        assert torch.equal(tensor, whole.model.state_dict()[name]), name
