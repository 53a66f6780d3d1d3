"""Training: `python -m train.fit --config tiny --data ../shared/data --out runs/NAME [--device cpu|cuda] [--resume]`.

The recipe (LRSCLIP section 3, with Long-CLIP's two stages): both towers learn at 77 positions first; then the position
table is stretched to 248 by KPS, its first 20 rows are frozen, and training goes on. Every step shows a short and a
long text of each picture, L = a * L_long + (1 - a) * L_short. On a CPU the image trunk stays frozen and its features
are computed once. `--recipe NAME` takes another recipe (`configs/recipes/`). Under `torchrun --nproc-per-node N -m
train.fit ...` N processes share each batch, with the result of one.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from torch import Tensor

from lrsclip.checkpoints.native import MANIFEST, WEIGHTS, load_tensors, read_checkpoint, read_manifest, read_tensors
from lrsclip.errors import DataError, TrainingError
from lrsclip.io.atomic import file_sha256
from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import DualEncoder, seeded_model
from lrsclip.models.precision import pick_device
from lrsclip.program import program
from train.command import run_command
from train.data.atlas import read_atlas
from train.data.corpus import read_corpus, read_rsicd
from train.data.feature_cache import joined, prepare
from train.data.public_sets import PUBLIC_SETS
from train.data.text_pairs import sentences_of
from train.distributed import World, world_of
from train.runlog import read_log
from train.settings import Settings
from train.state import STATE, RunState, read_state
from train.step import memory_named
from train.teaching import Teaching
from train.trainer import CHECKPOINT, VALIDATION_SOURCE, Corpus, Trainer

CLIP_CONTEXT = 77  # a longer table has been stretched, and KPS keeps its first rows


def fresh_model(settings: Settings, context_length: int | None = None) -> DualEncoder:
    """Build fresh towers, at the first stage's context if no other is given.

    Raises:
        TrainingError: the trunk is to be frozen, and there is none.
    """
    config = ModelConfig.named(settings.model).with_context(context_length or settings.stages[0].context_length)
    if settings.trunk == "frozen" and config.image.kind != "resnetv2":
        raise TrainingError(f'{settings.model} has no trunk to freeze; say "trunk": "trained" in the settings')
    if config.image.kind == "resnetv2" and settings.feature_dropout:
        image = config.image.model_copy(update={"dropout": settings.feature_dropout})
        config = config.model_copy(update={"image": image})
    return seeded_model(config, settings.seed)


def model_of_run(settings: Settings, run: Path) -> DualEncoder:
    """Load the model of an earlier run's end, or of a checkpoint, for training under other settings.

    Args:
        settings: the new settings.
        run: the `--out` of the run, or a checkpoint's folder. Where it ended before its positions were stretched, so
            does the model: the first stage stretches them.

    Raises:
        CheckpointError: its model is not the one that the settings ask for.
        TrainingError: it is neither a run nor a checkpoint.
    """
    if (run / MANIFEST).is_file():
        begun = read_checkpoint(run)[0]
        tensors, length = begun.state_dict(), begun.text.context_length
    elif (state := read_state(run)) is not None:
        prefix, length = "module.", state.context_length
        tensors = {k.removeprefix(prefix): v for k, v in state.average.items() if k.startswith(prefix)} or state.model
    else:
        raise TrainingError(f"{run} holds no run; pass --from with the --out of an earlier one, or a checkpoint")
    wanted = settings.stages[0].context_length
    return _filled(fresh_model(settings, min(length, wanted)), tensors, origin=str(run))


def resumed_model(settings: Settings, state: RunState) -> DualEncoder:
    """Build the model as a run saved it."""
    model = fresh_model(settings, state.context_length)
    return _filled(model, state.model, origin=STATE)


def _filled(model: DualEncoder, tensors: dict[str, Tensor], origin: str) -> DualEncoder:
    load_tensors(model, {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}, origin=origin)
    if model.text.context_length > CLIP_CONTEXT:
        model.text.positions.freeze_kept()
    return model


def initial_model(settings: Settings, init: Path | None, text: Path | None = None) -> DualEncoder:
    """Build fresh towers, and load the trunk and the text tower from weights if there are any.

    Args:
        settings: names the configuration.
        init: the trunk's weights.
        text: the text tower's, as `python -m train.init.distill_text` writes them.

    Raises:
        DataError: the weights are named but not there, or a frozen trunk has none.
    """
    model = fresh_model(settings)
    if text is not None:
        _begin_text(model, text)
    elif settings.text_learning_rate is not None:
        raise DataError(
            "text_learning_rate is meant for a text tower that has learned already; make one with "
            "python -m train.init.distill_text and pass it with --text, or take the setting out"
        )
    if init is None:
        if settings.trunk == "frozen":
            raise DataError("a frozen trunk needs weights: pass --init FILE, or take a recipe that trains it")
        return model
    if model.config.image.kind != "resnetv2":
        raise DataError(f"--init gives trunk weights, but {settings.model} has no trunk; leave it out")
    if not init.is_file():
        raise DataError(f"{init} is not there; pass --init with the trunk's weights")
    load_tensors(model.convolutional.trunk, read_tensors(init), origin=str(init))
    return model


def _begin_text(model: DualEncoder, path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path} is not there; make it with python -m train.init.distill_text --out {path}")
    own = {k: v for k, v in model.text.state_dict().items() if k.startswith("proj.")}  # stays fresh
    load_tensors(model.text, own | read_tensors(path), origin=str(path))


def build_corpus(
    data: Path, settings: Settings, model: DualEncoder, cache: Path, val_data: Path | None = None
) -> Corpus:
    """Read the records that training and validation need, and prepare their pictures.

    All sources are prepared, whichever of them the settings train on, so that all runs share one cache.

    Args:
        data: the folder of the data sets.
        settings: name the sources.
        model: prepares the pictures.
        cache: the folder of prepared pictures.
        val_data: the folder of the RSICD to validate on; `data` if not given.

    Raises:
        DataError: the settings name a source that is not there.
    """
    measured, everything = ("val", VALIDATION_SOURCE), read_corpus(data)
    records = [r for r in everything if r.split == "train" or (r.split, r.source) == measured]
    classes = [r for r in everything if r.split == "val" and r.label and r.source != VALIDATION_SOURCE]
    if PUBLIC_SETS[VALIDATION_SOURCE].missing_in(val_data or data) is None:
        # with RSICD's own captions only, so that validation follows the protocol that the test split is measured by
        val = [r for r in read_rsicd(val_data or data) if r.split == "val" and r.captions]
    else:  # a set that the data engine made
        val = [r for r in records if r.split == "val" and r.captions]
    if val_data:
        records = [*(r for r in records if r.split == "train"), *val]
    atlas = read_atlas(settings.atlas_seeds, settings.atlas_tiles)
    wanted, there = settings.sources, {r.source for r in records if r.split == "train"}
    if wanted is not None and (missing := sorted(set(wanted) - there)):
        known = ", ".join(sorted(there))
        raise DataError(f"{data} has no training pictures of source {missing[0]!r}; there are: {known}")
    train = [r for r in records if r.split == "train" and (wanted is None or r.source in wanted)]
    # Kept in files of their own, so that other worlds or views leave the pictures' one as it is.
    parts = [prepare(part, model, cache, settings) for part in (records, atlas, classes) if part]
    shown = [r for r in train if not r.exact]  # what is exact counts things that coarser pixels hide
    parts += [prepare(shown, model, cache, settings, view + 1) for view in range(settings.views)]
    first = len(records) + len(atlas) + len(classes)
    return Corpus(
        train=[r for r in train if r.texts or sentences_of(r)] + atlas,
        val=val,
        prepared=joined(parts),
        row_of={r.key: i for i, r in enumerate([*records, *atlas, *classes])},
        val_classes=classes,
        more_rows={
            r.key: tuple(first + view * len(shown) + i for view in range(settings.views)) for i, r in enumerate(shown)
        },
    )


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    p = argparse.ArgumentParser(
        prog=program("python -m train.fit"), description="Train an LRSCLIP; stops and resumes at will."
    )
    p.add_argument("--config", default="tiny", help="settings: a name in train/configs/ or a JSON file")
    p.add_argument("--recipe", help="a name in train/configs/recipes/ (default: that of the settings)")
    p.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder with RSICD/, UCMerced_LandUse/, ..., or one that python -m train.data_engine made",
    )
    p.add_argument("--val-data", type=Path, help="folder with the RSICD/ to validate on (default: DATA)")
    p.add_argument("--out", type=Path, required=True, help="folder of the run")
    p.add_argument("--init", type=Path, help="trunk weights (default: DATA/../init/*.safetensors if there)")
    p.add_argument("--text", type=Path, help="text tower to begin with, made by python -m train.init.distill_text")
    p.add_argument(
        "--from", type=Path, dest="start", metavar="RUN", help="begin where that --out, or checkpoint, ended"
    )
    p.add_argument("--teach", type=Path, help="the text tower's teacher, made by python -m train.init.teacher_vectors")
    p.add_argument("--cache", type=Path, help="where prepared pictures are kept (default: OUT/../cache)")
    p.add_argument("--device", default=None, help="cpu or cuda (default: cuda if there)")
    p.add_argument("--save-every", type=float, default=120.0, help="seconds between two states on disk (default: 120)")
    p.add_argument("--resume", action="store_true", help="go on from the last state in OUT")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    args = parser().parse_args(argv)

    def work() -> None:
        with world_of(pick_device(args.device)) as world:
            logging.basicConfig(level=logging.INFO if world.is_first else logging.WARNING, format="%(message)s")
            fit(args, world)

    return run_command("train.fit", work, f"go on with --resume --out {args.out}")


def fit(args: argparse.Namespace, world: World) -> None:
    """Build everything and train.

    Raises:
        LRSCLIPError: data, settings or an earlier state that do not fit.
    """
    if not args.data.is_dir():
        raise DataError(f"{args.data} is not a folder; pass --data with the folder that holds RSICD/, ...")
    settings = Settings.read(args.config)
    if args.recipe:
        settings = settings.with_recipe(args.recipe)
    state = read_state(args.out)
    if (state is not None or (args.out / CHECKPOINT / MANIFEST).is_file()) and not args.resume:
        raise TrainingError(f"{args.out} holds a run already; add --resume to go on, or choose another --out")
    if args.start and (args.init or args.text):
        raise TrainingError("--from brings all weights; leave --init and --text out")
    trunk = None if args.start else trunk_weights(args.data, settings, args.init)
    if state is not None:  # it goes on from its own state, with or without --from
        model = resumed_model(settings, state)
    elif args.start:
        model = model_of_run(settings, args.start)
    else:
        model = initial_model(settings, trunk, args.text)
    args.out.mkdir(parents=True, exist_ok=True)
    # all processes ask for the prepared pictures; one of them makes the missing ones, and the others wait for its lock
    with memory_named(settings, world):
        corpus = build_corpus(args.data, settings, model, args.cache or args.out.parent / "cache", args.val_data)
    trainer = Trainer(settings, corpus, model, args.out, world)
    trainer.save_every_s = args.save_every
    trainer.teaching = teaching(settings, args.teach)
    origins = (trunk, args.text, args.teach, *([args.start / STATE, args.start / WEIGHTS] if args.start else []))
    trainer.begun_with = {path.name: file_sha256(path) for path in origins if path and path.is_file()}
    for folder in (args.start, args.start / CHECKPOINT) if args.start else ():
        if (folder / MANIFEST).is_file():
            trainer.before = read_manifest(folder).get("training")
    if state is not None:
        trainer.resume(state, read_log(args.out / "log.csv"))
    trainer.run()


def teaching(settings: Settings, path: Path | None) -> Teaching | None:
    """Open the teacher's vectors, where the settings ask for them.

    Raises:
        DataError: the settings and the command disagree, or the file holds none.
    """
    if bool(settings.teach_weight) != (path is not None):
        raise DataError(
            "teach_weight and --teach FILE go together: the settings give the one, the command the other; "
            "python -m train.init.teacher_vectors makes the file"
        )
    return Teaching(path, settings.teach_texts, settings.teach_weight, settings.seed) if path is not None else None


def trunk_weights(data: Path, settings: Settings, init: Path | None) -> Path | None:
    """Find the trunk's weights: those named, else those that lie beside the data, if the model has a trunk."""
    found = sorted((data / ".." / "init").glob("*.safetensors"))
    has_trunk = ModelConfig.named(settings.model).image.kind == "resnetv2"
    return init or (found[0] if found and has_trunk else None)


if __name__ == "__main__":
    sys.exit(main())
