"""Where things that can be made again are kept between runs: indexes, rendered demo tiles."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

MEND: Final = "free space there, or set LRSCLIP_CACHE to a folder that can be written to"
"""What helps where the cache cannot be written to."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def is_full(error: OSError) -> bool:
    """Whether nothing at all can be written any more: the disk or a quota is full, or the disk is read-only."""
    return error.errno in _FULL


def user_cache() -> Path:
    """`$LRSCLIP_CACHE` if set, else `lrsclip` in the system's usual place (`$XDG_CACHE_HOME`, `~/.cache`, ...)."""
    own = os.environ.get("LRSCLIP_CACHE")
    return Path(own).expanduser() if own else user_cache_path("lrsclip", appauthor=False)
