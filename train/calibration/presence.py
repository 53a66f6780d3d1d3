"""Calibrate "probably present": `python -m train.calibration.presence --checkpoint CHECKPOINT --data ../shared/data`.

Scenes are composed of RSICD's validation pictures, two to four a side and of three sizes; of each it is asked for
classes, captions, composed paragraphs and sentences in own words (`train.evaluation.own_words`) that are true of it and
that are not. A logistic regression weighs the evidence (`lrsclip.calibration.presence`); the errors are counted on
scenes of test pictures with other sentences. All goes into the checkpoint's manifest.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from tqdm import tqdm

import lrsclip
from lrsclip import LRSCLIP
from lrsclip.calibration.logistic import Doubles, logistic
from lrsclip.calibration.presence import MANIFEST_KEY, evidence
from lrsclip.checkpoints.factory import locate
from lrsclip.checkpoints.native import MANIFEST, read_manifest
from lrsclip.errors import DataError
from lrsclip.io.atomic import write_json
from lrsclip.io.decode import open_image
from lrsclip.localize import WindowMemory, embed_scene, open_scene
from lrsclip.localize.window_encoding import scales_of
from lrsclip.protocols import METHODS, Method
from train.calibration.bounds import bounds_of
from train.command import run_command
from train.data.records import Record
from train.data.text_pairs import paragraph
from train.evaluation.own_words import own_sentences
from train.evaluation.sets import rsicd_classes
from train.mosaics import CLASS_SENTENCE
from train.provenance import provenance

SCENES, SEED = 120, 3
_SIDES, _CELLS_PX = (2, 3, 4), (224, 336, 448)
_CLASSES, _PICTURES = 3, 2  # asked for of each scene, there and not there
RIDGE = 1e-4


@dataclass(frozen=True, eq=False)
class Case:
    """A composed scene, the sentences asked of it, and whether each is true of it."""

    scene: Image.Image
    texts: list[str]
    there: npt.NDArray[np.bool_]


def cases(data: Path, split: str, count: int, seed: int) -> Iterator[Case]:
    """Compose scenes of a split's pictures, no class twice in one.

    Raises:
        DataError: RSICD or the split is not there, or has too few classes.
    """
    by_class: dict[str, list[Record]] = {}
    for record in rsicd_classes(data, split).records:
        if record.captions:
            by_class.setdefault(str(record.label), []).append(record)
    if len(by_class) < max(_SIDES) ** 2 + _CLASSES:
        raise DataError(f"RSICD's {split} pictures are of {len(by_class)} classes; calibration needs 19")
    rng = np.random.default_rng(seed)
    for number in range(count):
        side, cell_px = _SIDES[number % 3], _CELLS_PX[number // 3 % 3]
        names = [str(name) for name in rng.permutation(sorted(by_class))]
        chosen = [by_class[name][int(rng.integers(len(by_class[name])))] for name in names]
        here, elsewhere = chosen[: side**2], chosen[side**2 :]
        scene = Image.new("RGB", (side * cell_px, side * cell_px))
        for at, record in enumerate(here):
            cell = open_image(record.path).resize((cell_px, cell_px), Image.Resampling.BICUBIC)
            scene.paste(cell, (at % side * cell_px, at // side * cell_px))
        texts = [text for some in (here, elsewhere) for text in _asked(some, rng, for_choice=split != "test")]
        yield Case(scene, texts, np.arange(len(texts)) < len(texts) // 2)


def _asked(records: Sequence[Record], rng: np.random.Generator, *, for_choice: bool) -> list[str]:
    order = rng.permutation(len(records)).tolist()
    pictures = [records[at] for at in order[:_PICTURES]]
    labels = [CLASS_SENTENCE.format(records[at].label) for at in order[-_CLASSES:]]
    own = [
        str(rng.choice([one.text for one in own_sentences() if one.label == label and one.for_choice is for_choice]))
        for label in (records[at].label for at in order[-_CLASSES:])
    ]
    return [*labels, *own, *(picture.captions[0] for picture in pictures), *map(paragraph, pictures)]


def measured(bundle: LRSCLIP, given: Sequence[Case], method: Method) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    """Compute the evidence of every sentence on its scene, (N, 3), and whether it is true, (N,)."""
    rows, there = [], []
    for case in tqdm(given, desc=method, unit="scene"):
        scales_px = scales_of(method, case.scene.width, case.scene.height, None)
        vectors = embed_scene(bundle, open_scene(case.scene), method, scales_px, memory=WindowMemory(0)).vectors
        rows += [evidence(bundle, text, vectors) for text in bundle.encode_text(case.texts)]
        there.append(case.there)
    return np.array(rows), np.concatenate(there)


def fitted(rows: Doubles, there: npt.NDArray[np.bool_], share: Doubles | None = None) -> tuple[Doubles, float]:
    """Fit weights (k,) and bias of a logistic regression with a ridge of `RIDGE`.

    Args:
        rows: (N, k) evidence.
        there: (N,) the right answers.
        share: (N,) how much each row counts, 1 in all; None: all alike.
    """
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    counts = np.full(len(rows), 1 / len(rows)) if share is None else share
    x, y, weight = (torch.from_numpy(v) for v in ((rows - mean) / spread, there.astype(np.float64), counts))
    line = torch.zeros(x.shape[1] + 1, dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        logits = x @ line[:-1] + line[-1]
        lost = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, weight=weight, reduction="sum")
        return lost + RIDGE * line[:-1].square().sum()

    found = minimized(line, loss)
    return found[:-1] / spread, float(found[-1] - (found[:-1] / spread * mean).sum())


def minimized(parameters: torch.Tensor, loss: Callable[[], torch.Tensor]) -> Doubles:
    """Minimize a loss over its parameters with L-BFGS, in place, and return them."""
    optimizer = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
    found: Doubles = parameters.detach().numpy()
    return found


def calibrated(bundle: LRSCLIP, data: Path, count: int = SCENES) -> dict[str, Any]:
    """Fit each method's weights and measure them on test pictures; return the manifest's entry."""
    fitting, testing = list(cases(data, "val", count, SEED)), list(cases(data, "test", count, SEED + 1))
    entry: dict[str, Any] = {}
    for method in METHODS:
        rows, there = measured(bundle, fitting, method)
        weights, bias = fitted(rows, there)
        bounds = bounds_of(logistic(rows, weights, bias), there)
        rows, there = measured(bundle, testing, method)
        entry[method] = {
            "weights": [float(f"{w:.6g}") for w in weights],
            "bias": float(f"{bias:.6g}"),
            "scenes": count,
            **bounds.entry(),
            **bounds.rates(logistic(rows, weights, bias), there),
        }
    return entry | {"measured": provenance()}


def into_manifest(checkpoint: str, key: str, make: Callable[[LRSCLIP], dict[str, Any]]) -> dict[str, Any]:
    """Calibrate a checkpoint and write the entry into its manifest.

    Args:
        checkpoint: its name or folder.
        key: of the entry.
        make: the loaded checkpoint to the entry.

    Raises:
        DataError: it has no manifest to write to.
    """
    folder = locate(checkpoint)
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{checkpoint} has no manifest to write to; name a checkpoint's folder")
    entry = make(lrsclip.load(checkpoint))
    write_json(folder / MANIFEST, read_manifest(folder) | {key: entry})
    return entry


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m train.calibration.presence", description='Calibrate "probably present".'
    )
    parser.add_argument("--checkpoint", default="tiny", help="a checkpoint's name or folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with RSICD/")
    parser.add_argument("--scenes", type=int, default=SCENES, help="scenes of each split (default: %(default)s)")
    args = parser.parse_args(argv)

    def run() -> None:
        entry = into_manifest(args.checkpoint, MANIFEST_KEY, lambda bundle: calibrated(bundle, args.data, args.scenes))
        for method in METHODS:
            row = entry[method]
            print(
                f"{method}: false alarms {row['false_alarm_rate']:.1%}, misses {row['miss_rate']:.1%}, "
                f"unsure {row['unsure_rate']:.1%}"
            )

    return run_command("train.calibration.presence", run, "the manifest is as it was")


if __name__ == "__main__":
    sys.exit(main())
