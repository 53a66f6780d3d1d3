"""What the rooms need of a model, so that none of them has to know which model it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    import torch  # which takes seconds, and is there once a model is

Floats = npt.NDArray[np.float32]
Method = Literal["windows", "dense"]
"""How a scene is looked at; see `lrsclip.localize.window_encoding`."""
METHODS: tuple[Method, ...] = get_args(Method)


class Encoders(Protocol):
    """What localization needs of a model; `lrsclip.LRSCLIP` has it."""

    @property
    def sha256(self) -> str:
        """Hash of the weights."""

    def encode_text(self, texts: list[str]) -> Floats:
        """Texts to (N, D) float32, L2-normalized."""

    def encode_image(self, pictures: list[Image.Image]) -> Floats:
        """Pictures to (N, D) float32, L2-normalized."""


class DenseEncoders(Encoders, Protocol):
    """What the dense method needs besides; `lrsclip.LRSCLIP` has it and says there what each does."""

    @property
    def has_trunk(self) -> bool:
        """Whether windows can be pooled from a map."""

    def map_scene(self, rgb: npt.NDArray[np.uint8]) -> torch.Tensor:
        """(H, W, 3) to a map."""

    def pool_windows(self, features: torch.Tensor, boxes: npt.NDArray[np.floating]) -> Floats:
        """A map and (N, 4) windows of it to (N, D)."""

    def encode_patches(self, pictures: list[Image.Image]) -> Floats:
        """Square pictures to (N, G, G, D)."""
