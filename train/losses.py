"""The contrastive losses (LRSCLIP section 3): symmetric InfoNCE, once for the long text and once for the short one.

Long-CLIP's cross-entropies smooth their labels by 0.1; LRSCLIP's and all of ours do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from train.evaluation.pca import rebuilt_from_components


@dataclass(frozen=True)
class DualTextLoss:
    """The loss and its two parts, all scalars; a part that was not asked for is NaN."""

    total: Tensor
    long: Tensor
    short: Tensor


def info_nce(
    image: Tensor,
    text: Tensor,
    scale: Tensor,
    same_text: Tensor | None = None,
    false_text: Tensor | None = None,
    false_image: Tensor | None = None,
) -> Tensor:
    """Compute symmetric InfoNCE: the mean of picture-to-text and text-to-picture cross-entropy.

    Args:
        image: (N, D) of length one.
        text: (N, D) of length one; row i belongs to picture i.
        scale: the logit scale, already exponentiated.
        same_text: (N, N) bool, true where rows i and j have the same text. Such a pair is no negative: "many planes are
            parked at an airport" is true of both pictures, so it is left out of both sums.
        false_text: (M, D) of length one; texts that are false of every picture, so each picture has M more to tell its
            own from (as in NegCLIP, Yuksekgonul et al. 2023).
        false_image: (K, D) of length one; pictures that no text is true of, likewise.
    """
    logits = scale * image @ text.T
    if same_text is not None:
        apart = same_text & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(apart, float("-inf"))
    target = torch.arange(len(logits), device=logits.device)
    of_image = logits if false_text is None else torch.cat([logits, scale * image @ false_text.T], dim=1)
    of_text = logits.T if false_image is None else torch.cat([logits.T, scale * text @ false_image.T], dim=1)
    return (F.cross_entropy(of_image, target) + F.cross_entropy(of_text, target)) / 2


def dual_text_loss(
    image: Tensor,
    long: Tensor | None,
    short: Tensor | None,
    scale: Tensor,
    long_weight: float,
    same_long: Tensor | None = None,
    same_short: Tensor | None = None,
    pca_components: int | None = None,
    false_long: Tensor | None = None,
    false_image: Tensor | None = None,
) -> DualTextLoss:
    """Compute L = a * L_long + (1 - a) * L_short, with a = `long_weight`; see `info_nce` for the shapes.

    Args:
        image: (N, D) of length one.
        long: (N, D), or None where a is 0.
        short: (N, D), or None where a is 1.
        scale: the logit scale, already exponentiated.
        long_weight: a, 0 to 1. Long-CLIP's L_long + L_short is a = 0.5: AdamW does not see a factor of the whole loss.
        same_long: see `info_nce`.
        same_short: see `info_nce`.
        false_long: see `info_nce`.
        false_image: see `info_nce`; of the long texts alone.
        pca_components: the short loss sees the pictures rebuilt from so many components (Long-CLIP); None: as they are.
    """
    total = image.new_zeros(())
    loss_long = loss_short = image.new_full((), torch.nan)
    if long is not None:
        loss_long = info_nce(image, long, scale, same_long, false_long, false_image)
        total = total + long_weight * loss_long
    if short is not None:
        seen = image if pca_components is None else rebuilt_from_components(image, pca_components)
        loss_short = info_nce(seen, short, scale, same_short)
        total = total + (1 - long_weight) * loss_short
    return DualTextLoss(total, loss_long, loss_short)


def same_texts(texts: list[str]) -> Tensor:
    """Return an (N, N) bool matrix, true where two rows hold the same text, upper and lower case alike."""
    number: dict[str, int] = {}
    ids = torch.tensor([number.setdefault(text.lower(), len(number)) for text in texts])
    return ids[:, None] == ids[None, :]
