"""Ledger of paid answers: each is on disk before it is used, so that nothing is asked and paid twice."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from lrsclip.errors import DataError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """One answered request.

    Attributes:
        request: SHA-256 of the canonical request.
        key, variant, attempt: its record, variant and try.
        text: the model's answer.
        finish_reason: why it stopped, in the server's words, or "".
        prompt_tokens, completion_tokens: paid tokens.
        model: as the server calls it.
        estimated: whether the server gave no token counts, so that these are upper bounds.
    """

    request: str
    key: str
    variant: int
    attempt: int
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    model: str
    estimated: bool = False


_ANSWER = TypeAdapter(Answer)


class Ledger:
    """Append-only file of answers, one JSON object a line; one process at a time may hold it open.

    Opening reads what is there. The last line of a process that was killed may be torn: it is cut off.

    Raises:
        DataError: another process holds it, or a line in its middle is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=0)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise DataError(f"another run writes {path}; wait for it to end, or choose another folder") from error
        self._file = -1
        try:
            self._size = _whole_bytes(path)
            self._answers = {answer.request: answer for answer in read_answers(path)}
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.truncate(path, self._size)  # the half line of a killed process would spoil the next one
            _sync_folder(path.parent)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._answers)

    def find(self, request: str) -> Answer | None:
        """Find the answer to a request; None if there is none."""
        return self._answers.get(request)

    def append(self, answer: Answer) -> None:
        """Keep an answer; it is on disk when this returns.

        Raises:
            DataError: it cannot be written.
        """
        line = _ANSWER.dump_json(answer, exclude_defaults=True) + b"\n"
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError as error:
            os.truncate(self.path, self._size)  # half a line must not stay
            raise DataError(f"cannot write {self.path} ({error}); make room there and run again") from error
        self._size += len(line)
        self._answers[answer.request] = answer

    def close(self) -> None:
        """Close the file and release its lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._lock.release()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read_answers(path: Path) -> Iterator[Answer]:
    """Yield the answers of a ledger's whole lines; none where there is no file.

    Raises:
        DataError: a line is damaged.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                log.warning("the last line of %s is torn; what it answered is asked again", path)
                return
            try:
                yield _ANSWER.validate_json(line)
            except ValidationError as error:
                raise DataError(
                    f"line {number} of {path} is damaged ({error.errors()[0]['msg']}); take that line out and run again"
                ) from error


class Spent:
    """Tokens that were paid for over all ledgers of a run, and those that requests in flight may come to."""

    def __init__(self, prompt_tokens: int = 0, completion_tokens: int = 0) -> None:
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens
        self.held_prompt_tokens = 0
        self.held_completion_tokens = 0

    @classmethod
    def from_ledgers(cls, paths: Iterable[Path]) -> Spent:
        """Sum the tokens that earlier runs paid for.

        Raises:
            DataError: a ledger is damaged.
        """
        spent = cls()
        for path in paths:
            for answer in read_answers(path):
                spent.add(answer)
        return spent

    def add(self, answer: Answer) -> None:
        """Count a paid answer."""
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens

    def hold(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Set tokens aside for a request that is about to be sent; negative numbers give them back."""
        self.held_prompt_tokens += prompt_tokens
        self.held_completion_tokens += completion_tokens


def _whole_bytes(path: Path) -> int:
    """Count the bytes up to and with the last line's end."""
    if not path.is_file():
        return 0
    block = 1 << 16
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - block)
            file.seek(start)
            if (at := file.read(end - start).rfind(b"\n")) >= 0:
                return start + at + 1
            end = start
    return 0


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # there a folder cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
