"""The folder that visitors' files come into and that files are served from: this process's own, with one door.

Gradio checks a file only where the sender marks it as one, and its usual folder is shared by every Gradio app of a
machine. Here a path counts only if it names a regular file in this process's folder, without links on the way; any
other is answered with one message, whether something lies there or not.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from app.server.request_log import current_client
from app.server.settings import in_force
from lrsclip.errors import LRSCLIPError, PictureError

GRADIO_FOLDER = "GRADIO_TEMP_DIR"
"""Environment variable: where Gradio keeps files; ours stands inside it."""
OLDEST_S = 6 * 3600.0
"""Seconds after which a file that was sent, or made for a visitor, goes."""
_MIB = 2**20
NO_SUCH_UPLOAD = "this server holds no such upload, and fetches no web addresses; send the file itself"
_PREFIX, _LOCK, _INCOMING = "lrsclip-", ".lock", ".incoming"
_LONGEST_PATH, _MAX_PARTS, _LONGEST_NAME = 4096, 4, 200
_MAX_REFUSALS = 1000
_MIN_COUNTED_BYTES = 2**17  # of a file: an empty one takes an entry of the disk too, and a moment of each trim
_NOFOLLOW, _NONBLOCK = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)


class UploadFolderError(LRSCLIPError):
    """A folder for uploads that cannot be made."""


@dataclass(frozen=True)
class Upload:
    """A file that came through the gate.

    Attributes:
        path: its path, in the server's own folder.
        name: the sender's name of it; for display alone.
        refusal: reason why nothing of it was kept; empty for a file that was.
    """

    path: Path
    name: str
    refusal: str = ""

    def open(self) -> BinaryIO:
        """Open the file for reading; readers use this handle and not the path.

        Raises:
            PictureError: it was refused when it came in, is gone, or is no regular file any more.
        """
        if self.refusal:
            raise PictureError(self.refusal)
        try:
            before = os.lstat(self.path)
            if not stat.S_ISREG(before.st_mode):  # before it is opened: opening a device may do something
                raise PictureError(NO_SUCH_UPLOAD)
            file = os.fdopen(os.open(self.path, os.O_RDONLY | _NOFOLLOW | _NONBLOCK | getattr(os, "O_BINARY", 0)), "rb")
        except OSError as error:
            raise PictureError(NO_SUCH_UPLOAD) from error
        after = os.fstat(file.fileno())
        if not stat.S_ISREG(after.st_mode) or not os.path.samestat(before, after):
            file.close()
            raise PictureError(NO_SUCH_UPLOAD)
        return file


@dataclass(frozen=True)
class UploadFolder:
    """A folder of one server, under names that nobody can guess.

    Attributes:
        root: its path, without links in it.
    """

    root: Path
    _own: set[Path] = field(default_factory=set, repr=False, compare=False)
    _senders: dict[Path, str] = field(default_factory=dict, repr=False, compare=False)  # by folder
    _arriving: set[Path] = field(default_factory=set, repr=False, compare=False)
    _refusals: dict[Path, str] = field(default_factory=dict, repr=False, compare=False)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def admit(self, path: Any, name: Any = None) -> Upload:
        """Let a stranger's path through, if it names a file of this folder.

        Only the text is looked at until it is known to lie inside, so that nothing else is ever touched.

        Args:
            path: the path as sent.
            name: the sender's name of the file.

        Raises:
            PictureError: it is anything else; the message is the same in every case.
        """
        parts = self._parts(path)
        if parts is None:
            raise PictureError(NO_SUCH_UPLOAD)
        at = self.root
        try:
            for part in parts[:-1]:
                at = at / part
                if not stat.S_ISDIR(os.lstat(at).st_mode):
                    raise PictureError(NO_SUCH_UPLOAD)
            at = at / parts[-1]
            if not stat.S_ISREG(os.lstat(at).st_mode):
                raise PictureError(NO_SUCH_UPLOAD)
        except OSError as error:
            raise PictureError(NO_SUCH_UPLOAD) from error
        shown = name if isinstance(name, str) and name.strip() else parts[-1]
        with self._lock:
            return Upload(at, shown[-_LONGEST_NAME:], self._refusals.get(at, ""))

    def _parts(self, path: Any) -> tuple[str, ...] | None:
        """Split a path into its names below the root; None for one that this server would not write just so."""
        start = f"{self.root}{os.sep}"
        if not isinstance(path, str) or len(path) > _LONGEST_PATH or not path.startswith(start) or "\0" in path:
            return None
        parts = tuple(path.removeprefix(start).split(os.sep))
        hidden = any(not part or part.startswith(".") for part in parts)  # "", "." and ".." too
        return None if hidden or len(parts) > _MAX_PARTS else parts

    def new_place(self, name: str, sender: str = "") -> Path:
        """Make the path of a new file, in a folder of its own that is there already.

        Args:
            name: of the file.
            sender: the client that sends it, which has a share of the room; for a file made by a call, its caller.

        Raises:
            OSError: the disk is full or may not be written to.
        """
        folder = self.root / secrets.token_hex(32)
        folder.mkdir(mode=0o700)
        with self._lock:
            self._senders[folder] = sender or current_client()
        return folder / (name.lstrip(".")[-_LONGEST_NAME:] or "file")

    def refuse(self, place: Path, sentence: str) -> None:
        """Keep nothing of a file but the reason, which later readers of the file get.

        Raises:
            OSError: the disk is full or may not be written to.
        """
        place.write_bytes(b"")
        with self._lock:
            self._refusals[place] = sentence
            while len(self._refusals) > _MAX_REFUSALS:
                del self._refusals[next(iter(self._refusals))]

    @property
    def drafts(self) -> Path:
        """Folder of the files that are on their way; nobody can ask for one of them."""
        return self.root / _INCOMING

    def incoming(self) -> Path:
        """Make a new folder for files that are still on their way; nobody can ask for one of them.

        Raises:
            OSError: the disk is full or may not be written to.
        """
        folder = self.drafts / secrets.token_hex(16)
        with self._lock:
            self._arriving.add(folder)
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def forget_draft(self, folder: Path) -> None:
        """Remove a folder of `incoming` with all in it."""
        shutil.rmtree(folder, ignore_errors=True)
        with self._lock:
            self._arriving.discard(folder)

    def sweep_drafts(self, max_age_s: float) -> None:
        """Remove drafts to which nothing has been written for `max_age_s` seconds."""
        oldest_s = time.time() - max_age_s
        for changed_s, _, path in _files_by_age(self.drafts):
            if changed_s >= oldest_s:
                break
            if self._arriving.intersection(path.parents):  # complete, and waiting for a thread that takes it in
                continue
            path.unlink(missing_ok=True)
            with suppress(OSError):  # another file lies there still
                path.parent.rmdir()

    def keep_own(self) -> None:
        """Keep the files now in the folder as long as the server runs: the pictures that every page begins with."""
        with self._lock:
            self._own.update(path for _, _, path in _files_by_age(self.root))

    def touch(self, upload: Upload) -> None:
        """Note that a file was asked for, so that it is not among the oldest."""
        with suppress(OSError):  # gone meanwhile
            os.utime(upload.path)

    def trim(self, max_bytes: int, max_age_s: float) -> None:
        """Remove expired files, then the oldest of the client that holds most, until `max_bytes` are left.

        So one client that sends without end pushes its own files out, and not those of others. A small file counts as
        128 KiB, so that their number is bounded too.
        """
        files = _files_by_age(self.root)  # outside the lock, for which every request for a file waits
        with self._lock:
            own, senders = set(self._own), dict(self._senders)
        oldest_s = time.time() - max_age_s
        held: dict[str, deque[tuple[int, Path]]] = defaultdict(deque)
        for changed_s, size, path in files:
            if path in own:
                continue
            if changed_s < oldest_s:
                self._remove(path)
            else:
                held[senders.get(path.parent, "")].append((max(size, _MIN_COUNTED_BYTES), path))
        totals = {sender: sum(size for size, _ in sent) for sender, sent in held.items()}
        total = sum(totals.values())
        while total > max_bytes:
            sender = max(totals, key=totals.__getitem__)
            size, path = held[sender].popleft()
            self._remove(path)
            totals[sender] -= size
            total -= size

    def trim_made(self) -> None:
        """Trim by the settings in force; to be called once a file was made for a user, which no upload precedes."""
        self.trim(in_force().max_uploads_mb * _MIB, OLDEST_S)

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        with suppress(OSError):  # another file lies there still
            path.parent.rmdir()
            with self._lock:
                self._senders.pop(path.parent, None)


def _files_by_age(root: Path) -> list[tuple[float, int, Path]]:
    """List (time of change in s, bytes, path) of every file of visitors and draft, the oldest first."""
    files = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            with suppress(OSError):  # removed meanwhile
                facts = path.lstat()
                if name != _LOCK:
                    files.append((facts.st_mtime, facts.st_size, path))
    return sorted(files)


@lru_cache(maxsize=1)
def own_folder() -> UploadFolder:
    """Return this process' folder; make it at the first call, after which Gradio uses it too.

    Folders that killed servers left are removed: each living one holds a lock in its own.

    Raises:
        UploadFolderError: it cannot be made.
    """
    base = Path(os.environ.get(GRADIO_FOLDER) or Path(tempfile.gettempdir(), "gradio"))
    try:
        base.mkdir(parents=True, exist_ok=True)
        base = base.resolve(strict=True)
        _remove_abandoned(base)
        root = base / f"{_PREFIX}{secrets.token_hex(16)}"
        root.mkdir(mode=0o700)
        lock = FileLock(root / _LOCK)
        lock.acquire(blocking=False)
    except (OSError, Timeout) as error:
        raise UploadFolderError(
            f"cannot make a folder for uploads in {base} ({error}); set {GRADIO_FOLDER} to a folder of yours"
        ) from error
    atexit.register(_remove, root, lock, os.getpid())
    os.environ[GRADIO_FOLDER] = str(root)
    return UploadFolder(root)


def forget_own_folder() -> None:
    """Remove this process's folder, if it has one: to be called where Python does not end in good order."""
    if own_folder.cache_info().currsize:
        shutil.rmtree(own_folder().root, ignore_errors=True)


def _remove(root: Path, lock: FileLock, owner: int) -> None:
    if os.getpid() == owner:  # a forked child ends too, and the folder is not its own
        shutil.rmtree(root, ignore_errors=True)
        lock.release()


def _remove_abandoned(base: Path) -> None:
    for folder in base.glob(f"{_PREFIX}*"):
        if folder.is_symlink() or not (folder / _LOCK).is_file():
            continue
        lock = FileLock(folder / _LOCK)
        with suppress(OSError, Timeout):  # of another user, or of a living server
            lock.acquire(blocking=False)
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
