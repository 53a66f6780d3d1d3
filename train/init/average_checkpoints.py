"""The mean of two checkpoints' weights: `python -m train.init.average_checkpoints OLD NEW --share 0.5 --out DIR`.

Where one was trained on from the other, the way between them is flat, and a point on it keeps more of the old one's
knowledge than the new one does, with most of the new one's gain (WiSE-FT, Wortsman et al. 2022).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from lrsclip.checkpoints.native import read_checkpoint, write_checkpoint
from lrsclip.errors import CheckpointError, TrainingError
from train.command import run_command


def blend(old: Path, new: Path, share: float, out: Path) -> str:
    """Write a checkpoint between two.

    Args:
        old: folder of one.
        new: folder of the other, of the same configuration.
        share: of the new one, 0 to 1.
        out: folder to write.

    Returns:
        SHA-256 of the weights.

    Raises:
        TrainingError: the share is no share.
        CheckpointError: one of them is none, or they are of different configurations.
    """
    if not 0 <= share <= 1:
        raise TrainingError(f"--share {share} must be from 0 (all old) to 1 (all new)")
    (model, first), (other, second) = read_checkpoint(old), read_checkpoint(new)
    theirs = dict(other.state_dict())
    mine = model.state_dict()
    if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in theirs.items()}:
        raise CheckpointError(f"{old} and {new} differ in their layers; only checkpoints of one configuration blend")
    with torch.no_grad():
        for name, value in mine.items():
            value.copy_(torch.lerp(value.float(), theirs[name].float(), share) if value.is_floating_point() else value)
    words = {**first.get("vocabulary", {}), **second.get("vocabulary", {})}
    training = {**second.get("training", {}), "blended_with": {"sha256": first["sha256"], "share_of_new": share}}
    return write_checkpoint(out, model, name=str(second["name"]), vocabulary=words, training=training, metrics={})


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    p = argparse.ArgumentParser(
        prog="python -m train.init.average_checkpoints", description="The mean of two checkpoints' weights."
    )
    p.add_argument("old", type=Path)
    p.add_argument("new", type=Path)
    p.add_argument("--share", type=float, default=0.5, help="of the new one (default: 0.5)")
    p.add_argument("--out", type=Path, required=True, help="folder to write")
    args = p.parse_args(argv)
    return run_command("train.init.average_checkpoints", lambda: print(blend(args.old, args.new, args.share, args.out)))


if __name__ == "__main__":
    sys.exit(main())
