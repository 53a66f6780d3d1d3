"""Name what pictures show: `lrsclip classify *.jpg --label airport --label harbor`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

import lrsclip
from lrsclip.classification import classify_each
from lrsclip.commands.parts import EXIT_ERROR, run
from lrsclip.errors import PictureError, TextError
from lrsclip.io.bands import bands_argument
from lrsclip.io.decode import decode
from lrsclip.io.look import is_plain
from lrsclip.numbers import whole_argument
from lrsclip.zero_shot.classifier import DEFAULT_TEMPLATES, class_prototypes

_START_BEST = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments, those of the process by default.

    Returns:
        Exit status: 0 done, 2 an error or a picture that cannot be read (one line on stderr), 130 stopped with Ctrl-C.
    """
    asked = _parser().parse_args(argv)
    return run(lambda: _classify(asked))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lrsclip classify", description="Name what pictures show.")
    parser.add_argument("pictures", type=Path, nargs="+", metavar="PICTURE")
    parser.add_argument("--label", action="append", default=[], metavar="NAME", help="a class name; to be repeated")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="class names, one a line")
    parser.add_argument("--template", action="append", metavar="TEXT", help="a phrasing with {} for the name")
    parser.add_argument("-k", type=whole_argument, default=_START_BEST, help="labels shown (default: %(default)s)")
    parser.add_argument("--bands", type=bands_argument, metavar="R,G,B", help="bands to show, or one for gray")
    parser.add_argument("--checkpoint", default="tiny", help="the model (default: %(default)s)")
    return parser


def _classify(asked: argparse.Namespace) -> int:
    labels = [*asked.label, *(_lines(asked.labels) if asked.labels is not None else [])]
    bundle = lrsclip.load(asked.checkpoint)
    prototypes = class_prototypes(bundle, labels, asked.template or DEFAULT_TEMPLATES)
    status = 0

    def opened(path: Path) -> Image.Image:
        decoded = decode(path, bands=asked.bands)
        if not is_plain(decoded.summary):
            print(f"{path}: {decoded.summary}", file=sys.stderr)  # beside the table, which programs read
        return decoded.image

    answers = classify_each(bundle, asked.pictures, prototypes, opened=opened)
    for path, answer in zip(asked.pictures, answers, strict=True):
        if isinstance(answer, PictureError):  # one bad file does not lose the others
            print(f"error: {answer}", file=sys.stderr)
            status = EXIT_ERROR
            continue
        best = ", ".join(f"{score.label} {score.probability:.0%}" for score in answer.scores[: max(1, asked.k)])
        print(f"{path}\t{best}{'' if answer.fits is not False else '  (none of the labels fits well)'}")
    return status


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise TextError(f"cannot read the labels in {path} ({error}); give a text file in UTF-8") from error


if __name__ == "__main__":
    sys.exit(main())
