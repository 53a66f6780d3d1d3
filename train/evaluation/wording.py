"""Class names as strangers say them: six wordings of every class that training never used.

`wordings.toml` was written apart from the words that training draws (`train.data.wording`): everyday names, single
nouns, nouns with an article, experts' terms, whole phrases, and requests. A text is encoded as it is typed, without a
template.
"""

from __future__ import annotations

import time
import tomllib
from functools import cache
from pathlib import Path

import numpy as np

from lrsclip.metrics import hit_chances
from lrsclip.zero_shot.classifier import Encoders
from train.data.names import class_words, folder_words
from train.evaluation.result import Result
from train.evaluation.sets import NotHere, PictureSet
from train.evaluation.vectors import PictureVectors

WORDING = "wording"
_KEY_OF = {"rsicd30": "rsicd30", "ucm": "ucm", "resisc45": "resisc12", "eurosat": "eurosat", "rsscn7": "rsscn7"}
_NAMED = {"rsicd30", "ucm", "eurosat", "rsscn7"}  # whose classes `class_names.json` puts into words


@cache
def wordings_of(name: str) -> dict[str, dict[str, str]]:
    """Read the wordings of a class set.

    Args:
        name: of `CLASS_SETS`.

    Returns:
        Wording -> class in the data set's own words -> text.
    """
    text = Path(__file__).with_name("wordings.toml").read_text(encoding="utf-8")
    words = class_words(name) if name in _NAMED else {}
    found: dict[str, dict[str, str]] = tomllib.loads(text)[_KEY_OF[name]]
    return {
        wording: {words.get(folder, folder_words(folder)): text for folder, text in texts.items()}
        for wording, texts in found.items()
    }


def worded(name: str, given: PictureSet) -> PictureSet:
    """Return the part of a set whose classes have wordings.

    Args:
        name: of the set, in `CLASS_SETS`.
        given: pictures with labels.

    Raises:
        NotHere: there are fewer than two such classes.
    """
    known = set.intersection(*(set(texts) for texts in wordings_of(name).values()))
    classes = tuple(one for one in given.classes if one in known)
    records = tuple(record for record in given.records if record.label in known)
    if len(classes) < 2 or not records:
        raise NotHere(f"wordings.toml has wordings for {len(classes)} of the classes of {given.name}; two are needed")
    return PictureSet(given.name, records, classes)


def run_wording(name: str, bundle: Encoders, vectors: PictureVectors, given: PictureSet) -> list[Result]:
    """Classify pictures by each wording of their classes, and sum up.

    Args:
        name: of the set, in `CLASS_SETS`.
        bundle: the model.
        vectors: the run's pictures.
        given: of `worded`.

    Returns:
        A row for each wording with `top1` and `class_mean` in per cent, each class's share in `detail`; then one with
        the `worst` and the `mean` of their `top1`.

    Raises:
        DataError: a picture cannot be read.
    """
    image = vectors.of(given.records, given.name)
    label = np.array([given.classes.index(str(record.label)) for record in given.records])
    own = label[:, None] == np.arange(len(given.classes))[None, :]
    results = []
    for wording, texts in wordings_of(name).items():
        started = time.monotonic()
        said = bundle.encode_text([texts[one] for one in given.classes])
        hits = 100 * hit_chances(image @ said.T, own, (1,))[:, 0]
        by_class = {c: float(hits[label == n].mean()) for n, c in enumerate(given.classes) if (label == n).any()}
        metrics = {"top1": float(hits.mean()), "class_mean": float(np.mean(list(by_class.values())))}
        took_s = time.monotonic() - started
        results.append(Result(WORDING, given.name, wording, len(image), len(texts), metrics, took_s, by_class))
    top = {row.protocol: row.metrics["top1"] for row in results}
    summary = {"worst": min(top.values()), "mean": float(np.mean(list(top.values())))}
    count = sum(row.texts for row in results)
    return [*results, Result(WORDING, given.name, f"all {len(top)} wordings", len(image), count, summary, 0.0, top)]
