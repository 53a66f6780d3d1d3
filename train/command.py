"""How every command of `train` ends: an error is one line that says what to do, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from lrsclip.errors import LRSCLIPError

FAILED, STOPPED = 2, 130  # as argparse and shells have it


def run_command(name: str, work: Callable[[], object], when_stopped: str = "nothing was written") -> int:
    """Run a command's work; returns the exit code.

    Args:
        name: what its messages begin with, such as `train.fit`.
        work: what it does.
        when_stopped: what to tell whoever pressed Ctrl-C.
    """
    try:
        work()
    except LRSCLIPError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:  # a disk that is full, a folder that may not be written to; the error names the file
        print(f"{name}: {error}; make room, or choose another place to write to", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{name}: stopped; {when_stopped}", file=sys.stderr)
        return STOPPED
    return 0
