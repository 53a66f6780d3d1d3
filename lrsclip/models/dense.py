"""Many vectors from one look at a large crop: the image towers' second way, for localization.

The small tower's trunk is convolutional, so the map of a whole scene is computed once, and any window of it is pooled
from there: a window costs a fiftieth of a crop. A ViT has no such map; there each patch of a crop gets a vector of its
own. MaskCLIP (Zhou et al., Extract Free Dense Labels from CLIP, 2022) takes the last block's values for that; here the
last block looks at each patch's neighbors instead, as in NACLIP (Hajimiri et al., Pay Attention to Your Neighbors,
2025): keys against keys, with a Gaussian around the patch, and neither skip connection nor feed-forward layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from lrsclip.models.config import TRUNK_STRIDE_PX as STRIDE_PX
from lrsclip.models.image_tower import ResNetTower

if TYPE_CHECKING:
    from open_clip.transformer import VisionTransformer

_SQUARE_PX, _MARGIN_PX = 832, 48  # a map of 1,800 px a side in one piece takes half as long again
_SAMPLES = 1  # per side of a pooled cell, which is about as large as one of the map; two cost time and win nothing
_NEIGHBOR_PATCHES = 5.0  # standard deviation of the Gaussian, NACLIP's


def trunk_map(look: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
    """Map (1, 3, H, W) normalized RGB, H and W multiples of 16, to (1, W', H / 16, W / 16) for windows to pool from.

    The map is made in squares, whose layers stay in the processor's cache; each is read with some margin, because the
    trunk sees beyond a cell. The pool's first linear layer is applied here already: it commutes with averaging, and a
    map has fewer places than its windows.

    Args:
        look: the trunk and first layer on one square, (1, 3, h, w) to (1, h / 16, w / 16, W').
        pixels: the scene.
    """
    height, width = pixels.shape[2:]
    rows = []
    for top, bottom in _squares(height):
        row = []
        for left, right in _squares(width):
            y0, y1 = max(0, top - _MARGIN_PX), min(height, bottom + _MARGIN_PX)
            x0, x1 = max(0, left - _MARGIN_PX), min(width, right + _MARGIN_PX)
            part = pixels[:, :, y0:y1, x0:x1].contiguous(memory_format=torch.channels_last)
            seen = look(part)[:, (top - y0) // STRIDE_PX : (bottom - y0) // STRIDE_PX]
            row.append(seen[:, :, (left - x0) // STRIDE_PX : (right - x0) // STRIDE_PX])
        rows.append(torch.cat(row, dim=2))
    return torch.cat(rows, dim=1).movedim(-1, 1).contiguous()


def _squares(length_px: int) -> list[tuple[int, int]]:
    """Divide a length into equal parts of some `_SQUARE_PX`, multiples of 16, the last one shorter if need be."""
    count = max(1, round(length_px / _SQUARE_PX))
    step = -(-length_px // (count * STRIDE_PX)) * STRIDE_PX
    return [(start, min(start + step, length_px)) for start in range(0, length_px, step)]


def pool_windows(tower: ResNetTower, features: Tensor, boxes: Tensor) -> Tensor:
    """Pool windows of a map to L2-normalized vectors, (N, D) float32.

    Args:
        tower: the tower that made the map.
        features: (1, W', H / 16, W / 16) float32.
        boxes: (N, 4) float left, top, right, bottom in cells of the map.

    Returns:
        (N, D) of length one, float32.
    """
    from torchvision.ops import roi_align  # two seconds to import, and a search needs none of it

    grid = roi_align(features, [boxes], tower.grid, sampling_ratio=_SAMPLES, aligned=True)
    tokens = grid.flatten(2).transpose(1, 2).to(tower.pool.proj.dtype)
    return F.normalize(tower.pool.read(tokens).float(), dim=-1)


def patch_vectors(tower: VisionTransformer, pixels: Tensor) -> Tensor:
    """Encode every patch: (N, 3, S, S) normalized RGB to L2-normalized (N, G, G, D), float32, row by row."""
    x = tower._embeds(pixels)
    blocks = tower.transformer.resblocks
    for block in blocks[:-1]:
        x = block(x)
    last = blocks[-1]
    width, heads = x.shape[-1], last.attn.num_heads
    projected = F.linear(last.ln_1(x[:, 1:]), last.attn.in_proj_weight[width:], last.attn.in_proj_bias[width:])
    keys, values = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in projected.chunk(2, dim=-1))
    side = round(keys.shape[2] ** 0.5)
    near = _neighborhood(side, keys.dtype, keys.device)
    weights = (keys @ keys.mT / (width // heads) ** 0.5 + near).softmax(dim=-1)
    mixed = last.attn.out_proj((weights @ values).transpose(1, 2).flatten(2))
    vectors = F.normalize((tower.ln_post(mixed) @ tower.proj).float(), dim=-1)
    return vectors.unflatten(1, (side, side))


def _neighborhood(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Build the (G * G, G * G) bias on attention between patches: one at itself, less with the distance."""
    at = torch.arange(side, device=device, dtype=torch.float32)
    places = torch.cartesian_prod(at, at)
    return torch.exp(-torch.cdist(places, places).square() / (2 * _NEIGHBOR_PATCHES**2)).to(dtype)
