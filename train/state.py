"""The state of a run, with which it goes on as if it had never stopped. Written atomically, read as weights."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW

from lrsclip.errors import TrainingError
from lrsclip.io.atomic import write_atomically
from train.command import lacks_memory

STATE = "state.pt"


@dataclass(frozen=True)
class RunState:
    """Progress, weights and optimizer state of a run.

    Attributes:
        epoch: the epoch under way, from 0.
        step: the next step of that epoch.
        best_mr: the best validation mR so far.
        log_rows: rows of the log that belong to finished steps.
        model: the model's tensors by name.
        moments: for each trained tensor, by name, AdamW's state.
        settings: the settings as JSON text; a run goes on only with its own.
        data: fingerprint of the training records; likewise.
        begun_with: files of initial weights with their sha256.
        before: the training entry of the run or checkpoint that this one goes on from, or None.
        average: the running average of the weights, as torch's AveragedModel keeps it; empty for none.
    """

    epoch: int
    step: int
    best_mr: float
    log_rows: int
    model: dict[str, torch.Tensor]
    moments: dict[str, dict[str, torch.Tensor]]
    settings: str
    data: str
    begun_with: dict[str, str] = field(default_factory=dict)
    before: dict[str, Any] | None = None
    average: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def context_length(self) -> int:
        """Number of positions of the model, stretched or not."""
        return sum(len(self.model[f"text.positions.{part}"]) for part in ("kept", "rest"))


def write_state(folder: Path, state: RunState) -> None:
    """Write the state under a temporary name, then rename: a kill at any moment leaves the last whole state.

    Raises:
        OSError: it cannot be written.
    """
    content = io.BytesIO()  # a full disk is an OSError here; torch's own writer says RuntimeError
    torch.save(state.__dict__, content)
    write_atomically(folder / STATE, content.getbuffer())


def read_state(folder: Path) -> RunState | None:
    """Read the last state of a run; None if it never wrote one.

    Raises:
        TrainingError: the file is damaged.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        fields: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        state = RunState(**fields)
        _ = state.context_length, state.epoch + state.step + state.log_rows
    except OSError:
        raise
    except Exception as error:  # torch says half a dozen things of a damaged file
        if lacks_memory(error):
            raise TrainingError(f"{path} cannot be read: no memory is left; end other programs") from error
        reason = type(error).__name__
        raise TrainingError(
            f"{path} is damaged ({reason}); choose another --out, begun --from {folder / 'checkpoint'} if that is whole"
        ) from error
    return state


def moments_of(model: nn.Module, optimizer: AdamW) -> dict[str, dict[str, torch.Tensor]]:
    """Return AdamW's state by tensor name: a numbered list would not survive a change of the position table."""
    return {name: dict(optimizer.state[p]) for name, p in model.named_parameters() if p in optimizer.state}


def give_moments(model: nn.Module, optimizer: AdamW, moments: dict[str, dict[str, torch.Tensor]]) -> None:
    """Hand AdamW its state back; a tensor that is new or has another shape starts afresh."""
    for name, parameter in model.named_parameters():
        own = moments.get(name)
        if own is not None and own["exp_avg"].shape == parameter.shape and parameter.requires_grad:
            optimizer.state[parameter] = {
                # AdamW keeps its step count on the CPU
                k: (v.clone() if k == "step" else v.to(parameter.device).clone())
                for k, v in own.items()
            }
