"""Facts or verification of a checkpoint: `lrsclip checkpoint info tiny`, `lrsclip checkpoint verify DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lrsclip.checkpoints.factory import locate
from lrsclip.checkpoints.native import read_checkpoint, read_manifest
from lrsclip.checkpoints.published import read_published
from lrsclip.commands.parts import run
from lrsclip.io.atomic import file_sha256


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments, those of the process by default.

    Returns:
        Exit status: 0 done, 2 an error (one line on stderr), 130 stopped with Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="lrsclip checkpoint", description="Tell of a checkpoint, or verify it.")
    parser.add_argument("what", choices=("info", "verify"))
    parser.add_argument("name", help="name, folder, .pt file or Hub address")
    asked = parser.parse_args(argv)
    return run(lambda: _info(asked.name) if asked.what == "info" else _verify(asked.name))


def _info(name: str) -> int:
    path = locate(name)
    if not path.is_dir():
        model = read_published(path)
        print(f"file        {path}\nsha256      {file_sha256(path)}")
        print(f"parameters  {sum(tensor.numel() for tensor in model.parameters()):,}")
        return 0
    manifest = read_manifest(path)
    text = manifest["config"].get("text", {})
    print(f"name        {manifest['name']}\nfolder      {path}\nsha256      {manifest['sha256']}")
    print(f"tokens      {text.get('context_length', '?')}\ndimensions  {manifest['config'].get('embed_dim', '?')}")
    print(f"vocabulary  {len(manifest.get('vocabulary') or {}):,} words of the training texts")
    return 0


def _verify(name: str) -> int:
    path = locate(name)
    if path.is_dir():
        read_checkpoint(path)  # checks the hash, each tensor's shape, and that all numbers are finite
    else:
        read_published(path)
    print(f"{path}: whole")
    return 0


if __name__ == "__main__":
    sys.exit(main())
