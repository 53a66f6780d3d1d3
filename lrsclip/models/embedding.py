"""A token table that a small checkpoint can afford."""

from __future__ import annotations

from torch import Tensor, nn


class FactorizedEmbedding(nn.Module):
    """A token table of rank R with a linear map up to the tower's width: (vocab, R) and (R, W)."""

    def __init__(self, vocab_size: int, rank: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, rank)
        self.up = nn.Linear(rank, width, bias=False)
        nn.init.normal_(self.table.weight, std=1.0)
        nn.init.normal_(self.up.weight, std=0.02 * rank**-0.5)  # so that rows start as large as CLIP's own (std 0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Embed (N, L) token ids to (N, L, W)."""
        out: Tensor = self.up(self.table(tokens))
        return out
