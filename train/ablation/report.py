"""The table of an ablation: one CSV row a run, means and spreads in Markdown, and a plot with every seed in it."""

from __future__ import annotations

import csv
import io
import math
import statistics
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from lrsclip.io.atomic import write_atomically
from train.ablation.scores import METRICS

REFERENCE = "longclip"


@dataclass(frozen=True)
class RunResult:
    """One finished run.

    Attributes:
        recipe: its recipe's name.
        seed: its seed.
        epochs: number of epochs.
        steps: number of steps.
        seconds: duration of all steps, validation not counted.
        best_epoch: the epoch (from 1) whose checkpoint was kept, by validation.
        scores: `SPLIT_METRIC` to per cent.
        made_on: hardware, versions and date.
    """

    recipe: str
    seed: int
    epochs: int
    steps: int
    seconds: float
    best_epoch: int
    scores: dict[str, float]
    made_on: dict[str, str]

    @property
    def seconds_per_step(self) -> float:
        """Mean duration of a step in seconds."""
        return self.seconds / self.steps


def write_report(out: Path, results: list[RunResult], budget: str) -> None:
    """Write `ablate.csv`, `ablate.md` and `ablate.png`, each whole or not at all.

    Args:
        out: the folder.
        results: at least one; the table keeps their order of recipes.
        budget: the settings that all runs share, in words.
    """
    write_atomically(out / "ablate.csv", as_csv(results).encode())
    write_atomically(out / "ablate.md", as_markdown(results, budget).encode())
    picture = io.BytesIO()
    plot(results).savefig(picture, format="png", dpi=150)
    write_atomically(out / "ablate.png", picture.getvalue())


def as_csv(results: list[RunResult]) -> str:
    """Format the results as CSV, one row a run."""
    text = io.StringIO(newline="")
    rows = [
        {
            "recipe": r.recipe,
            "seed": r.seed,
            "epochs": r.epochs,
            "steps": r.steps,
            "seconds": round(r.seconds, 3),
            "seconds_per_step": round(r.seconds_per_step, 3),
            "best_epoch": r.best_epoch,
        }
        | {name: round(value, 3) for name, value in r.scores.items()}
        | r.made_on
        for r in results
    ]
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_markdown(results: list[RunResult], budget: str) -> str:
    """Format each recipe's means and spreads as Markdown, with its long mR relative to Long-CLIP's."""
    recipes, columns = list(dict.fromkeys(r.recipe for r in results)), list(results[0].scores)
    splits = list(dict.fromkeys(name.split("_")[0] for name in columns))
    compared = [f"long vs {REFERENCE}, {split}" for split in splits]
    head = ["recipe", "seeds", *(c.replace("_", " ") for c in columns), *compared, "s per step"]
    lines = ["# Recipes compared", "", budget, "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for recipe in recipes:
        own = [r for r in results if r.recipe == recipe]
        cells = [recipe, str(len(own)), *(spread(values_of(own, c)) for c in columns)]
        cells += [relative(results, recipe, f"{split}_long_mR") for split in splits]
        lines.append(f"| {' | '.join(cells)} | {statistics.mean(r.seconds_per_step for r in own):.2f} |")
    lines += ["", *(f"- `{name.replace('_', ' ')}`: {words}." for name, words in METRICS.items())]
    lines += [
        "- Mean recall in per cent: mean over the seeds ± sample standard deviation. The comparison is of the means.",
        "- Each run is measured with the checkpoint of its best epoch by validation; `test` chose nothing.",
    ]
    if "val_long_mR" in columns:
        best = max(recipes, key=lambda name: by_validation([r for r in results if r.recipe == name]))
        lines.append(f"- By validation (mean of short and long mR) `{best}` comes first.")
    for facts in dict.fromkeys(", ".join(f"{k} {v}" for k, v in r.made_on.items()) for r in results):
        lines.append(f"- Made on: {facts}.")
    return "\n".join(lines) + "\n"


def by_validation(own: list[RunResult]) -> float:
    """Return the mean of short and long validation mR over the seeds, in per cent; recipes are chosen by it."""
    return statistics.mean((r.scores["val_short_mR"] + r.scores["val_long_mR"]) / 2 for r in own)


def values_of(own: list[RunResult], column: str) -> list[float]:
    """Return a column's values, without the NaN of those that could not be measured."""
    return [r.scores[column] for r in own if not math.isnan(r.scores[column])]


def spread(values: list[float]) -> str:
    """Format mean ± sample standard deviation; the mean alone of a single value."""
    if not values:
        return "-"
    mean = f"{statistics.mean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def relative(results: list[RunResult], recipe: str, column: str) -> str:
    """Format a recipe's mean relative to the reference's, as a difference in per cent of the latter."""
    own, other = (values_of([r for r in results if r.recipe == name], column) for name in (recipe, REFERENCE))
    if recipe == REFERENCE or not own or not other or statistics.mean(other) == 0:
        return "-"
    return f"{100 * (statistics.mean(own) / statistics.mean(other) - 1):+.1f} %"


def plot(results: list[RunResult]) -> Figure:
    """Draw a panel for each figure of the last split: a bar for the mean, a point for each seed."""
    recipes, columns = list(dict.fromkeys(r.recipe for r in results)), list(results[0].scores)
    split = columns[-1].split("_")[0]
    shown = [c for c in columns if c.startswith(f"{split}_")]
    figure = Figure(figsize=(3.2 * len(shown), 1.6 + 0.42 * len(recipes)), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for panel, column in zip(panels, shown, strict=True):
        for place, recipe in enumerate(recipes):
            values = values_of([r for r in results if r.recipe == recipe], column)
            if values:
                panel.barh(place, statistics.mean(values), height=0.6, color="#b7cbe0")
                panel.plot(values, [place] * len(values), "o", color="#1f3a5f", markersize=4)
        panel.set_title(column.replace("_", " "), fontsize=10)
        panel.set_xlabel("%")
        panel.set_yticks(range(len(recipes)), recipes)
    panels[0].invert_yaxis()
    return figure
