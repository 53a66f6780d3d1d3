"""Retrieval with short captions in two protocols, and with long texts, whole, damaged and by length.

Short, `raw` (RemoteCLIP, RS5M): captions as they are, duplicates stay separate. Short, `merged` (SkyScript, FarSLIP):
every caption is prefixed, equal captions are one text, and any of its pictures counts. Long: one composed paragraph a
picture, of its distinct captions in the order given; the damaged ones show whether the first sentence carries it all
(Long-CLIP and DeBias-CLIP report the same two).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from lrsclip.metrics import RetrievalScores, hit_chances
from lrsclip.models.tokenizer import Tokenizer
from lrsclip.zero_shot.classifier import Encoders
from train.data.records import Record
from train.data.text_pairs import paragraph, sentences_of
from train.evaluation.result import Result
from train.evaluation.sets import PictureSet
from train.evaluation.vectors import PictureVectors, text_vectors

SHORT, LONG = "short-retrieval", "long-retrieval"
MERGED_PREFIX = "a satellite image. "
PARAGRAPH = "composed paragraph"
SHUFFLE_SEED = 0
_MARKS = 2  # the start and end tokens, which are no part of a caption's length
_TOKENS: dict[str, Callable[[int], bool]] = {
    "under 20 tokens": lambda count: count < 20,
    "20 to 40 tokens": lambda count: 20 <= count <= 40,
    "over 40 tokens": lambda count: count > 40,
}


def short_retrieval(bundle: Encoders, vectors: PictureVectors, given: PictureSet) -> list[Result]:
    """Measure retrieval between captions and pictures, `raw` and `merged`.

    Args:
        bundle: the model.
        vectors: the run's pictures.
        given: pictures with their captions; each needs at least one.

    Raises:
        DataError: a picture cannot be read.
    """
    started = time.monotonic()
    image = vectors.of(given.records, given.name)
    captions = [caption for record in given.records for caption in record.captions]
    owner = np.repeat(np.arange(len(given.records)), [len(r.captions) for r in given.records])
    results = []
    for protocol in ("raw", "merged"):
        merged = protocol == "merged"
        distinct, row = text_vectors(bundle, [MERGED_PREFIX + c if merged else c for c in captions])
        score = image @ distinct.T
        positive = np.zeros(score.shape, dtype=np.bool_)
        positive[owner, row] = True
        if not merged:  # every caption is a column of its own and belongs to its own picture only
            score, positive = score[:, row], np.arange(len(image))[:, None] == owner[None, :]
        metrics = _metrics(hit_chances(score, positive), hit_chances(score.T, positive.T))
        seconds = time.monotonic() - started
        results.append(Result(SHORT, given.name, protocol, len(image), score.shape[1], metrics, seconds))
        started = time.monotonic()
    return results


def long_retrieval(bundle: Encoders, vectors: PictureVectors, given: PictureSet) -> list[Result]:
    """Measure retrieval with one paragraph a picture: whole, by its length, beheaded and shuffled.

    Rows by length ask with the paragraphs of that many tokens, and with their pictures, against the whole split; a
    length that no paragraph has gets no row. Tokens are the byte pairs of the paragraph itself, without the start and
    end marks. A paragraph of a single sentence stays as it is in the damaged rows; `changed` counts the others.

    Takes and raises what `short_retrieval` does.
    """
    started = time.monotonic()
    image = vectors.of(given.records, given.name)
    whole = [paragraph(record) for record in given.records]
    i2t, t2i = _chances(bundle, image, whole)
    tokenizer = Tokenizer(context_length=_MARKS)
    lengths = [tokenizer.count(text) - _MARKS for text in whole]
    buckets = {name: np.array([fits(n) for n in lengths]) for name, fits in _TOKENS.items()}
    sizes = {name: float(chosen.sum()) for name, chosen in buckets.items()}

    def row(protocol: str, count: int, metrics: dict[str, float], detail: dict[str, float]) -> Result:
        return Result(LONG, given.name, protocol, count, count, metrics, time.monotonic() - started, detail)

    results = [row(PARAGRAPH, len(image), _metrics(i2t, t2i), sizes)]
    for name, chosen in buckets.items():
        started = time.monotonic()
        if chosen.any():
            candidates = {"candidates": float(len(image))}
            results.append(
                row(f"{PARAGRAPH}, {name}", int(chosen.sum()), _metrics(i2t[chosen], t2i[chosen]), candidates)
            )
    for name, texts in (
        ("first sentence removed", beheaded(given.records)),
        ("sentences shuffled", shuffled(given.records)),
    ):
        started = time.monotonic()
        changed = sum(a != b for a, b in zip(texts, whole, strict=True))
        metrics = _metrics(*_chances(bundle, image, texts))
        results.append(row(f"{PARAGRAPH}, {name}", len(image), metrics, {"changed": float(changed)}))
    return results


def beheaded(records: Sequence[Record]) -> list[str]:
    """Return each picture's paragraph without its first sentence; one that has no other keeps it."""
    return [" ".join(sentences[1:] or sentences) for sentences in map(sentences_of, records)]


def shuffled(records: Sequence[Record], seed: int = SHUFFLE_SEED) -> list[str]:
    """Return each picture's paragraph with its sentences in random order, the same order for the same seed."""
    random = np.random.default_rng(seed)
    return [" ".join(random.permutation(np.array(sentences_of(r), dtype=object))) for r in records]


def _chances(bundle: Encoders, image: npt.NDArray[np.float32], texts: list[str]) -> tuple[npt.NDArray[np.float64], ...]:
    """Compute the (N, 3) hit chances of pictures and of texts, text n being picture n's."""
    distinct, row = text_vectors(bundle, texts)
    score = (image @ distinct.T)[:, row]
    own = np.eye(len(image), dtype=np.bool_)
    return hit_chances(score, own), hit_chances(score.T, own)


def _metrics(image_to_text: npt.NDArray[np.float64], text_to_image: npt.NDArray[np.float64]) -> dict[str, float]:
    """Compute the six recalls, the mean of each direction, and mR, in per cent."""
    scores = RetrievalScores.mean_of(image_to_text, text_to_image)
    i2t, t2i = scores.direction_means
    recalls = scores.as_dict()
    del recalls["mR"]  # it closes the row, behind the means that it is made of
    return recalls | {"i2t_mean": i2t, "t2i_mean": t2i, "mR": scores.mean_recall}
