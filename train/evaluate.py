"""Evaluation: `python -m train.evaluate --checkpoint tiny --data ../shared/data --tasks all --json out.json`.

Prints one table per task and writes one JSON: facts (checkpoint, hardware, versions, date, time) and results. The JSON
is written again after every finished data set, with `"complete": false` until the end, so a long run that fails late
has not run for nothing. What the tasks measure is in `train/evaluation/`.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lrsclip
from lrsclip import LRSCLIP
from lrsclip.checkpoints.factory import locate
from lrsclip.checkpoints.native import MANIFEST, read_manifest
from lrsclip.errors import DataError
from lrsclip.io.atomic import write_atomically, write_json
from lrsclip.program import program
from train.command import run_command
from train.evaluation.plan import SELO_PROTOCOL, SETS, TASKS, Plan, Wishes, plan
from train.evaluation.result import Result
from train.evaluation.tables import as_csv, tables
from train.evaluation.vectors import PictureVectors
from train.provenance import provenance


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    p = argparse.ArgumentParser(prog=program("python -m train.evaluate"), description="Measure a checkpoint.")
    p.add_argument("--checkpoint", default="tiny", help="anything lrsclip.load takes, published .pt files too")
    p.add_argument("--data", type=Path, required=True, help="folder with RSICD/, UCMerced_LandUse/, ...")
    p.add_argument("--tasks", default="all", help=f"all, or of {', '.join(TASKS)} (comma separated)")
    p.add_argument("--sets", default="all", help=f"all that are there, or of {', '.join(SETS)} (comma separated)")
    p.add_argument("--split", default="test", choices=("train", "val", "test"))
    p.add_argument(
        "--class-folder", type=Path, action="append", default=[], help="classify this folder of class folders too"
    )
    p.add_argument("--air-slt", type=Path, help="folder with imgs/ and annotations/anno.json (default: DATA/AIR-SLT)")
    p.add_argument(
        "--selo-protocol", default=SELO_PROTOCOL, help="how its maps are made: standard, no-median, no-jpeg, raw, ..."
    )
    p.add_argument("--device", default=None)
    p.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    p.add_argument("--json", type=Path, help="also write the results there")
    p.add_argument("--csv", type=Path, help="also write the figures there, one a line, when all is done")
    p.add_argument("--record", action="store_true", help="also write the results into the checkpoint's own manifest")
    return p


def chosen(text: str, known: tuple[str, ...], what: str) -> tuple[str, ...] | None:
    """Split and check a comma-separated choice, in the order of `known`; None for `all`.

    Raises:
        DataError: a name that is not known, or none at all.
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    if names == ["all"]:
        return None
    for name in names:
        if name not in known:
            raise DataError(f"{what} {name!r} is not known; there are: {', '.join(known)}")
    if not names:
        raise DataError(f"no {what} is named; there are: {', '.join(known)}")
    return tuple(name for name in known if name in names)


def evaluate(args: argparse.Namespace) -> list[Result]:
    """Run the tasks, print their tables, write the JSON.

    Raises:
        LRSCLIPError: data, checkpoint or settings do not fit.
    """
    started = time.monotonic()
    wishes = Wishes(
        data=args.data,
        tasks=chosen(args.tasks, TASKS, "task") or TASKS,
        sets=chosen(args.sets, SETS, "data set"),
        split=args.split,
        class_folders=tuple(args.class_folder),
        air_slt=args.air_slt,
        selo=args.selo_protocol,
    )
    if args.record and not (locate(args.checkpoint) / MANIFEST).is_file():
        raise DataError(f"--record writes into a manifest, and {args.checkpoint} has none; use --json")
    if args.record and (wishes.tasks != TASKS or wishes.sets is not None):
        raise DataError("--record keeps whole runs, so that no figure is lost: leave --tasks and --sets out")
    for option, path in {"--json": args.json, "--csv": args.csv}.items():
        if path and (not path.parent.is_dir() or path.is_dir()):
            raise DataError(f"{option} {path} must be a file in a folder that is there")
    if args.json and args.json == args.csv:
        raise DataError(f"--json and --csv both name {args.json}; write them to two files")
    todo = plan(wishes)
    for line in todo.skipped:
        print(f"train.evaluate: skipped {line}", file=sys.stderr)
    bundle = lrsclip.load(args.checkpoint, device=args.device, precision=args.precision)

    def report(results: list[Result], complete: bool) -> dict[str, Any]:
        run = {"complete": complete, "seconds": time.monotonic() - started, "skipped": list(todo.skipped)}
        return facts_of(bundle) | run | {"results": [dataclasses.asdict(result) for result in results]}

    def keep(results: list[Result]) -> None:
        if args.json:
            write_json(args.json, report(results, complete=False))

    results = run_jobs(todo, bundle, keep)
    if args.json:
        write_json(args.json, report(results, complete=True))
    if args.csv:
        write_atomically(args.csv, as_csv(report(results, complete=True)).encode())
    if args.record:
        record(locate(args.checkpoint), report(results, complete=True))
    return results


def run_jobs(todo: Plan, bundle: LRSCLIP, keep: Callable[[list[Result]], None]) -> list[Result]:
    """Run every job, print each task's table as it ends, and hand all results so far to `keep` after each job."""
    vectors = PictureVectors(bundle)
    results: list[Result] = []
    for _, jobs in itertools.groupby(todo.jobs, key=lambda job: job.task):
        before = len(results)
        try:
            for job in jobs:
                results += job.run(bundle, vectors)
                keep(results)
        finally:  # a failing task's finished rows are printed too
            if results[before:]:
                print(tables(results[before:]), end="\n\n", flush=True)
    return results


def facts_of(bundle: LRSCLIP) -> dict[str, str]:
    """Return checkpoint, dtype and device, with hardware, versions and date, as flat text."""
    checkpoint = {"checkpoint": bundle.name, "sha256": bundle.sha256, "dtype": str(bundle.dtype)}
    return provenance() | checkpoint | {"device": str(bundle.device)}


def record(folder: Path, report: dict[str, Any]) -> None:
    """Write a report into the manifest of the checkpoint that it was measured on."""
    manifest = read_manifest(folder)
    manifest["metrics"] = manifest.get("metrics", {}) | {f"evaluation {report['dtype']}": report}
    write_json(folder / MANIFEST, manifest)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    args = parser().parse_args(argv)
    return run_command("train.evaluate", lambda: evaluate(args), "--json holds what was finished")


if __name__ == "__main__":
    sys.exit(main())
