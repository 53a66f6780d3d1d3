"""Near-duplicates found, and false ones: `python -m benchmarks.lrs2m_duplicates`.

Real pictures of several data sets are changed as data sets change them when they copy from each other, and each copy is
held against its original. False pairs are sought among the pictures as they are; the few real near-duplicates that the
data sets have count among them, so look at the pairs listed. Then a million random hashes with a thousand near pairs
are searched, for time and memory.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from lrsclip.io.decode import open_image
from train.data_engine.dedup.fingerprints import (
    Limits,
    Prints,
    cosine,
    encoder_of,
    find_pairs,
    fingerprint,
    hamming,
    merged,
)
from train.provenance import provenance

FOLDERS = ("RSICD/RSICD_images", "UCMerced_LandUse/Images", "NWPU-RESISC45-subset", "EuroSAT_RGB")
_NEAR_PAIRS, _NEAR_BITS = 1000, 4
_LISTED = 40
Change = Callable[[Image.Image, random.Random], Image.Image]


def _encoded(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer, formats=("JPEG",)).convert("RGB")


def _resized(picture: Image.Image, side_px: int) -> Image.Image:
    there = picture.resize((side_px, side_px), Image.Resampling.BILINEAR)
    return there.resize(picture.size, Image.Resampling.BILINEAR)


def _cropped(picture: Image.Image, share: float, draw: random.Random) -> Image.Image:
    width, height = picture.size
    less_x, less_y = round(width * share), round(height * share)
    x, y = draw.randint(0, less_x), draw.randint(0, less_y)
    return picture.crop((x, y, x + width - less_x, y + height - less_y))


def _brightened(picture: Image.Image, draw: random.Random) -> Image.Image:
    brighter = ImageEnhance.Brightness(picture).enhance(draw.choice((0.85, 1.15)))
    return ImageEnhance.Contrast(brighter).enhance(draw.choice((0.85, 1.15)))


def _tinted(picture: Image.Image, draw: random.Random) -> Image.Image:
    shift = [draw.choice((-10, 10)) for _ in range(3)]
    return Image.fromarray((np.asarray(picture, np.int16) + shift).clip(0, 255).astype(np.uint8))


CHANGES: dict[str, Change] = {
    "JPEG of quality 40": lambda p, _: _encoded(p, 40),
    "to 256 px and back": lambda p, _: _resized(p, 256),
    "to half and back": lambda p, _: _resized(p, p.width // 2),
    "4 % cut off": lambda p, draw: _cropped(p, 0.04, draw),
    "8 % cut off": lambda p, draw: _cropped(p, 0.08, draw),
    "light, contrast 15 %": _brightened,
    "color shifted": _tinted,
    "cut, light, JPEG of 60": lambda p, draw: _encoded(_brightened(_cropped(p, 0.04, draw), draw), 60),
    "mirrored": lambda p, _: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "a quarter turned": lambda p, _: p.transpose(Image.Transpose.ROTATE_90),
}


def sample(data: Path, count: int) -> list[Path]:
    """Draw `count` pictures, from every data set alike."""
    draw, share = random.Random(0), count // len(FOLDERS)
    found = [sorted((data / folder).rglob("*.jpg")) for folder in FOLDERS]
    return [path for paths in found for path in draw.sample(paths, min(share, len(paths)))]


def recall(paths: list[Path], originals: Prints, checkpoint: str, limits: Limits) -> None:
    """Print the share of the changed copies that is found."""
    encoder = encoder_of(checkpoint)
    count = len(paths)

    def copies(change: Change) -> Iterator[Image.Image]:
        for number, path in enumerate(paths):
            yield change(open_image(path), random.Random(number))

    print("| changed | found | found by hash alone | bits, median and 95 % | cosine, median and 5 % |")
    print("|---|---|---|---|---|")
    for kind, change in CHANGES.items():
        both = merged([originals, fingerprint(copies(change), encoder)])
        a, b = np.arange(count), np.arange(count) + count
        bits, near = hamming(both, a, b), cosine(both, a, b)
        found = near >= limits.cosine + limits.cosine_per_bit * bits
        by_hash = (bits <= limits.hash_bits).mean()
        print(
            f"| {kind} | {found.mean():.3f} | {by_hash:.3f} | {np.median(bits):.0f}, {np.percentile(bits, 95):.0f} | "
            f"{np.median(near):.3f}, {np.percentile(near, 5):.3f} |",
            flush=True,
        )


def false_pairs(paths: list[Path], prints: Prints, limits: Limits) -> None:
    """Print the pairs found among pictures as they are."""
    million = len(prints) * (len(prints) - 1) / 2e6
    by_hash = len(find_pairs(Prints(prints.hashes, prints.vectors[:, :0]), limits).first)
    pairs = find_pairs(prints, limits)
    print(f"\nunchanged pictures: {len(pairs.first)} pairs, {len(pairs.first) / million:.3f} a million;", end=" ")
    print(f"by hash alone {by_hash}, {by_hash / million:.3f} a million")
    print(
        dict(
            Counter(
                tuple(sorted((paths[i].parent.name, paths[j].parent.name))) for i, j in zip(*pairs[:2], strict=True)
            )
        )
    )
    for i, j, bits, near in list(zip(*pairs, strict=True))[:_LISTED]:
        print(f"  {paths[i].name} {paths[j].name}: {bits} bits, cosine {near:.3f}")


def many_hashes(count: int, limits: Limits) -> None:
    """Print time and memory of searching random hashes with near pairs among them."""
    draw = np.random.default_rng(0)
    hashes = draw.integers(0, 2**64, count, dtype=np.uint64)
    near = min(_NEAR_PAIRS, count // 2)
    for number in range(near):
        flips = draw.choice(64, min(_NEAR_BITS, limits.hash_bits), replace=False).astype(np.uint64)
        hashes[count - 1 - number] = hashes[number] ^ np.bitwise_or.reduce(np.uint64(1) << flips)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    pairs = find_pairs(Prints(hashes, np.zeros((count, 0), np.float16)), limits)
    seconds = time.perf_counter() - started
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    true = int((pairs.first + pairs.second == count - 1).sum())
    print(f"{count:,} random hashes, up to {limits.hash_bits} bits: {true} of {near} near pairs and", end=" ")
    print(f"{len(pairs.first) - true} others in {seconds:.1f} s, {more:.0f} MB of memory more", flush=True)


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lrs2m_duplicates")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the real data sets")
    parser.add_argument("--pictures", type=int, default=1500, help="how many of them; 0 leaves this part out")
    parser.add_argument("--checkpoint", default="tiny", help="whose trunk makes the vectors")
    parser.add_argument("--hashes", type=int, default=1_000_000, help="random hashes; 0 leaves this part out")
    args = parser.parse_args()
    facts = provenance()
    print(f"{facts['cpu']}, torch {facts['torch']}, {facts['date']}; {Limits()}\n")
    if args.hashes:
        for bits in (4, 8):
            many_hashes(args.hashes, Limits(hash_bits=bits))
        print()
    if args.pictures:
        paths = sample(args.data, args.pictures)
        if not paths:
            parser.error(f"{args.data} has none of {', '.join(FOLDERS)}; name the folder of the data sets with --data")
        started = time.perf_counter()
        prints = fingerprint((open_image(path) for path in paths), encoder_of(args.checkpoint))
        print(f"{len(paths) / (time.perf_counter() - started):.0f} pictures fingerprinted a second\n")
        recall(paths, prints, args.checkpoint, Limits())
        false_pairs(paths, prints, Limits())


if __name__ == "__main__":
    main()
