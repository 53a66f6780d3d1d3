"""The contrastive losses (LRSCLIP section 3): symmetric InfoNCE, once for the long text and once for the short one.

Long-CLIP's cross-entropies smooth their labels by 0.1 (the recipe `longclip` does so too); LRSCLIP's and ours do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from train.data.truth import Truth
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
    truth: Truth | None = None,
    false_text: Tensor | None = None,
    false_image: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Compute symmetric InfoNCE: the mean of picture-to-text and text-to-picture cross-entropy.

    A text has as its targets all pictures that it is true of, in equal parts. A picture has its own text, and of the
    others that are true of it those of the same kind: a wording of its class is no rival of its caption, nor the other
    way round. What is unknown, or of the other kind, is left out of the sums.

    Args:
        image: (N, D) of length one.
        text: (N, D) of length one; row i belongs to picture i.
        scale: the logit scale, already exponentiated.
        truth: which texts are true of which pictures; None: each of its own alone.
        false_text: (M, D) of length one; texts that are false of every picture, so each picture has M more to tell its
            own from (as in NegCLIP, Yuksekgonul et al. 2023).
        false_image: (K, D) of length one; pictures that no text is true of, likewise.
        label_smoothing: share of each target that is spread evenly over all that is not left out.
    """
    logits = scale * image @ text.T
    if truth is None:
        own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        truth = Truth(own, torch.zeros_like(own), torch.zeros(len(logits), dtype=torch.bool, device=logits.device))
    true = truth.true.T
    alike = true & (truth.general[:, None] == truth.general[None, :])
    of_image = _with(logits, scale * image @ false_text.T if false_text is not None else None)
    of_text = _with(logits.T, scale * text @ false_image.T if false_image is not None else None)
    picture_to_text = _cross_entropy(of_image, alike, (true & ~alike) | truth.unknown.T, label_smoothing)
    text_to_picture = _cross_entropy(of_text, truth.true, truth.unknown, label_smoothing)
    return (picture_to_text + text_to_picture) / 2


def _with(logits: Tensor, more: Tensor | None) -> Tensor:
    return logits if more is None else torch.cat([logits, more], dim=1)


def _cross_entropy(logits: Tensor, targets: Tensor, left_out: Tensor, smoothing: float) -> Tensor:
    """Compute the mean cross-entropy of rows with several targets in equal parts.

    Args:
        logits: (N, N + M); the last M are no target of any row.
        targets: (N, N) bool.
        left_out: (N, N) bool, never where there is a target.
        smoothing: see `info_nce`.
    """
    more = logits.shape[1] - targets.shape[1]
    targets, left_out = F.pad(targets, (0, more)), F.pad(left_out, (0, more))
    log_share = logits.masked_fill(left_out, float("-inf")).log_softmax(dim=1).masked_fill(left_out, 0.0)
    wanted = targets / targets.sum(dim=1, keepdim=True)
    if smoothing:
        rest = ~left_out
        wanted = (1 - smoothing) * wanted + smoothing * rest / rest.sum(dim=1, keepdim=True)
    return -(wanted * log_share).sum(dim=1).mean()


def dual_text_loss(
    image: Tensor,
    long: Tensor | None,
    short: Tensor | None,
    scale: Tensor,
    long_weight: float,
    true_long: Truth | None = None,
    true_short: Truth | None = None,
    pca_components: float | None = None,
    false_long: Tensor | None = None,
    false_image: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> DualTextLoss:
    """Compute L = a * L_long + (1 - a) * L_short, with a = `long_weight`; see `info_nce` for the shapes.

    Args:
        image: (N, D) of length one.
        long: (N, D), or None where a is 0.
        short: (N, D), or None where a is 1.
        scale: the logit scale, already exponentiated.
        long_weight: a, 0 to 1. Long-CLIP's L_long + L_short is a = 0.5: AdamW does not see a factor of the whole loss.
        true_long: see `info_nce`.
        true_short: see `info_nce`.
        false_long: see `info_nce`.
        false_image: see `info_nce`; of the long texts alone.
        pca_components: the short loss sees the pictures rebuilt from so many components (Long-CLIP), or from those that
            have this share of the variance (below 1); None: as they are.
        label_smoothing: see `info_nce`.
    """
    total = image.new_zeros(())
    loss_long = loss_short = image.new_full((), torch.nan)
    if long is not None:
        loss_long = info_nce(image, long, scale, true_long, false_long, false_image, label_smoothing)
        total = total + long_weight * loss_long
    if short is not None:
        seen = image if pca_components is None else rebuilt_from_components(image, pca_components)
        loss_short = info_nce(seen, short, scale, true_short, label_smoothing=label_smoothing)
        total = total + (1 - long_weight) * loss_short
    return DualTextLoss(total, loss_long, loss_short)
