"""Does reading 248 tokens pay? `python -m train.ablation.long_text --data ../shared/data --out runs/long-text`.

All arms of a study go on from one start a seed: a model of 77 positions that has read short texts alone, as CLIP has.
They differ in one thing each (texts, losses, or data) and have the same number of steps. Every answer to every question
is kept (`OUT/ARM-SEED/answers.safetensors`), so that arms are compared text by text: a paired bootstrap over seeds and
questions. What the study expects stands in its file, written before anything was measured; a difference whose interval
holds zero is called one. `--resume` goes on where a call was stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from lrsclip.errors import DataError, TrainingError
from lrsclip.io.atomic import write_atomically, write_json
from lrsclip.models.dual_encoder import DualEncoder
from lrsclip.models.precision import pick_device
from train.ablation.paired import compared
from train.ablation.questions import Answers, Questions, answers_of, questions_of
from train.ablation.run import add_places
from train.command import run_command
from train.distributed import World
from train.fit import build_corpus, fresh_model, initial_model, model_of_run, resumed_model, trunk_weights
from train.provenance import provenance
from train.runlog import read_log
from train.settings import CONFIG_DIR, Settings, first_fault, read_named
from train.state import STATE, read_state
from train.trainer import Corpus, Trainer

ANSWERS, ASKED, START = "answers.safetensors", "asked.json", "start"
STUDY_DIR = CONFIG_DIR / "studies"
log = logging.getLogger(__name__)


class Contrast(BaseModel):
    """Two arms to be compared, and what is expected of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    one: str
    other: str
    measure: str
    expected: str


