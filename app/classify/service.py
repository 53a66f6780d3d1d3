"""The Classify page's work: typed lists to class names and templates, one picture or several judged against them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from PIL import Image

from app.classify.label_sets import lines_of
from app.collections import AppState
from app.media.images import uploaded
from app.server.concurrency import LruCache
from app.server.upload_folder import Upload
from app.server.values import MAX_PICTURES
from lrsclip.calibration.labels import Classification, judge
from lrsclip.classification import classify_each
from lrsclip.errors import PictureError, TextError
from lrsclip.zero_shot.classifier import Prototypes, class_prototypes, filled_characters

MAX_LABELS = 500
MAX_TEMPLATES = 20
MAX_PROMPTS = 3000
"""Class names times templates; short ones take 2 ms each on two cores, and more where they fill the model's context."""
MAX_PROMPT_CHARACTERS = 300_000
_PROTOTYPES: LruCache[Prototypes] = LruCache(16)


@dataclass(frozen=True)
class Row:
    """One of several pictures: exactly one of `judged` and `problem` is given.

    Attributes:
        file: the file's name as the visitor knows it.
        judged: the scores of its classes.
        problem: the reason why there are none, as a sentence.
    """

    file: str
    judged: Classification | None = None
    problem: str = ""


def prototypes_of(state: AppState, labels: str, templates: str) -> Prototypes:
    """Return the prototypes of the class names and templates in two boxes; they are kept between pictures.

    Args:
        state: the app's.
        labels: class names, one a line.
        templates: phrasings with {}, one a line.

    Raises:
        TextError: no or too many names or templates, or too many together, a name twice, or a template without {}.
    """
    names, phrasings = lines_of(labels), lines_of(templates)
    for what, given, most in (("class names", names, MAX_LABELS), ("templates", phrasings, MAX_TEMPLATES)):
        if len(given) > most:
            raise TextError(f"{len(given)} {what}; give at most {most}")
    prompts = len(names) * len(phrasings)
    letters = sum(filled_characters(phrasing, names) for phrasing in phrasings)
    if prompts > MAX_PROMPTS or letters > MAX_PROMPT_CHARACTERS:
        raise TextError(
            f"{len(names):,} class names with {len(phrasings)} templates make {prompts:,} texts of {letters:,} "
            f"characters; {MAX_PROMPTS:,} texts and {MAX_PROMPT_CHARACTERS:,} characters can be read, so give fewer or "
            "shorter ones"
        )
    return _PROTOTYPES.get(
        (state.bundle.sha256, names, phrasings), lambda: class_prototypes(state.bundle, names, phrasings)
    )


def judge_one(state: AppState, picture: Image.Image, labels: str, templates: str) -> Classification:
    """Score one picture against class names.

    Args:
        state: the app's.
        picture: what to classify.
        labels: class names, one a line.
        templates: phrasings with {}, one a line.

    Raises:
        TextError: see `prototypes_of`.
        PictureError: the picture cannot be encoded.
    """
    return judge(state.bundle, [picture], prototypes_of(state, labels, templates))[0]


def judge_many(
    state: AppState,
    uploads: Sequence[Upload] | None,
    labels: str,
    templates: str,
) -> tuple[Row, ...]:
    """Score several uploads against class names; the row of one that is no picture has the reason.

    Args:
        state: the app's.
        uploads: the files, as the gate let them through.
        labels: class names, one a line.
        templates: phrasings with {}, one a line.

    Returns:
        One row per upload, in their order.

    Raises:
        TextError: see `prototypes_of`.
        PictureError: there are none, or too many.
    """
    if not uploads:
        raise PictureError("there are no pictures yet; upload some")
    if len(uploads) > MAX_PICTURES:
        raise PictureError(f"{len(uploads)} pictures; give at most {MAX_PICTURES} at once")
    prototypes = prototypes_of(state, labels, templates)
    answers = classify_each(state.bundle, uploads, prototypes, opened=uploaded)
    return tuple(
        Row(name, problem=str(answer)) if isinstance(answer, PictureError) else Row(name, answer)
        for name, answer in zip(map(_name_of, uploads), answers, strict=True)
    )


def _name_of(upload: Upload) -> str:
    """Return a file's own name, without the folders that a browser or a program put before it."""
    name = PurePath(upload.name.replace("\\", "/")).name
    return name or "without a name"
