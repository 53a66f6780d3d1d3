"""The plan of an evaluation: from tasks, data sets and a folder to a list of jobs, read before anything is encoded.

Annotations are read here, so that a broken or missing one is known before the first picture is encoded. A data set
that was asked for by name must be there; with `all`, one that is not there is skipped, and the plan says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lrsclip.clip import LRSCLIP
from lrsclip.errors import DataError
from lrsclip.metrics.selo_map import SeloProtocol, selo_protocol
from train.data.public_sets import AIR_SLT_FOLDER, CHOICE_FOLDER, RSICD_FOLDER
from train.evaluation.atlas import GROUNDING, run_grounding
from train.evaluation.classification import CLASSIFICATION, classification
from train.evaluation.localization import (
    read_choice,
    read_scenes,
    run_atlas_scenes,
    run_choice,
    run_mosaics,
    run_selo,
)
from train.evaluation.own_words import OWN_WORDS, run_own_words
from train.evaluation.result import Result
from train.evaluation.retrieval import LONG, SHORT, long_retrieval, short_retrieval
from train.evaluation.sets import CAPTION_SETS, CLASS_SETS, NotHere, PictureSet, class_folders, rsicd_classes
from train.evaluation.synonyms import SYNONYMS, run_synonyms
from train.evaluation.vectors import PictureVectors
from train.evaluation.wording import WORDING, run_wording, worded
from train.mosaics import usable

Measure = Callable[[LRSCLIP, PictureVectors], list[Result]]

LOCALIZATION = "localization"
TASKS = (WORDING, OWN_WORDS, SHORT, LONG, CLASSIFICATION, LOCALIZATION, SYNONYMS, GROUNDING)
OWN_WORDS_SET = "rsicd30"
LOCALIZATION_SETS = ("choice", "air-slt", "mosaics", "atlas-scenes")
SETS = tuple(dict.fromkeys([*CAPTION_SETS, *CLASS_SETS, *LOCALIZATION_SETS]))
SELO_PROTOCOL = "standard"
_READERS: dict[str, dict[str, Callable[[Path, str], PictureSet]]] = {
    WORDING: CLASS_SETS,
    OWN_WORDS: {OWN_WORDS_SET: rsicd_classes},
    SHORT: CAPTION_SETS,
    LONG: CAPTION_SETS,
    CLASSIFICATION: CLASS_SETS,
}


@dataclass(frozen=True)
class Job:
    """One task on one data set."""

    task: str
    run: Measure


@dataclass(frozen=True)
class Plan:
    """All jobs, task by task, and a line for each data set that is left out because it is not there."""

    jobs: tuple[Job, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class Wishes:
    """Tasks, data sets and folders that a run asks for.

    Attributes:
        data: the folder of the public data sets.
        tasks: of `TASKS`.
        sets: of `SETS`, or None for all that are there.
        split: of the sets that have one.
        class_folders: further folders of class folders to classify.
        air_slt: scenes of the AIR-SLT layout elsewhere than in `data`.
        selo: name of the protocol for those scenes.
    """

    data: Path
    tasks: tuple[str, ...] = TASKS
    sets: tuple[str, ...] | None = None
    split: str = "test"
    class_folders: tuple[Path, ...] = ()
    air_slt: Path | None = None
    selo: str = SELO_PROTOCOL


def plan(wishes: Wishes) -> Plan:
    """Read the annotations of everything that is asked for and build the jobs.

    Raises:
        DataError: data that are named are not there, annotations are broken, or nothing is left to measure.
    """
    if not wishes.data.is_dir():
        raise DataError(f"{wishes.data} is not a folder; pass --data with the folder that holds RSICD/, ...")
    for given, task in ((wishes.class_folders, CLASSIFICATION), (wishes.air_slt, LOCALIZATION)):
        if given and task not in wishes.tasks:
            raise DataError(f"a folder is given for {task}, which is not among the tasks; add it to --tasks")
    jobs: list[Job] = []
    skipped: list[str] = []
    for task in wishes.tasks:
        if task == SYNONYMS:
            jobs += [Job(task, _synonyms)] if wishes.sets is None else []  # it belongs to no data set
            continue
        if task == GROUNDING:
            jobs += [Job(task, run_grounding)] if wishes.sets is None else []  # it draws its own pictures
            continue
        found, missing = _localization_jobs(wishes) if task == LOCALIZATION else _picture_jobs(wishes, task)
        jobs += found
        skipped += missing
    if not jobs:
        why = "; ".join(dict.fromkeys(skipped)) or "none of the data sets belongs to the tasks"
        raise DataError(f"there is nothing to measure: {why}")
    return Plan(tuple(jobs), tuple(dict.fromkeys(skipped)))


def _picture_jobs(wishes: Wishes, task: str) -> tuple[list[Job], list[str]]:
    """Build the jobs of a task on pictures with captions or classes, and list the skipped sets."""
    readers = _READERS[task]
    jobs: list[Job] = []
    skipped: list[str] = []
    for name in readers:
        if wishes.sets is None or name in wishes.sets:
            try:
                jobs.append(_picture_job(task, name, readers[name](wishes.data, wishes.split)))
            except NotHere as error:
                if wishes.sets is not None:
                    raise
                skipped.append(f"{name}: {error}")
    if task == CLASSIFICATION:
        jobs += [_picture_job(task, folder.name, class_folders(folder)) for folder in wishes.class_folders]
    return jobs, skipped


def _picture_job(task: str, name: str, given: PictureSet) -> Job:
    if task == WORDING:
        return Job(task, partial(_wording, name, worded(name, given)))
    if task == OWN_WORDS:
        return Job(task, partial(_own_words, given))
    measure = {SHORT: short_retrieval, LONG: long_retrieval, CLASSIFICATION: classification}[task]
    return Job(task, partial(_on_pictures, measure, given))


def _wording(name: str, given: PictureSet, bundle: LRSCLIP, vectors: PictureVectors) -> list[Result]:
    return run_wording(name, bundle, vectors, given)


def _own_words(given: PictureSet, bundle: LRSCLIP, vectors: PictureVectors) -> list[Result]:
    return run_own_words(bundle, vectors, given)


def _on_pictures(
    measure: Callable[[LRSCLIP, PictureVectors, PictureSet], list[Result]],
    given: PictureSet,
    bundle: LRSCLIP,
    vectors: PictureVectors,
) -> list[Result]:
    return measure(bundle, vectors, given)


def _localization_jobs(wishes: Wishes) -> tuple[list[Job], list[str]]:
    """CHOICE and AIR-SLT, where their pictures are; mosaics of RSICD's validation pictures; scenes of the atlas."""
    choice, scenes = wishes.data / CHOICE_FOLDER, wishes.air_slt or wishes.data / AIR_SLT_FOLDER
    named = {*(wishes.sets or ()), *(["air-slt"] if wishes.air_slt else [])}
    protocol = selo_protocol(wishes.selo)
    jobs: list[Job] = []
    skipped: list[str] = []
    for name, folder, needed, read, run in (
        ("choice", choice, choice, read_choice, _choice),
        ("air-slt", scenes, scenes / "imgs", read_scenes, partial(_selo, protocol)),
        ("mosaics", wishes.data, wishes.data / RSICD_FOLDER, _mosaic_pictures, partial(_mosaics, protocol)),
    ):
        if wishes.sets is not None and name not in named:
            continue
        try:
            if not needed.is_dir():
                raise NotHere(f"{needed} is not there; put the pictures there, or leave {name} out")
            read(folder)  # so that its faults are known now
            jobs.append(Job(LOCALIZATION, partial(run, folder)))
        except NotHere as error:
            if name in named:
                raise
            skipped.append(f"{name}: {error}")
    if wishes.sets is None or "atlas-scenes" in named:
        jobs.append(Job(LOCALIZATION, partial(_atlas_scenes, protocol)))
    return jobs, skipped


def _choice(folder: Path, bundle: LRSCLIP, vectors: PictureVectors) -> list[Result]:
    return run_choice(bundle, folder)


def _selo(protocol: SeloProtocol, folder: Path, bundle: LRSCLIP, vectors: PictureVectors) -> list[Result]:
    return run_selo(bundle, folder, protocol)


def _mosaic_pictures(data: Path) -> PictureSet:
    pictures = rsicd_classes(data, "val")
    usable(pictures)
    return pictures


def _mosaics(protocol: SeloProtocol, data: Path, bundle: LRSCLIP, vectors: PictureVectors) -> list[Result]:
    return run_mosaics(bundle, _mosaic_pictures(data), protocol)


def _atlas_scenes(protocol: SeloProtocol, bundle: LRSCLIP, vectors: PictureVectors) -> list[Result]:
    return run_atlas_scenes(bundle, protocol)


def _synonyms(bundle: LRSCLIP, vectors: PictureVectors) -> list[Result]:
    return run_synonyms(bundle)
