"""Classification: images named from a list of labels, with calibrated probabilities where the checkpoint has them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from PIL import Image

from lrsclip.calibration.labels import CalibratedEncoders, Classification, judge
from lrsclip.errors import PictureError
from lrsclip.io.decode import DECODE_FAULTS, open_image, unreadable
from lrsclip.zero_shot.classifier import DEFAULT_TEMPLATES, Prototypes, class_prototypes
from lrsclip.zero_shot.templates import TemplateSet

ImageFile = Image.Image | str | os.PathLike[str] | BinaryIO
_BATCH, _BATCH_PX = 16, 16_000_000  # images decoded at once, so that many large ones do not fill the memory


def classify(
    bundle: CalibratedEncoders,
    images: Sequence[ImageFile],
    labels: Sequence[str],
    templates: Sequence[str] | TemplateSet = DEFAULT_TEMPLATES,
) -> list[Classification]:
    """Name what images show.

    Args:
        bundle: the model.
        images: N images of any size, as PIL images, paths or open files.
        labels: C different class names.
        templates: phrasings with {} where the name goes, or a set of them.

    Returns:
        N answers, each with C scores, best first. The probabilities, and whether any label fits, are calibrated where
        the checkpoint is; elsewhere the probabilities are the model's own softmax, and `fits` is None.

    Raises:
        TextError: no label or template, an empty or repeated label, or a template without {}.
        PictureError: an image cannot be read; `classify_each` goes on past it.
        CheckpointError: the checkpoint's calibration is broken.
    """
    if isinstance(images, str | os.PathLike | Image.Image):
        raise PictureError(f"images come as a list, not as {type(images).__name__}; pass [image, ...]")
    answers = []
    for answer in classify_each(bundle, images, class_prototypes(bundle, labels, templates)):
        if isinstance(answer, PictureError):
            raise answer
        answers.append(answer)
    return answers


def _opened(image: ImageFile) -> Image.Image:
    if not isinstance(image, Image.Image):
        return open_image(image)
    try:
        image.load()
    except DECODE_FAULTS as error:
        raise unreadable(str(getattr(image, "filename", "")) or "the image", error) from error
    return image


def classify_each(
    bundle: CalibratedEncoders,
    images: Iterable[Any],
    prototypes: Prototypes,
    *,
    opened: Callable[[Any], Image.Image] = _opened,
) -> Iterator[Classification | PictureError]:
    """Name images one after the other, a few of them in memory at a time.

    Args:
        bundle: the model.
        images: any inputs of `opened`.
        prototypes: of `class_prototypes`.
        opened: reads one of `images`, or raises PictureError; by default PIL images, paths and open files.

    Yields:
        For each image its answer, in order; for one that cannot be read the error, so that it does not lose the others.

    Raises:
        CheckpointError: the checkpoint's calibration is broken.
    """
    batch: list[Image.Image | PictureError] = []
    pixels = 0
    for one in images:
        try:
            image = opened(one)
        except PictureError as error:
            batch.append(error)
        else:
            batch.append(image)
            pixels += image.width * image.height
        if len(batch) >= _BATCH or pixels >= _BATCH_PX:
            yield from _answers(bundle, batch, prototypes)
            batch, pixels = [], 0
    yield from _answers(bundle, batch, prototypes)


def _answers(
    bundle: CalibratedEncoders, batch: list[Image.Image | PictureError], prototypes: Prototypes
) -> Iterator[Classification | PictureError]:
    images = [one for one in batch if isinstance(one, Image.Image)]
    answers = iter(judge(bundle, images, prototypes) if images else [])
    for one in batch:
        yield one if isinstance(one, PictureError) else next(answers)
