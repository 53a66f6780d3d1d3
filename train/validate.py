"""What a checkpoint is chosen by in training, on validation pictures alone: unlike measures, so that none decides.

Short- and long-text retrieval, and classes in wordings that training never draws.
"""

from __future__ import annotations

import numpy as np
import torch

from lrsclip.metrics import RetrievalScores, retrieval_scores
from lrsclip.models.dual_encoder import DualEncoder
from lrsclip.models.precision import mixed_precision
from lrsclip.models.tokenizer import Tokenizer
from train.data.feature_cache import Prepared, to_pixels
from train.data.records import Record
from train.data.text_pairs import paragraph
from train.data.wording.bank import UNSEEN, concept_of

PICTURES, TEXTS = 128, 512


@torch.inference_mode()
def picture_vectors(model: DualEncoder, prepared: Prepared, rows: list[int], device: torch.device) -> np.ndarray:
    """Encode prepared pictures to (len(rows), D) vectors."""
    parts = []
    for start in range(0, len(rows), PICTURES):
        batch = torch.from_numpy(prepared.rows[rows[start : start + PICTURES]]).to(device)
        with mixed_precision(device):
            vectors = encode_rows(model, batch, prepared)
        parts.append(vectors.float().cpu())
    return torch.cat(parts).numpy()


def encode_rows(model: DualEncoder, rows: torch.Tensor, prepared: Prepared) -> torch.Tensor:
    """Encode N rows of `prepared` to (N, D) vectors; differentiable."""
    if prepared.is_features:
        return model.encode_features(rows.float())
    return model.encode_image(to_pixels(rows, model))


@torch.inference_mode()
def text_vectors(model: DualEncoder, texts: list[str], tokenizer: Tokenizer, device: torch.device) -> np.ndarray:
    """Encode texts to (len(texts), D) vectors; equal texts are encoded once, so that they tie to the last bit."""
    row = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    distinct, parts = list(row), []
    for start in range(0, len(distinct), TEXTS):
        with mixed_precision(device):
            vectors = model.encode_text(tokenizer(distinct[start : start + TEXTS]).to(device))
        parts.append(vectors.float().cpu())
    return torch.cat(parts).numpy()[[row[text] for text in texts]]


@torch.inference_mode()
def class_accuracy(
    model: DualEncoder,
    records: list[Record],
    prepared: Prepared,
    rows: list[int],
    tokenizer: Tokenizer,
    device: torch.device,
) -> dict[str, float]:
    """Classify labeled pictures by wordings of their classes that training never draws.

    Returns:
        Data set -> top-1 accuracy in per cent, mean over the wordings; empty without pictures.
    """
    if not records:
        return {}
    was_training = model.training
    model.eval()
    image, found = picture_vectors(model, prepared, rows, device), dict[str, float]()
    for source in dict.fromkeys(r.source for r in records):
        own = [number for number, r in enumerate(records) if r.source == source]
        labels = [str(records[number].label) for number in own]
        names = sorted(set(labels))
        right = np.array([names.index(label) for label in labels])
        hits = []
        for number in range(UNSEEN):
            texts = text_vectors(model, [concept_of(name).unseen[number] for name in names], tokenizer, device)
            hits.append(np.mean((image[own] @ texts.T).argmax(axis=1) == right))
        found[source] = 100 * float(np.mean(hits))
    model.train(was_training)
    return found


def validate(
    model: DualEncoder,
    records: list[Record],
    prepared: Prepared,
    rows: list[int],
    tokenizer: Tokenizer,
    device: torch.device,
) -> tuple[RetrievalScores, RetrievalScores]:
    """Score short texts (each caption separate) and long texts (one paragraph a picture) on `records`."""
    was_training = model.training
    model.eval()
    image = picture_vectors(model, prepared, rows, device)
    captions = [c for r in records for c in r.captions]
    owner = np.repeat(np.arange(len(records)), [len(r.captions) for r in records])
    short = retrieval_scores(image, text_vectors(model, captions, tokenizer, device), owner)
    long = retrieval_scores(
        image,
        text_vectors(model, [paragraph(r) for r in records], tokenizer, device),
        np.arange(len(records)),
    )
    model.train(was_training)
    return short, long
