"""Training steps in bfloat16 against those in float32 on this CPU: `python -m benchmarks.training_precision`.

A CPU without instructions for bfloat16 emulates them. This takes the same steps of the small model both ways in one
process, alternating, and prints the ratio of the medians; `lrsclip.models.precision.mixed_precision` takes the faster.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import DualEncoder, seeded_model
from lrsclip.models.image_tower import TRUNK_CHANNELS
from lrsclip.models.precision import fast_bf16
from train.data.feature_cache import Prepared
from train.provenance import provenance
from train.validate import encode_rows

CPU = torch.device("cpu")
LONG_TOKENS, SHORT_TOKENS = 60, 12


def seconds(model: DualEncoder, rows: torch.Tensor, texts: list[torch.Tensor], prepared: Prepared, half: bool) -> float:
    """Time the forward and backward pass of one step in seconds."""
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        image, *told = encode_rows(model, rows, prepared), *(model.encode_text(ids) for ids in texts)
    torch.stack([(image.float() @ text.float().T).square().mean() for text in told]).sum().backward()
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_precision")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    config = ModelConfig.named("tiny").with_context(248)
    model = seeded_model(config, seed=0).train()
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(args.batch, config.image.grid**2, TRUNK_CHANNELS, generator=random).half()
    texts = [torch.randint(1, 4000, (args.batch, n), generator=random) for n in (LONG_TOKENS, SHORT_TOKENS)]
    prepared = Prepared(np.empty(0, np.float16), is_features=True)
    took_s: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(args.rounds + 1):
        for half in took_s:
            took_s[half].append(seconds(model, rows, texts, prepared, half))
    half_s, full_s = (statistics.median(took_s[half][1:]) for half in took_s)
    facts = provenance()
    print(f"{facts['cpu']}, torch {facts['torch']}, {facts['date']}; bfloat16 in hardware: {fast_bf16(CPU)}")
    print(f"a step of {args.batch}: bfloat16 {half_s:.2f} s, float32 {full_s:.2f} s, ratio {half_s / full_s:.1f}")


if __name__ == "__main__":
    main()
