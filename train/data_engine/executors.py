"""Executors of the steps: this process, some processes of this machine, or a Ray cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from typing import Any, Literal

from tqdm import tqdm

from lrsclip.errors import TrainingError
from lrsclip.workers import end_now, process_pool
from train.data_engine.run import Run

log = logging.getLogger(__name__)
EngineName = Literal["local", "ray"]
Step = Callable[[Run, str], None]


class Engine:
    """An executor of steps for every chunk of a run, with the same workers from the first step to the last.

    A process of its own costs some seconds of imports before its first chunk, so the processes of the local engine stay
    from step to step; they begin with the first step that has work for them.

    Args:
        name: "ray" needs `run.out` and the sources at the same place on every machine.
        workers: processes of the local engine; with 1 it is this one.
    """

    def __init__(self, name: EngineName = "local", workers: int = 1) -> None:
        self.name = name
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let the processes end; work that has not begun is left out, and on Ctrl-C running work ends too."""
        if self._pool is not None:
            if kind is KeyboardInterrupt:
                end_now(self._pool)
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def for_every_chunk(self, step: Step, run: Run, chunks: Sequence[str], what: str) -> None:
        """Do a step for every chunk, in any order; a step that is done already does nothing.

        Args:
            step: a function of a module, so that other processes find it.
            run: the run.
            chunks: their names.
            what: label of the progress bar.

        Raises:
            TrainingError: Ray is not installed.
            LRSCLIPError, OSError: raised by a step.
        """
        if self.name == "ray":
            _by_ray(step, run, chunks, what)
        elif self.workers <= 1 or len(chunks) <= 1:
            for chunk in tqdm(chunks, desc=what, unit="chunk", delay=2):
                step(run, chunk)
        else:
            jobs = [self._processes().submit(step, run, chunk) for chunk in chunks]
            for job in tqdm(as_completed(jobs), total=len(jobs), desc=what, unit="chunk", delay=2):
                job.result()

    def _processes(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = process_pool(self.workers)
        return self._pool


def _by_ray(step: Step, run: Run, chunks: Sequence[str], what: str) -> None:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise TrainingError(
            "the engine ray is not installed; pip install 'ray[data]', or take --engine local"
        ) from error
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    log.info("%s: %d chunks as a Ray Data job", what, len(chunks))
    rows = ray.data.from_items([{"chunk": chunk} for chunk in chunks], override_num_blocks=max(1, len(chunks)))
    try:
        rows.map(partial(_row, step, run)).materialize()
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from error


def _row(step: Step, run: Run, row: dict[str, Any]) -> dict[str, Any]:
    step(run, row["chunk"])
    return row
