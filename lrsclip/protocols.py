"""Protocols of a model for the rooms, so that none of them depends on one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    import torch  # which takes seconds, and is there once a model is

Floats = npt.NDArray[np.float32]
Method = Literal["windows", "dense"]
"""Method of encoding a scene; see `lrsclip.localize.window_encoding`."""
METHODS: tuple[Method, ...] = get_args(Method)


class Encoders(Protocol):
    """The part of a model that localization needs; `lrsclip.LRSCLIP` has it."""

    @property
    def sha256(self) -> str:
        """Hash of the weights."""

    def encode_text(self, texts: list[str]) -> Floats:
        """Encode texts to L2-normalized vectors, (N, D) float32."""

    def encode_image(self, pictures: list[Image.Image]) -> Floats:
        """Encode pictures to L2-normalized vectors, (N, D) float32."""


class DenseEncoders(Encoders, Protocol):
    """The part of a model that the dense method needs besides; `lrsclip.LRSCLIP` has it and describes each member."""

    @property
    def has_trunk(self) -> bool:
        """Whether windows can be pooled from a map."""

    def map_scene(self, rgb: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Map a picture, (H, W, 3) uint8, to the features that windows pool from."""

    def pool_windows(self, features: torch.Tensor, boxes: npt.NDArray[np.floating]) -> Floats:
        """Pool (N, 4) windows of a map to vectors, (N, D) float32."""

    def encode_patches(self, pictures: list[Image.Image]) -> Floats:
        """Encode square pictures to a vector for each patch, (N, G, G, D) float32."""
