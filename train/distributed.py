"""Training on several processes (`torchrun --nproc-per-node N -m train.fit ...`) with the result of one process.

Every process makes the same plan of the same global batch and encodes its own slice of it. The vectors are gathered
differentiably, so each process sees the loss of the whole batch, with all negatives, and both towers learn from all of
them. Each process then seeks the gradient of `loss / processes`; gathering sends back the sum over the processes, and
the parameters' gradients are summed too. The sum is the gradient of the loss itself, temperature included.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lrsclip.errors import TrainingError

PATIENCE = datetime.timedelta(hours=1)  # while the first process validates, the others wait


@dataclass(frozen=True)
class World:
    """The processes of a run.

    Attributes:
        rank: this process' number, from 0.
        size: number of processes.
        device: the device of this process.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this process logs, validates and writes for all."""
        return self.rank == 0

    def own(self, rows: int) -> slice:
        """Return the slice of a global batch's rows that this process encodes."""
        share = rows // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def gather(self, rows: Tensor) -> Tensor:
        """Gather (n, D) of each process into (n * size, D), the same everywhere; differentiable."""
        if self.size == 1:
            return rows
        out: Tensor = _Gather.apply(rows, self)
        return out

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put the sum over all processes in place of each gradient."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        for gradient, total in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(total.view_as(gradient))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Leave the block on all processes or on none: where one fails, the others raise too instead of waiting for it.

        Raises:
            TrainingError: another process has failed in this block.
        """
        if self.size == 1:
            yield
            return
        failed = torch.zeros((), device=self.device)  # now: later there may be no memory for it
        fault: Exception | None = None
        try:
            yield
        except Exception as error:
            fault = error
            failed.fill_(1)
        dist.all_reduce(failed, op=dist.ReduceOp.MAX)
        if fault is not None:
            raise fault
        if failed:
            raise TrainingError("another process of this run has failed; its own message says why")


class _Gather(torch.autograd.Function):
    """All processes' rows in order; backwards, each gets the sum of all processes' gradients of its rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, world: World) -> Tensor:
        ctx.world = world
        parts = [torch.empty_like(rows) for _ in range(world.size)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)  # gloo has no reduce-scatter
        return total[ctx.world.own(len(total))], None


@contextmanager
def world_of(device: torch.device) -> Iterator[World]:
    """Join the world that `torchrun` started this process in; without `torchrun`, give a world of one process.

    Args:
        device: `cuda` becomes this process' own GPU.

    Raises:
        TrainingError: more processes than GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "RANK" not in os.environ:
        yield World(device=device)
        return
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise TrainingError(
                f"{torch.cuda.device_count()} GPUs for process {local + 1} of this machine; lower --nproc-per-node"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield World(dist.get_rank(), size, device)
    finally:
        dist.destroy_process_group()
