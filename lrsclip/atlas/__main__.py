"""Write localization scenes of the atlas: `python -m lrsclip.atlas DIR --count 12`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from lrsclip.atlas.scenes import write_scenes
from lrsclip.atlas.seeds import DEFAULT_SEED
from lrsclip.errors import LRSCLIPError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lrsclip.atlas", description="Draw scenes with queries and polygons, in the layout of AIR-SLT."
    )
    parser.add_argument("out", type=Path, metavar="DIR", help="folder to write; made if need be")
    parser.add_argument("--count", type=int, default=12, help="scenes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="the world (default: %(default)s)")
    asked = parser.parse_args(argv)
    try:
        with tqdm(total=asked.count, unit="scene") as bar:
            queries = write_scenes(asked.out, asked.count, asked.seed, lambda done, _total: bar.update(done - bar.n))
    except LRSCLIPError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{asked.count} scenes with {queries} queries: {asked.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
