"""Words that no picture was shown with: does a text that uses one stand where its everyday synonym stands?

`synonyms.json` pairs a word that no training caption holds (aerodrome) with one that many do (airport). Both are
put into the same phrasings; a pair counts where the nearest of all everyday words is the right one.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from lrsclip import LRSCLIP
from lrsclip.metrics import hit_chances
from lrsclip.zero_shot.classifier import class_prototypes
from train.evaluation.result import Result

SYNONYMS = "synonyms"
PAIRS: tuple[tuple[str, str], ...] = tuple(
    (rare, known) for rare, known in json.loads((Path(__file__).with_name("synonyms.json")).read_text())
)


def run_synonyms(bundle: LRSCLIP, pairs: tuple[tuple[str, str], ...] = PAIRS) -> list[Result]:
    """Score word pairs.

    Args:
        bundle: the model; only its text tower is used.
        pairs: (rare, known).

    Returns:
        One row: `top1` and `top5` in per cent, with `chance` beside them; each pair's `top1` in `detail`. Ties count
        as in retrieval.
    """
    started = time.monotonic()
    known = list(dict.fromkeys(everyday for _, everyday in pairs))
    right = np.array([known.index(everyday) for _, everyday in pairs])
    rare = class_prototypes(bundle, [word for word, _ in pairs]).vectors
    cosines = rare @ class_prototypes(bundle, known).vectors.T  # (pairs, known)
    hits = 100 * hit_chances(cosines, right[:, None] == np.arange(len(known)), (1, 5))  # (pairs, 2)
    top1, top5 = hits.mean(axis=0).tolist()
    metrics = {"top1": top1, "top5": top5, "chance": 100 / len(known)}
    detail = {f"{word} -> {everyday}": float(hit) for (word, everyday), hit in zip(pairs, hits[:, 0], strict=True)}
    seconds = time.monotonic() - started
    return [Result(SYNONYMS, "words of no caption", "skyscript", 0, len(pairs), metrics, seconds, detail)]
