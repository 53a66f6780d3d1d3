"""One line for all work of the model: one thread runs it, small jobs of several visitors in one batch.

Short texts go first, so a search waits for one piece of a long heat-map at most; after a few of them one piece of other
work has its turn. Among the short texts, as among the rest, the event that had least of the model so far goes first, so
that one picture does not wait for a scene of a thousand windows; waiting counts too, so that nothing waits for ever.
Where clients can be told apart, all events of one count together, and one's second job comes after another's first. A
caller with much work hands it over piece by piece and waits for each (`app.server.queued_model`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from lrsclip.errors import Busy, Cancelled

STOP: ContextVar[threading.Event | None] = ContextVar("stop", default=None)
"""The stop flag of the work at hand, if it has one: set by `StopFlags.start` for the thread that works."""


@dataclass
class Spent:
    """Seconds of the model that one visitor's event, or all events of one client, had so far."""

    seconds: float = 0.0


class SpentByClient:
    """What each client had of the model of late: half of it is forgotten every half a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[Spent, float]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, client: str) -> Spent:
        """Return a client's, which its events share; a fresh one for "", a client that is not known."""
        if not client:
            return Spent()
        with self._lock:
            now_s = self._clock()
            spent, then_s = self._known.pop(client, (Spent(), now_s))
            spent.seconds *= 0.5 ** ((now_s - then_s) / _HALF_LIFE_S)
            self._known[client] = spent, now_s
            while len(self._known) > _MAX_CLIENTS:
                self._known.popitem(last=False)
            return spent


_SPENT: ContextVar[Spent | None] = ContextVar("spent", default=None)
MAX_WAITING = 96  # a backstop: where events wait in Gradio's queue first, that queue is full before
_WAITING_COUNTS = 0.25  # seconds of the model that a second of waiting is worth
_URGENT_IN_A_ROW = 4
_HALF_LIFE_S, _MAX_CLIENTS = 30.0, 10_000
_LOOK_S = 0.05  # how often a waiting caller looks at its stop flag


@dataclass(frozen=True)
class Work:
    """The work on the rows of a job; jobs of equal `kind` may be done together.

    Attributes:
        kind: key that jobs done together share; None if jobs are done one by one.
        run: maps (N, ...) rows to as many results.
        max_rows: of the jobs that are done together.
        max_tokens: of the same, where rows are (N, L) token ids: each row costs as much as the longest, to whose length
            it is padded; None for any number. A job with more is done alone, and so is one that would add more than a
            quarter of this in padding: together, a word and a long text take twice the time of the text.
    """

    kind: Hashable
    run: Callable[[Tensor], Tensor] = field(compare=False)
    max_rows: int = 1
    max_tokens: int | None = None


@contextmanager
def one_event(spent: Spent | None = None) -> Iterator[None]:
    """Count all of this thread's work on the model inside as one event's."""
    token = _SPENT.set(spent or Spent())
    try:
        yield
    finally:
        _SPENT.reset(token)


@dataclass(eq=False)
class _Job:
    work: Work
    rows: Tensor
    stop: threading.Event | None
    spent: Spent
    since_s: float
    done: threading.Event = field(default_factory=threading.Event)
    result: Tensor | None = None
    error: BaseException | None = None

    def rank(self, now_s: float) -> float:
        return self.spent.seconds - _WAITING_COUNTS * (now_s - self.since_s)

    @property
    def given_up(self) -> bool:
        return self.stop is not None and self.stop.is_set()

    def may_join(self, others: Sequence[_Job]) -> bool:
        """Return whether this job may be done together with others, the first of which says how."""
        work = others[0].work
        if work.kind is None or self.work.kind != work.kind:
            return False
        jobs = [*others, self]
        rows = sum(len(job.rows) for job in jobs)
        if work.max_tokens is not None:
            tokens = rows * max(job.rows.shape[1] for job in jobs)
            padding = tokens - sum(job.rows.numel() for job in jobs)
            if tokens > work.max_tokens or padding > work.max_tokens // 4:
                return False
        return rows <= work.max_rows


