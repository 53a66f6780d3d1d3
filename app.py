"""Start the browser demo: `python app.py --tiles DIR`. Everything it does is in the package `app`."""

from __future__ import annotations

import sys
from contextlib import suppress

if __name__ == "__main__":
    # In here, because the processes that draw the atlas read this file too and need neither torch nor Gradio.
    try:
        from app.server import opening

        with suppress(OSError):  # a port that is taken; the program itself says so
            opening.begin(sys.argv[1:])  # before the large imports: nobody meets a dead port
        from app.cli import main

        sys.exit(main())
    except KeyboardInterrupt:  # while torch is imported, or Gradio
        sys.exit(130)
