"""Results as Markdown, one table per task, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from train.evaluation.result import Result

_HEADINGS = {
    "i2t_r1": "I2T R@1",
    "i2t_r5": "R@5",
    "i2t_r10": "R@10",
    "t2i_r1": "T2I R@1",
    "t2i_r5": "R@5",
    "t2i_r10": "R@10",
    "i2t_mean": "I2T mean",
    "t2i_mean": "T2I mean",
    "mR": "**mR**",
    "top1": "**top-1**",
    "top5": "top-5",
    "class_mean": "mean of classes",
    "worst": "**worst**",
    "mean": "**mean**",
    "hit1": "**hit at 1**",
    "hit5": "in 5",
    "denied": "denied though there",
    "claimed": "claimed though absent",
    "verdict": "mean error of the verdict",
}
FACTS = ("checkpoint", "sha256", "dtype", "device", "cpu", "gpu", "torch", "date")
_COUNTS = ("changed", "candidates")  # the details that a reader of the table needs


def tables(results: Sequence[Result]) -> str:
    """Format every task's table under its name, in order of appearance."""
    tasks = dict.fromkeys(result.task for result in results)
    return "\n\n".join(f"## {task}\n\n{_table([r for r in results if r.task == task])}" for task in tasks)


def as_csv(report: Mapping[str, Any]) -> str:
    """Format a report's figures as CSV, one a line, each with the facts that it was measured under."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    facts = [name for name in FACTS if name in report]
    writer.writerow(["task", "data", "protocol", "pictures", "texts", "metric", "value", *facts])
    for row in report["results"]:
        for metric, value in row["metrics"].items():
            cells = [row[name] for name in ("task", "data_set", "protocol", "pictures", "texts")]
            writer.writerow([*cells, metric, f"{value:.4f}", *(report[fact] for fact in facts)])
    return out.getvalue()


def _table(rows: Sequence[Result]) -> str:
    figures = list(dict.fromkeys(name for row in rows for name in row.metrics))
    counts = [name for name in _COUNTS if any(name in row.detail for row in rows)]
    heads = ["data", "protocol", "pictures", "texts", *counts, *(_HEADINGS.get(f, f) for f in figures), "s"]
    shown = {name: [row.metrics.get(name) for row in rows] for name in figures}
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for number, row in enumerate(rows):
        cells = [row.data_set, row.protocol, f"{row.pictures}", f"{row.texts}"]
        cells += [f"{row.detail[name]:.0f}" if name in row.detail else "" for name in counts]
        cells += [_figure(name, shown[name], number) for name in figures]
        lines.append(f"| {' | '.join([*cells, f'{row.seconds:.0f}'])} |")
    return "\n".join(lines)


def _figure(name: str, column: Sequence[float | None], number: int) -> str:
    """Format per cents with two digits; a column of shares, which no per-cent figure of ours is, with four."""
    value = column[number]
    if value is None:
        return ""
    is_share = name not in _HEADINGS and all(v is None or abs(v) <= 1 for v in column)
    text = f"{value:.4f}" if is_share else f"{value:.2f}"
    return f"**{text}**" if _HEADINGS.get(name, "").startswith("**") else text
