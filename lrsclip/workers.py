"""Worker processes: started afresh, silent on Ctrl-C, and gone when the process that started them is gone.

A process that was killed cannot tell its workers to end, and Ctrl-C in a shell reaches all of them at once, each with a
trace to print. So workers leave Ctrl-C to the one that started them, and watch whether it is still there.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_PR_SET_PDEATHSIG = 1  # as linux/prctl.h has it
_LOOK_S = 1.0


class _Pool(ProcessPoolExecutor):
    """A pool whose processes begin deaf to Ctrl-C: their imports take seconds, and print a trace on it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with without_interrupts():  # a process inherits held signals; here they come through afterwards
            return super().submit(fn, *args, **kwargs)


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Start a pool whose processes end with this one, however it ends, and say nothing on Ctrl-C.

    They are spawned: a fork of a process with the threads of torch or FAISS can hang. The thread that submits work must
    live as long as the pool: to Linux a process's parent is the thread that started it.

    Args:
        workers: number of processes.
    """
    context = multiprocessing.get_context("spawn")
    return _Pool(workers, context, initializer=stay_with_parent, initargs=(os.getpid(),))


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back while a process is started, which inherits that."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows, where a new process is no child of the console's group alone
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_now(pool: ProcessPoolExecutor) -> list[int]:
    """End a pool without waiting for the work of its processes; complete files on disk stay.

    Returns:
        Ids of the processes that it had.
    """
    processes = dict(pool._processes or {})
    for process in processes.values():
        with suppress(OSError, ValueError):  # over already
            process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)
    return list(processes)


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop in good order; a second one interrupts at once.

    Outside the main thread, where no signal comes, nobody sets the event.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    kinds = (signal.SIGINT, signal.SIGTERM)

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        for kind in kinds:
            signal.signal(kind, signal.default_int_handler)

    before = {kind: signal.signal(kind, ask) for kind in kinds}
    try:
        yield stop
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


@contextmanager
def interrupted_by_term() -> Iterator[None]:
    """Interrupt running work on SIGTERM as on Ctrl-C, with a KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stay_with_parent(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end this worker when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another libc
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # For other systems, and for a parent that was gone before the line above.
    threading.Thread(target=_watch, args=(parent,), name="parent-watch", daemon=True).start()


def _watch(parent: int) -> None:
    there = multiprocessing.parent_process()
    while there is not None and there.is_alive() and (sys.platform == "win32" or os.getppid() == parent):
        there.join(_LOOK_S)  # which ends at once when the parent does
    os._exit(1)
