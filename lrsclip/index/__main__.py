"""Index and search tiles from a shell.

`python -m lrsclip.index build ~/tiles` prints the folder of the index, DIR; then
`python -m lrsclip.index search DIR "a harbour with many boats" -k 5` and `python -m lrsclip.index info DIR`.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

import lrsclip
from lrsclip.errors import Cancelled, LRSCLIPError, UnknownModelError
from lrsclip.index import search_command
from lrsclip.index.build import build_index, default_cache_dir
from lrsclip.index.index import TileIndex
from lrsclip.index.storage import read_manifest
from lrsclip.io.look import is_plain
from lrsclip.numbers import whole_argument
from lrsclip.program import program
from lrsclip.retrieval import search
from lrsclip.tiles import Planned, Preparable, TileSource, open_tiles
from lrsclip.tiles.base import summary_of_tile
from lrsclip.workers import interrupted_by_term, stop_on_signals

_SPEC_HELP = (
    "folder of pictures, geotiff:PATTERN, place:LAT,LON,2km@17, hub:OWNER/NAME, or atlas; ?bands=4,3,2 behind a "
    "folder, rasters or a data set chooses bands"
)
_EXIT_ERROR = 2
_EXIT_STOPPED = 130  # shells expect it after Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments, those of the process by default.

    Returns:
        Exit status: 0 done, 2 an error (one line on stderr), 130 stopped with Ctrl-C.
    """
    asked = _parser().parse_args(search_command.joined(sys.argv[1:] if argv is None else argv))
    try:
        with interrupted_by_term():
            _run(asked)
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


def _run(asked: argparse.Namespace) -> None:
    if asked.command == "build":
        _build(asked)
    elif asked.command == "add":
        _add(asked.dir, asked.spec, asked.checkpoint)
    elif asked.command == "remove":
        _remove(asked.dir, asked.spec, asked.checkpoint)
    elif asked.command == "search":
        _search(asked)
    else:
        _info(asked.dir)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("python -m lrsclip.index"), description="Index tiles and search them."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="index tiles, go on with it, or bring it up to date")
    build.add_argument("spec", metavar="SPEC", help=_SPEC_HELP)
    build.add_argument("--checkpoint", default="tiny", help="the model (default: %(default)s)")
    build.add_argument("--out", type=Path, metavar="DIR", help="folder of the index (default: in the user's cache)")
    build.add_argument("--batch-size", type=whole_argument, default=64, metavar="N", help="default: %(default)s")
    build.add_argument("--rebuild", action="store_true", help="begin anew, of SPEC alone, whatever lies in the folder")
    for name, what in (("add", "take another source's tiles in"), ("remove", "drop a source's tiles")):
        change = commands.add_parser(name, help=what)
        change.add_argument("dir", type=Path, metavar="DIR", help="folder of the index")
        change.add_argument("spec", metavar="SPEC", help=_SPEC_HELP)
        change.add_argument("--checkpoint", help="the model (default: the one named in the index)")
    find = commands.add_parser("search", help="find the tiles that fit a text or an image best")
    search_command.add_arguments(find)
    info = commands.add_parser("info", help="tell what an index holds")
    info.add_argument("dir", type=Path, metavar="DIR", help="folder of the index")
    return parser


def _build(asked: argparse.Namespace) -> None:
    source = _listed(asked.spec)
    bundle = lrsclip.load(asked.checkpoint)
    directory = asked.out if asked.out is not None else default_cache_dir(source, bundle)
    with stop_on_signals() as stop:
        _prepare(source, stop)
        with _bar(source, "indexing") as show:
            index = build_index(
                source,
                bundle,
                directory,
                batch_size=asked.batch_size,
                progress=show,
                stop=stop,
                rebuild=asked.rebuild,
            )
    _tell(index, directory)


def _add(directory: Path, spec: str, checkpoint: str | None) -> None:
    source, bundle, index = _listed(spec), *_opened(directory, checkpoint)
    with stop_on_signals() as stop:
        _prepare(source, stop)
        with _bar(source, "indexing") as show:
            index.add(source, bundle, directory=directory, progress=show, stop=stop)
    _tell(index, directory)


def _remove(directory: Path, spec: str, checkpoint: str | None) -> None:
    _, index = _opened(directory, checkpoint)
    index.remove(_address(index, spec), directory=directory)
    _tell(index, directory)


def _address(index: TileIndex, spec: str) -> str:
    """Find a source's address as the index has it.

    A source gone from the disk cannot be opened, and still has its own.
    """
    return spec if spec in index.manifest.source_specs else open_tiles(spec).spec


def _opened(directory: Path, checkpoint: str | None) -> tuple[lrsclip.LRSCLIP, TileIndex]:
    if checkpoint is not None:
        bundle = lrsclip.load(checkpoint)
        return bundle, TileIndex.load(directory, bundle)
    model = read_manifest(directory).model
    try:
        bundle = lrsclip.load(model.name)
    except LRSCLIPError as error:
        raise UnknownModelError(
            f"the index in {directory} was built by model {model}, which is not to be had under its name ({error}); "
            "say where it is with --checkpoint"
        ) from error
    return bundle, TileIndex.load(directory, bundle)


def _tell(index: TileIndex, directory: Path) -> None:
    for skipped in index.manifest.skipped:
        print(f"skipped: {skipped.reason}", file=sys.stderr)
    print(f"{len(index)} tiles indexed, {len(index.manifest.skipped)} skipped: {directory}")


def _listed(spec: str) -> TileSource:
    """Open a source; show the tiles found so far, because many files take a while."""
    with tqdm(desc="listing", unit="tile", delay=0.3) as bar:
        source = open_tiles(spec, progress=lambda found: bar.update(found - bar.n))
    if not (isinstance(source, Planned) and source.plan()):  # no request only for this
        with suppress(LRSCLIPError, IndexError):  # an unreadable tile is told of when its turn comes
            first = source.tile_ids()[0]
            if (shown := summary_of_tile(source, first)) and not is_plain(shown):
                print(f"{first}: {shown}", file=sys.stderr)
    print("loading the model", file=sys.stderr)
    return source


def _prepare(source: TileSource, stop: threading.Event) -> None:
    """Have tiles drawn or fetched, after announcing how many."""
    if isinstance(source, Preparable):
        if plan := source.plan():
            print(plan, file=sys.stderr)
        with _bar(source, "bringing the tiles") as show:
            source.prepare(show, stop)


@contextmanager
def _bar(source: TileSource, what: str) -> Iterator[Callable[[int, int], None]]:
    with tqdm(desc=what, unit="tile", total=len(source)) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _search(asked: argparse.Namespace) -> None:
    query = search_command.make_query(asked)  # before a model is loaded, so that a wrong number is refused at once
    bundle, index = _opened(asked.dir, asked.checkpoint)
    if asked.source is not None:
        query = replace(query, source_specs=tuple(_address(index, spec) for spec in asked.source))
    for text in filter(str.strip, (query.text, query.exclude)):
        if (report := bundle.describe_tokens(text)).cut:
            print(f"the text is cut at {report.limit} tokens; not read: {report.cut}", file=sys.stderr)
    result = search(index, bundle, query)
    print(search_command.as_json(index, result) if asked.json else search_command.as_lines(result))


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


if __name__ == "__main__":
    sys.exit(main())
