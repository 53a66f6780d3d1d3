"""Words that no picture was shown with: does a text that uses one stand where its everyday synonym stands?

`synonyms.json` pairs a word that no training caption holds (aerodrome) with one that many do (airport). Both are
put into the same phrasings; a pair counts where the nearest of all everyday words is the right one.
"""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path

import numpy as np

from lrsclip import LRSCLIP
from lrsclip.metrics import hit_chances
from lrsclip.zero_shot.classifier import class_prototypes
from train.data.wording.bank import concepts
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
        A row of all pairs, and one of those whose rare word does not stand in the bank of wordings either: `top1` and
        `top5` in per cent, with `chance` beside them; each pair's `top1` in `detail`. Ties count as in retrieval.
    """
    started = time.monotonic()
    known = list(dict.fromkeys(everyday for _, everyday in pairs))
    right = np.array([known.index(everyday) for _, everyday in pairs])
    rare = class_prototypes(bundle, [word for word, _ in pairs]).vectors
    cosines = rare @ class_prototypes(bundle, known).vectors.T  # (pairs, known)
    hits = 100 * hit_chances(cosines, right[:, None] == np.arange(len(known)), (1, 5))  # (pairs, 2)
    new = np.array([not taught(word) for word, _ in pairs])
    results = []
    for name, some in (("words of no caption", np.ones_like(new)), ("words of no caption and not in the bank", new)):
        if some.any():
            top1, top5 = hits[some].mean(axis=0).tolist()
            metrics = {"top1": top1, "top5": top5, "chance": 100 / len(known)}
            detail = {
                f"{word} -> {everyday}": float(hit)
                for (word, everyday), hit, counts in zip(pairs, hits[:, 0], some, strict=True)
                if counts
            }
            seconds = time.monotonic() - started
            results.append(Result(SYNONYMS, name, "skyscript", 0, int(some.sum()), metrics, seconds, detail))
    return results


def taught(word: str) -> bool:
    """Return whether a word, or its plural, stands in a phrase of the bank that training draws."""
    known = _bank()
    return word.lower() in known or f"{word.lower()}s" in known


@cache
def _bank() -> frozenset[str]:
    phrases = [phrase.lower() for concept in concepts().values() for phrase in concept.phrases]
    return frozenset((*phrases, *(word for phrase in phrases for word in phrase.split())))
