"""The two towers and the temperature, as one module: the part that training changes and a checkpoint holds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrsclip.models.config import ModelConfig
from lrsclip.models.image_tower import ResNetTower, build_image_tower
from lrsclip.models.kps import stretch_positions
from lrsclip.models.text_tower import build_text_tower, encode_by_length

if TYPE_CHECKING:
    from open_clip.transformer import VisionTransformer

TEXT_CHUNK = 64
MAX_LOGIT_SCALE = 100.0


class DualEncoder(nn.Module):
    """Image tower, text tower and the logit scale of a contrastive model (LRSCLIP section 3)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.visual: nn.Module = build_image_tower(config.image, config.embed_dim, config.quick_gelu)
        self.text = build_text_tower(config.text, config.embed_dim, config.quick_gelu)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode (N, 3, H, W) preprocessed pictures to L2-normalized vectors, (N, D) float32."""
        return F.normalize(self.visual(pixels).float(), dim=-1)

    def encode_features(self, features: Tensor) -> Tensor:
        """Encode (N, G * G, 1024) kept trunk features to L2-normalized vectors, (N, D); small tower only."""
        return F.normalize(self.convolutional.pool(features).float(), dim=-1)

    def encode_text(self, tokens: Tensor, chunk: int = TEXT_CHUNK, *, normalize: bool = True) -> Tensor:
        """Encode (N, L) token ids to (N, D) float32, L2-normalized if `normalize`; cost follows the text lengths."""
        features = encode_by_length(self.text, tokens, chunk).float()
        return F.normalize(features, dim=-1) if normalize else features

    @property
    def convolutional(self) -> ResNetTower:
        """The image tower, where it is the small one with a trunk.

        Raises:
            TypeError: this configuration has a ViT.
        """
        if not isinstance(self.visual, ResNetTower):
            raise TypeError("only an image tower of kind resnetv2 has a trunk and a pool")
        return self.visual

    @property
    def patched(self) -> VisionTransformer:
        """The image tower, where it is a ViT.

        Raises:
            TypeError: this configuration has a convolutional trunk.
        """
        if self.config.image.kind != "vit":
            raise TypeError("only an image tower of kind vit has patches")
        return cast("VisionTransformer", self.visual)

    @property
    def scale(self) -> Tensor:
        """Temperature factor exp(logit_scale), clamped to 100 or less as in CLIP."""
        return self.logit_scale.exp().clamp(max=MAX_LOGIT_SCALE)

    def stretch(self) -> None:
        """Stretch the text positions by KPS (77 become 248) and freeze the kept rows."""
        positions = self.text.positions
        table = torch.cat([positions.kept, positions.rest]).detach()
        longer = stretch_positions(table, kept=len(positions.kept))
        self.text.stretch_to(longer)
        self.text.positions.freeze_kept()
        self.config = self.config.with_context(len(longer))


def seeded_model(config: ModelConfig, seed: int) -> DualEncoder:
    """Build a model with fresh weights, the same for the same seed; leave the global random state untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DualEncoder(config)
