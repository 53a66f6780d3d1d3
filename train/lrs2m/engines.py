"""Who does the work: this process, some processes of this machine, or a Ray cluster."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from typing import Any, Literal

from tqdm import tqdm

from lrsclip.errors import TrainingError
from train.lrs2m.run import Run

log = logging.getLogger(__name__)
EngineName = Literal["local", "ray"]
Step = Callable[[Run, str], None]


def for_every_chunk(step: Step, run: Run, chunks: Sequence[str], engine: EngineName, workers: int, what: str) -> None:
    """Do a step for every chunk, in any order; a step that is done already does nothing.

    Args:
        step: a function of a module, so that other processes find it.
        run: the run.
        chunks: which.
        engine: "ray" needs `run.out` and the sources at the same place on every machine.
        workers: processes of the local engine; with 1 it is this one.
        what: for the progress bar.

    Raises:
        TrainingError: Ray is not installed.
        LRSCLIPError, OSError: what a step raises.
    """
    if engine == "ray":
        _by_ray(step, run, chunks, what)
    elif workers <= 1 or len(chunks) <= 1:
        for chunk in tqdm(chunks, desc=what, unit="chunk", delay=2):
            step(run, chunk)
    else:
        _by_processes(step, run, chunks, workers, what)


def _by_processes(step: Step, run: Run, chunks: Sequence[str], workers: int, what: str) -> None:
    context = multiprocessing.get_context("spawn")  # threads of torch and FAISS do not survive a fork
    with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context) as pool:
        jobs = [pool.submit(step, run, chunk) for chunk in chunks]
        try:
            for job in tqdm(as_completed(jobs), total=len(jobs), desc=what, unit="chunk", delay=2):
                job.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


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
