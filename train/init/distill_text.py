"""An initial text tower: `python -m train.init.distill_text --model tiny --data DIR --out FILE`.

The tower takes over the layers of a small sentence encoder (see `teacher.py`) and learns its teacher's vectors with
CLIP's byte-pair tokens and a narrow token table: cosine distance between the two on captions,
paragraphs and, where `--wordnet` names the folder, the nouns of WordNet with their glosses. So the words that no
caption holds keep their meaning.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from lrsclip.errors import DataError, TrainingError
from lrsclip.io.atomic import write_atomically
from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import seeded_model
from lrsclip.models.precision import mixed_precision
from lrsclip.models.sentence_tower import SentenceTower
from lrsclip.models.text_tower import encode_by_length
from lrsclip.models.tokenizer import Tokenizer
from train.command import run_command
from train.data.corpus import read_corpus
from train.data.text_pairs import paragraph, sentences_of
from train.init.teacher import Teacher, load_teacher, transplant

log = logging.getLogger(__name__)
BATCH, CHUNK, HELD_OUT = 256, 64, 512
MIN_STEPS = 20
CONTEXT = 77


def caption_texts(data: Path) -> list[str]:
    """Read sentences and paragraphs of all training pictures, each once."""
    records = [r for r in read_corpus(data) if r.split == "train"]
    texts = [text for r in records for text in (*sentences_of(r), paragraph(r))]
    return list(dict.fromkeys(texts))


def wordnet_texts(folder: Path) -> list[str]:
    """Read the nouns of WordNet: each word by itself, with its gloss, and the gloss alone.

    Args:
        folder: holds `data.noun` (Debian's wordnet-base puts it under /usr/share/wordnet).

    Raises:
        DataError: the file is not there, or is none of WordNet's.
    """
    path = folder / "data.noun"
    if not path.is_file():
        raise DataError(f"{path} is not there; install WordNet (Debian: wordnet-base) or leave --wordnet out")
    texts = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("  ") or " | " not in line:
                continue  # the license stands at the top, indented
            head, gloss = line.split(" | ", 1)
            fields = head.split()
            nouns = [fields[4 + 2 * i].replace("_", " ") for i in range(int(fields[3], 16))]
            meaning = gloss.split(";")[0].strip()
            texts += [*nouns, f"{', '.join(nouns)}: {meaning}", meaning]
    except (ValueError, IndexError) as error:
        raise DataError(f"{path} is not WordNet's data.noun ({error}); install it anew") from error
    return list(dict.fromkeys(texts))


def token_counts(texts: list[str], vocab_size: int) -> Tensor:
    """Count the (vocab,) occurrences of each token in the texts."""
    tokenizer, counts = Tokenizer(CONTEXT), Counter[int]()
    for start in range(0, len(texts), 4096):
        ids = tokenizer(texts[start : start + 4096])
        counts.update(ids[ids > 0].tolist())
    out = torch.zeros(vocab_size)
    out[list(counts)] = torch.tensor([float(n) for n in counts.values()])
    return out


def agreement(tower: SentenceTower, teacher: Teacher, texts: list[str]) -> float:
    """Compute the mean cosine between the tower's and its teacher's vectors of texts."""
    tower.eval()
    with torch.inference_mode(), mixed_precision(torch.device("cpu")):
        mine = encode_by_length(tower.sentence, Tokenizer(tower.context_length)(texts), CHUNK)
    tower.train()
    return float((F.normalize(mine.float(), dim=1) * teacher.encode(texts)).sum(dim=1).mean())


def distil(tower: SentenceTower, teacher: Teacher, texts: list[str], steps: int, seed: int) -> None:
    """Teach the tower its teacher's vectors.

    Args:
        tower: begun by `transplant`.
        teacher: the encoder whose vectors are the target.
        texts: the training texts.
        steps: of `BATCH` texts each.
        seed: of the order.
    """
    random, tokenizer = np.random.default_rng(seed), Tokenizer(tower.context_length)
    table = [p for n, p in tower.named_parameters() if n.startswith("token_embedding.table")]
    layers = [p for n, p in tower.named_parameters() if not n.startswith(("token_embedding.table", "proj"))]
    optimizer = torch.optim.AdamW([{"params": table, "lr": 1e-2}, {"params": layers, "lr": 1e-4}], weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [1e-2, 1e-4], total_steps=steps, pct_start=0.1)
    with tqdm(total=steps, desc="distil") as bar:
        for _ in range(steps):
            some = [texts[i] for i in random.integers(len(texts), size=BATCH)]
            with mixed_precision(torch.device("cpu")):
                mine = encode_by_length(tower.sentence, tokenizer(some), CHUNK)
            loss = 1 - (F.normalize(mine.float(), dim=1) * teacher.encode(some)).sum(dim=1).mean()
            if not torch.isfinite(loss):
                raise TrainingError("the distillation loss is not finite; try fewer steps or another seed")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            bar.set_postfix(cosine=f"{1 - float(loss.detach()):.4f}")
            bar.update()


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    p = argparse.ArgumentParser(prog="python -m train.init.distill_text", description="Prepare a text tower to train.")
    p.add_argument("--model", default="tiny", help="a configuration whose text tower is of kind sentence")
    p.add_argument("--data", type=Path, required=True, help="folder with RSICD/, UCMerced_LandUse/, ...")
    p.add_argument("--wordnet", type=Path, help="folder with WordNet's data.noun")
    p.add_argument("--steps", type=int, default=400, help=f"of {BATCH} texts each (default: 400)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    return p


def begin(args: argparse.Namespace) -> None:
    """Build, teach and write the tower.

    Raises:
        LRSCLIPError: data, configuration or teacher that do not fit.
    """
    if not 0 <= args.seed < 2**63:
        raise TrainingError(f"--seed {args.seed} must be from 0 to 2^63 - 1")
    if args.steps < MIN_STEPS:
        raise TrainingError(f"--steps {args.steps} is too few to warm up; give {MIN_STEPS} or more")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(args.out, b"")  # a file that cannot be written is better known before the work than after it
    config = ModelConfig.named(args.model).with_context(CONTEXT)
    tower = seeded_model(config, args.seed).text
    if not isinstance(tower, SentenceTower):
        raise TrainingError(f"{args.model} has a text tower of kind {config.text.kind}; only 'sentence' has a teacher")
    teacher = load_teacher()
    texts = caption_texts(args.data) + (wordnet_texts(args.wordnet) if args.wordnet else [])
    if len(texts) < HELD_OUT + BATCH:
        raise DataError(f"{args.data} has {len(texts)} different texts; {HELD_OUT + BATCH} are needed")
    order = np.random.default_rng(args.seed).permutation(len(texts))
    held, seen = [texts[i] for i in order[:HELD_OUT]], [texts[i] for i in order[HELD_OUT:]]
    transplant(teacher, tower, token_counts(seen, config.text.vocab_size))
    log.info("%d texts; cosine with the teacher on %d others:", len(seen), len(held))
    log.info("as transplanted: %.4f", agreement(tower, teacher, held))
    distil(tower, teacher, seen, args.steps, args.seed)
    log.info("after distillation: %.4f", agreement(tower, teacher, held))
    tensors = {k: v.half().contiguous() for k, v in tower.state_dict().items() if not k.startswith("proj.")}
    write_atomically(args.out, save(tensors))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args = parser().parse_args(argv)
    return run_command("train.init.distill_text", lambda: begin(args))


if __name__ == "__main__":
    sys.exit(main())
