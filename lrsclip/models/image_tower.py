"""The image towers: CLIP's ViT (open_clip's own) and the small one, ResNet-50 v2 under an attention pool.

The small tower is in two steps, `features` (the convolutional trunk) and `pool`, so that training can freeze the trunk
and keep its features, and localization can look at the map before it is pooled.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrsclip.models.config import ImageConfig
from lrsclip.models.transformer import LayerNorm, QuickGELU, ResidualAttentionBlock, Transformer

TRUNK_CHANNELS = 1024
_STAGES = ((3, 64, 256, 1), (4, 128, 512, 2), (6, 256, 1024, 2))  # blocks, inner width, outer width, stride


class PreactBottleneck(nn.Module):
    """One pre-activation bottleneck (He et al. 2016, Identity Mappings in Deep Residual Networks)."""

    def __init__(self, width_in: int, inner: int, width_out: int, stride: int, first: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, inner, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, width_out, 1, bias=False)
        self.shortcut = nn.Conv2d(width_in, width_out, 1, stride, bias=False) if first else None

    def forward(self, x: Tensor) -> Tensor:
        """Transform (N, C, H, W) to (N, C', H / stride, W / stride)."""
        a = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(a))))
        y = self.conv3(F.relu(self.bn3(y)))
        return y + (x if self.shortcut is None else self.shortcut(a))


class ResNetV2Trunk(nn.Module):
    """Stem and stages 1-3 of ResNet-50 v2: (N, 3, H, W) normalized RGB to (N, 1024, H / 16, W / 16)."""

    stage1: nn.Sequential
    stage2: nn.Sequential
    stage3: nn.Sequential

    def __init__(self) -> None:
        super().__init__()
        self.input_bn = nn.BatchNorm2d(3)
        self.stem_conv = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.stem_bn = nn.BatchNorm2d(64)
        width_in = 64
        for number, (blocks, inner, width_out, stride) in enumerate(_STAGES, start=1):
            stage = [PreactBottleneck(width_in, inner, width_out, stride, first=True)]
            stage += [PreactBottleneck(width_out, inner, width_out, 1, first=False) for _ in range(blocks - 1)]
            setattr(self, f"stage{number}", nn.Sequential(*stage))
            width_in = width_out
        self.final_bn = nn.BatchNorm2d(width_in)

    def forward(self, x: Tensor) -> Tensor:
        """Run the trunk; use batch statistics in training mode, running ones otherwise."""
        x = F.relu(self.stem_bn(self.stem_conv(self.input_bn(x))))
        x = F.max_pool2d(x, 3, 2, 1)
        x = self.stage3(self.stage2(self.stage1(x)))
        return F.relu(self.final_bn(x))


class AttentionPool(nn.Module):
    """A pool whose class token reads the trunk's grid through a few transformer blocks: (N, G * G, 1024) to (N, D)."""

    def __init__(self, config: ImageConfig, embed_dim: int, act: type[nn.Module]) -> None:
        super().__init__()
        width = config.width
        self.inward = nn.Linear(TRUNK_CHANNELS, width)
        self.cls = nn.Parameter(torch.randn(width) * 0.02)
        self.positions = nn.Parameter(torch.randn(config.grid**2 + 1, width) * 0.02)
        self.ln_pre = LayerNorm(width)
        self.transformer = Transformer(width, config.layers, config.heads, config.mlp_ratio, act)
        self.ln_post = LayerNorm(width)
        self.proj = nn.Parameter(torch.randn(width, embed_dim) * width**-0.5)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Pool (N, G * G, 1024) to (N, D), not normalized."""
        return self.read(self.inward(self.dropout(features)))

    def read(self, tokens: Tensor) -> Tensor:
        """Pool (N, G * G, W), the first layer's output, to (N, D), not normalized.

        Only the class token of the last block is needed, so only its query is computed.
        """
        x = torch.cat([self.cls.to(tokens.dtype).expand(len(tokens), 1, -1), tokens], dim=1)
        x = self.ln_pre(x + self.positions.to(x.dtype))
        *blocks, last = self.transformer.resblocks
        for block in blocks:
            x = block(x)
        return self.ln_post(cast(ResidualAttentionBlock, last).first_token(x)) @ self.proj.to(x.dtype)


class ResNetTower(nn.Module):
    """ResNet-50 v2 trunk and attention pool: (N, 3, 224, 224) to (N, D)."""

    def __init__(self, config: ImageConfig, embed_dim: int, quick_gelu: bool) -> None:
        super().__init__()
        self.grid = config.grid
        self.trunk = ResNetV2Trunk()
        self.pool = AttentionPool(config, embed_dim, QuickGELU if quick_gelu else nn.GELU)

    def features(self, pixels: Tensor) -> Tensor:
        """Compute trunk features: (N, 3, H, W) normalized RGB to (N, G * G, 1024), row by row from the top left."""
        grid = F.adaptive_avg_pool2d(self.trunk(pixels), self.grid)
        return grid.flatten(2).transpose(1, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode (N, 3, H, W) normalized RGB to (N, D), not normalized."""
        out: Tensor = self.pool(self.features(pixels))
        return out


def build_image_tower(config: ImageConfig, embed_dim: int, quick_gelu: bool) -> nn.Module:
    """Build the image tower of a configuration, with fresh weights."""
    if config.kind == "resnetv2":
        return ResNetTower(config, embed_dim, quick_gelu)
    from lrsclip.models.clip_towers import build_vit  # open_clip takes seconds to import

    return build_vit(config, embed_dim, quick_gelu)
