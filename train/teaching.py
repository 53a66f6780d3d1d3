"""Keeping the teacher: while the text tower learns from pictures, it goes on saying of words what its teacher says.

Captions hold a few thousand words. Learning from them alone moves the others to where they no longer belong; so each
step also shows the tower some texts without a picture and asks for the teacher's vectors (the cosine distance of
`train.init.distill_text`). `python -m train.init.teacher_vectors` writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor

from lrsclip.errors import DataError, TrainingError
from lrsclip.models.dual_encoder import DualEncoder
from lrsclip.models.sentence_tower import SentenceTower
from lrsclip.models.text_tower import encode_by_length
from lrsclip.models.tokenizer import Tokenizer

_CHUNK = 64
CONTEXT = 77  # what the teacher says of longer texts is not kept


@dataclass(frozen=True)
class Lesson:
    """Texts of one step with their teacher's vectors.

    Attributes:
        tokens: (N, L) ids.
        vectors: (N, W) of length one.
        weight: of the loss beside the contrastive one.
    """

    tokens: Tensor
    vectors: Tensor
    weight: float


class Teaching:
    """Texts with their teacher's vectors, drawn by step.

    Args:
        path: as `python -m train.init.teacher_vectors` writes it.
        count: texts of a step.
        weight: of the loss.
        seed: of the order.

    Raises:
        DataError: the file is not there, or is none of these.
    """

    def __init__(self, path: Path, count: int, weight: float, seed: int) -> None:
        try:
            tensors = load_file(path)
            tokens, vectors = tensors["tokens"], tensors["vectors"]
        except (OSError, KeyError, SafetensorError) as error:
            raise DataError(
                f"{path} holds no teacher's vectors ({error}); make it with python -m train.init.teacher_vectors"
            ) from error
        self._tokens: npt.NDArray[np.uint16] = tokens
        self._vectors: npt.NDArray[np.float16] = vectors
        self._count, self._weight, self._seed = count, weight, seed

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self._tokens)

    def lesson(self, epoch: int, step: int) -> Lesson:
        """Draw the texts of a step; the same ones for the same numbers."""
        random = np.random.default_rng([self._seed, epoch, step])
        rows = random.integers(len(self), size=self._count)
        vectors = torch.from_numpy(self._vectors[rows].astype(np.float32))
        return Lesson(torch.from_numpy(self._tokens[rows].astype(np.int64)), F.normalize(vectors, dim=1), self._weight)


def lesson_loss(model: DualEncoder, lesson: Lesson) -> Tensor:
    """Compute the weighted mean cosine distance of the tower's sentence vectors from the teacher's.

    Raises:
        TrainingError: the text tower is of another kind than its teacher.
    """
    tower = model.text
    if not isinstance(tower, SentenceTower):
        raise TrainingError("only a text tower of kind 'sentence' has a teacher; take teach_weight out of the settings")
    device = model.logit_scale.device
    mine = F.normalize(encode_by_length(tower.sentence, lesson.tokens.to(device), _CHUNK).float(), dim=1)
    return lesson.weight * (1 - (mine * lesson.vectors.to(device)).sum(dim=1).mean())


def packed(texts: list[str], vectors: Tensor) -> dict[str, npt.NDArray[np.generic]]:
    """Return the tensors of a file for `Teaching`: (N, 77) token ids and (N, W) vectors.

    Args:
        texts: N texts; what is behind their 77th token is cut.
        vectors: (N, W) of the teacher.
    """
    tokens = Tokenizer(CONTEXT)(texts).numpy().astype(np.uint16)
    return {"tokens": tokens, "vectors": vectors.numpy().astype(np.float16)}
