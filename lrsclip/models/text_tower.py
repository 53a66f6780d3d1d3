"""The text towers: CLIP's in `clip_towers`, the small model's in `sentence_tower`; run only as far as texts are long.

In CLIP's the feature of a text is read at its end-of-text token, and the attention is causal, so nothing behind that
token can change it; the other masks all positions behind it. A batch is therefore cut to its longest text (`trim`), and
not run at all 248 positions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lrsclip.models.config import TextConfig
from lrsclip.models.sentence_tower import SentenceTower

if TYPE_CHECKING:
    from lrsclip.models.clip_towers import TextTower


def build_text_tower(config: TextConfig, embed_dim: int, quick_gelu: bool) -> TextTower | SentenceTower:
    """Build the text tower of a configuration, with fresh weights."""
    if config.kind == "sentence":
        return SentenceTower(config, embed_dim)
    from lrsclip.models.clip_towers import TextTower  # open_clip takes seconds to import

    return TextTower(config, embed_dim, quick_gelu)


def trim(tokens: Tensor) -> Tensor:
    """Cut a (N, L) batch behind its longest text; the end-of-text token has the highest id, so arg-max finds it."""
    return tokens[:, : int(tokens.argmax(dim=1).max()) + 1]


def encode_by_length(tower: Callable[[Tensor], Tensor], tokens: Tensor, chunk: int) -> Tensor:
    """Encode texts in chunks of like length, each cut to its longest; return the rows in the order given.

    Args:
        tower: maps (n, l) token ids to (n, D).
        tokens: (N, L) padded token ids.
        chunk: texts that go through the tower at once.

    Returns:
        (N, D), not normalized; differentiable.
    """
    order = tokens.argmax(dim=1).argsort(stable=True)
    parts = [tower(trim(tokens[rows])) for rows in order.split(chunk)]
    return torch.cat(parts)[order.argsort()]
