"""Speed of localization: `python -m benchmarks.localize`.

On a scene of 4,096 x 4,096 px: the map of window scores on the grid of window edges against the loop over pixels; the
dense method against windows; and a second sentence. On 2,048 x 2,048 px: the first answer and the next. Both sides of a
ratio run in turns in one process, and the best of the rounds counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

import lrsclip
from lrsclip.atlas.land_use import World
from lrsclip.atlas.layout import Country
from lrsclip.atlas.rendering import render
from lrsclip.localize import WindowMemory, localize, mean_over_windows, open_scene, window_boxes
from lrsclip.localize.score_grid import Floats
from lrsclip.localize.windows import SELO_SCALES_PX, Boxes
from lrsclip.protocols import METHODS
from train.provenance import provenance

SIDE_PX = 4096
_LAND_M, _LAND_SEED = 1024, 11


def per_pixel_loop(boxes_px: Boxes, scores_cos: Floats, width_px: int, height_px: int) -> Floats:
    """Add each window's score onto each of its pixels, as the reference tool does; return the mean, (H, W)."""
    total, count = np.zeros((height_px, width_px), np.float32), np.zeros((height_px, width_px), np.float32)
    for (left, top, right, bottom), score in zip(boxes_px.tolist(), scores_cos.tolist(), strict=True):
        total[top:bottom, left:right] += score
        count[top:bottom, left:right] += 1
    return total / count


def best_of(rounds: int, *sides: Callable[[], object]) -> list[float]:
    """Time the best round of each side in seconds; sides take turns."""
    seconds = [float("inf")] * len(sides)
    for _ in range(rounds):
        for number, side in enumerate(sides):
            started = time.perf_counter()
            side()
            seconds[number] = min(seconds[number], time.perf_counter() - started)
    return seconds


def land(side_px: int) -> Image.Image:
    """Draw a square of the atlas at half a meter a pixel, repeated where it is larger than the drawn part."""
    drawn = render(Country(World(_LAND_SEED)), 0, 0, _LAND_M, _LAND_M, 0.5)
    scene = Image.new("RGB", (side_px, side_px))
    for top in range(0, side_px, drawn.height):
        for left in range(0, side_px, drawn.width):
            scene.paste(drawn, (left, top))
    return scene


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.localize", description="Time localization.")
    parser.add_argument("--checkpoint", default="tiny")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    bundle = lrsclip.load(args.checkpoint)
    facts = provenance()
    print(f"{bundle.name}, {bundle.dtype}; {facts['cpu']}, torch {facts['torch']}, {facts['date']}\n")

    boxes_px = window_boxes(SIDE_PX, SIDE_PX, SELO_SCALES_PX)
    scores_cos = np.random.default_rng(0).uniform(-1, 1, len(boxes_px)).astype(np.float32)
    given = boxes_px, scores_cos, SIDE_PX, SIDE_PX
    loop, grid = best_of(args.rounds, lambda: per_pixel_loop(*given), lambda: mean_over_windows(*given))
    apart = float(np.abs(mean_over_windows(*given).per_pixel() - per_pixel_loop(*given)).max())
    print(f"map of {len(boxes_px)} windows: per pixel {1e3 * loop:.0f} ms, on the grid of edges {1e3 * grid:.2f} ms: "
          f"{loop / grid:.0f} x; furthest apart {apart:.0e}")  # fmt: skip

    scene = open_scene(land(SIDE_PX))
    _ = scene.sha256  # hashed once, before either side
    windows, dense = best_of(
        args.rounds,
        lambda: localize(bundle, scene, "a port with cranes", memory=WindowMemory(0)),
        lambda: localize(bundle, scene, "a port with cranes", method="dense", memory=WindowMemory(0)),
    )
    print(f"{SIDE_PX} px, encoding and map: windows {windows:.2f} s, dense {dense:.2f} s: {windows / dense:.1f} x")
    for side_px in (SIDE_PX, 2048):
        picture = land(side_px)
        for method in METHODS:
            memory = WindowMemory()
            first = localize(bundle, picture, "a port with cranes", method=method, memory=memory)
            (again,) = best_of(
                args.rounds,
                partial(localize, bundle, picture, "an oil storage area", method=method, memory=memory),
            )
            print(f"{side_px} px, {method}: first answer {first.seconds:.2f} s, next {1e3 * again:.0f} ms")


if __name__ == "__main__":
    main()
