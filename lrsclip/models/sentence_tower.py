"""The small model's text tower: a bidirectional encoder as in BERT, so that it can begin with a trained one's weights.

A text tower that starts from nothing knows the few thousand words of its captions. This one has the shape of a small
sentence encoder (all-MiniLM-L6-v2), reads CLIP's byte-pair tokens, and gets KPS positions like every other tower here.
Tokens outside start-of-text ... end-of-text are masked, so a batch may be cut behind its longest text here too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lrsclip.models.config import TextConfig
from lrsclip.models.embedding import FactorizedEmbedding
from lrsclip.models.kps import Positions

_LN_EPS = 1e-12  # BERT's


class SentenceTower(nn.Module):
    """Post-norm transformer encoder, mean over a text's own tokens, two-layer projection: (N, L) ids to (N, D)."""

    def __init__(self, config: TextConfig, embed_dim: int) -> None:
        super().__init__()
        width = config.width
        self.context_length = config.context_length
        self.token_embedding: nn.Module = (
            nn.Embedding(config.vocab_size, width)
            if config.embed_rank is None
            else FactorizedEmbedding(config.vocab_size, config.embed_rank, width)
        )
        self.positions = Positions(config.context_length, width, config.kept_positions)
        self.ln_embed = nn.LayerNorm(width, eps=_LN_EPS)
        layers = (
            nn.TransformerEncoderLayer(
                width,
                config.heads,
                int(width * config.mlp_ratio),
                dropout=config.dropout,
                activation="gelu",
                layer_norm_eps=_LN_EPS,
                batch_first=True,
            )
            for _ in range(config.layers)
        )
        self.layers = nn.Sequential(*layers)  # run one by one, each with the mask
        self.proj = nn.Sequential(nn.Linear(width, 2 * embed_dim), nn.GELU(), nn.Linear(2 * embed_dim, embed_dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode (N, L) token ids to (N, D), not normalized."""
        out: Tensor = self.proj(self.sentence(tokens))
        return out

    def sentence(self, tokens: Tensor) -> Tensor:
        """Average each text's token states: (N, L) token ids to (N, W), before the projection."""
        own = text_mask(tokens)
        x = self.ln_embed(self.token_embedding(tokens) + self.positions(tokens.shape[1]))
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=~own)
        weights = own[:, :, None].to(x.dtype)
        # a masked place may hold anything, zeros in torch's fast path
        return torch.where(own[:, :, None], x, 0).sum(dim=1) / weights.sum(dim=1)

    def stretch_to(self, table: Tensor) -> None:
        """Take a longer (or merged) position table (L, W): set the context to L."""
        kept, width = len(self.positions.kept), table.shape[1]
        self.positions = Positions(len(table), width, kept).to(table)
        self.positions.load_table(table)
        self.context_length = len(table)


def text_mask(tokens: Tensor) -> Tensor:
    """Mask the tokens from start-of-text to end-of-text, (N, L) bool. Padding is id 0, which inside a text is "!"."""
    begun = (tokens != 0).cumsum(dim=1) > 0
    end = tokens.argmax(dim=1, keepdim=True)
    return begun & (torch.arange(tokens.shape[1], device=tokens.device) <= end)
