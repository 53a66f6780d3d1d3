"""Trimmed against padded text encoding: `python -m benchmarks.text_trim`.

Every peer pads each text to 248 positions. This runs the same checkpoint both ways in one process, in the same number
type, alternating, and prints the ratio of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

import lrsclip
from lrsclip import LRSCLIP
from train.provenance import provenance

SHORT = (
    "a bridge over a river",
    "many planes are parked near a terminal",
    "a baseball field beside a road",
    "dense houses with red roofs",
    "white waves at a yellow beach",
)
LONG = (
    "A large airport lies between farmland and a motorway. Two runways cross in the middle of the grass, and a long "
    "terminal building with a grey roof stands beside them. Several white planes are parked at its gates in a row. "
    "South of the terminal there is a car park with hundreds of cars, and a railway line passes it on the left."
)


@dataclass(frozen=True)
class Case:
    """A batch to encode."""

    name: str
    texts: list[str]


CASES = (
    Case("1 short query", [SHORT[0]]),
    Case("32 short queries", [SHORT[i % 5] for i in range(32)]),
    Case("256 short queries", [SHORT[i % 5] for i in range(256)]),
    Case("32 paragraphs", [LONG[: 150 + 5 * i] for i in range(32)]),
)


@torch.inference_mode()
def trimmed(bundle: LRSCLIP, texts: list[str]) -> torch.Tensor:
    """Encode as `encode_text` does."""
    return bundle.model.encode_text(bundle.tokenizer(texts))


@torch.inference_mode()
def padded(bundle: LRSCLIP, texts: list[str]) -> torch.Tensor:
    """Encode at all 248 positions, one batch."""
    tokens = bundle.tokenizer(texts)
    tokens = F.pad(tokens, (0, bundle.context_length - tokens.shape[1]))
    return F.normalize(bundle.model.text(tokens).float(), dim=-1)


def milliseconds(encode: Callable[[LRSCLIP, list[str]], torch.Tensor], bundle: LRSCLIP, case: Case) -> float:
    """Time one run in milliseconds."""
    started = time.perf_counter()
    encode(bundle, case.texts)
    return (time.perf_counter() - started) * 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text_trim")
    parser.add_argument("--checkpoint", default="tiny")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    bundle = lrsclip.load(args.checkpoint, precision=args.precision, device="cpu")
    facts = provenance()
    print(f"{bundle.name}, {str(bundle.dtype)[6:]}, {facts['cpu']}, torch {facts['torch']}, {facts['date']}\n")
    print("| batch | longest text | padded to 248 | trimmed | ratio | largest difference |")
    print("|---|---|---|---|---|---|")
    for case in CASES:
        difference = float((padded(bundle, case.texts) - trimmed(bundle, case.texts)).abs().max())
        slow, fast = [], []
        for _ in range(args.rounds):  # alternate, so that a busy moment hits both sides
            slow.append(milliseconds(padded, bundle, case))
            fast += [milliseconds(trimmed, bundle, case) for _ in range(3)]
        a, b = statistics.median(slow), statistics.median(fast)
        longest = max(bundle.tokenizer.count(t) for t in case.texts)
        print(f"| {case.name} | {longest} tokens | {a:.1f} ms | {b:.1f} ms | {a / b:.1f} x | {difference:.1e} |")


if __name__ == "__main__":
    main()
