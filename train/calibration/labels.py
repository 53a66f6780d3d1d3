"""Calibrate labels: `python -m train.calibration.labels --checkpoint lrsclip/checkpoints/tiny --data ../shared/data`.

Fitted on validation pictures of RSICD-30, UCM, RESISC45 and EuroSAT (all of them data that the model was trained on a
part of), with their classes' own names and in two other wordings that training never drew; measured on their test
pictures, and on all of RSSCN7, of which nothing took part in anything, with names and in six wordings of strangers
(`train.evaluation.wording`). The rates that users are told are those of the strangers' wordings. Two numbers of a
temperature and four of a hint cannot change the best label, so accuracy figures of these sets stay the same. All goes
into the checkpoint's manifest.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lrsclip import LRSCLIP
from lrsclip.calibration.labels import MANIFEST_KEY, evidence, log_factors
from lrsclip.calibration.logistic import Doubles, logistic
from lrsclip.errors import DataError
from lrsclip.zero_shot.classifier import class_prototypes
from train.calibration.presence import RIDGE, fitted, into_manifest, minimized
from train.command import run_command
from train.data.wording.bank import UNSEEN, concept_of
from train.evaluation.sets import CLASS_SETS, NotHere
from train.evaluation.vectors import PictureVectors
from train.evaluation.wording import wordings_of
from train.provenance import provenance

FALSE_ALARMS = 0.02  # how often the hint may be given without need, mean over the sets fitted on; elsewhere it is more
OTHER_WORDS = ", other words"  # behind a set's name
_UNSEEN = "rsscn7"  # the set that has no split, since nothing was trained on it
_BINS = 15


@dataclass(frozen=True, eq=False)
class Sample:
    """Pictures of a set: (N, C) `cosines` with its class names, and the (N,) number of the right class, `truth`."""

    cosines: Doubles
    truth: npt.NDArray[np.int64]

    def without_truth(self) -> Doubles:
        """Return the (N, C - 1) cosines without those of the right labels."""
        rows, classes = self.cosines.shape
        kept = np.arange(classes)[None] != self.truth[:, None]
        return self.cosines[kept].reshape(rows, classes - 1)


Samples = dict[str, Sample]


def samples(bundle: LRSCLIP, data: Path, *, fitting: bool) -> Samples:
    """Read and encode the pictures to fit on, or those to measure on, of every set that is there.

    Returns:
        Set -> its pictures against the names of its classes; with `OTHER_WORDS` behind it, against other wordings of
        them, each picture once for each wording.

    Raises:
        DataError: none is there.
    """
    found: Samples = {}
    for name, read in CLASS_SETS.items():
        try:
            pictures = read(data, "val" if fitting else "test")
        except NotHere as reason:
            print(f"left out: {reason}")
            continue
        records = [] if fitting and name == _UNSEEN else pictures.records
        if records:
            vectors = PictureVectors(bundle).of(records, f"{name}, {'to fit' if fitting else 'to measure'}")
            truth = np.array([pictures.classes.index(str(r.label)) for r in records])
            found[name] = Sample(_cosines(bundle, vectors, pictures.classes), truth)
            if wordings := other_wordings(name, pictures.classes, fitting=fitting):
                worded = np.concatenate([_cosines(bundle, vectors, texts) for texts in wordings])
                found[name + OTHER_WORDS] = Sample(worded, np.tile(truth, len(wordings)))
    if not found:
        raise DataError(f"{data} holds none of {', '.join(CLASS_SETS)}; pass --data with the folder that does")
    return found


def _cosines(bundle: LRSCLIP, vectors: npt.NDArray[np.float32], texts: Sequence[str]) -> Doubles:
    return (vectors @ class_prototypes(bundle, texts).vectors.T).astype(np.float64)


def other_wordings(name: str, classes: Sequence[str], *, fitting: bool) -> list[list[str]]:
    """Return other texts for the classes, in their order: to fit on, or to measure; none where one of them lacks."""
    if fitting:
        return [[concept_of(label).unseen[number] for label in classes] for number in range(UNSEEN)]
    return [[texts[label] for label in classes] for texts in wordings_of(name).values() if set(classes) <= set(texts)]


def fitted_scale(given: Samples, start: float) -> tuple[float, float]:
    """Fit (a, b) of the factor exp(a + b * best cosine) by maximum likelihood, every set counting alike."""
    parts = [(torch.from_numpy(s.cosines), torch.from_numpy(s.truth)) for s in given.values()]
    scale = torch.tensor([start, 0.0], dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        total = RIDGE * scale[1].square()
        for cosines, truth in parts:
            factors = torch.exp(scale[0] + scale[1] * cosines.max(dim=1).values)
            total = total + torch.nn.functional.cross_entropy(cosines * factors[:, None], truth) / len(parts)
        return total

    a, b = minimized(scale, loss)
    return float(a), float(b)


def fitted_hint(given: Samples) -> tuple[Doubles, float, float]:
    """Fit weights (2,), bias and threshold of the hint "no label fits well", every set counting alike."""
    rows, true, share = [], [], []
    for sample in given.values():
        for cosines, is_given in ((sample.cosines, True), (sample.without_truth(), False)):
            rows.append(evidence(cosines))
            true.append(np.full(len(cosines), is_given))
            share.append(np.full(len(cosines), 1 / (2 * len(cosines) * len(given))))
    weights, bias = fitted(*map(np.concatenate, (rows, true, share)))
    kept = [logistic(evidence(sample.cosines), weights, bias) for sample in given.values()]
    steps = np.linspace(0, 1, 401)
    alarms = np.mean([[(chances < step).mean() for step in steps] for chances in kept], axis=0)
    return weights, bias, float(steps[alarms <= FALSE_ALARMS].max())


def calibration_error(sample: Sample, factors: Doubles) -> float:
    """Compute the expected calibration error of the best label, 0 to 1 (Guo et al. 2017)."""
    logits = sample.cosines * factors[:, None]
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    sure = (shares / shares.sum(axis=1, keepdims=True)).max(axis=1)
    right = sample.cosines.argmax(axis=1) == sample.truth
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gaps = [abs(float((sure[bins == b] - right[bins == b]).sum())) for b in range(_BINS)]
    return sum(gaps) / len(sure)


def calibrated(bundle: LRSCLIP, data: Path) -> dict[str, Any]:
    """Fit the calibration and measure it on other pictures; return the manifest's entry."""
    fitting, testing = (samples(bundle, data, fitting=fitting) for fitting in (True, False))
    scale = fitted_scale(fitting, float(np.log(bundle.logit_scale)))
    weights, bias, threshold = fitted_hint(fitting)
    sets = {}
    for name, sample in testing.items():
        plain = np.full(len(sample.truth), bundle.logit_scale)
        given, left_out = (
            logistic(evidence(cosines), weights, bias) for cosines in (sample.cosines, sample.without_truth())
        )
        sets[name] = {
            "pictures": len(sample.truth),
            "labels": sample.cosines.shape[1],
            "fitted_on": len(fitting[name].truth) if name in fitting else 0,
            "error_rate_uncalibrated": round(calibration_error(sample, plain), 4),
            "error_rate": round(calibration_error(sample, np.exp(log_factors(sample.cosines, scale))), 4),
            "false_alarm_rate": round(float((given < threshold).mean()), 4),
            "miss_rate": round(float((left_out >= threshold).mean()), 4),
        }
    strange = [row for name, row in sets.items() if name.endswith(OTHER_WORDS)] or list(sets.values())
    means = {
        key: round(float(np.mean([row[key] for row in strange])), 4)
        for key in ("error_rate_uncalibrated", "error_rate", "false_alarm_rate", "miss_rate")
    }
    return {
        "scale": [float(f"{value:.6g}") for value in scale],
        "weights": [float(f"{value:.6g}") for value in weights],
        "bias": float(f"{bias:.6g}"),
        "threshold": round(threshold, 4),
        **means,
        "sets": sets,
        "measured": provenance(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m train.calibration.labels", description="Calibrate label chances.")
    parser.add_argument("--checkpoint", default="tiny", help="a checkpoint's name or folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with RSICD/, RSSCN7/ and the others")
    args = parser.parse_args(argv)

    def run() -> None:
        entry = into_manifest(args.checkpoint, MANIFEST_KEY, lambda bundle: calibrated(bundle, args.data))
        for name, row in entry["sets"].items():
            print(
                f"{name}: off by {row['error_rate_uncalibrated']:.1%} before, {row['error_rate']:.1%} now; "
                f"false alarms {row['false_alarm_rate']:.1%}, misses {row['miss_rate']:.1%}"
            )

    return run_command("train.calibration.labels", run, "the manifest is as it was")


if __name__ == "__main__":
    sys.exit(main())
