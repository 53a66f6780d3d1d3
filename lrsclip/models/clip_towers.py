"""CLIP's own towers, as open_clip has them: the ViT, and the causal text transformer with positions in two parts."""

from __future__ import annotations

from open_clip.transformer import LayerNorm, QuickGELU, TextTransformer, VisionTransformer
from torch import Tensor, nn

from lrsclip.models.config import ImageConfig, TextConfig
from lrsclip.models.embedding import FactorizedEmbedding
from lrsclip.models.kps import Positions


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
        """Take a longer (or merged) position table (L, W): set the context and the causal mask to L."""
        kept, width = len(self.positions.kept), table.shape[1]
        self.positions = Positions(len(table), width, kept).to(table)
        self.positions.load_table(table)
        self.num_pos = self.context_length = len(table)
        self.register_buffer("attn_mask", self.build_causal_mask().to(table.device), persistent=False)


def build_vit(config: ImageConfig, embed_dim: int, quick_gelu: bool) -> VisionTransformer:
    """Build the ViT image tower of a configuration, with fresh weights."""
    return VisionTransformer(
        image_size=config.image_px,
        patch_size=config.patch_px,
        width=config.width,
        layers=config.layers,
        heads=config.heads,
        mlp_ratio=config.mlp_ratio,
        output_dim=embed_dim,
        act_layer=QuickGELU if quick_gelu else nn.GELU,
        norm_layer=LayerNorm,
    )
