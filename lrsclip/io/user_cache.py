"""The user's cache: files that can be made again, kept between runs, as indexes and rendered demo tiles."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

FIX: Final = "free space there, or set LRSCLIP_CACHE to a folder that can be written to"
"""The mend for a cache that cannot be written to, as error messages state it."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def is_full(error: OSError) -> bool:
    """Tell whether nothing at all can be written any more: the disk or a quota is full, or the disk is read-only."""
    return error.errno in _FULL


def user_cache() -> Path:
    """Find the cache: `$LRSCLIP_CACHE`, else `lrsclip` in the system's cache (`$XDG_CACHE_HOME`, `~/.cache`, ...)."""
    own = os.environ.get("LRSCLIP_CACHE")
    return Path(own).expanduser() if own else user_cache_path("lrsclip", appauthor=False)
