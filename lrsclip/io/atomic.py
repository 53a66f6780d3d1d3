"""Files that are there as a whole or not at all, and their hashes."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_atomically(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Write a file under a temporary name, then rename it; the result survives a power cut.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(path)
    draft = path.with_name(f"{path.name}.{os.getpid()}{threading.get_ident()}.tmp")  # two writers, two drafts
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], data: Mapping[str, Any]) -> None:
    """Write JSON, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    write_atomically(path, (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Hash a file with SHA-256, as hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
