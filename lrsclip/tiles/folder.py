"""Tiles from a folder of picture files, at any depth; with places and captions where the files have them."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from lrsclip.errors import PictureError, TileSourceError
from lrsclip.io.decode import DECODE_FAULTS, decode, image_size, open_image, opened, unreadable, upright_size
from lrsclip.io.kinds import SUFFIXES, head_of, is_raster
from lrsclip.io.look import LOOKS
from lrsclip.io.plain_file import leads_inside, open_plain
from lrsclip.tiles.base import Tile
from lrsclip.tiles.sidecar import one_form, place_in_exif, place_in_name, read_captions

_TOLD_EVERY = 500
_RASTERS = frozenset({".tif", ".tiff", ".jp2"})
_LOOKED_AT_PX = 64  # of a file that is opened for its summary
_DIGITS = re.compile(r"(\d+)")


class FolderTiles:
    """The pictures under a folder, of the kinds that `open_image` reads, by suffix in any case.

    A tile's id is its path relative to the folder, with forward slashes; bytes of a name that are not UTF-8 are
    written as backslash escapes. The order is natural (2 before 10) and the same on every machine. Hidden files and
    folders are left out. A link to a picture inside the folder counts as a picture; links to folders and links that
    lead out of the folder are not followed. The listing is taken once: open the folder again to see new files.

    Args:
        folder: path of the folder; a leading ~ stands for the home folder.
        progress: called with the pictures found so far, at least once a folder.
        bands: numbers (from 1) of the bands that are shown as red, green and blue, or of one for gray, in every
            file; None for each file's usual ones.

    Raises:
        TileSourceError: there is no such folder, it cannot be read, or it holds no picture.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        progress: Callable[[int], None] | None = None,
        bands: tuple[int, ...] | None = None,
    ) -> None:
        self._bands = bands
        try:
            self.root = Path(folder).expanduser().resolve(strict=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise TileSourceError(
                f"no folder at {str(folder)!r}; check the path, or create the folder and put pictures in it"
            ) from error
        if not self.root.is_dir():
            raise TileSourceError(f"{self.root} is a file; give the folder that holds it")
        self._paths = _scan(self.root, progress)
        self._captions = read_captions(self.root)
        self._names = Counter(path.name for path in self._paths.values())

    @property
    def spec(self) -> str:
        """Address of the source: "folder:" and the resolved path, with the bands if they were chosen."""
        return f"folder:{self.root}" + (f"?bands={','.join(map(str, self._bands))}" if self._bands else "")

    def __len__(self) -> int:
        """Count the picture files listed, readable or not."""
        return len(self._paths)

    def tile_ids(self) -> list[str]:
        """List the ids of all tiles in natural order."""
        return list(self._paths)

    def tile(self, tile_id: str) -> Tile:
        """Look up the facts of one tile, read from the head of its file.

        Raises:
            TileSourceError: the folder had no such tile when it was listed.
            PictureError: the file is gone or is no picture.
        """
        path = self._path(tile_id)
        try:
            with open_plain(path) as content:
                raster = is_raster(head_of(content))
            if raster:
                width_px, height_px = image_size(path)
                place = place_in_name(path) or _place_in_raster(path)
            else:
                with opened(path) as picture:
                    width_px, height_px = upright_size(picture)
                    place = place_in_name(path) or place_in_exif(picture)
        except DECODE_FAULTS as error:
            raise unreadable(tile_id, error) from error
        return Tile(tile_id, width_px, height_px, caption=self._caption(path), center_lonlat=place)

    def picture(self, tile_id: str) -> Image.Image:
        """Read the picture of one tile, upright and in mode RGB; see `open_image`.

        Raises:
            TileSourceError: the folder had no such tile when it was listed.
            PictureError: the file is gone, broken, or over Pillow's limit on pixels.
        """
        return open_image(self._path(tile_id), name=tile_id, bands=self._bands)

    def preview(self, tile_id: str, min_px: int) -> Image.Image:
        """Read a small picture of one tile, as `Previewed.preview`.

        Raises:
            TileSourceError, PictureError: as of `picture`.
        """
        return open_image(self._path(tile_id), name=tile_id, min_px=min_px, bands=self._bands)

    def summary(self, tile_id: str) -> str:
        """Say which bands a tile shows, and how: "bands 4, 3, 2; stretched 2-98 %".

        Raises:
            TileSourceError, PictureError: as of `picture`.
        """
        return decode(self._path(tile_id), name=tile_id, min_px=_LOOKED_AT_PX, bands=self._bands).summary

    def fingerprint(self, tile_id: str) -> str:
        """Fingerprint a tile by the size and modification time of its file; "gone" if that is missing.

        Raises:
            TileSourceError: the folder had no such tile when it was listed.
        """
        path = self._listed(tile_id)
        try:
            facts = path.stat()
        except OSError:
            return "gone"
        look = f"-{LOOKS}" if path.suffix.lower() in _RASTERS else ""
        return f"{facts.st_size}-{facts.st_mtime_ns}{look}"

    def _caption(self, path: Path) -> str | None:
        """Look up a picture's caption by its path, or by its name if no other picture here is called so."""
        parts = path.relative_to(self.root).parts
        tails = [one_form("/".join(parts[start:])) for start in range(len(parts))]
        if self._names[path.name] > 1 and len(tails) > 1:
            tails.pop()
        return next((self._captions[tail] for tail in tails if tail in self._captions), None)

    def _listed(self, tile_id: str) -> Path:
        # Only listed ids are opened, so that an id from a browser cannot reach other files.
        path = self._paths.get(tile_id)
        if path is None:
            raise TileSourceError(f"no tile {tile_id!r} in {self.root}; open the folder again if it was added since")
        return path

    def _path(self, tile_id: str) -> Path:
        path = self._listed(tile_id)
        # The file may have been swapped for a link since the listing.
        if not leads_inside(path, self.root):
            raise PictureError(f"cannot read {tile_id}: it is gone or leads out of the folder; put the picture back")
        return path


def _place_in_raster(path: Path) -> tuple[float, float] | None:
    """Read the place that a camera wrote into a TIFF or a PNG of 16 bits, whose tags alone Pillow reads."""
    try:
        with opened(path, ("TIFF", "PNG")) as picture:
            return place_in_exif(picture)
    except (*DECODE_FAULTS, PictureError):  # a kind of TIFF that Pillow does not know
        return None


def _scan(root: Path, progress: Callable[[int], None] | None) -> dict[str, Path]:
    found: list[tuple[str, Path]] = []
    links_out = 0
    for folder, subfolders, names in os.walk(root, onerror=_cannot_list):
        if progress is not None:
            progress(len(found))
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            # A file that is no link lies inside for sure, and resolving each one takes most of the time.
            if _is_plain(path) or leads_inside(path, root):
                found.append((_tile_id(path, root), path))
                if progress is not None and len(found) % _TOLD_EVERY == 0:
                    progress(len(found))
            elif path.is_symlink():
                links_out += 1
    if not found:
        hint = f"; {links_out} links that lead out of it or nowhere were not followed" if links_out else ""
        raise TileSourceError(f"no pictures under {root}{hint}; put JPEG, PNG, WebP or TIFF files there")
    found.sort(key=lambda pair: (_natural_key(pair[0]), pair[0]))
    return dict(found)


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _cannot_list(error: OSError) -> None:
    # Left out silently, the tiles below it would vanish from an index.
    mend = "allow reading it, or move it away"
    raise TileSourceError(f"cannot list {error.filename}: {error.strerror}; {mend}") from error


def _tile_id(path: Path, root: Path) -> str:
    return os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")


def _natural_key(tile_id: str) -> list[list[str | int]]:
    # Digits stand at odd places of every split, so that numbers only ever meet numbers.
    return [
        [int(piece) if place % 2 else piece.casefold() for place, piece in enumerate(_DIGITS.split(part))]
        for part in tile_id.split("/")
    ]
