"""Zero-shot classification with the two published template sets.

A picture's class is the one whose prototype it is nearest to; ties count as in retrieval. Figures of the two sets, and
of other class names, are not comparable.
"""

from __future__ import annotations

import time

import numpy as np

from lrsclip.metrics import hit_chances
from lrsclip.zero_shot.classifier import Encoders, class_prototypes
from lrsclip.zero_shot.templates import TemplateSet
from train.evaluation.result import Result
from train.evaluation.sets import PictureSet
from train.evaluation.vectors import PictureVectors

CLASSIFICATION = "classification"
TEMPLATE_SETS = ("rs5m", "skyscript")
TOP_K = 5


def classification(bundle: Encoders, vectors: PictureVectors, given: PictureSet) -> list[Result]:
    """Measure the accuracy in per cent with each template set.

    `top1` is over pictures, `class_mean` over classes; `top5` comes where there are more than five classes. The
    detail has the accuracy of each class that has a picture, by its name.

    Args:
        bundle: the model.
        vectors: the run's pictures.
        given: pictures with labels, and all the class names.

    Raises:
        DataError: a picture cannot be read.
    """
    started = time.monotonic()
    image = vectors.of(given.records, given.name)
    column = {label: number for number, label in enumerate(given.classes)}
    label = np.array([column[str(record.label)] for record in given.records])
    own = label[:, None] == np.arange(len(given.classes))[None, :]
    results = []
    for name in TEMPLATE_SETS:
        templates = TemplateSet.named(name)
        prototypes = class_prototypes(bundle, given.classes, templates)
        hits = 100 * hit_chances(image @ prototypes.vectors.T, own, (1, TOP_K))  # (N, 2)
        by_class = {c: float(hits[label == n, 0].mean()) for c, n in column.items() if (label == n).any()}
        metrics = {"top1": float(hits[:, 0].mean())}
        if len(given.classes) > TOP_K:
            metrics["top5"] = float(hits[:, 1].mean())
        metrics["class_mean"] = float(np.mean(list(by_class.values())))
        texts = len(given.classes) * len(templates.templates)
        seconds = time.monotonic() - started
        protocol = f"{name} templates, {len(given.classes)} classes"
        results.append(Result(CLASSIFICATION, given.name, protocol, len(image), texts, metrics, seconds, by_class))
        started = time.monotonic()
    return results