class EncoderQueue:
    """The line and its thread, which starts with the first job.

    Args:
        max_waiting: jobs that may wait; further ones are refused.
    """

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._urgent: list[_Job] = []
        self._others: list[_Job] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._urgent_before = 0
        self._runs = self._jobs = 0
        self._running = 0  # jobs at hand
        self._moved_s, self._longest_s = time.monotonic(), 0.0

    @property
    def still_s(self) -> float:
        """Seconds in which nothing moved although jobs wait or one is at hand; 0 where there is nothing to do."""
        return time.monotonic() - self._moved_s if self.waiting or self._running else 0.0

    @property
    def moved_s(self) -> float:
        """`time.monotonic()` of the last moment at which a run began or ended, or a job came into an empty line."""
        return self._moved_s

    @property
    def longest_run_s(self) -> float:
        """Seconds of the longest run of the model so far."""
        return self._longest_s

    @property
    def waiting(self) -> int:
        """Number of jobs in the line, the one at hand left out."""
        return len(self._urgent) + len(self._others)

    @property
    def jobs_done(self) -> int:
        """Number of jobs done so far."""
        return self._jobs

    @property
    def runs_done(self) -> int:
        """Number of runs of the model that they took."""
        return self._runs

    def do(self, work: Work, rows: Tensor, *, urgent: bool = False, stop: threading.Event | None = None) -> Tensor:
        """Wait for the job's turn and have the work done; return its results.

        Args:
            work: the work.
            rows: (N, ...) its rows.
            urgent: go before jobs that are not.
            stop: set it to leave the line; None for the flag of the work at hand (`STOP`).

        Raises:
            Busy: too many wait already, or the server is going down.
            Cancelled: `stop` was set before the job's turn came.
        """
        job = _Job(work, rows, stop if stop is not None else STOP.get(), _SPENT.get() or Spent(), time.monotonic())
        with self._changed:
            if self._closed:
                raise Busy("the server is going down; try again in a minute")
            if self.waiting >= self._max_waiting:
                raise Busy(f"{self.waiting} jobs wait for the model already; try again in a moment")
            if not self.waiting and not self._running:
                self._moved_s = time.monotonic()
            (self._urgent if urgent else self._others).append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="encoder", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        while not job.done.wait(_LOOK_S if job.stop is not None else None):
            if job.given_up and self._withdraw(job):
                raise Cancelled("stopped while waiting for the model")
        if job.error is not None:
            raise job.error
        if job.result is None:
            raise Cancelled("stopped while waiting for the model")
        return job.result

    def close(self) -> None:
        """Refuse waiting and new jobs, and end the thread after the job at hand."""
        with self._changed:
            self._closed = True
            for job in (*self._urgent, *self._others):
                job.error = Busy("the server is going down; try again in a minute")
                job.done.set()
            self._urgent.clear()
            self._others.clear()
            self._changed.notify_all()

    def _withdraw(self, job: _Job) -> bool:
        with self._changed:
            if job in self._urgent:
                self._urgent.remove(job)
                return True
            if job in self._others:
                self._others.remove(job)
                return True
        return False  # it is being done

    def _serve(self) -> None:
        while (jobs := self._next()) is not None:
            if not jobs:
                continue
            began = self._moved_s = time.monotonic()
            try:
                results = jobs[0].work.run(jobs[0].rows if len(jobs) == 1 else _joined(job.rows for job in jobs))
                counts = [len(job.rows) for job in jobs]
                for job, result in zip(jobs, [results] if len(jobs) == 1 else results.split(counts), strict=True):
                    job.result = result
            except BaseException as error:  # its caller must hear of it, and the next one has a turn
                for job in jobs:
                    job.error = error
            self._moved_s = time.monotonic()
            self._longest_s = max(self._longest_s, self._moved_s - began)
            # By tokens and by pixels: a word does not pay for the long texts beside it. A job may have no rows.
            each_s = (self._moved_s - began) / max(1, sum(job.rows.numel() for job in jobs))
            self._runs += 1
            self._jobs += len(jobs)
            self._running = 0
            for job in jobs:
                job.spent.seconds += each_s * job.rows.numel()
                job.done.set()

    def _next(self) -> list[_Job] | None:
        """Take the next jobs, to be done together; none if all were given up; None at the end."""
        with self._changed:
            while not self.waiting:
                if self._closed:
                    return None
                self._changed.wait()
            urgent = bool(self._urgent) and (not self._others or self._urgent_before < _URGENT_IN_A_ROW)
            self._urgent_before = self._urgent_before + 1 if urgent else 0
            line = self._urgent if urgent else self._others
            now_s = time.monotonic()
            jobs: list[_Job] = []
            for job in _in_turn(line, now_s):
                if job.given_up:
                    line.remove(job)
                    job.done.set()
                elif not jobs or job.may_join(jobs):
                    line.remove(job)
                    jobs.append(job)
            served = {id(job.spent) for job in jobs}
            for job in line:
                if id(job.spent) in served:  # else a burst would have waited once and gain by it with every job
                    job.since_s = now_s
            self._running = len(jobs)
            return jobs


def _in_turn(line: Iterable[_Job], now_s: float) -> list[_Job]:
    """Order the jobs of a line: each client's first, then each one's second; of these the one that had least first."""
    turns: Counter[int] = Counter()
    order: list[tuple[int, _Job]] = []
    for job in sorted(line, key=lambda job: job.rank(now_s)):  # stable: equals stay as they came
        order.append((turns[id(job.spent)], job))
        turns[id(job.spent)] += 1
    return [job for _, job in sorted(order, key=lambda one: one[0])]


def _joined(parts: Iterable[Tensor]) -> Tensor:
    """Concatenate (n, ...) parts; shorter rows of token ids are padded with 0 as the tokenizer does."""
    tensors = list(parts)
    longest = max(part.shape[1] for part in tensors)
    return torch.cat(
        [part if part.shape[1] == longest else F.pad(part, (0, longest - part.shape[1])) for part in tensors]
    )
