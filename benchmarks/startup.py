"""Time until the page is there: `python -m benchmarks.startup`.

A fresh process with an empty cache, as on a machine that has never run the demo, and a second with the first's files;
the embedded checkpoint and the tiles that come with the project. Stages are measured inside the process, the
whole from outside: from starting Python until the page is sent.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from train.provenance import provenance

ROOT = Path(__file__).resolve().parents[1]
_STAGES = ("import", "model", "index", "page")
_CHILD = """
import json, time
marks = [time.perf_counter()]
def mark(): marks.append(time.perf_counter())
import app.cli as cli
import lrsclip, app.build, gradio, torch, faiss
import lrsclip.clip, lrsclip.checkpoints.factory
mark()
real = lrsclip.load
def load(name):
    out = real(name)
    mark()
    return out
lrsclip.load = load
state = cli.open_state(None, "tiny")
mark()
demo = app.build.build(state, untrusted=False)
url = app.build.serve(demo, host="127.0.0.1", port=None, block=False)
import urllib.request
urllib.request.urlopen(url).read()
mark()
print(json.dumps({"stages": [b - a for a, b in zip(marks, marks[1:])], "tiles": state.tile_count}), flush=True)
import os
os._exit(0)
"""


def start(cache: Path) -> tuple[float, list[float], int]:
    """Start the server once; return seconds in all, of each stage, and the number of tiles."""
    environment = os.environ | {"LRSCLIP_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    began = time.perf_counter()
    ran = subprocess.run([sys.executable, "-c", _CHILD], cwd=ROOT, env=environment, capture_output=True, text=True)
    whole_s = time.perf_counter() - began
    if ran.returncode:
        raise SystemExit(ran.stderr)
    told = json.loads(ran.stdout.strip().splitlines()[-1])
    return whole_s, told["stages"], told["tiles"]


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=2, help="of each kind; the best counts")
    rounds = parser.parse_args().rounds
    empty, later = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            empty.append(start(Path(cache)))
            later.append(start(Path(cache)))
    print(f"| {empty[0][2]:,} tiles, seconds | {' | '.join(_STAGES)} | in all |")
    print("|---|" + "---|" * (len(_STAGES) + 1))
    for what, runs in (("first start, empty cache", empty), ("later starts", later)):
        whole_s, stages, _ = min(runs)
        print(f"| {what} | {' | '.join(f'{seconds:.1f}' for seconds in stages)} | {whole_s:.1f} |")
    print(provenance())


if __name__ == "__main__":
    main()
