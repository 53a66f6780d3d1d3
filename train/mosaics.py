"""Scenes for localization made of real pictures: `python -m train.mosaics --data ../shared/data --out DIR`.

A scene is a square of labeled pictures (RSICD's validation split), in which the sentence's class stands at known
places and nowhere else. It is written in the layout of AIR-SLT. Sizes follow that set: a scene is some 2,000 px a side,
a query has one to three targets, and a target takes 4 % of the scene, so a query about 7 %. A picture is enlarged to
twice its stored 224 px, so that SeLo's windows of 256, 512 and 768 px see part of one, one, and more than one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from lrsclip.errors import DataError
from lrsclip.io.atomic import write_atomically
from lrsclip.io.decode import open_image
from lrsclip.io.encode import encoded
from train.command import run_command
from train.data.records import Record
from train.data.text_pairs import paragraph
from train.evaluation.annotations import ANNOTATIONS, SCENES
from train.evaluation.sets import NotHere, PictureSet, rsicd_classes

SIDE = 5
CELL_PX = 448
TARGETS = (1, 1, 2, 3)  # places of each of a scene's classes that are asked for: 1.75 on average, as in AIR-SLT
COUNT, SEED = 24, 5
CLASS_SENTENCE = "a satellite photo of {}."


@dataclass(frozen=True)
class Mosaic:
    """One scene.

    Attributes:
        cells: `SIDE` x `SIDE` pictures, row by row.
        queries: sentence -> numbers of the cells of which it is true.
    """

    cells: tuple[Record, ...]
    queries: dict[str, tuple[int, ...]]


def plan_mosaic(by_class: dict[str, list[Record]], rng: np.random.Generator) -> Mosaic:
    """Draw a scene: four classes that are asked for, all other cells of other classes, no picture twice.

    The first class has a single cell; that picture's own captions in a row are asked for too.

    Args:
        by_class: class in words -> its pictures.
        rng: the source of randomness.
    """
    names = [str(name) for name in rng.permutation(sorted(by_class))]
    asked, others = names[: len(TARGETS)], names[len(TARGETS) :]
    order = rng.permutation(SIDE * SIDE).tolist()
    cells: dict[int, Record] = {}
    queries: dict[str, tuple[int, ...]] = {}
    for name, count in zip(asked, TARGETS, strict=True):
        places = tuple(order.pop() for _ in range(count))
        chosen = rng.choice(len(by_class[name]), count, replace=False)
        cells |= {place: by_class[name][number] for place, number in zip(places, chosen.tolist(), strict=True)}
        queries[CLASS_SENTENCE.format(name)] = places
        if count == 1 and len(queries) == 1:
            queries[paragraph(cells[places[0]])] = places
    for turn, place in enumerate(order):
        pictures = by_class[others[turn % len(others)]]
        cells[place] = pictures[int(rng.integers(len(pictures)))]
    return Mosaic(tuple(cells[place] for place in range(SIDE * SIDE)), queries)


def usable(pictures: PictureSet) -> dict[str, list[Record]]:
    """Group the pictures by class, and keep the classes that have enough of them.

    Raises:
        NotHere: there are too few such classes for a mosaic.
    """
    by_class: dict[str, list[Record]] = {}
    for record in pictures.records:
        by_class.setdefault(str(record.label), []).append(record)
    by_class = {name: records for name, records in by_class.items() if len(records) >= max(TARGETS)}
    if len(by_class) <= len(TARGETS):
        raise NotHere(
            f"{pictures.name} has {len(by_class)} classes of {max(TARGETS)} pictures or more; a mosaic needs 5"
        )
    return by_class


def write_mosaics(
    pictures: PictureSet,
    folder: Path,
    count: int = COUNT,
    seed: int = SEED,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Compose scenes and write them with their queries; the annotations last, as the sign that all is there.

    Args:
        pictures: labeled pictures with captions, of enough classes.
        folder: made if need be.
        count: number of scenes.
        seed: decides the place of each picture.
        progress: called with scenes done and scenes in all.

    Returns:
        Number of queries.

    Raises:
        DataError: there are too few classes or pictures, or the folder cannot be written to.
        PictureError: a picture cannot be read.
    """
    by_class = usable(pictures)
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    try:
        (folder / SCENES).mkdir(parents=True, exist_ok=True)
        (folder / ANNOTATIONS).parent.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            mosaic, name = plan_mosaic(by_class, rng), f"mosaic_{number:03d}.jpg"
            (folder / SCENES / name).write_bytes(encoded(compose(mosaic.cells), "JPEG", quality=92))
            rows += [
                {"jpg_name": name, "caption": text, "points": [outline(cell) for cell in places]}
                for text, places in mosaic.queries.items()
            ]
            if progress is not None:
                progress(number + 1, count)
        write_atomically(folder / ANNOTATIONS, json.dumps(rows, indent=1).encode())
    except OSError as error:
        raise DataError(f"cannot write mosaics to {folder} ({error}); choose another folder") from error
    return len(rows)


def compose(cells: Sequence[Record]) -> Image.Image:
    """Compose the scene of `SIDE` x `SIDE` pictures, row by row; RGB, `SIDE * CELL_PX` px a side."""
    scene = Image.new("RGB", (SIDE * CELL_PX, SIDE * CELL_PX))
    for number, record in enumerate(cells):
        picture = open_image(record.path).resize((CELL_PX, CELL_PX), Image.Resampling.BICUBIC)
        scene.paste(picture, (number % SIDE * CELL_PX, number // SIDE * CELL_PX))
    return scene


def outline(cell: int) -> list[list[int]]:
    """Return the four corners of a cell in px of the scene."""
    left, top = cell % SIDE * CELL_PX, cell // SIDE * CELL_PX
    right, bottom = left + CELL_PX - 1, top + CELL_PX - 1
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m train.mosaics", description="Compose scenes of real pictures.")
    parser.add_argument("--data", type=Path, required=True, help="folder with RSICD/")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, in the layout of AIR-SLT")
    parser.add_argument("--split", default="val", choices=("train", "val", "test"))
    parser.add_argument("--count", type=int, default=COUNT, help="scenes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args(argv)

    def run() -> None:
        with tqdm(total=args.count, unit="scene") as bar:
            pictures = rsicd_classes(args.data, args.split)
            queries = write_mosaics(pictures, args.out, args.count, args.seed, lambda done, _: bar.update(done - bar.n))
        print(f"{args.count} scenes with {queries} queries: {args.out}")

    return run_command("train.mosaics", run, "nothing is half-written: run it again")


if __name__ == "__main__":
    sys.exit(main())
