"""Picture vectors rebuilt from their main components, which Long-CLIP compares the short text with.

A short caption names the main things of a picture and no more. Long-CLIP therefore shows the short loss a coarse
picture vector: all vectors of the batch are centered, projected on their first 32 principal components, and rebuilt
with the mean added back. Rebuilt vectors are not brought to length one again. All of this follows Long-CLIP's published
code; there the batch is one GPU's, here it is the whole batch of all processes, so the result does not depend on the
number of processes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_GAP = 1e-6  # eigenvalues nearer than this part of the largest one count as equal


def rebuilt_from_components(features: Tensor, components: float) -> Tensor:
    """Rebuild vectors from the first principal components of the batch.

    Args:
        features: (N, D).
        components: number of components to keep (N - 1 or more keep everything); below 1, the share of the variance
            that the components kept have together at least, as in scikit-learn.

    Returns:
        (N, D), differentiable, in the type given. Computed in float64: the gradient of a projection is large where the
        last component kept and the first one dropped are nearly alike.
    """
    exact = features.double()
    mean = exact.mean(dim=0)
    centered = exact - mean
    rebuilt = centered @ _projector(centered.T @ centered, components) + mean
    return rebuilt.to(features.dtype)


def _projector(matrix: Tensor, components: float) -> Tensor:
    out: Tensor = _TopProjector.apply(matrix, components)
    return out


def _count(values: Tensor, components: float) -> int:
    """Return how many of the largest eigenvalues (given ascending) are kept."""
    if components >= 1:
        return int(components)
    share = values.flip(0).clamp(min=0).cumsum(0) / values.clamp(min=0).sum()
    return int((share < components).sum()) + 1


class _TopProjector(torch.autograd.Function):
    """Map of a (D, D) symmetric matrix to the projector on its `components` largest eigenvectors.

    torch's own gradient of eigenvectors divides by every gap between two eigenvalues and so is not finite where a batch
    has fewer directions than D. The projector depends on the gaps between kept and dropped ones alone:
    dP = sum over i kept, j dropped of (v_i' dC v_j) / (l_i - l_j) * (v_i v_j' + v_j v_i').
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, components: float) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)  # ascending
        ctx.save_for_backward(values, vectors)
        ctx.kept = min(_count(values, components), len(values))
        kept = vectors[:, len(values) - ctx.kept :]
        return kept @ kept.T

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        values, vectors = ctx.saved_tensors
        border = len(values) - ctx.kept
        dropped, kept = vectors[:, :border], vectors[:, border:]
        gap = values[border:, None] - values[None, :border]
        real = gap > _GAP * values[-1]
        inner = kept.T @ (gradients[0] + gradients[0].T) @ dropped
        inner = torch.where(real, inner / gap.where(real, torch.ones_like(gap)), torch.zeros_like(inner))
        one_way = kept @ inner @ dropped.T
        return (one_way + one_way.T) / 2, None
