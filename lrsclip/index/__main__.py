"""Index and search tiles from a shell.

`python -m lrsclip.index build ~/tiles` prints the folder of the index, DIR; then
`python -m lrsclip.index search DIR "a harbour with many boats" -k 5` and `python -m lrsclip.index info DIR`.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tqdm import tqdm

import lrsclip
from lrsclip.errors import Cancelled, LRSCLIPError
from lrsclip.index.build import build_index, default_cache_dir
from lrsclip.index.disk import read_manifest
from lrsclip.index.index import TileIndex
from lrsclip.tiles import Preparable, TileSource, open_source

_SPEC_HELP = "folder of pictures, geotiff:PATTERN, place:LAT,LON,2km@17, hub:OWNER/NAME, or atlas"
_EXIT_ERROR = 2
_EXIT_STOPPED = 130  # what a shell expects after Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments, those of the process by default.

    Returns:
        Exit status: 0 done, 2 an error (one line on stderr), 130 stopped with Ctrl-C.
    """
    asked = _parser().parse_args(argv)
    try:
        if asked.command == "build":
            _build(asked.spec, asked.checkpoint, asked.out, asked.batch_size)
        elif asked.command == "search":
            _search(asked.dir, asked.text, asked.k, asked.checkpoint)
        else:
            _info(asked.dir)
    except Cancelled as stopped:
        print(stopped, file=sys.stderr)
        return _EXIT_STOPPED
    except KeyboardInterrupt:
        print("stopped; run it again", file=sys.stderr)
        return _EXIT_STOPPED
    except LRSCLIPError as error:
        print(f"error: {error}", file=sys.stderr)
        return _EXIT_ERROR
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lrsclip.index", description="Index tiles and search them.")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="index tiles, go on with it, or bring it up to date")
    build.add_argument("spec", metavar="SPEC", help=_SPEC_HELP)
    build.add_argument("--checkpoint", default="tiny", help="the model (default: %(default)s)")
    build.add_argument("--out", type=Path, metavar="DIR", help="folder of the index (default: in the user's cache)")
    build.add_argument("--batch-size", type=int, default=64, metavar="N", help="default: %(default)s")
    search = commands.add_parser("search", help="find the tiles that fit a text")
    search.add_argument("dir", type=Path, metavar="DIR", help="folder of the index")
    search.add_argument("text", metavar="TEXT")
    search.add_argument("-k", type=int, default=5, help="number of hits (default: %(default)s)")
    search.add_argument("--checkpoint", help="the model (default: the one named in the index)")
    info = commands.add_parser("info", help="tell what an index holds")
    info.add_argument("dir", type=Path, metavar="DIR", help="folder of the index")
    return parser


def _build(spec: str, checkpoint: str, out: Path | None, batch_size: int) -> None:
    source = open_source(spec)
    bundle = lrsclip.load(checkpoint)
    directory = out if out is not None else default_cache_dir(source, bundle)
    with _stop_on_interrupt() as stop:
        _prepare(source, stop)
        with _bar(source, "indexing") as show:
            index = build_index(source, bundle, directory, batch_size=batch_size, progress=show, stop=stop)
    for skipped in index.manifest.skipped:
        print(f"skipped: {skipped.reason}", file=sys.stderr)
    print(f"{len(index)} tiles indexed, {len(index.manifest.skipped)} skipped: {directory}")


def _prepare(source: TileSource, stop: threading.Event) -> None:
    """Have tiles drawn or fetched, after telling how many."""
    if isinstance(source, Preparable):
        if plan := source.plan():
            print(plan, file=sys.stderr)
        with _bar(source, "bringing the tiles") as show:
            source.prepare(show, stop)


@contextmanager
def _bar(source: TileSource, what: str) -> Iterator[Callable[[int, int], None]]:
    with tqdm(desc=what, unit="tile", total=len(source), delay=0.5) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _search(directory: Path, text: str, k: int, checkpoint: str | None) -> None:
    bundle = lrsclip.load(checkpoint if checkpoint is not None else read_manifest(directory).model.name)
    index = TileIndex.load(directory, bundle)
    report = bundle.describe_tokens(text)
    if report.cut:
        print(f"the text is cut at {report.limit} tokens; not read: {report.cut}", file=sys.stderr)
    for hit in index.search(bundle.encode_text([text]), k)[0]:
        print(f"{hit.rank:4d}  {hit.score_cos:+.4f}  {hit.tile_id}")


def _info(directory: Path) -> None:
    manifest = read_manifest(directory)
    print(f"tiles     {manifest.count}")
    for spec in manifest.source_specs:
        print(f"source    {spec}")
    print(f"model     {manifest.model}")
    print(f"metric    {manifest.metric}, {manifest.vectors_dtype}")
    print(f"created   {manifest.created}")
    print(f"built by  {', '.join(f'{name} {version}' for name, version in manifest.libraries.items())}")
    print(f"skipped   {len(manifest.skipped)}")
    for skipped in manifest.skipped:
        print(f"          {skipped.reason}")


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into a request to stop in good order; a second one interrupts at once."""
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    sys.exit(main())