class Study(BaseModel):
    """A study: `start` are whole settings, `shared` and then an arm's own entries replace some of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: dict[str, Any]
    shared: dict[str, Any] = Field(default_factory=dict)
    arms: dict[str, dict[str, Any]] = Field(min_length=1)
    worlds: dict[str, tuple[int, ...]]
    contrasts: tuple[Contrast, ...] = ()

    @classmethod
    def read(cls, name_or_path: str) -> Study:
        """Read `train/configs/studies/NAME.json` or any JSON file.

        Raises:
            TrainingError: no such file, or it is no study; the message says where.
        """
        study = read_named(cls, STUDY_DIR, name_or_path, "study")
        for contrast in study.contrasts:
            for arm in (contrast.one, contrast.other):
                if arm not in study.arms:
                    raise TrainingError(
                        f"{name_or_path}: contrasts: no arm {arm!r}; there are: {', '.join(study.arms)}"
                    )
        return study

    def settings(self, arm: str | None, seed: int) -> Settings:
        """Return the settings of an arm, or (None) of the start.

        Raises:
            TrainingError: an entry does not fit.
        """
        own = {} if arm is None else self.shared | self.arms[arm]
        try:
            return Settings.model_validate(self.start | own | {"seed": seed})
        except ValidationError as error:
            raise TrainingError(f"study, {arm or START}:{first_fault(error)}") from error


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    p = argparse.ArgumentParser(prog="python -m train.ablation.long_text", description="Study what long texts are for.")
    p.add_argument("--config", default="long-text", help="a name in train/configs/studies/ or a JSON file")
    p.add_argument("--seeds", default="0,1,2,3", help="comma separated (default: 0,1,2,3)")
    p.add_argument("--tiles", type=int, default=1024, help="of each world that is measured on (default: 1024)")
    add_places(p)
    return p


def study(args: argparse.Namespace) -> str:
    """Train and ask what is missing; write the table after each arm, and return it.

    Raises:
        LRSCLIPError: data, settings or earlier runs that do not fit.
    """
    if not args.data.is_dir():
        raise DataError(f"{args.data} is not a folder; pass --data with the folder that holds RSICD/, ...")
    plan = Study.read(args.config)
    try:
        seeds = list(dict.fromkeys(int(seed) for seed in args.seeds.split(",")))
    except ValueError as error:
        raise TrainingError(f"--seeds takes whole numbers, comma separated ({error})") from error
    if args.tiles < 2:
        raise TrainingError(f"--tiles {args.tiles} leaves nothing to choose among; give 2 or more")
    if not args.resume and any(args.out.glob(f"*/{ASKED}")):
        raise TrainingError(f"{args.out} holds runs already; add --resume to go on, or choose another --out")
    first, cache = plan.settings(None, seeds[0]), args.cache or args.out.parent / "cache"
    trunk = trunk_weights(args.data, first, args.init)
    model = initial_model(first, trunk)
    questions = questions_of(args.data, plan.worlds, args.tiles, model, cache, first)
    world, corpora = World(device=pick_device(args.device)), dict[str, Corpus]()

    def corpus(settings: Settings) -> Corpus:
        key = json.dumps([settings.sources, settings.atlas_seeds, settings.atlas_tiles, settings.views])
        if key not in corpora:
            corpora[key] = build_corpus(args.data, settings, model, cache)
        return corpora[key]

    found: dict[str, dict[int, Answers]] = {START: {}, **{arm: {} for arm in plan.arms}}
    for seed in seeds:  # seed by seed: a study that was stopped still compares all arms
        start = args.out / f"{START}-{seed}"
        for arm in (None, *plan.arms):
            name, settings = arm or START, plan.settings(arm, seed)
            log.info("%s, seed %d", name, seed)
            begin = initial_model(settings, trunk) if arm is None else model_of_run(settings, start)
            out = args.out / f"{name}-{seed}"
            found[name][seed] = one_arm(settings, corpus(settings), begin, out, questions, world, keep=arm is None)
            write_atomically(args.out / "long_text.md", as_markdown(plan, found).encode())
            write_atomically(args.out / "long_text.csv", as_csv(found).encode())
    return (args.out / "long_text.md").read_text()


def one_arm(
    settings: Settings, corpus: Corpus, begin: DualEncoder, out: Path, questions: Questions, world: World, *, keep: bool
) -> Answers:
    """Train (or go on) and ask one arm of one seed, or read what an earlier call was answered.

    Args:
        settings: of the arm.
        corpus: to learn from.
        begin: where it begins.
        out: its folder.
        questions: to be asked.
        world: the device.
        keep: whether its last state stays, for others to begin with.

    Raises:
        TrainingError: the folder holds a run of other settings or data, or a damaged one.
    """
    asked = {"settings": settings.model_dump(mode="json"), "data": corpus.fingerprint}
    if (out / ANSWERS).is_file():
        if not (out / ASKED).is_file() or json.loads((out / ASKED).read_text()) != asked:
            raise TrainingError(f"{out} was made with other settings or data; choose another --out, or remove {out}")
        try:
            return load_file(out / ANSWERS)
        except SafetensorError as error:
            raise TrainingError(f"{out / ANSWERS} is damaged ({error}); remove {out} to make it again") from error
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / ASKED, asked)
    state = read_state(out)
    trainer = Trainer(settings, corpus, begin if state is None else resumed_model(settings, state), out, world)
    if state is not None:
        trainer.resume(state, read_log(out / "log.csv"))
    trainer.run()
    # the last state and not the best: all arms have had the same number of steps
    last = read_state(out)
    assert last is not None
    model = fresh_model(settings, last.context_length)
    model.load_state_dict(last.model)
    answers = answers_of(model, questions, world.device)
    write_atomically(out / ANSWERS, save({name: np.ascontiguousarray(values) for name, values in answers.items()}))
    if not keep:
        (out / STATE).unlink()
    return answers


def as_csv(found: dict[str, dict[int, Answers]]) -> str:
    """Format the mean of every measure: a row for each arm, seed and measure."""
    rows = ["arm,seed,measure,mean,questions"]
    rows += [
        f'{arm},{seed},"{measure}",{values.mean():.3f},{len(values)}'
        for arm, by_seed in found.items()
        for seed, answers in by_seed.items()
        for measure, values in answers.items()
    ]
    return "\n".join(rows) + "\n"


def as_markdown(plan: Study, found: dict[str, dict[int, Answers]]) -> str:
    """Format the study: means and spreads of each measure and arm, and the contrasts with their intervals."""
    made = {arm: by_seed for arm, by_seed in found.items() if by_seed}
    measures = sorted({m for by_seed in made.values() for a in by_seed.values() for m in a})
    lines = ["# Long texts", "", f"| per cent | {' | '.join(made)} |", "|---" * (len(made) + 1) + "|"]
    for measure in measures:
        cells = []
        for by_seed in made.values():
            means = [float(a[measure].mean()) for a in by_seed.values() if measure in a]
            spread = f" ± {statistics.stdev(means):.1f}" if len(means) > 1 else ""
            cells.append(f"{statistics.mean(means):.1f}{spread}" if means else "-")
        lines.append(f"| {measure} | {' | '.join(cells)} |")
    lines += ["", "| contrast | measure | means | difference | 95 % interval | expected |", "|---" * 6 + "|"]
    for contrast in plan.contrasts:
        one, other = found.get(contrast.one, {}), found.get(contrast.other, {})
        both = [seed for seed in one if seed in other and contrast.measure in one[seed]]
        if not both:
            continue
        values = [np.stack([arm[seed][contrast.measure] for seed in both]) for arm in (one, other)]
        result = compared(values[0], values[1])
        null = " (a null)" if result.is_null else ""
        lines.append(
            f"| {contrast.one} against {contrast.other} | {contrast.measure} "
            f"| {result.one:.1f} against {result.other:.1f} | {result.relative_pct:+.1f} %{null} "
            f"| {result.low_pct:+.1f} to {result.high_pct:+.1f} % | {contrast.expected} |"
        )
    facts = ", ".join(f"{key} {value}" for key, value in provenance().items())
    lines += ["", f"Paired bootstrap over seeds and questions; ± is the sample standard deviation over seeds. {facts}"]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return run_command("train.ablation.long_text", lambda: print(study(args)), f"go on with --resume --out {args.out}")


if __name__ == "__main__":
    sys.exit(main())
