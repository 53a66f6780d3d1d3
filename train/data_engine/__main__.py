"""The data engine: `python -m train.data_engine build --data ../shared/data --out runs/lrs2m`.

Reads many sources, drops duplicates and evaluation pictures, writes a short and a long text of every picture
(by rules, or by a language model whose every text is checked against the facts), and packs the result for training and
for the Hub. Stop it at any moment; the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from pydantic import ValidationError

from lrsclip.errors import DataError
from lrsclip.program import program
from train.command import run_command
from train.data.public_sets import known_sources
from train.data.sources.base import Source
from train.data.sources.settings import read_sources
from train.data_engine.pipeline import build
from train.data_engine.run import Run, RunSettings
from train.data_engine.writer.llm_settings import LlmSettings


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    p = argparse.ArgumentParser(prog=program("python -m train.data_engine"), description=__doc__.splitlines()[0])
    commands = p.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="make a data set, or go on with one")
    listing = commands.add_parser("sources", help="say which sources would be read")
    for command in (make, listing):
        where = command.add_mutually_exclusive_group(required=True)
        where.add_argument("--data", type=Path, help="a folder with RSICD/, UCMerced_LandUse/, ...")
        where.add_argument(
            "--sources", type=Path, help="a TOML file that describes them (train/data/sources/README.md)"
        )
        command.add_argument("--only", help="of these, the ones with these names, separated by commas")
    make.add_argument("--out", type=Path, required=True, help="folder of the data set")
    make.add_argument("--writer", choices=("rules", "llm"), default="rules", help="who writes (default: rules)")
    make.add_argument("--llm", type=Path, help="JSON file with the settings of the language model")
    make.add_argument("--variants", type=int, default=1, help="pairs of texts for each picture (default: 1)")
    make.add_argument("--seed", type=int, default=0, help="another seed, another wording")
    make.add_argument(
        "--duplicates",
        choices=("embedding", "hash", "keep"),
        default="embedding",
        help="how near-duplicates are found (default: embedding, which needs a model's look at each picture)",
    )
    make.add_argument("--checkpoint", default="tiny", help="whose image embedding is used (default: tiny)")
    make.add_argument("--formats", default="webdataset,parquet", help="what is written (default: both)")
    make.add_argument("--chunk-records", type=int, default=1000, help="pictures of a shard at most (default: 1000)")
    make.add_argument("--limit", type=int, help="records of each source at most")
    make.add_argument("--engine", choices=("local", "ray"), default="local", help="who does the work (default: local)")
    make.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes of the local engine")
    return p  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args = parser().parse_args(argv)
    if args.command == "sources":
        return run_command("train.data_engine", lambda: _list(args))
    return run_command("train.data_engine", lambda: _build(args), "the same command goes on")


def _sources(args: argparse.Namespace) -> list[Source]:
    sources = list(known_sources(args.data) if args.data else read_sources(args.sources))
    if args.only:
        wanted = args.only.split(",")
        if unknown := sorted(set(wanted) - {s.name for s in sources}):
            raise DataError(f"there is no source {unknown[0]!r}; there are: {', '.join(s.name for s in sources)}")
        sources = [s for s in sources if s.name in wanted]
    return sources


def _list(args: argparse.Namespace) -> None:
    for source in _sources(args):
        layout = source.model_dump()["layout"]
        print(f"{source.name}\t{layout}\t{'held out' if source.held_out else source.split or ''}\t{source.license}")


def _build(args: argparse.Namespace) -> None:
    sources = _sources(args)
    try:
        settings = RunSettings(
            sources=tuple(source.model_dump_json() for source in sources),
            writer=args.writer,
            llm=_llm(args),
            variants=args.variants,
            seed=args.seed,
            chunk_records=args.chunk_records,
            duplicates=args.duplicates,
            checkpoint=args.checkpoint,
            formats=tuple(args.formats.split(",")),
            limit=args.limit,
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = "--" + str(first["loc"][0]).replace("_", "-")
        raise DataError(f"{name}: {first['msg']}; mend it") from error
    report = build(Run.begin(args.out, settings), args.engine, args.workers)
    for sentence in report.duplicates.get("sentences", []):
        print(sentence)
    print(f"{report.written_total:,} of {report.read_total:,} pictures written to {args.out}; see {args.out}/README.md")


def _llm(args: argparse.Namespace) -> LlmSettings | None:
    if args.writer != "llm":
        if args.llm:
            raise DataError("--llm is for --writer llm; add that, or leave it out")
        return None
    if not args.llm:
        raise DataError(
            "--writer llm needs --llm FILE, the settings of the language model as JSON: base_url, model, ..."
        )
    try:
        return LlmSettings.model_validate(json.loads(args.llm.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"{args.llm} cannot be read ({error.strerror}); write it, or mend the path") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{args.llm}: {where} {first['msg']}; mend it there") from error
    except ValueError as error:
        raise DataError(f"{args.llm} is not JSON ({error}); mend it") from error


if __name__ == "__main__":
    sys.exit(main())
