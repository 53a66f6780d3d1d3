"""The result of `lrsclip.load`: model, tokenizer and preprocessing, which are only right together."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from lrsclip.errors import PictureError, TextError
from lrsclip.models.config import TRUNK_STRIDE_PX, ModelConfig
from lrsclip.models.dense import patch_vectors, pool_windows, trunk_map
from lrsclip.models.dual_encoder import DualEncoder
from lrsclip.models.image_tower import ResNetTower
from lrsclip.models.preprocess import Preprocess, build_preprocess, to_batch
from lrsclip.models.tokenizer import Tokenizer, TokenReport

log = logging.getLogger(__name__)
Embeddings = npt.NDArray[np.float32]
CPU_PICTURES, GPU_PICTURES = 16, 128  # at once; a CPU is a quarter faster where the maps stay in its cache
TEXT_BATCH = WINDOW_BATCH = 256


@dataclass(frozen=True)
class LRSCLIP:
    """A loaded checkpoint.

    Attributes:
        name: the checkpoint's name.
        sha256: of its weights file; an index remembers it.
        model: the two towers, in evaluation mode.
        tokenizer: text to token ids.
        preprocess: one picture to a tensor.
        device: device of the towers.
        dtype: number type of the towers.
        vocabulary: words of the training texts with counts, or None when the checkpoint does not say.
        manifest: the checkpoint's manifest as read ({} for a published state dict).
    """

    name: str
    sha256: str
    model: DualEncoder
    tokenizer: Tokenizer
    preprocess: Preprocess
    device: torch.device
    dtype: torch.dtype
    vocabulary: Mapping[str, int] | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def assemble(
        cls,
        model: DualEncoder,
        *,
        name: str,
        sha256: str,
        device: torch.device,
        dtype: torch.dtype,
        vocabulary: Mapping[str, int] | None = None,
        manifest: Mapping[str, Any] | None = None,
    ) -> LRSCLIP:
        """Put a model on its device and add the tokenizer and preprocessing of its configuration."""
        log_scale = model.logit_scale.detach().float().to(device)
        model = model.eval().requires_grad_(False).to(device=device, dtype=dtype)
        model = model.to(memory_format=torch.channels_last)  # the convolutional trunk is faster so
        model.logit_scale.data = log_scale  # bf16 would round the factor by more than a percent
        return cls(
            name=name,
            sha256=sha256,
            model=model,
            tokenizer=Tokenizer(model.config.text.context_length),
            preprocess=build_preprocess(model.config),
            device=device,
            dtype=dtype,
            vocabulary=vocabulary,
            manifest=manifest or {},
        )

    @property
    def config(self) -> ModelConfig:
        """Configuration of the model."""
        return self.model.config

    @property
    def context_length(self) -> int:
        """Number of tokens the model reads of a text, start and end included (248; 77 for a CLIP not stretched)."""
        return self.tokenizer.context_length

    @property
    def embed_dim(self) -> int:
        """Length D of a vector."""
        return self.config.embed_dim

    @property
    def image_px(self) -> int:
        """Side in pixels of the image tower's square input."""
        return self.config.image.image_px

    @property
    def logit_scale(self) -> float:
        """Factor between a cosine and a logit (already exponentiated)."""
        return float(self.model.scale)

    def describe_tokens(self, text: str) -> TokenReport:
        """Report the part of `text` that the model reads, the part it cuts, and the words unseen in training.

        Raises:
            TextError: empty, or not text.
        """
        return self.tokenizer.describe(text, self.vocabulary)

    @torch.inference_mode()
    def encode_text(self, texts: list[str], *, normalize: bool = True) -> Embeddings:
        """Encode texts to L2-normalized vectors, (N, D) float32.

        Args:
            texts: N texts of any length; tokens beyond `context_length` are cut, and that is logged.
            normalize: False leaves the features as long as the tower makes them, for averages that need that.

        Returns:
            (N, D) float32, each row of length one unless `normalize` is False.

        Raises:
            TextError: an entry is empty or not text.
        """
        if isinstance(texts, str):
            texts = [texts]
        if not isinstance(texts, list | tuple):
            raise TextError(f"texts come as a list, not as {type(texts).__name__}; pass [text, ...]")
        if not texts:
            return np.zeros((0, self.embed_dim), np.float32)
        tokens = self.tokenizer(list(texts))
        if tokens.shape[1] == self.context_length and (cut := sum(self.tokenizer.is_cut(t) for t in texts)):
            log.warning(
                "%d of %d texts have more than %d tokens and were cut; describe_tokens says where",
                cut,
                len(texts),
                self.context_length,
            )
        return _stack([self.encode_tokens(rows, normalize=normalize) for rows in tokens.split(self.texts_at_once)])

    @torch.inference_mode()
    def encode_image(self, pictures: list[Image.Image]) -> Embeddings:
        """Encode pictures to L2-normalized vectors, (N, D) float32.

        Args:
            pictures: N pictures of any size and mode.

        Returns:
            (N, D) float32, each row of length one.

        Raises:
            PictureError: an entry is no picture or cannot be decoded; the message gives its number.
        """
        if isinstance(pictures, Image.Image):
            pictures = [pictures]
        if not isinstance(pictures, list | tuple):
            raise PictureError(f"pictures come as a list, not as {type(pictures).__name__}; pass [picture, ...]")
        if not pictures:
            return np.zeros((0, self.embed_dim), np.float32)
        parts = []
        size = self.pictures_at_once
        for start in range(0, len(pictures), size):
            parts.append(
                self.encode_pixels(to_batch(list(pictures[start : start + size]), self.preprocess, first=start))
            )
        return _stack(parts)

    @property
    def has_trunk(self) -> bool:
        """Whether windows of a scene can be pooled from one map (`map_scene`), or only patches read (the ViTs)."""
        return isinstance(self.model.visual, ResNetTower)

    @torch.inference_mode()
    def map_scene(self, rgb: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Map a scene, or a large part of one, for `pool_windows`; `image_px` does not matter here.

        Args:
            rgb: (H, W, 3), H and W multiples of 16.

        Returns:
            (1, W', H / 16, W / 16) float32, on the model's device.

        Raises:
            PictureError: a side is no multiple of 16.
            TypeError: the model has no trunk.
        """
        if rgb.shape[0] % TRUNK_STRIDE_PX or rgb.shape[1] % TRUNK_STRIDE_PX:
            raise PictureError(
                f"a map is made of {rgb.shape[1]} x {rgb.shape[0]} px; make both multiples of {TRUNK_STRIDE_PX}"
            )
        p = self.config.preprocess
        pixels = torch.from_numpy(rgb).to(self.device).movedim(-1, 0).to(torch.float32) / 255
        mean, std = (torch.tensor(v, device=self.device)[:, None, None] for v in (p.mean, p.std))
        return trunk_map(self.map_square, ((pixels - mean) / std)[None].to(self.dtype)).float()

    @torch.inference_mode()
    def pool_windows(self, features: torch.Tensor, boxes: npt.NDArray[np.floating]) -> Embeddings:
        """Pool windows of a map to L2-normalized vectors, (N, D) float32.

        Args:
            features: of `map_scene`, on any device.
            boxes: (N, 4) left, top, right, bottom in px of the mapped picture.

        Returns:
            (N, D) float32, each row of length one.
        """
        cells = torch.from_numpy(boxes.astype(np.float32) / TRUNK_STRIDE_PX).to(self.device)
        features = features.to(self.device)
        return _stack([self.pool_cells(features, rows) for rows in cells.split(WINDOW_BATCH)])

    @torch.inference_mode()
    def encode_patches(self, pictures: list[Image.Image]) -> Embeddings:
        """Encode square pictures to a vector for each patch, (N, G, G, D) float32, L2-normalized; ViTs only."""
        return _stack([self.encode_patch_pixels(to_batch(pictures, self.preprocess))])

    # One run of a tower each, and everything above is made of them: code that shares the model among many callers
    # needs to take hold of nothing else.

    @property
    def texts_at_once(self) -> int:
        """Most texts in one call of `encode_tokens`."""
        return TEXT_BATCH

    @property
    def pictures_at_once(self) -> int:
        """Most pictures in one call of `encode_pixels`."""
        return CPU_PICTURES if self.device.type == "cpu" else GPU_PICTURES

    @torch.inference_mode()
    def encode_tokens(self, tokens: torch.Tensor, *, normalize: bool = True) -> torch.Tensor:
        """Encode (N, L) token ids to (N, D) float32 on the CPU."""
        return self.model.encode_text(tokens.to(self.device), normalize=normalize).cpu()

    @torch.inference_mode()
    def encode_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode (N, 3, S, S) preprocessed pictures to (N, D) float32 on the CPU."""
        pixels = pixels.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last)
        return self.model.encode_image(pixels).cpu()

    @torch.inference_mode()
    def map_square(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map (1, 3, H, W) normalized pixels to (1, H / 16, W / 16, W') float on the model's device."""
        tower = self.model.convolutional
        return tower.pool.inward(tower.trunk(pixels).movedim(1, -1))

    @torch.inference_mode()
    def pool_cells(self, features: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        """Pool up to `WINDOW_BATCH` windows, in cells of the map, to (N, D) float32 on the CPU."""
        return pool_windows(self.model.convolutional, features, cells).cpu()

    @torch.inference_mode()
    def encode_patch_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode (N, 3, S, S) preprocessed pictures to (N, G, G, D) float32 on the CPU."""
        return patch_vectors(self.model.patched, pixels.to(self.device, self.dtype)).cpu()


def _stack(parts: list[torch.Tensor]) -> Embeddings:
    out: Embeddings = torch.cat(parts).numpy()
    return out
