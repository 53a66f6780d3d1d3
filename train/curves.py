"""Training curves as a picture: `python -m train.curves runs/tiny [runs/further ...] --out curves.png`.

Several runs follow each other, each begun where the one before it ended.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lrsclip.errors import TrainingError
from lrsclip.io.atomic import write_atomically
from train.command import run_command
from train.runlog import read_log

_SMOOTH = 0.05  # part of the new value in the running mean of the loss


def curves(runs: list[Path]) -> Figure:
    """Plot the loss by step and the validation mR by epoch.

    Raises:
        TrainingError: a folder holds no log.
    """
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    losses: dict[str, list[float]] = {"loss_long": [], "loss_short": []}
    scores: dict[str, list[float]] = {"short_mR": [], "long_mR": []}
    borders = []
    for run in runs:
        rows, epochs = read_log(run / "log.csv"), read_log(run / "validation.csv")
        if not rows:
            raise TrainingError(f"{run} holds no log.csv; pass the --out of a run")
        for name, values in losses.items():
            values += [row[name] for row in rows]
        for name, values in scores.items():
            values += [row[name] for row in epochs]
        borders.append((len(losses["loss_long"]), len(scores["long_mR"])))
    for (name, values), color in zip(losses.items(), ("tab:blue", "tab:orange"), strict=True):
        left.plot(_smoothed(values), label=name.removeprefix("loss_"), color=color, linewidth=1.2)
    for (name, values), color in zip(reversed(scores.items()), ("tab:blue", "tab:orange"), strict=True):
        right.plot(np.arange(1, len(values) + 1), values, ".-", label=name.removesuffix("_mR"), color=color)
    for step, epoch in borders[:-1]:
        left.axvline(step, color="grey", linewidth=0.8, linestyle=":")
        right.axvline(epoch + 0.5, color="grey", linewidth=0.8, linestyle=":")
    for axis, title, unit in ((left, "contrastive loss, training", "step"), (right, "mR, RSICD validation", "epoch")):
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(unit)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    return figure


def _smoothed(values: list[float]) -> list[float]:
    out: list[float] = []
    for value in values:
        known = out and not math.isnan(out[-1])  # a branch of weight 0 has no loss
        out.append((1 - _SMOOTH) * out[-1] + _SMOOTH * value if known else value)
    return out


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    p = argparse.ArgumentParser(prog="python -m train.curves", description="Draw the training curves of runs.")
    p.add_argument("runs", type=Path, nargs="+", help="folders of runs, in order")
    p.add_argument("--out", type=Path, required=True, help="the .png to write")
    args = p.parse_args(argv)

    def work() -> None:
        picture = io.BytesIO()
        curves(args.runs).savefig(picture, format="png", dpi=110)
        write_atomically(args.out, picture.getvalue())

    return run_command("train.curves", work)


if __name__ == "__main__":
    sys.exit(main())
