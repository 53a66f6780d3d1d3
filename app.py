"""Start the browser demo: `python app.py --tiles DIR`. Everything it does is in the package `app`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # In here, because the processes that draw the atlas read this file too and need neither torch nor Gradio.
    try:
        from app.cli import main

        sys.exit(main())
    except KeyboardInterrupt:  # while torch is imported, or Gradio
        sys.exit(130)
