"""Work on strangers' bytes in a process of its own: its memory and its time are bounded, and it can be ended.

Decoders of pictures and of Parquet trust what a file says of itself, hold Python's lock while they work, and cannot be
stopped. In here the worst of them costs a child process, and nobody else's answer. What comes back is plain bytes: a
decoder that was taken over could otherwise send objects that run code.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from lrsclip.errors import Cancelled, LRSCLIPError, PictureError
from lrsclip.io.quiet_decoders import silence_libtiff
from lrsclip.workers import stay_with_parent, without_interrupts

Answer = tuple[dict[str, Any], bytes]
Task = Callable[[dict[str, Any], bytes], Answer]
"""A function of a module, of a request that JSON can hold and the bytes to work on; raises `LRSCLIPError`."""
_MAX_ANSWER_BYTES = 2**30
_LOOK_S = 0.05
_START_S = 60.0  # in which a process has to be up


@dataclass(eq=False)
class _Job:
    task: Task
    request: dict[str, Any]
    content: bytes
    seconds: float
    stop: threading.Event | None
    answer: Future[Answer] = field(default_factory=Future)

    @property
    def given_up(self) -> bool:
        return self.stop is not None and self.stop.is_set()


class Confined:
    """A few processes for such work, which start with the first of it.

    Args:
        workers: number of processes.
        memory_bytes: that a piece of work may take.
        what: what is worked on, in an error: "the picture".
    """

    def __init__(self, workers: int, memory_bytes: int, what: str) -> None:
        self._count, self._memory_bytes, self._what = workers, memory_bytes, what
        self._jobs: queue.Queue[_Job] = queue.Queue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def run(
        self,
        task: Task,
        request: dict[str, Any],
        content: bytes = b"",
        *,
        seconds: float,
        stop: threading.Event | None = None,
    ) -> Answer:
        """Have a piece of work done.

        Args:
            task: what is done.
            request: its settings.
            content: the bytes to work on.
            seconds: time that it may take, from its beginning.
            stop: set it to end the work.

        Returns:
            What the task returned.

        Raises:
            LRSCLIPError: the task's own, as `PictureError`.
            PictureError: it took too long, or too much memory.
            Cancelled: `stop` was set.
        """
        job = _Job(task, request, content, seconds, stop)
        with self._lock:
            # Each process has a thread that lives as long: to Linux, a process's parent is the thread that started it.
            while len(self._threads) < self._count:
                thread = threading.Thread(target=self._serve, name="confined", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._jobs.put(job)
        return job.answer.result()

    def _serve(self) -> None:
        child: _Child | None = None
        while True:
            job = self._jobs.get()
            if job.given_up:
                job.answer.set_exception(Cancelled("stopped before its turn came"))
                continue
            try:
                if child is None or not child.is_alive():
                    child = _Child(self._memory_bytes)
                job.answer.set_result(child.work(job))
                continue
            except _TooMuchError as error:
                job.answer.set_exception(PictureError(f"cannot read {self._what}: {error}; save it anew, or smaller"))
            except Cancelled as error:
                job.answer.set_exception(error)
            except _RefusedError as error:  # the process itself is well
                job.answer.set_exception(PictureError(str(error)))
                continue
            except BaseException as error:  # the caller must hear of it, and the thread goes on
                job.answer.set_exception(error)
            if child is not None:
                child.kill()
                child = None


class _TooMuchError(Exception):
    """Tells what the work took too much of."""


class _RefusedError(Exception):
    """Carries the words in which a task refused its content."""


class _Child:
    def __init__(self, memory_bytes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(
            target=_work, args=(theirs, memory_bytes, os.getpid()), name="confined", daemon=True
        )
        with without_interrupts():
            self._process.start()
        theirs.close()
        self._wait(time.monotonic() + _START_S, None)
        self._ours.recv_bytes(_MAX_ANSWER_BYTES)

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._ours.close()

    def work(self, job: _Job) -> Answer:
        until_s = time.monotonic() + job.seconds
        head = {"task": f"{job.task.__module__}:{job.task.__name__}", "request": job.request}
        try:
            self._ours.send_bytes(json.dumps(head).encode())
            self._ours.send_bytes(job.content)
            self._wait(until_s, job)
            answer = json.loads(self._ours.recv_bytes(_MAX_ANSWER_BYTES))
            content = self._ours.recv_bytes(_MAX_ANSWER_BYTES) if "error" not in answer else b""
        except (EOFError, OSError) as error:
            raise _TooMuchError("it takes more memory than one file may") from error
        if "memory" in answer:
            raise _TooMuchError("it takes more memory than one file may")
        if "error" in answer:
            raise _RefusedError(str(answer["error"]))
        return dict(answer["answer"]), content

    def _wait(self, until_s: float, job: _Job | None) -> None:
        while not self._ours.poll(_LOOK_S):
            if job is not None and job.given_up:
                raise Cancelled("stopped while it was read")
            if time.monotonic() > until_s:
                raise _TooMuchError("it takes longer than one file may")
            if not self._process.is_alive() and not self._ours.poll(0):
                raise EOFError


def _work(ours: Connection, memory_bytes: int, parent: int) -> None:
    """Do pieces of work until the pipe is closed."""
    stay_with_parent(parent)
    silence_libtiff()
    warnings.simplefilter("ignore")
    ours.send_bytes(b"{}")
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            head = json.loads(ours.recv_bytes())
            content = ours.recv_bytes()
            module, _, name = head["task"].partition(":")
            task: Task = getattr(import_module(module), name)
            limit_memory(memory_bytes)  # once all modules are there
            said: dict[str, Any]
            sent: bytes | None = None
            try:
                answer, sent = task(head["request"], content)
                said = {"answer": answer}
            except MemoryError:
                said = {"error": "", "memory": True}
            except LRSCLIPError as error:
                said = {"error": str(error)}
            except Exception as error:  # a fault that a file found; its trace may repeat what is in it
                said = {"error": f"it cannot be read ({type(error).__name__}); save it anew"}
            ours.send_bytes(json.dumps(said).encode())
            if sent is not None:
                ours.send_bytes(sent)
            del content, sent


def limit_memory(more_bytes: int) -> None:
    """Let this process take so many more bytes than it has now; does nothing on systems other than Linux."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        now_bytes = int(file.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = now_bytes + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
