"""KPS, knowledge-preserved stretching of position embeddings (LRSCLIP section 3; first described by Long-CLIP).

CLIP's text tower learned 77 positions, the first 20 of them well, since most captions are short. KPS keeps those 20
rows as they are and stretches the other 57 fourfold by linear interpolation, which gives 20 + 57 * 4 = 248 positions.
In training the kept rows stay frozen and the stretched ones go on learning.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

KEPT = 20
STRETCH = 4


def stretched_length(rows: int, kept: int = KEPT, stretch: int = STRETCH) -> int:
    """Compute the number of rows that `stretch_positions` makes of `rows`."""
    return kept + (rows - kept) * stretch


def stretch_positions(table: Tensor, kept: int = KEPT, stretch: int = STRETCH) -> Tensor:
    """Stretch a position table.

    Row `kept + stretch * i + r` is `(1 - r / stretch) * table[kept + i] + (r / stretch) * table[kept + i + 1]`; the
    last `stretch` rows have no right neighbor and go on along the last slope.

    Args:
        table: (L, W) with L >= kept + 2, any floating type.
        kept: rows taken over unchanged.
        stretch: rows made of each other row.

    Returns:
        (kept + (L - kept) * stretch, W) of the same type.

    Raises:
        ValueError: the table has too few rows to interpolate.
    """
    if table.ndim != 2 or table.shape[0] < kept + 2:
        raise ValueError(f"a position table of shape (L >= {kept + 2}, W) is needed, not {tuple(table.shape)}")
    tail = table[kept:]
    slopes = torch.cat([tail[1:] - tail[:-1], tail[-1:] - tail[-2:-1]])
    steps = torch.arange(stretch, dtype=table.dtype, device=table.device) / stretch
    stretched = tail[:, None, :] + steps[None, :, None] * slopes[:, None, :]
    return torch.cat([table[:kept], stretched.flatten(0, 1)])


class Positions(nn.Module):
    """A position table in two parts: the first rows, which KPS keeps, and the rest."""

    def __init__(self, length: int, width: int, kept: int = KEPT) -> None:
        super().__init__()
        self.kept = nn.Parameter(torch.randn(kept, width) * 0.01)
        self.rest = nn.Parameter(torch.randn(length - kept, width) * 0.01)

    def forward(self, length: int) -> Tensor:
        """Select the first `length` rows, (length, W)."""
        return torch.cat([self.kept, self.rest[: max(0, length - len(self.kept))]])[:length]

    def freeze_kept(self) -> None:
        """Stop the kept rows from learning, as KPS demands once the table is stretched."""
        self.kept.requires_grad_(False)

    def load_table(self, table: Tensor) -> None:
        """Copy a (length, W) table into the two parts."""
        count = len(self.kept)
        own = (count + len(self.rest), self.rest.shape[1])
        if table.shape != own:  # copy_ would broadcast
            raise ValueError(f"the position table is {tuple(table.shape)}, not {own}")
        with torch.no_grad():
            self.kept.copy_(table[:count])
            self.rest.copy_(table[count:])
