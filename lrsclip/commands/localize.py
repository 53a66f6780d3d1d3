"""Show where in a scene sentences are true: `lrsclip localize scene.tif "white boats at a pier" --out maps`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from tqdm import tqdm

import lrsclip
from lrsclip.calibration.presence import PRESENCE_WORDS
from lrsclip.commands.parts import run
from lrsclip.errors import PictureError
from lrsclip.io.bands import bands_argument
from lrsclip.localize import (
    Heatmap,
    Method,
    Regions,
    find_regions,
    localize_all,
    open_scene,
    write_geojson,
    write_geotiff,
)
from lrsclip.numbers import decimal_argument, whole_argument
from lrsclip.workers import stop_on_signals


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments, those of the process by default.

    Returns:
        Exit status: 0 done, 2 an error (one line on stderr), 130 stopped with Ctrl-C.
    """
    asked = _parser().parse_args(argv)
    return run(lambda: _localize(asked))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lrsclip localize", description="Show where in a scene sentences are true.")
    parser.add_argument("scene", type=Path, metavar="SCENE", help="a picture or a GeoTIFF")
    parser.add_argument("text", nargs="+", metavar="TEXT", help="a sentence; several share one look at the scene")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write GeoTIFF and GeoJSON of each sentence there")
    parser.add_argument("--method", choices=get_args(Method), default="dense", help="default: %(default)s")
    parser.add_argument("--exclude", default="", metavar="TEXT", help="what it must not be")
    parser.add_argument(
        "--scales", type=whole_argument, nargs="+", metavar="PX", help="window sizes (default: automatic)"
    )
    parser.add_argument("--threshold", type=decimal_argument, metavar="COS", help="regions are above this score")
    parser.add_argument("--bands", type=bands_argument, metavar="R,G,B", help="bands to show, or one for gray")
    parser.add_argument("--checkpoint", default="tiny", help="the model (default: %(default)s)")
    return parser


def _localize(asked: argparse.Namespace) -> int:
    bundle = lrsclip.load(asked.checkpoint)
    bar_of_windows = tqdm(desc="looking", unit="window", leave=False, delay=0.5)
    with stop_on_signals() as stop, bar_of_windows as bar, open_scene(str(asked.scene), bands=asked.bands) as scene:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        maps = localize_all(
            bundle, scene, asked.text, exclude=asked.exclude, method=asked.method, scales_px=asked.scales,
            progress=show, stop=stop,
        )  # fmt: skip
    print(f"{asked.scene}: {scene.summary}")
    for number, heatmap in enumerate(maps, 1):
        regions = find_regions(heatmap.cells, threshold_cos=asked.threshold, georeference=heatmap.georeference)
        print(_told(heatmap, regions))
        if asked.out is not None:
            _write(asked.out, number, heatmap, regions, bundle.name)
    return 0


def _told(heatmap: Heatmap, regions: Regions) -> str:
    best, presence = heatmap.best, heatmap.presence
    said = "" if presence is None else f", {PRESENCE_WORDS[presence.verdict]}"
    sure = "" if presence is None else f" ({presence.probability:.0%})"
    lines = [f"{heatmap.text}{said}{sure}"]
    lines.append(f"  best window  {best.x_px}, {best.y_px}, {best.size_px} px, score {best.score_cos:.3f}")
    ground_m2 = sum(region.area_m2 or 0.0 for region in regions.regions)
    on_ground = f", {ground_m2 / 10_000:.1f} ha" if ground_m2 else ""
    lines.append(f"  regions      {len(regions.regions)} above {regions.threshold_cos:.3f}{on_ground}")
    return "\n".join(lines)


def _write(folder: Path, number: int, heatmap: Heatmap, regions: Regions, model: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(f"cannot write to {folder} ({error}); give another folder with --out") from error
    tiff, shapes = folder / f"heatmap-{number}.tif", folder / f"regions-{number}.geojson"
    place, facts = heatmap.georeference, {"method": heatmap.method, "model": model}
    write_geotiff(tiff, heatmap.cells, place, text=heatmap.text, method=heatmap.method, model=model)
    write_geojson(shapes, regions, place, heatmap.text, facts=facts)
    print(f"  written      {tiff}, {shapes}")


if __name__ == "__main__":
    sys.exit(main())
