"""Evaluation: `python -m train.evaluate --checkpoint tiny --data ../shared/data --json out.json`.

Protocol `raw` (RemoteCLIP, RS5M): captions as they are, duplicates separate, plain cosine. Composed long text: one
paragraph a picture, of its distinct captions in the order given.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import lrsclip
from lrsclip import LRSCLIP, LRSCLIPError
from lrsclip.checkpoint import MANIFEST, read_manifest
from lrsclip.errors import DataError
from lrsclip.files import write_json
from lrsclip.loading import locate
from lrsclip.metrics import retrieval_scores
from train.cache import open_picture
from train.corpus import read_rsicd, read_ucm
from train.provenance import provenance
from train.readers import Record
from train.texts import paragraph

BATCH = 64
DATA_SETS: dict[str, tuple[str, Callable[[Path], list[Record]]]] = {
    "rsicd": ("RSICD", read_rsicd),
    "ucm": ("UCMerced_LandUse", read_ucm),
}


@dataclass(frozen=True)
class Result:
    """One row of the table."""

    task: str
    data_set: str
    protocol: str
    pictures: int
    texts: int
    metrics: dict[str, float]
    seconds: float


def encode_pictures(bundle: LRSCLIP, records: list[Record], name: str) -> np.ndarray:
    """(N, D) vectors of the records' pictures, with a progress bar."""
    parts = []
    for start in tqdm(range(0, len(records), BATCH), desc=f"pictures of {name}", unit="batch"):
        parts.append(bundle.encode_image([open_picture(r.path) for r in records[start : start + BATCH]]))
    return np.concatenate(parts)


def retrieval(bundle: LRSCLIP, data: Path, name: str, tasks: list[str], split: str) -> list[Result]:
    """Short and long retrieval on one data set; the pictures are encoded once.

    Raises:
        DataError: the set has no record of that split.
    """
    records = [r for r in DATA_SETS[name][1](data) if r.split == split]
    if not records:
        raise DataError(f"{name} has no {split} pictures under {data}")
    started = time.monotonic()
    image = encode_pictures(bundle, records, name)
    picture_seconds = time.monotonic() - started
    results = []
    for task in tasks:
        started = time.monotonic()
        texts = [list(r.captions) if task == "short-retrieval" else [paragraph(r)] for r in records]
        owner = np.repeat(np.arange(len(records)), [len(t) for t in texts])
        flat = [t for group in texts for t in group]
        distinct = {text: row for row, text in enumerate(dict.fromkeys(flat))}  # once: equal texts, equal vectors
        vectors = bundle.encode_text(list(distinct))[[distinct[text] for text in flat]]
        scores = retrieval_scores(image, vectors, owner)
        protocol = "raw" if task == "short-retrieval" else "composed paragraph"
        seconds = picture_seconds + time.monotonic() - started
        results.append(Result(task, f"{name} {split}", protocol, len(records), len(flat), scores.as_dict(), seconds))
    return results


def table(results: list[Result]) -> str:
    """The results as Markdown."""
    lines = [
        "| task | data | protocol | pictures | texts | I2T R@1 | R@5 | R@10 | T2I R@1 | R@5 | R@10 | **mR** | s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        recalls = " | ".join(f"{v:.2f}" for k, v in r.metrics.items() if k != "mR")
        lines.append(
            f"| {r.task} | {r.data_set} | {r.protocol} | {r.pictures} | {r.texts} | {recalls} "
            f"| **{r.metrics['mR']:.2f}** | {r.seconds:.0f} |"
        )
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m train.evaluate", description="Measure a checkpoint.")
    p.add_argument("--checkpoint", default="tiny", help="anything lrsclip.load takes")
    p.add_argument("--data", type=Path, required=True, help="folder with RSICD/, UCMerced_LandUse/, ...")
    p.add_argument("--tasks", default="all", help="short-retrieval, long-retrieval or all (comma separated)")
    p.add_argument("--sets", default="rsicd,ucm", help="data sets (comma separated)")
    p.add_argument("--split", default="test", choices=("train", "val", "test"))
    p.add_argument("--device", default=None)
    p.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    p.add_argument("--json", type=Path, help="also write the results there")
    p.add_argument("--record", action="store_true", help="also write the results into the checkpoint's own manifest")
    return p


def chosen(text: str, known: list[str], what: str) -> list[str]:
    """A comma-separated choice, checked.

    Raises:
        DataError: a name that is not known.
    """
    names = known if text == "all" else [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        if name not in known:
            raise DataError(f"{what} {name!r} is not known; there are: {', '.join(known)}")
    return names


def evaluate(args: argparse.Namespace) -> list[Result]:
    """Run the tasks, print the table, write the JSON."""
    tasks = chosen(args.tasks, ["short-retrieval", "long-retrieval"], "task")
    sets = chosen(args.sets, list(DATA_SETS), "data set")
    for name in sets:
        if not (args.data / DATA_SETS[name][0]).is_dir():
            raise DataError(f"{args.data / DATA_SETS[name][0]} is not there; pass --data, or leave it out with --sets")
    if args.record and not locate(args.checkpoint).is_dir():
        raise DataError(f"--record writes into a manifest, and {args.checkpoint} has none; use --json")
    if args.json and not args.json.parent.is_dir():
        raise DataError(f"{args.json.parent} is not a folder; make it, or write --json elsewhere")
    bundle = lrsclip.load(args.checkpoint, device=args.device, precision=args.precision)
    results = [result for name in sets for result in retrieval(bundle, args.data, name, tasks, args.split)]
    print(table(results))
    facts = provenance() | {"checkpoint": bundle.name, "sha256": bundle.sha256, "dtype": str(bundle.dtype)}
    report = facts | {"results": [dataclasses.asdict(r) for r in results]}
    if args.json:
        write_json(args.json, report)
    if args.record:
        record(locate(args.checkpoint), report)
    return results


def record(folder: Path, report: dict[str, Any]) -> None:
    """Write a report into the manifest of the checkpoint that it was measured on."""
    manifest = read_manifest(folder)
    manifest["metrics"] = manifest.get("metrics", {}) | {f"evaluation {report['dtype']}": report}
    write_json(folder / MANIFEST, manifest)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    try:
        evaluate(parser().parse_args(argv))
    except LRSCLIPError as error:
        print(f"train.evaluate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
