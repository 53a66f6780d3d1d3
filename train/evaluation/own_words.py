"""Sentences as strangers type them: are the right pictures found, and does the verdict say so?

`own_words.toml` has seven sentences for each scene class of RSICD, written freely and apart from all that training
reads. Two of each class are for choosing and calibrating, on validation pictures; five are measured, on test pictures.
For the verdict each sentence is asked of collections that hold pictures of its class, and of the same without any.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from lrsclip import LRSCLIP
from lrsclip.calibration.match import centroid, match_of
from train.data.names import class_words
from train.evaluation.result import Result
from train.evaluation.sets import PictureSet
from train.evaluation.vectors import Floats, PictureVectors

OWN_WORDS = "own-words"
FOR_CHOICE = 2  # sentences of each class, the first ones
SIZES = (128, 512)
_SEED = 11


@dataclass(frozen=True)
class Sentence:
    """A text, the scene class that it asks for in RSICD's words, and whether it is for choosing."""

    text: str
    label: str
    for_choice: bool


@cache
def own_sentences() -> tuple[Sentence, ...]:
    """Read all sentences, class by class."""
    rows = tomllib.loads(Path(__file__).with_name("own_words.toml").read_text(encoding="utf-8"))["sentence"]
    words, seen, found = class_words("rsicd30"), dict[str, int](), []
    for row in rows:
        seen[row["class"]] = number = seen.get(row["class"], 0) + 1
        found.append(Sentence(row["text"], words[row["class"]], number <= FOR_CHOICE))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Asked:
    """A sentence asked of a collection.

    Attributes:
        text_vector: (D,) L2-normalized.
        vectors: (N, D) of the collection.
        is_there: whether the collection has pictures of its class.
        sentence: its number.
    """

    text_vector: Floats
    vectors: Floats
    is_there: bool
    sentence: int


def collections_asked(image: Floats, label: list[str], texts: Floats, sentences: list[Sentence]) -> Iterator[Asked]:
    """Ask each sentence of collections of several sizes that have its class in its usual share, and that lack it.

    Args:
        image: (N, D) of pictures.
        label: their N classes.
        texts: (M, D) of the sentences.
        sentences: the M sentences.
    """
    random, labels = np.random.default_rng(_SEED), np.array(label)
    for number, (vector, sentence) in enumerate(zip(texts, sentences, strict=True)):
        own, others = np.flatnonzero(labels == sentence.label), np.flatnonzero(labels != sentence.label)
        if not len(own):
            continue
        for size in SIZES:
            rest = random.permutation(others)[:size]
            few = random.permutation(own)[: max(1, round(size * len(own) / len(labels)))]
            yield Asked(vector, image[rest], False, number)
            yield Asked(vector, image[np.concatenate([rest[: max(1, len(rest) - len(few))], few])], True, number)


def run_own_words(
    bundle: LRSCLIP, vectors: PictureVectors, given: PictureSet, for_choice: bool = False
) -> list[Result]:
    """Search pictures for sentences in own words.

    Args:
        bundle: the model.
        vectors: the run's pictures.
        given: RSICD's labeled pictures of a split.
        for_choice: measure the sentences for choosing instead of the others.

    Returns:
        One row in per cent: `hit1`, the best picture is of the class; `hit5`, one of the best five is; and where the
        checkpoint is calibrated `denied`, "no" though there, `claimed`, "yes" though absent, `verdict`, the mean of the
        two, and `unsure`, the share of all without a verdict. The hits of each class are in `detail`.

    Raises:
        DataError: a picture cannot be read.
    """
    started = time.monotonic()
    image, label = vectors.of(given.records, given.name), [str(record.label) for record in given.records]
    sentences = [one for one in own_sentences() if one.for_choice is for_choice and one.label in label]
    texts = bundle.encode_text([one.text for one in sentences])
    best = np.argsort(-(texts @ image.T), axis=1, kind="stable")[:, :5]
    right = np.array([[label[place] == one.label for place in row] for row, one in zip(best, sentences, strict=True)])
    metrics = {"hit1": 100 * float(right[:, 0].mean()), "hit5": 100 * float(right.any(axis=1).mean())}
    wrong, unsure = {True: list[bool](), False: list[bool]()}, list[bool]()
    for asked in collections_asked(image, label, texts, sentences):
        order = np.argsort(-(asked.vectors @ asked.text_vector), kind="stable")[:5]
        found = match_of(bundle, asked.text_vector, asked.vectors[order], centroid(asked.vectors), len(asked.vectors))
        if found is not None:
            wrong[asked.is_there].append(found.verdict == ("no" if asked.is_there else "yes"))
            unsure.append(found.verdict == "unsure")
    if wrong[True]:
        denied, claimed = (100 * float(np.mean(wrong[there])) for there in (True, False))
        metrics |= {"denied": denied, "claimed": claimed, "verdict": (denied + claimed) / 2}
        metrics["unsure"] = 100 * float(np.mean(unsure))
    by_class: dict[str, list[bool]] = {}
    for one, hits in zip(sentences, right, strict=True):
        by_class.setdefault(one.label, []).append(bool(hits[0]))
    detail = {name: 100 * float(np.mean(hits)) for name, hits in by_class.items()}
    part = "sentences for choice" if for_choice else "sentences of strangers"
    return [Result(OWN_WORDS, given.name, part, len(image), len(texts), metrics, time.monotonic() - started, detail)]
