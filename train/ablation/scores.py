"""Figures of an ablation's runs: short and long retrieval, also without a paragraph's first sentence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lrsclip.metrics import retrieval_scores
from lrsclip.models.dual_encoder import DualEncoder
from lrsclip.models.tokenizer import Tokenizer
from train.data.feature_cache import Prepared
from train.data.records import Record
from train.data.text_pairs import paragraph, sentences_of
from train.validate import picture_vectors, text_vectors

METRICS = {
    "short_mR": "each caption alone, protocol raw",
    "long_mR": "one composed paragraph a picture",
    "several_mR": "the same, of the pictures with two distinct sentences or more",
    "rest_mR": "of those pictures, each paragraph without its first sentence",
}


@dataclass(frozen=True)
class Split:
    """Pictures to be measured on.

    Attributes:
        name: `val` or `test`.
        records: the pictures with their captions; every one has at least one.
        prepared: the image tower's input.
        rows: for each record its row of `prepared`.
    """

    name: str
    records: list[Record]
    prepared: Prepared
    rows: list[int]


def score(model: DualEncoder, split: Split, device: torch.device) -> dict[str, float]:
    """Compute the mean recalls of `METRICS`, in per cent; NaN where no picture has two distinct sentences."""
    model = model.to(device).eval()
    tokenizer = Tokenizer(model.text.context_length)
    image = picture_vectors(model, split.prepared, split.rows, device)

    def mean_recall(pictures: list[int], texts: list[list[str]]) -> float:
        if not pictures:
            return float("nan")
        owner = np.repeat(np.arange(len(pictures)), [len(group) for group in texts])
        vectors = text_vectors(model, [text for group in texts for text in group], tokenizer, device)
        return retrieval_scores(image[pictures], vectors, owner).mean_recall

    everything = list(range(len(split.records)))
    several = [row for row in everything if len(sentences_of(split.records[row])) > 1]
    return {
        "short_mR": mean_recall(everything, [list(r.captions) for r in split.records]),
        "long_mR": mean_recall(everything, [[paragraph(r)] for r in split.records]),
        "several_mR": mean_recall(several, [[paragraph(split.records[row])] for row in several]),
        "rest_mR": mean_recall(several, [[" ".join(sentences_of(split.records[row])[1:])] for row in several]),
    }
