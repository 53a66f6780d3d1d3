"""The command line of the app: model, tiles, address to listen on, and errors as one line."""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

from tqdm import tqdm

import app.server.zero_gpu  # noqa: F401  (before torch, if a GPU is to be lent)
import lrsclip
from app.build import build, serve
from app.collections import AppState
from app.maps.basemap import BaseMap
from app.server import opening, request_log
from app.server.settings import PORTS, SettingError, Settings, use
from app.shipped_collection import unpack
from lrsclip import LRSCLIPError
from lrsclip.calibration.land_use import land_use_references
from lrsclip.calibration.match import MANIFEST_KEY
from lrsclip.errors import TileSourceError
from lrsclip.index import TileIndex, build_index, default_cache_dir
from lrsclip.io.safe_fetch import ALLOW_PRIVATE
from lrsclip.io.user_cache import FIX, user_cache
from lrsclip.numbers import whole_argument
from lrsclip.program import program
from lrsclip.tiles import Preparable, TileSource, open_tiles
from lrsclip.workers import interrupted_by_term

DEFAULT_TILES = "atlas"
_OWN_HOSTS = ("127.0.0.1", "localhost", "::1")  # then only users of this machine see the page
_M_ARENA_MAX, _ARENAS = -8, 4  # the first as malloc.h has it
EXIT_ERROR = 2
EXIT_STOPPED = 130  # as shells expect it after Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Load, index if need be, and serve until stopped.

    Returns:
        Exit code: 0 after a normal end, 2 with one line on stderr if something is wrong, 130 after Ctrl-C.
    """
    try:
        settings = Settings.from_environment()
    except SettingError as error:
        return _fail(str(error))
    use(settings)
    few_arenas()
    args = _parser(settings).parse_args(argv)
    if not PORTS[0] <= args.port <= PORTS[1]:
        return _fail(f"--port is {args.port}; give a number from {PORTS[0]:,} to {PORTS[1]:,}")
    if args.allow_private:
        os.environ[ALLOW_PRIVATE] = "1"
    if args.log:
        request_log.log_to_stderr()
    if args.mcp and find_spec("mcp") is None:
        return _fail("--mcp needs a package that is not here: pip install 'gradio[mcp]'")
    try:
        with interrupted_by_term():
            opening.begin(sys.argv[1:] if argv is None else argv)
            state = _opened(args)
            opening.said("Building the page")
            base = BaseMap.of(args.base_map) if args.base_map else None
            demo = build(state, untrusted=not only_own(args.host, args.share == "yes", settings), base=base)
            share = args.share == "yes"
            opening.end()
            serve(demo, host=args.host, port=args.port, share=share, mcp=args.mcp, once_up=lambda: _warm_up(state))
    except LRSCLIPError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"cannot listen on {args.host}:{args.port} ({error}); choose another --port or --host")
    except KeyboardInterrupt:
        print("stopped; what was made so far is kept", file=sys.stderr)
        return EXIT_STOPPED
    finally:
        opening.end()
    return 0


def _warm_up(state: AppState) -> None:
    """Compute what the first verdict needs, in a thread: on two cores it takes as long as a third of the page."""
    if MANIFEST_KEY in state.bundle.manifest:
        Thread(target=land_use_references, args=(state.bundle,), name="references", daemon=True).start()


def only_own(host: str, share: bool, settings: Settings) -> bool:
    """Return whether only people of this machine can see the page, who may open its files.

    Behind a proxy the server listens to its own machine alone as well, and yet strangers come.
    """
    return host in _OWN_HOSTS and not share and not settings.trust_proxy and "SPACE_ID" not in os.environ


def few_arenas() -> None:
    """Let glibc take memory from a few arenas instead of one or more a thread: a server has forty threads.

    Each arena keeps its unused memory. To be called before there are threads; does nothing where MALLOC_ARENA_MAX sets
    their number, or on other systems.
    """
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        with suppress(OSError, AttributeError):  # another libc
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def _opened(args: argparse.Namespace) -> AppState:
    try:
        return open_state(args.tiles or None, args.checkpoint, args.index)
    except OSError as error:  # an error that no part of it has put into words; a full disk, as a rule
        raise TileSourceError(f"cannot use {user_cache()} ({error}); {FIX}") from error


def open_state(tiles: str | None, checkpoint: str, index_dir: Path | None = None) -> AppState:
    """Load a checkpoint and open tiles, whose index is read from the cache or built there.

    Args:
        tiles: address of a tile source; None for the landscape that the project renders itself.
        checkpoint: as `lrsclip.load` takes it.
        index_dir: the index's folder; None for one in the user's cache.

    Raises:
        LRSCLIPError: the checkpoint, the tiles or the index cannot be used.
    """
    with tqdm(desc="listing", unit="tile", leave=False, delay=0.3) as bar:
        spec = DEFAULT_TILES if tiles is None else tiles

        def listed(found: int) -> None:
            bar.update(found - bar.n)
            opening.said("Listing tiles", found)

        source = open_tiles(spec, progress=listed)
    opening.said("Loading the model")
    bundle = lrsclip.load(checkpoint)
    unpack(source, bundle)
    _prepare(source)
    directory = default_cache_dir(source, bundle) if index_dir is None else index_dir
    index = _index(source, bundle, directory)
    for skipped in index.manifest.skipped:
        print(f"left out: {skipped.reason}", file=sys.stderr)
    return AppState(bundle, index, source)


def _prepare(source: TileSource) -> None:
    """Make the tiles that are not there yet, with a progress bar."""
    if not isinstance(source, Preparable):
        return
    if plan := source.plan():
        print(plan, file=sys.stderr)
    with tqdm(total=len(source), desc="bringing the tiles", unit="tile", leave=False, delay=1) as bar:

        def show(done: int, total: int) -> None:
            bar.update(done - bar.n)
            opening.said("Drawing or loading tiles", done, total)

        source.prepare(show)


def _index(source: TileSource, bundle: lrsclip.LRSCLIP, directory: Path) -> TileIndex:
    with tqdm(total=len(source), desc="indexing", unit="tile", leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            opening.said("Indexing tiles", done, total)

        return build_index(source, bundle, directory, progress=show)


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("app.py"),
        description="Search, classify and localize in a folder of satellite or aerial pictures, in the browser.",
        epilog="Environment variables stand in for options (LRSCLIP_TILES, LRSCLIP_PORT, ...) and set the limits: see "
        "docs/deploy.md.",
    )
    parser.add_argument(
        "--tiles",
        metavar="SPEC",
        default=settings.tiles or None,
        help="folder of pictures, geotiff:PATTERN, place:LAT,LON,2km@17, hub:OWNER/NAME, or atlas:?seed=N "
        "(default: atlas, a rendered landscape)",
    )
    parser.add_argument(
        "--checkpoint", default=settings.checkpoint, help="name, folder or Hub address of a checkpoint (default: tiny)"
    )
    parser.add_argument(
        "--index", type=Path, metavar="DIR", help="where the tiles' index is kept (default: the user's cache)"
    )
    parser.add_argument("--host", default=settings.host, help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=whole_argument, default=settings.port, help="port to listen on (default: 7860)")
    parser.add_argument(
        "--allow-private",
        action="store_true",
        default=settings.allow_private,
        help="let map services of this machine and its network be asked",
    )
    parser.add_argument(
        "--base-map",
        metavar="SERVICE",
        default=settings.base_map or None,
        help="offer an online map under scenes whose place is known: a name of xyzservices such as USGS.USImagery, or "
        "an address with {z}, {x} and {y} (default: none, and no map asks the network)",
    )
    parser.add_argument(
        "--share", choices=("no", "yes"), default="no", help="open a public tunnel through Gradio's servers"
    )
    parser.add_argument("--log", action="store_true", default=settings.log, help="log each call as a line of JSON")
    parser.add_argument(
        "--mcp", action="store_true", default=settings.mcp, help="offer the endpoints to language models too (MCP)"
    )
    return parser


def _fail(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return EXIT_ERROR
