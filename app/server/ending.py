"""The end of a server: work is told to stop, and a thread that does not listen cannot hold the process."""

from __future__ import annotations

import atexit
import faulthandler
import os
import sys
import threading
import time

from gradio.tunneling import CURRENT_TUNNELS

from app.server.checked_blocks import CheckedBlocks
from app.server.upload_folder import forget_own_folder

END_S = 2.0
"""Seconds after Ctrl-C in which the process ends, one way or the other."""
_LOOK_S, _GRACE_S, _GOOD_ORDER_S = 0.2, 0.9, 10
_STOPPED = 130  # as shells expect it after Ctrl-C


def stay(demo: CheckedBlocks) -> None:
    """Stay here as long as a server runs; at Ctrl-C end it and all its work.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    try:
        while demo.is_running:
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        # A thread that decodes a picture hears nothing, and a pool that draws is waited for when Python ends.
        last = threading.Timer(END_S, _end_hard)
        last.daemon = True
        last.start()
        # A thread that decodes may hold Python's lock, so that not even this timer is heard; a watchdog without it is.
        _end_unheard(END_S + _GRACE_S)
        # Once Python has heard everybody out it ends in good order, and a slow machine may take its time over that.
        atexit.register(_end_unheard, _GOOD_ORDER_S)
        demo.callers.end_all()
        for tunnel in CURRENT_TUNNELS:
            tunnel.kill()  # type: ignore[no-untyped-call]
        demo.close(verbose=False)
        raise


def _end_unheard(after_s: float) -> None:
    """End the process after a while without Python, with an exit code of 1: there is no other."""
    faulthandler.dump_traceback_later(after_s, exit=True, file=open(os.devnull, "w"))  # noqa: SIM115


def _end_hard() -> None:
    faulthandler.cancel_dump_traceback_later()
    forget_own_folder()
    print("stopped; what was made so far is kept", file=sys.stderr, flush=True)
    os._exit(_STOPPED)
