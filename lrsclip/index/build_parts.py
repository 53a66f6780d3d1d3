"""Finished parts of an unfinished build, and the lock that lets one builder at a time into a folder.

A part is one small file with some tiles' vectors and rows together, so it is there as a whole or not at all. Parts of
different models and sources lie in different folders, `parts-<key>`, and never mix.
"""

from __future__ import annotations

import errno
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from lrsclip.errors import Cancelled
from lrsclip.index.schema import ModelMark, Row, Skipped, row_from_dict, row_to_dict
from lrsclip.index.storage import LOCK, writing_to
from lrsclip.io.atomic import write_atomically

# Seconds of work that a kill may cost. Smaller means more files, larger means more lost.
PART_SECONDS = 2.0
_LOCK_POLL_SECONDS = 0.1
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Encoded:
    """Some tiles after the encoder.

    Attributes:
        rows: n rows.
        vectors: (n, D) float16, row for row.
        skipped: tiles among them that could not be read.
    """

    rows: tuple[Row, ...]
    vectors: NDArray[np.float16]
    skipped: tuple[Skipped, ...] = ()


class PartStore:
    """Store of a build's finished tiles, in case it does not come to its end.

    Args:
        directory: the index's folder.
        model: the model that encodes.
        source_spec: address of the source being encoded.
    """

    def __init__(self, directory: Path, model: ModelMark, source_spec: str) -> None:
        key = hashlib.sha256(f"{model.sha256}\0{model.image_px}\0{source_spec}".encode()).hexdigest()[:16]
        self._directory = directory
        self._folder = directory / f"parts-{key}"
        self._dimension = model.dimension
        self._source_spec = source_spec
        self._pending: list[Encoded] = []
        self._flushed_at_s = time.monotonic()
        self._next_number = 0

    def exists(self) -> bool:
        """Tell whether an earlier build left parts of this model and source."""
        return self._folder.is_dir()

    def read(self) -> list[Encoded]:
        """Read all finished parts in the order of writing; leave out and delete files that do not parse.

        Raises:
            IndexDamagedError: the folder cannot be written to.
        """
        parts: list[Encoded] = []
        if not self.exists():
            return parts
        with writing_to(self._directory):
            for path in sorted(self._folder.iterdir()):
                part = self._parse(path) if path.suffix == ".safetensors" else None
                if part is None:
                    path.unlink()
                    continue
                parts.append(part)
                self._next_number = int(path.stem.removeprefix("part-")) + 1
        return parts

    def add(self, encoded: Encoded) -> None:
        """Take in finished tiles; they reach the disk at most PART_SECONDS and one batch later.

        Raises:
            IndexDamagedError: the folder cannot be written to.
        """
        if encoded.rows:
            self._pending.append(encoded)
        if time.monotonic() - self._flushed_at_s >= PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the pending tiles.

        Raises:
            IndexDamagedError: the folder cannot be written to.
        """
        if self._pending:
            rows = [row for one in self._pending for row in one.rows]
            vectors = np.concatenate([one.vectors for one in self._pending])
            facts = [row_to_dict(row, (self._source_spec,)) for row in rows]
            content = safetensors.numpy.save({"vectors": vectors}, metadata={"rows": json.dumps(facts)})
            with writing_to(self._directory):
                self._folder.mkdir(parents=True, exist_ok=True)
                write_atomically(self._folder / f"part-{self._next_number:08d}.safetensors", content)
            self._next_number += 1
            self._pending.clear()
        self._flushed_at_s = time.monotonic()

    def clear(self) -> None:
        """Delete the parts, once they are in a saved index.

        Raises:
            IndexDamagedError: the folder cannot be written to.
        """
        if not self.exists():
            return
        with writing_to(self._directory):
            for path in self._folder.iterdir():
                path.unlink()
            self._folder.rmdir()

    def _parse(self, path: Path) -> Encoded | None:
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                vectors = file.get_tensor("vectors")
                facts = json.loads((file.metadata() or {})["rows"])
            rows = tuple(row_from_dict(one, (self._source_spec,)) for one in facts)
        except (OSError, KeyError, TypeError, ValueError, IndexError, safetensors.SafetensorError):
            return None
        if vectors.dtype != np.float16 or vectors.shape != (len(rows), self._dimension):
            return None
        return Encoded(rows, vectors)


@contextmanager
def directory_lock(directory: Path, stop: threading.Event | None) -> Iterator[None]:
    """Hold a folder for one builder; let another one wait. The system frees the lock of a process that is killed.

    Raises:
        Cancelled: stop was set while waiting.
        IndexDamagedError: the folder cannot be written to.
    """
    lock = FileLock(directory / LOCK)
    with writing_to(directory):
        directory.mkdir(parents=True, exist_ok=True)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=_LOCK_POLL_SECONDS)
            except Timeout as error:  # caught in here: it is an OSError too
                if stop is not None and stop.is_set():
                    raise Cancelled(
                        f"stopped while another build in {directory} was running; build again later"
                    ) from error
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                break  # a network disk without locks: better unguarded than not at all
    try:
        yield
    finally:
        lock.release()
