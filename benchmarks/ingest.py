"""Indexing pictures against a plain loop: `python -m benchmarks.ingest ../shared/data/RSICD/RSICD_images`.

The plain loop is the obvious code: open a picture, run open_clip's preprocessing, collect a batch, encode it in
float32, go on. It has the same model and the same pictures, in the same process. Also printed: the share of the time in
which the encoder works, the bound of any ingest.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from open_clip.transform import image_transform
from PIL import Image

import lrsclip
from lrsclip.index import build_index
from lrsclip.io.decode import FORMATS
from lrsclip.tiles import FolderTiles
from train.provenance import provenance

BATCH = 64


class Stopwatch:
    """A stopwatch for a module; preprocessing of the pictures does not count."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.seconds, self._started = 0.0, 0.0
        module.register_forward_pre_hook(self._start)
        module.register_forward_hook(self._stop)

    def _start(self, *_: object) -> None:
        self._started = time.perf_counter()

    def _stop(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._started


class Some:
    """The first tiles of a folder."""

    def __init__(self, folder: FolderTiles, count: int) -> None:
        self._folder, self._ids = folder, folder.tile_ids()[:count]
        self.spec, self.tile, self.picture = folder.spec, folder.tile, folder.picture

    def __len__(self) -> int:
        """Count the tiles."""
        return len(self._ids)

    def tile_ids(self) -> list[str]:
        """List the ids."""
        return self._ids


@torch.inference_mode()
def plain_loop(bundle: lrsclip.LRSCLIP, files: list[Path]) -> float:
    """Run the plain loop; return its seconds."""
    mean, std = bundle.config.preprocess.mean, bundle.config.preprocess.std
    preprocess = image_transform(bundle.image_px, is_train=False, mean=mean, std=std)
    started = time.perf_counter()
    for start in range(0, len(files), BATCH):
        pictures = [Image.open(file, formats=FORMATS).convert("RGB") for file in files[start : start + BATCH]]
        batch = torch.stack([preprocess(picture) for picture in pictures])
        torch.nn.functional.normalize(bundle.model.encode_image(batch.float()), dim=-1)
    return time.perf_counter() - started


def main() -> None:
    """Print both sides and the ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoint", default="tiny")
    parser.add_argument("--count", type=int, default=1_000_000, help="pictures at most (default: all)")
    args = parser.parse_args()
    folder = FolderTiles(args.folder)
    source = Some(folder, args.count)
    files = [folder.root / name for name in source.tile_ids()]
    exact, bundle = lrsclip.load(args.checkpoint, precision="fp32"), lrsclip.load(args.checkpoint)
    encoder = Stopwatch(bundle.model.visual)
    plain_loop(exact, files[:BATCH])  # both sides warm
    bundle.encode_image([folder.picture(name) for name in source.tile_ids()[:BATCH]])
    encoder.seconds = 0.0
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        build_index(source, bundle, Path(directory) / "index")
        ours = time.perf_counter() - started
    plain, facts = plain_loop(exact, files), provenance()
    print(f"{len(source):,} pictures, {facts['cpu']}, gpu {facts['gpu']}, torch {facts['torch']}, {facts['date']}")
    print(f"plain loop {plain:.0f} s, index {ours:.0f} s: {plain / ours:.1f} x")
    print(f"the encoder works {encoder.seconds / ours:.0%} of that time")


if __name__ == "__main__":
    main()
