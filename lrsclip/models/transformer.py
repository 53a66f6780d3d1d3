"""The pre-norm transformer blocks of CLIP, with the parameter names that its checkpoints have.

The small model needs these alone. `open_clip` has them too, and brings all of torchvision and its zoo of models, which
takes longer to import than the model takes to load; it is imported where a ViT or CLIP's text tower is asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm(nn.LayerNorm):
    """Layer normalization in float32 where autocast asks for it, with its output in the type of its input."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalize (..., W); return the same shape and type."""
        normed = F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)
        return normed.to(input.dtype)


class ResidualAttentionBlock(nn.Module):
    """Self-attention and a feed-forward layer, each behind a norm and beside a skip connection."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, act: type[nn.Module]) -> None:
        super().__init__()
        inner = int(width * mlp_ratio)
        self.ln_1 = LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = LayerNorm(width)
        layers = [("c_fc", nn.Linear(width, inner)), ("gelu", act()), ("c_proj", nn.Linear(inner, width))]
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        """Transform (N, L, W) to (N, L, W)."""
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False)[0]
        return cast(Tensor, x + self.mlp(self.ln_2(x)))

    def first_token(self, x: Tensor) -> Tensor:
        """Compute the block's output of the first token alone, (N, L, W) to (N, W): only its query is computed."""
        normed = self.ln_1(x)
        first = x[:, :1] + self.attn(normed[:, :1], normed, normed, need_weights=False)[0]
        return cast(Tensor, (first + self.mlp(self.ln_2(first)))[:, 0])


class Transformer(nn.Module):
    """Blocks one after the other."""

    def __init__(self, width: int, layers: int, heads: int, mlp_ratio: float, act: type[nn.Module]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(ResidualAttentionBlock(width, heads, mlp_ratio, act) for _ in range(layers))


class QuickGELU(nn.Module):
    """OpenAI's approximation of GELU, which its weights were trained with."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply x * sigmoid(1.702 x) to a tensor of any shape."""
        return x * (1.702 * x).sigmoid()
