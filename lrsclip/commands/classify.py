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
from lrsclip.io.plain_file import open_plain
from lrsclip.io.table import read_column, text_lines
from lrsclip.io.text_file import decode_text
from lrsclip.numbers import whole_argument
from lrsclip.zero_shot.classifier import DEFAULT_TEMPLATES, class_prototypes

_START_BEST = 3
_MAX_LABEL_BYTES = 2**21
_LABEL_KEYS = tuple("label labels class classes category categories name names klasse classe clase 类别 标签".split())
_BESIDE = ("the", "of", "class", "label", "text", "english", "en")


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
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="class names, one a line, or a CSV with a column label"
    )
    parser.add_argument("--template", action="append", metavar="TEXT", help="a phrasing with {} for the name")
    parser.add_argument("-k", type=whole_argument, default=_START_BEST, help="labels shown (default: %(default)s)")
    parser.add_argument("--bands", type=bands_argument, metavar="R,G,B", help="bands to show, or one for gray")
    parser.add_argument("--checkpoint", default="tiny", help="the model (default: %(default)s)")
    return parser


def _classify(asked: argparse.Namespace) -> int:
    labels = [*asked.label, *(_labels(asked.labels) if asked.labels is not None else [])]
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


def _labels(path: Path) -> list[str]:
    """Read class names: one a line, or the column of a CSV or TSV file whose heading says so, or its only one."""
    try:
        with open_plain(path) as file:
            raw = file.read(_MAX_LABEL_BYTES + 1)
    except OSError as error:
        raise TextError(f"cannot read the labels in {path} ({error}); give a text file") from error
    if len(raw) > _MAX_LABEL_BYTES:
        raise TextError(f"{path} has more than {_MAX_LABEL_BYTES // 2**20} MB; give a file of class names, one a line")
    decoded = decode_text(raw, str(path))
    if decoded.note:
        print(f"{path}: {decoded.note}", file=sys.stderr)
    if path.suffix.lower() in (".csv", ".tsv"):
        return list(read_column(decoded.text, _LABEL_KEYS, _BESIDE, str(path)).texts)
    return [line.strip() for line in text_lines(decoded.text) if line.strip()]


if __name__ == "__main__":
    sys.exit(main())
