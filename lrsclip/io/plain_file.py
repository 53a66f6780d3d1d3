"""Files opened so that a pipe or a device in their place is refused, where reading it might never end."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_plain(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading bytes; follow links to one.

    Raises:
        OSError: it is gone, may not be read, or is a folder, a pipe or a device.
    """
    # Without waiting: opening a pipe that nobody writes to would last for ever. The open handle is checked and not the
    # path, so that the file cannot be swapped in between.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("it is no regular file but a folder, a pipe or a device")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def leads_inside(path: Path, root: Path) -> bool:
    """Tell whether a path is a regular file that really lies below a folder, however many links lead to it.

    Args:
        path: the file.
        root: the folder; itself without links, as from `Path.resolve`.
    """
    try:
        real = path.resolve(strict=True)
        return real.is_relative_to(root) and stat.S_ISREG(real.stat().st_mode)
    except (OSError, RuntimeError):  # RuntimeError: links that run in a circle, before Python 3.13
        return False
