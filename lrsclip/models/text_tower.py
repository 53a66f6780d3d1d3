"""The text towers: CLIP's causal one here, the small model's in `sentence.py`; both run only as far as texts are long.

In CLIP's the feature of a text is read at its end-of-text token, and the attention is causal, so nothing behind that
token can change it; the other masks what is behind. A batch is therefore cut to its longest text (`trim`) instead of
running all 248 positions.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from open_clip.transformer import LayerNorm, QuickGELU, TextTransformer
from torch import Tensor, nn

from lrsclip.models.config import TextConfig
from lrsclip.models.embedding import FactorizedEmbedding
from lrsclip.models.kps import Positions
from lrsclip.models.sentence_tower import SentenceTower


class TextTower(TextTransformer):
    """open_clip's text transformer, with a position table in two parts and inputs of any length up to the context."""

    def __init__(self, config: TextConfig, embed_dim: int, quick_gelu: bool) -> None:
        super().__init__(
            context_length=config.context_length,
            vocab_size=config.vocab_size if config.embed_rank is None else 1,
            width=config.width,
            heads=config.heads,
            layers=config.layers,
            mlp_ratio=config.mlp_ratio,
            output_dim=embed_dim,
            act_layer=QuickGELU if quick_gelu else nn.GELU,
            norm_layer=LayerNorm,
        )
        del self.positional_embedding
        self.positions = Positions(config.context_length, config.width, config.kept_positions)
        if config.embed_rank is not None:
            self.token_embedding = FactorizedEmbedding(config.vocab_size, config.embed_rank, config.width)
            self.vocab_size = config.vocab_size

    def _embeds(self, text: Tensor) -> tuple[Tensor, Tensor]:
        length = text.shape[1]
        x = self.token_embedding(text) + self.positions(length)
        return x.to(self.transformer.get_cast_dtype()), self.attn_mask[:length, :length]

    def stretch_to(self, table: Tensor) -> None:
        """Take a longer (or merged) position table (L, W): the context becomes L, the causal mask follows."""
        kept, width = len(self.positions.kept), table.shape[1]
        self.positions = Positions(len(table), width, kept).to(table)
        self.positions.load_table(table)
        self.num_pos = self.context_length = len(table)
        self.register_buffer("attn_mask", self.build_causal_mask().to(table.device), persistent=False)


def build_text_tower(config: TextConfig, embed_dim: int, quick_gelu: bool) -> TextTower | SentenceTower:
    """The tower that a configuration names, with fresh weights."""
    if config.kind == "sentence":
        return SentenceTower(config, embed_dim)
    return TextTower(config, embed_dim, quick_gelu)


def trim(tokens: Tensor) -> Tensor:
    """Cut a (N, L) batch behind its longest text; the end-of-text token has the highest id, so arg-max finds it."""
    return tokens[:, : int(tokens.argmax(dim=1).max()) + 1]


def encode_by_length(tower: Callable[[Tensor], Tensor], tokens: Tensor, chunk: int) -> Tensor:
    """Encode texts in chunks of like length, each cut to its longest; rows come back in the order given.

    Args:
        tower: maps (n, l) token ids to (n, D).
        tokens: (N, L) padded token ids.
        chunk: how many texts go through the tower at once.

    Returns:
        (N, D), not normalised; differentiable.
    """
    order = tokens.argmax(dim=1).argsort(stable=True)
    parts = [tower(trim(tokens[rows])) for rows in order.split(chunk)]
    return torch.cat(parts)[order.argsort()]
