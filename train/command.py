"""The end of every command of `train`: an error is one line that names its cure, and an exit code."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

from lrsclip.errors import LRSCLIPError

FAILED, STOPPED = 2, 130  # as argparse and shells have it
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "could not create a primitive",  # oneDNN's word for it
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error says that a GPU or the machine has no memory left; no common type exists for it."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in _NO_MEMORY)
    )


def run_command(name: str, work: Callable[[], object], when_stopped: str = "nothing was written") -> int:
    """Run a command's work; return the exit code.

    Args:
        name: the prefix of its messages, such as `train.fit`.
        work: the command's body.
        when_stopped: the message to a user who pressed Ctrl-C.
    """
    try:
        work()
    except LRSCLIPError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:  # it names the file
        mend = "make room, or write elsewhere" if error.errno in _FULL else "check that path and its rights"
        print(f"{name}: {error}; {mend}", file=sys.stderr)
        return FAILED
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        print(f"{name}: no memory is left; end other programs, or take a smaller model", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{name}: stopped; {when_stopped}", file=sys.stderr)
        return STOPPED
    return 0
