"""Drift of features with number type and device: `python -m benchmarks.precision_gap [--data DIR] [--device cuda]`.

The same checkpoint encodes the same pictures and texts twice, once in bfloat16 on the CPU (as the demo does) and once
in float32 on `--device`, and the two are compared: cosine of each feature with itself, and share of stable best hits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import lrsclip
from lrsclip.tiles import open_tiles
from train.data.corpus import read_rsicd
from train.data.feature_cache import open_picture
from train.data.text_pairs import paragraph
from train.provenance import provenance

PICTURES = 512
SENTENCES = (
    "a bridge over a river",
    "many planes are parked near a terminal",
    "a baseball field beside a road",
    "dense houses with red roofs",
    "white waves at a yellow beach",
    "storage tanks beside a harbour with ships",
    "farmland with a winding river",
    "a stadium surrounded by parking lots",
)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision_gap")
    parser.add_argument("--checkpoint", default="tiny")
    parser.add_argument("--data", type=Path, help=f"first {PICTURES} RSICD test pictures (default: tiles of the atlas)")
    parser.add_argument("--device", default="cpu", help="where float32 runs (default: cpu)")
    args = parser.parse_args()
    if args.data:
        records = [r for r in read_rsicd(args.data) if r.split == "test"][:PICTURES]
        pictures, texts = [open_picture(r.path) for r in records], [paragraph(r) for r in records]
    else:
        source = open_tiles("atlas:?tiles=64")
        pictures, texts = [source.picture(tile_id) for tile_id in source.tile_ids()], list(SENTENCES)
    here = lrsclip.load(args.checkpoint, device="cpu", precision="bf16")
    there = lrsclip.load(args.checkpoint, device=args.device, precision="fp32")
    images = (here.encode_image(pictures), there.encode_image(pictures))
    queries = (here.encode_text(texts), there.encode_text(texts))
    facts = provenance()
    print(f"{here.name}: bf16 on {facts['cpu']} against fp32 on {args.device} ({facts['gpu']}), {facts['date']}\n")
    print("| features | count | mean cosine | lowest cosine |")
    print("|---|---|---|---|")
    for name, (one, other) in {"pictures": images, "texts": queries}.items():
        cosines = (one * other).sum(axis=1)
        print(f"| {name} | {len(one)} | {cosines.mean():.5f} | {cosines.min():.5f} |")
    best = [(text @ image.T).argmax(axis=1) for text, image in zip(queries, images, strict=True)]
    print(f"\nThe best hit stays for {100 * np.mean(best[0] == best[1]):.1f} % of the texts.")


if __name__ == "__main__":
    main()
