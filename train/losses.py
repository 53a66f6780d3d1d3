"""The contrastive losses (LRSCLIP section 3): symmetric InfoNCE, once for the long text and once for the short one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class DualTextLoss:
    """The loss and its two parts, all scalars."""

    total: Tensor
    long: Tensor
    short: Tensor


def info_nce(image: Tensor, text: Tensor, scale: Tensor, same_text: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE: the mean of picture-to-text and text-to-picture cross-entropy.

    Args:
        image: (N, D) of length one.
        text: (N, D) of length one; row i belongs to picture i.
        scale: the logit scale, already exponentiated.
        same_text: (N, N) bool, true where rows i and j have the same text. Such a pair is no negative: "many planes are
            parked at an airport" is true of both pictures, so it is left out of both sums.
    """
    logits = scale * image @ text.T
    if same_text is not None:
        apart = same_text & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(apart, float("-inf"))
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def dual_text_loss(
    image: Tensor,
    long: Tensor,
    short: Tensor,
    scale: Tensor,
    long_weight: float,
    same_long: Tensor | None = None,
    same_short: Tensor | None = None,
) -> DualTextLoss:
    """L = a * L_long + (1 - a) * L_short, with a = `long_weight`; see `info_nce` for the shapes."""
    loss_long = info_nce(image, long, scale, same_long)
    loss_short = info_nce(image, short, scale, same_short)
    return DualTextLoss(long_weight * loss_long + (1 - long_weight) * loss_short, loss_long, loss_short)


def same_texts(texts: list[str]) -> Tensor:
    """(N, N) bool: which rows hold the same text."""
    number: dict[str, int] = {}
    ids = torch.tensor([number.setdefault(text.lower(), len(number)) for text in texts])
    return ids[:, None] == ids[None, :]
