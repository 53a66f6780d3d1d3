"""Zero-shot classification: a class is its name in a few phrasings (Radford et al. 2021, section 3.1.4).

Each label is put into each template; the texts' features are normalized, averaged and normalized again (as
SkyScript does, Wang et al. 2024), which gives one prototype per class; a `TemplateSet` may ask for another average. A
picture's probabilities are the softmax of logit_scale times its cosines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from lrsclip.errors import TextError
from lrsclip.models.bpe import MAX_CHARACTERS
from lrsclip.numbers import clipped
from lrsclip.zero_shot.templates import PLACEHOLDER, TemplateSet

Floats = npt.NDArray[np.float32]

DEFAULT_TEMPLATES = ("a satellite photo of {}.", "a satellite image of {}.")


class Encoders(Protocol):
    """The part of a model that classification needs; `lrsclip.LRSCLIP` has it."""

    @property
    def logit_scale(self) -> float:
        """Factor between a cosine and a logit."""

    def encode_text(self, texts: list[str], *, normalize: bool = True) -> Floats:
        """Encode texts to vectors, (N, D) float32, L2-normalized if `normalize`."""

    def encode_image(self, pictures: list[Image.Image]) -> Floats:
        """Encode pictures to L2-normalized vectors, (N, D) float32."""


@dataclass(frozen=True)
class ClassScore:
    """The score of one class for one picture.

    Attributes:
        label: the class, as it was given.
        score_cos: cosine of the picture and the class's prototype.
        probability: its share among the labels given, 0 to 1.
    """

    label: str
    score_cos: float
    probability: float


@dataclass(frozen=True, eq=False)
class Prototypes:
    """One vector per class: `vectors` (C, D) float32, L2-normalized, in the order of `labels`."""

    labels: tuple[str, ...]
    vectors: Floats


def class_prototypes(
    bundle: Encoders, labels: Sequence[str], templates: Sequence[str] | TemplateSet = DEFAULT_TEMPLATES
) -> Prototypes:
    """Encode class names once, to be used for any number of pictures.

    Args:
        bundle: the model.
        labels: C different class names.
        templates: phrasings with a {} where the name goes; or a set, which brings its own way to average them.

    Raises:
        TextError: no label or template, an empty or repeated label, a template without {}, a text of them that is too
            long to be read, or a str for a list.
    """
    for what, given in (("labels", labels), ("templates", templates)):
        if isinstance(given, str):  # whose letters would be labels
            raise TextError(f"{what} come as a list, not as str; pass [text, ...]")
    names = [label.strip() for label in labels]
    _check_labels(names)
    phrasings = templates.templates if isinstance(templates, TemplateSet) else templates
    _check_templates(phrasings)
    _check_lengths(names, phrasings)
    before = isinstance(templates, TemplateSet) and templates.averaged == "before normalizing"
    texts = [phrasing.replace(PLACEHOLDER, name) for name in names for phrasing in phrasings]
    vectors = bundle.encode_text(texts, normalize=not before)
    per_class = vectors.reshape(len(names), len(phrasings), -1).mean(axis=1)
    return Prototypes(tuple(names), per_class / np.linalg.norm(per_class, axis=1, keepdims=True))


def ranked(cosines: Floats, labels: Sequence[str], logit_scale: float) -> list[ClassScore]:
    """Rank one picture's cosines, (C,), to scores, best first; `logit_scale` is the factor from cosine to logit."""
    logits = logit_scale * cosines.astype(np.float64)
    weights = np.exp(logits - logits.max())
    shares = weights / weights.sum()
    order = np.argsort(-logits, kind="stable")
    return [ClassScore(labels[i], float(cosines[i]), float(shares[i])) for i in order]


def _check_labels(names: Sequence[str]) -> None:
    if not names:
        raise TextError("no class names; give at least one")
    if not all(names):
        raise TextError(f"class name {names.index('') + 1} of {len(names)} is empty; write a name or leave it out")
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise TextError(
            f"class name {clipped(repeated)} is given twice; give each once, or the two share one probability"
        )


def filled_characters(phrasing: str, names: Sequence[str]) -> int:
    """Count the characters of a template filled with each of some names in all of its places; none is built for it."""
    places = phrasing.count(PLACEHOLDER)
    return len(names) * (len(phrasing) - places * len(PLACEHOLDER)) + places * sum(map(len, names))


def _check_lengths(names: Sequence[str], templates: Sequence[str]) -> None:
    """Refuse a text before it is made: a long name in many places is gigabytes."""
    longest = max(names, key=len)
    for template in templates:
        if (length := filled_characters(template, [longest])) > MAX_CHARACTERS:
            raise TextError(
                f"class name {clipped(longest)} in template {clipped(template)} makes a text of {length:,} "
                f"characters; {MAX_CHARACTERS:,} are the limit: shorten one of the two"
            )


def _check_templates(templates: Sequence[str]) -> None:
    if not templates:
        raise TextError("no templates; give at least one, such as 'a satellite photo of {}.'")
    bare = next((template for template in templates if PLACEHOLDER not in template), None)
    if bare is not None:
        raise TextError(f"template {clipped(bare)} has no {PLACEHOLDER}; put {PLACEHOLDER} where the class name goes")
