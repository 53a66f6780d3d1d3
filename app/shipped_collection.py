"""The rendered landscape as it comes with the project: tiles, texts and index, ready to be searched at once.

`python -m assets.make_collection` writes the file. It counts only for the very drawing program and weights that it was
made with; otherwise, and where another landscape is asked for, tiles are drawn and indexed as ever.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lrsclip import LRSCLIP
from lrsclip.errors import TileSourceError
from lrsclip.index import default_cache_dir
from lrsclip.io.atomic import write_atomically
from lrsclip.io.user_cache import FIX, is_full, user_cache
from lrsclip.tiles import TileSource
from lrsclip.tiles.atlas import AtlasTiles, recipe

SHIPPED = Path(__file__).resolve().parent / "shipped" / "atlas.zip"
SPEC = "atlas"
MARK, TILES, INDEX = "collection.json", "tiles/", "index/"


@dataclass(frozen=True)
class Mark:
    """The drawing program and the weights that made a collection.

    Attributes:
        spec: address of its tiles.
        recipe: of the drawing program.
        model_sha256: of the weights that indexed them.
        image_px: side of the square that the pictures were brought to.
    """

    spec: str
    recipe: str
    model_sha256: str
    image_px: int

    def written(self) -> str:
        """Format the mark as it stands in the file."""
        return json.dumps(asdict(self), indent=2) + "\n"


def read_mark(path: Path = SHIPPED) -> Mark | None:
    """Read the mark of a collection; None if there is none, or it is damaged."""
    try:
        with zipfile.ZipFile(path) as packed:
            return Mark(**json.loads(packed.read(MARK)))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def unpack(source: TileSource, bundle: LRSCLIP, path: Path = SHIPPED) -> bool:
    """Put the collection into the user's cache, if it is these tiles' and they are not there yet.

    Args:
        source: the tiles that are asked for.
        bundle: the model at hand.
        path: of the collection.

    Returns:
        Whether anything was put there. If the file is damaged nothing is, and the tiles are drawn as ever.

    Raises:
        TileSourceError: the disk is full or read-only, on which tiles could not be drawn either.
    """
    if not isinstance(source, AtlasTiles) or source.spec != SPEC:
        return False
    mark = read_mark(path)
    if mark is None or (mark.spec, mark.recipe) != (SPEC, recipe()):
        return False
    done = False
    with suppress(OSError, zipfile.BadZipFile, zlib.error), _told_if_full(), zipfile.ZipFile(path) as packed:
        tiles = source.kept_file(source.tile_ids()[0]).parent
        done |= _put(packed, TILES, tiles) or _fill(packed, TILES, tiles)
        if (mark.model_sha256, mark.image_px) == (bundle.sha256, bundle.image_px):
            done |= _put(packed, INDEX, default_cache_dir(source, bundle))
    return done


@contextmanager
def _told_if_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise TileSourceError(f"cannot write to {user_cache()} ({error}); {FIX}") from error
        raise


def _put(packed: zipfile.ZipFile, part: str, folder: Path) -> bool:
    """Unpack one folder of the file beside its place and move it there as a whole, unless the place is taken."""
    if folder.exists():
        return False
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        draft.mkdir(parents=True)
        for name, bare in _files(packed, part):
            (draft / bare).write_bytes(packed.read(name))
        draft.rename(folder)
    except OSError:
        if not folder.exists():  # else another process was faster
            raise
        return False
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return True


def _fill(packed: zipfile.ZipFile, part: str, folder: Path) -> bool:
    """Put into a folder the files that it lacks: some tiles may have been drawn there before."""
    lacking = [(name, bare) for name, bare in _files(packed, part) if not (folder / bare).exists()]
    for name, bare in lacking:
        write_atomically(folder / bare, packed.read(name))
    return bool(lacking)


def _files(packed: zipfile.ZipFile, part: str) -> list[tuple[str, str]]:
    """List the files of one folder, by their name in the archive and by their own."""
    named = [(name, name.removeprefix(part)) for name in packed.namelist() if name.startswith(part)]
    return [(name, bare) for name, bare in named if bare and "/" not in bare]
