"""Changes to pictures in training that suit nadir imagery: turns and mirrors, mild crops, mild changes of color.

What is drawn for a batch follows from the seed and the step alone and is drawn on the CPU; it is carried out wherever
the pictures lie, so a GPU does it for a whole batch at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_GRAY = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's own conversion


@dataclass(frozen=True)
class Changes:
    """What happens to each picture of a batch.

    Attributes:
        crops: (N, 3) the crop's side and the x and y of its upper left corner, in parts of the picture's side.
        colors: (N, 3) factors of brightness, contrast and saturation.
    """

    crops: Tensor
    colors: Tensor

    def __getitem__(self, rows: slice) -> Changes:
        return Changes(self.crops[rows], self.colors[rows])


def draw_changes(count: int, random: np.random.Generator, scale_min: float, jitter: float) -> Changes | None:
    """Draw the changes of a batch.

    Args:
        count: pictures.
        random: decides all of them.
        scale_min: the smallest crop's part of the picture's area; 1 for no crops.
        jitter: how far a color factor may be from 1; 0 for none.

    Returns:
        The changes, or None where there are none to make.
    """
    if scale_min == 1 and jitter == 0:
        return None
    side = np.sqrt(random.uniform(scale_min, 1, count))
    corner = random.random((count, 2)) * (1 - side)[:, None]
    crops = np.concatenate([side[:, None], corner], axis=1)
    colors = random.uniform(1 - jitter, 1 + jitter, (count, 3))
    return Changes(torch.from_numpy(crops).float(), torch.from_numpy(colors).float())


def augmented(pixels: Tensor, changes: Changes) -> Tensor:
    """Crop and recolor (N, 3, P, P) uint8; returns (N, 3, P, P) float32 of the same range, 0 to 255."""
    crops, colors = changes.crops.to(pixels.device), changes.colors.to(pixels.device)
    return recolored(cropped(pixels.float(), crops), colors)


def crop_features(rows: Tensor, changes: Changes) -> Tensor:
    """Cut the crops out of (N, G * G, C) features: float32, nearly what a trunk would make of cropped pictures."""
    side = int(rows.shape[1] ** 0.5)
    grids = rows.float().unflatten(1, (side, side)).permute(0, 3, 1, 2)
    return cropped(grids, changes.crops.to(rows.device)).flatten(2).transpose(1, 2)


def cropped(pixels: Tensor, crops: Tensor) -> Tensor:
    """Return each picture's crop (see `Changes`), back at the full size (N, C, P, P)."""
    side, corner = crops[:, 0], crops[:, 1:]
    center = 2 * corner + side[:, None] - 1  # in the grid's coordinates, -1 to 1
    theta = torch.cat([torch.diag_embed(side[:, None].expand(-1, 2)), center[:, :, None]], dim=2)
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def recolored(pixels: Tensor, colors: Tensor) -> Tensor:
    """Change brightness, then contrast about the picture's mean gray, then saturation; held at 0 to 255 after each."""
    brightness, contrast, saturation = colors[:, :, None, None, None].unbind(1)
    weights = torch.tensor(_GRAY, device=pixels.device)[:, None, None]
    out = (pixels * brightness).clamp(0, 255)
    mean = (out * weights).sum(dim=1, keepdim=True).mean(dim=(2, 3), keepdim=True)
    out = (mean + (out - mean) * contrast).clamp(0, 255)
    gray = (out * weights).sum(dim=1, keepdim=True)
    return (gray + (out - gray) * saturation).clamp(0, 255)


def turn(grids: Tensor, turns: np.ndarray) -> Tensor:
    """Turn square maps (N, C, S, S) by a quarter `turns % 4` times and mirror those with `turns >= 4`."""
    out = torch.empty_like(grids)
    for number in range(8):
        rows = torch.from_numpy(np.flatnonzero(turns == number)).to(grids.device)
        if len(rows):
            some = torch.rot90(grids[rows], number % 4, (2, 3))
            out[rows] = some.flip(3) if number >= 4 else some
    return out
