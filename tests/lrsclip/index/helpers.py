"""What the index tests share: pictures, a model that counts, and short ways to look at an index."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import lrsclip
from lrsclip.index import TileIndex

REPOSITORY = Path(lrsclip.__file__).resolve().parent.parent


class Recorder:
    """A real model that counts the pictures it encodes and can be told to do something before each batch."""

    def __init__(self, model: lrsclip.LRSCLIP, before: Callable[[int], None] = lambda _encoded: None) -> None:
        self.model, self.before, self.encoded, self.sizes = model, before, 0, set[tuple[int, int]]()
        self.name, self.sha256 = model.name, model.sha256
        self.embed_dim, self.image_px = model.embed_dim, model.image_px

    def encode_image(self, pictures: list[Image.Image]) -> NDArray[np.float32]:
        self.before(self.encoded)
        vectors = self.model.encode_image(pictures)
        self.encoded += len(pictures)
        self.sizes |= {picture.size for picture in pictures}
        return vectors


def paint(folder: Path, numbers: range, prefix: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48), Image.Resampling.NEAREST).save(folder / f"{prefix}{number}.png")
    return folder


def names(numbers: range) -> list[str]:
    return [f"{number}.png" for number in numbers]


def vectors_of(index: TileIndex) -> NDArray[np.float32]:
    return np.stack([index.vector(tile_id) for tile_id in index.tile_ids()])


def contents(directory: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in directory.iterdir())


def run_python(script: str, *arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


# For scripts in which every write, rename and deletion is once the last thing that a process does.
# A fork must not use torch, so a stand-in encodes, and the package is entered without its front door.
KILL_TOOLS = """
import itertools, os, shutil, signal, sys, traceback, types
from pathlib import Path
import numpy as np
sys.modules["lrsclip"] = package = types.ModuleType("lrsclip")
package.__path__ = [sys.argv[3]]
from lrsclip.index import TileIndex, build_index, build_parts
from lrsclip.tiles import open_tiles

class Colours:
    name, sha256, embed_dim, image_px = "colours", "colours", 3, 8
    def encode_image(self, pictures):
        means = np.stack([np.asarray(p, np.float32).mean((0, 1)) for p in pictures])
        return means / np.linalg.norm(means, axis=1, keepdims=True)

build_parts.PART_SECONDS = 0.0

def in_fork(work):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def killed_before(step, work):
    steps = itertools.count()
    def guarded(real):
        def call(*args, **options):
            if next(steps) == step:
                if real is fsync:
                    os.ftruncate(args[0], 10)  # what was not brought to the disk may be lost
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)
        return call
    fsync = os.fsync
    for name in ("fsync", "replace", "unlink", "rmdir"):
        setattr(os, name, guarded(getattr(os, name)))
    work()
"""
