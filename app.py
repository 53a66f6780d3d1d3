"""Start the browser demo: `python app.py --tiles DIR`. Everything it does is in the package `app`."""

from __future__ import annotations

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main())
