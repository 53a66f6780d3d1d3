"""Facts or verification of a checkpoint: `lrsclip checkpoint info tiny`, `lrsclip checkpoint verify DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lrsclip.checkpoints.factory import find
from lrsclip.checkpoints.native import read_checkpoint, read_manifest
from lrsclip.checkpoints.published import read_published
from lrsclip.commands.parts import run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments, those of the process by default.

    Returns:
        Exit status: 0 done, 2 an error (one line on stderr), 130 stopped with Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="lrsclip checkpoint", description="Tell of a checkpoint, or verify it.")
    parser.add_argument("what", choices=("info", "verify"))
    parser.add_argument(
        "name",
        help="name, folder, file of weights or Hub address; with what it leaves open, as in x.pt?activation=gelu",
    )
    asked = parser.parse_args(argv)
    return run(lambda: _info(asked.name) if asked.what == "info" else _verify(asked.name))


def _info(name: str) -> int:
    place, told = find(name)
    if place.choice.kind != "own":
        model = read_published(place, told)
        config = model.config
        print(f"file        {', '.join(map(str, place.weights))}\nsha256      {place.sha256}")
        print(f"parameters  {sum(tensor.numel() for tensor in model.parameters()):,}")
        print(f"tokens      {config.text.context_length}\ndimensions  {config.embed_dim}")
        print(f"activation  {'quick_gelu' if config.quick_gelu else 'gelu'}")
        print(f"heads       image {config.image.heads}, text {config.text.heads}")
        mean, std = (
            ", ".join(f"{x:.3f}" for x in values) for values in (config.preprocess.mean, config.preprocess.std)
        )
        print(f"pictures    {config.image.image_px} px, mean {mean}, deviation {std}")
        return 0
    manifest = read_manifest(place.root)
    text = manifest["config"].get("text", {})
    print(f"name        {manifest['name']}\nfolder      {place.root}\nsha256      {manifest['sha256']}")
    print(f"tokens      {text.get('context_length', '?')}\ndimensions  {manifest['config'].get('embed_dim', '?')}")
    print(f"vocabulary  {len(manifest.get('vocabulary') or {}):,} words of the training texts")
    return 0


def _verify(name: str) -> int:
    place, told = find(name)
    if place.choice.kind == "own":
        read_checkpoint(place.root)  # checks the hash, each tensor's shape, and that all numbers are finite
    else:
        read_published(place, told)
    print(f"{place.path}: whole")
    return 0


if __name__ == "__main__":
    sys.exit(main())
