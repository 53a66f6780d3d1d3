"""The name of a command in its own help: that by which it was called."""

from __future__ import annotations

import sys

COMMAND = "lrsclip "


def program(own: str) -> str:
    """Return `lrsclip NAME` for a subcommand of the command `lrsclip`, or else a module's own name."""
    return sys.argv[0] if sys.argv[0].startswith(COMMAND) else own
