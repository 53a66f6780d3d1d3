"""What the text tower's teacher says: `python -m train.init.teacher_vectors --data DIR --wordnet DIR --out FILE`.

Vectors of captions, of the bank of wordings, and of the nouns of WordNet with their glosses, for `fit --teach FILE`.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from tqdm import tqdm

from lrsclip.errors import DataError
from lrsclip.io.atomic import write_atomically
from train.command import run_command
from train.data.wording.bank import concepts, draw_phrase
from train.init.distill_text import caption_texts, wordnet_texts
from train.init.teacher import load_teacher
from train.teaching import packed

log = logging.getLogger(__name__)
_AT_ONCE = 1024
_PHRASINGS = 60  # of each concept of the bank, with articles and frames


def bank_texts(seed: int) -> list[str]:
    """Draw wordings of every concept of the bank, each once."""
    random = np.random.default_rng(seed)
    drawn = (draw_phrase(concept, random) for concept in concepts().values() for _ in range(_PHRASINGS))
    return list(dict.fromkeys((*(phrase for c in concepts().values() for phrase in c.phrases), *drawn)))


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    p = argparse.ArgumentParser(
        prog="python -m train.init.teacher_vectors", description="Write down what the text tower's teacher says."
    )
    p.add_argument("--data", type=Path, required=True, help="folder with RSICD/, UCMerced_LandUse/, ...")
    p.add_argument("--wordnet", type=Path, help="folder with WordNet's data.noun")
    p.add_argument("--most", type=int, default=60_000, help="texts at most, drawn by seed (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    return p


def work(args: argparse.Namespace) -> None:
    """Read the texts, ask the teacher, write the file.

    Raises:
        LRSCLIPError: data or teacher that are not there.
    """
    if args.most < 1:
        raise DataError(f"--most {args.most} leaves no text; give 1 or more")
    teacher = load_teacher()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(args.out, b"")  # a file that cannot be written is better known before the work than after it
    texts = [*bank_texts(args.seed), *caption_texts(args.data), *(wordnet_texts(args.wordnet) if args.wordnet else [])]
    texts = list(dict.fromkeys(texts))
    chosen = np.random.default_rng(args.seed).permutation(len(texts))[: args.most]
    texts = [texts[number] for number in chosen]
    parts = [
        teacher.encode(texts[start : start + _AT_ONCE])
        for start in tqdm(range(0, len(texts), _AT_ONCE), desc="teacher", unit="block")
    ]
    write_atomically(args.out, save(packed(texts, torch.cat(parts))))
    log.info("%d texts with their teacher's vectors are in %s", len(texts), args.out)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args = parser().parse_args(argv)
    return run_command("train.init.teacher_vectors", lambda: work(args))


if __name__ == "__main__":
    sys.exit(main())
