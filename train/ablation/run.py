"""Recipes compared: `python -m train.ablation.run --data ../shared/data --out runs/ablate [--seeds 0,1,2]`.

Every recipe is trained with every seed on the same data, from the same fresh weights, for the same number of steps, and
measured on the same splits. Each run is a folder OUT/RECIPE-SEED; one that is finished is not made again, one that was
stopped goes on (`--resume`). `ablate.csv`, `ablate.md` and `ablate.png` are written anew after each run. Validation
alone chooses: a run's best epoch, and the recipe that the table calls first.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
from pathlib import Path
from typing import Any

from lrsclip.checkpoints.native import read_checkpoint, read_manifest
from lrsclip.errors import DataError, TrainingError
from lrsclip.io.atomic import file_sha256, write_json
from lrsclip.models.precision import pick_device
from train.ablation.report import RunResult, write_report
from train.ablation.scores import Split, score
from train.command import run_command
from train.data.corpus import read_rsicd
from train.data.feature_cache import prepare
from train.distributed import World
from train.fit import build_corpus, initial_model, trunk_weights
from train.provenance import provenance
from train.recipes import recipe_names
from train.runlog import read_log
from train.settings import Settings
from train.state import STATE, read_state
from train.trainer import VALIDATION_SOURCE, Corpus, Trainer

RESULT = "result.json"
SPLITS = ("val", "test")
Begin = tuple[Path | None, Path | None]  # weights of the trunk and of the text tower
log = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    p = argparse.ArgumentParser(prog="python -m train.ablation.run", description="Compare recipes over seeds.")
    p.add_argument("--config", default="ablate", help="settings that all runs share: a name or a JSON file")
    p.add_argument("--recipes", default="all", help="names in train/configs/recipes/, comma separated (default: all)")
    p.add_argument("--seeds", default="0,1,2", help="comma separated (default: 0,1,2)")
    p.add_argument("--epochs", help="epochs of each stage in place of the settings', such as 2,4")
    p.add_argument("--splits", default="val,test", help="RSICD splits to measure on (default: val,test)")
    p.add_argument("--text", type=Path, help="text tower to begin with, made by python -m train.init.distill_text")
    add_places(p)
    return p


def add_places(p: argparse.ArgumentParser) -> None:
    """Add what every comparison is told: where its data, runs and kept pictures lie, and whether to go on."""
    p.add_argument("--data", type=Path, required=True, help="folder with RSICD/, ...")
    p.add_argument("--out", type=Path, required=True, help="folder of the runs and the tables")
    p.add_argument("--init", type=Path, help="trunk weights (default: DATA/../init/*.safetensors if there)")
    p.add_argument("--cache", type=Path, help="where prepared pictures are kept (default: OUT/../cache)")
    p.add_argument("--device", default=None, help="cpu or cuda (default: cuda if there)")
    p.add_argument("--resume", action="store_true", help="keep finished runs in OUT and go on with the others")


def parts_of(text: str, known: list[str] | None, what: str) -> list[str]:
    """Split a comma-separated choice, each part once.

    Raises:
        TrainingError: nothing, or a name that is not known.
    """
    parts = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not parts:
        raise TrainingError(f"no {what} given; say one or more, comma separated")
    for part in parts:
        if known is not None and part not in known:
            raise TrainingError(f"{what} {part!r} is not known; there are: {', '.join(known)}")
    return parts


def planned(args: argparse.Namespace) -> list[Settings]:
    """Build the settings of every run, seed by seed: a table that was stopped still compares all recipes.

    Raises:
        TrainingError: a name or number that does not fit.
    """
    base = Settings.read(args.config)
    recipes = recipe_names() if args.recipes == "all" else parts_of(args.recipes, recipe_names(), "recipe")
    try:
        seeds = list(dict.fromkeys(int(seed) for seed in parts_of(args.seeds, None, "seeds")))
        epochs = [int(count) for count in args.epochs.split(",")] if args.epochs else [s.epochs for s in base.stages]
    except ValueError as error:
        raise TrainingError(f"--seeds and --epochs take whole numbers, comma separated ({error})") from error
    if len(epochs) != len(base.stages) or min(epochs) < 1:
        raise TrainingError(f"--epochs takes a number from 1 on for each of the {len(base.stages)} stages, as in 2,4")
    stages = tuple(s.model_copy(update={"epochs": n}) for s, n in zip(base.stages, epochs, strict=True))
    return [
        base.model_copy(update={"stages": stages, "seed": seed}).with_recipe(recipe)
        for seed in seeds
        for recipe in recipes
    ]


def ablate(args: argparse.Namespace) -> list[RunResult]:
    """Train and measure the runs that are missing; return all results.

    Raises:
        LRSCLIPError: data, settings or earlier runs that do not fit.
    """
    if not args.data.is_dir():
        raise DataError(f"{args.data} is not a folder; pass --data with the folder that holds RSICD/, ...")
    names = parts_of(args.splits, list(SPLITS), "split")
    plan = planned(args)
    if not args.resume and any(folder_of(args.out, s).exists() for s in plan):
        raise TrainingError(f"{args.out} holds runs already; add --resume to go on, or choose another --out")
    trunk = trunk_weights(args.data, plan[0], args.init)
    cache = args.cache or args.out.parent / "cache"
    model = initial_model(plan[0], trunk, args.text)
    corpus = build_corpus(args.data, plan[0], model, cache)  # once: all runs read the same pictures
    splits = []
    for name in names:
        records = [r for r in read_rsicd(args.data) if r.split == name and r.captions]
        if not records:
            raise DataError(f"{VALIDATION_SOURCE} has no {name} pictures under {args.data}")
        if name == "val":
            splits.append(Split(name, records, corpus.prepared, corpus.rows(records)))
        else:
            seen = prepare(records, model, cache, plan[0])
            splits.append(Split(name, records, seen, list(range(len(records)))))
    world = World(device=pick_device(args.device))
    results: list[RunResult] = []
    for number, settings in enumerate(plan, start=1):
        log.info("run %d of %d: %s, seed %d", number, len(plan), settings.recipe.name, settings.seed)
        results.append(one_run(settings, corpus, splits, (trunk, args.text), folder_of(args.out, settings), world))
        order = list(dict.fromkeys(s.recipe.name for s in plan))
        alike = budget(plan[0], corpus, results[0].steps)
        write_report(args.out, sorted(results, key=lambda r: (order.index(r.recipe), r.seed)), alike)
    return results


def folder_of(out: Path, settings: Settings) -> Path:
    """Return the folder of a run."""
    return out / f"{settings.recipe.name}-{settings.seed}"


def one_run(
    settings: Settings, corpus: Corpus, splits: list[Split], begin: Begin, out: Path, world: World
) -> RunResult:
    """Train (or go on) and measure one run, or read what an earlier call measured.

    Raises:
        TrainingError: the folder holds a run of other settings, data, splits or initial weights.
    """
    begun_with = {path.name: file_sha256(path) for path in begin if path}
    asked = {
        "settings": settings.model_dump(mode="json", exclude={"micro_batch", "hold_on_device"}),  # same figures
        "data": corpus.fingerprint,
        "splits": [s.name for s in splits],
        "initial weights": begun_with,
    }
    if (out / RESULT).is_file():
        return read_result(out / RESULT, asked)
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(settings, corpus, initial_model(settings, *begin), out, world)
    trainer.begun_with = begun_with
    if (state := read_state(out)) is not None:
        trainer.resume(state, read_log(out / "log.csv"))
    trainer.run()
    model, _ = read_checkpoint(out / "checkpoint")  # as stored: this is the model that others will load
    scores = {f"{s.name}_{name}": value for s in splits for name, value in score(model, s, world.device).items()}
    result = RunResult(
        recipe=settings.recipe.name,
        seed=settings.seed,
        epochs=settings.epochs,
        steps=len(trainer.rows),
        seconds=sum(settings.batch_size / row["pictures_per_s"] for row in trainer.rows),
        best_epoch=int(read_manifest(out / "checkpoint")["training"]["epoch"]),
        scores=scores,
        made_on=provenance(),
    )
    write_json(out / RESULT, {"asked": asked, "result": dataclasses.asdict(result)})
    (out / STATE).unlink()  # several times the checkpoint's size, and the run is over
    return result


def read_result(path: Path, asked: dict[str, Any]) -> RunResult:
    """Read the result of a run that an earlier call measured.

    Raises:
        TrainingError: the file is damaged, or measured under other settings, data or splits.
    """
    try:
        found = json.loads(path.read_text())
        result, others = RunResult(**found["result"]), dict(found["asked"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TrainingError(f"{path} cannot be read ({error}); remove {path.parent} to make that run again") from error
    for what in asked:
        if others.get(what) != asked[what]:
            raise TrainingError(f"{path} was made with other {what}; choose another --out, or remove {path.parent}")
    return result


def budget(settings: Settings, corpus: Corpus, steps: int) -> str:
    """Describe in words what all runs share: model, data, epochs, steps and learning rate."""
    sources = ", ".join(settings.sources or sorted({r.source for r in corpus.train}))
    return (
        f"Model `{settings.model}`, trunk {settings.trunk}, {len(corpus.train)} training pictures ({sources}); "
        f"{settings.epochs} epochs, {steps} steps of {settings.batch_size} pictures, learning rate "
        f"{settings.learning_rate:g}. Recipes that stretch the positions do so after the first stage; the others spend "
        "the same epochs at 77 positions."
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    def work() -> None:
        ablate(args)
        print((args.out / "ablate.md").read_text())

    return run_command("train.ablation.run", work, f"go on with --resume --out {args.out}")


if __name__ == "__main__":
    sys.exit(main())
