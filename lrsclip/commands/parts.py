"""Shared parts of the commands: errors as one line, and Ctrl-C as a request to stop."""

from __future__ import annotations

import sys
from collections.abc import Callable

from lrsclip.errors import Cancelled, LRSCLIPError

EXIT_ERROR = 2
EXIT_STOPPED = 130  # shells expect it after Ctrl-C


def run(work: Callable[[], int]) -> int:
    """Run a command's work.

    Args:
        work: the command's function; returns the exit status.

    Returns:
        That status; 2 after an error of the project's own, in one line on stderr; 130 after Ctrl-C.
    """
    try:
        return work()
    except (Cancelled, KeyboardInterrupt) as stopped:
        print(str(stopped) or "stopped; run it again", file=sys.stderr)
        return EXIT_STOPPED
    except LRSCLIPError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
