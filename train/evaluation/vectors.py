"""Vectors of pictures and texts for a whole evaluation, nothing encoded twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from lrsclip.errors import DataError, PictureError
from lrsclip.zero_shot.classifier import Encoders
from train.data.feature_cache import open_picture
from train.data.records import Record

BATCH = 64
Floats = npt.NDArray[np.float32]


class PictureVectors:
    """The vectors of picture files, each file encoded once for all tasks."""

    def __init__(self, bundle: Encoders) -> None:
        self._bundle = bundle
        self._known: dict[Path, Floats] = {}

    def of(self, records: Sequence[Record], name: str) -> Floats:
        """Return the (N, D) vectors of the records' pictures; a progress bar counts the new ones.

        Raises:
            DataError: a picture cannot be read or encoded; the message names the file.
        """
        new = [path for path in dict.fromkeys(r.path for r in records) if path not in self._known]
        starts = range(0, len(new), BATCH)
        for start in tqdm(starts, desc=f"pictures of {name}", unit="batch", disable=not new):
            paths = new[start : start + BATCH]
            self._known.update(zip(paths, self._encoded(paths), strict=True))
        return np.stack([self._known[r.path] for r in records])

    def _encoded(self, paths: list[Path]) -> Floats:
        pictures = [open_picture(path) for path in paths]
        try:
            return self._bundle.encode_image(pictures)
        except PictureError:
            self._name_the_fault(paths, pictures)
            raise

    def _name_the_fault(self, paths: list[Path], pictures: list[Image.Image]) -> None:
        """Encode a batch's pictures one by one: the batch's error gives a number, the message needs the file."""
        for path, picture in zip(paths, pictures, strict=True):
            try:
                self._bundle.encode_image([picture])
            except PictureError as error:
                raise DataError(f"{path} cannot be encoded: {error}") from error


def text_vectors(bundle: Encoders, texts: Sequence[str]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Encode each distinct text once.

    Returns:
        (U, D) vectors of the distinct texts in order of appearance, and the (M,) row of each text there.
    """
    row = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return bundle.encode_text(list(row)), np.array([row[text] for text in texts], dtype=np.int64)
