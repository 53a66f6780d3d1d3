"""Registry of tile sources: from a typed address to its source."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl

from lrsclip.errors import TileSourceError
from lrsclip.numbers import clipped
from lrsclip.tiles.base import TileSource, bands_option
from lrsclip.tiles.folder import FolderTiles

# Two letters at least, so that the drive in C:\tiles is not taken for a kind of source.
_KIND = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):")
_RASTER_OPTIONS = re.compile(r"\?(?=[A-Za-z_]+=[^?/]*$)")
UNTRUSTED_KINDS, UNTRUSTED_OPTIONS = (
    frozenset({"atlas", "hub", "place"}),
    frozenset({"seed", "tiles", "px_m", "service", "image", "caption", "bands"}),
)
UNTRUSTED_TILES = 4096
_LONGEST_UNTRUSTED = 2000  # characters of an address
_MAX_OPTIONS = 16
_ACCEPTED = (
    "give atlas, atlas:?seed=3, place:LAT,LON,2km@17, hub:owner/name, geotiff:PATTERN, or the path of a folder of "
    "pictures, bare or as folder:PATH"
)


def open_tiles(
    uri: str | os.PathLike[str], *, untrusted: bool = False, progress: Callable[[int], None] | None = None
) -> TileSource:
    """Open the tile source at an address.

    Args:
        uri: "atlas" for the landscape that the project renders, with options behind a question mark
            ("atlas:?seed=3&tiles=4096"); "place:37.76,-122.45,2km@17" for the web map of a place; "hub:owner/name" or
            "hub:owner/name:split" for a data set; "geotiff:scenes/*.tif?tile_px=512" for rasters; or the path of a
            folder, or "folder:PATH". Folders, rasters and data sets take "?bands=4,3,2", the bands to be shown as red,
            green and blue. A leading ~ stands for the home folder. A `Path` is always a folder's.
        untrusted: a stranger typed it: no files of this machine, no access token, no more than UNTRUSTED_TILES tiles.
        progress: called with the pictures found so far, where listing them takes a while.

    Returns:
        The source, with its tiles listed.

    Raises:
        TileSourceError: the address is of no known kind, or there is no folder of pictures at it.
    """
    if untrusted:
        return _for_untrusted(os.fspath(uri).strip())
    if not isinstance(uri, str):
        return FolderTiles(uri, progress)
    address = uri.strip()
    if not address:
        raise TileSourceError(f"the tile source is empty; {_ACCEPTED}")
    kind = _KIND.match(address)
    if address == "atlas" or (kind is not None and kind.group(1) in ("atlas", "geotiff", "hub", "place")):
        name, _, rest = address.partition(":")
        if name == "geotiff":  # a question mark is a sign of patterns too
            mark = _RASTER_OPTIONS.search(rest)
            rest, options = (rest[: mark.start()], rest[mark.end() :]) if mark else (rest.removesuffix("?"), "")
        else:
            rest, _, options = rest.partition("?")
        return _kinds()[name](rest, _options(options, address), None)
    if kind is None:
        return _folder(address, address, progress)
    if kind.group(1).lower() == "folder":
        path = address[kind.end() :]
        if not path:
            raise TileSourceError(f"no path after folder:; {_ACCEPTED}")
        return _folder(path, address, progress)
    if _is_folder(address):  # a real folder whose name holds a colon
        return FolderTiles(address, progress)
    raise TileSourceError(f"no tile source of kind {kind.group(1)!r} ({address}); {_ACCEPTED}")


def is_for_untrusted(spec: str) -> bool:
    """Tell whether an address is of a kind that strangers may open."""
    return spec.partition(":")[0] in UNTRUSTED_KINDS


def _folder(path: str, address: str, progress: Callable[[int], None] | None) -> FolderTiles:
    """Open a folder, with the option `bands` where there is no folder of that whole name."""
    bare, mark, text = path.rpartition("?")
    if not mark or "=" not in text or _is_folder(os.path.expanduser(path)):
        return FolderTiles(path, progress)
    options = _options(text, address)
    if unknown := sorted(set(options) - {"bands"}):
        raise TileSourceError(f"folder has no option {clipped(unknown[0])}; it has bands")
    return FolderTiles(bare, progress, bands_option("folder", options))


def _for_untrusted(address: str) -> TileSource:
    if len(address) > _LONGEST_UNTRUSTED:
        raise TileSourceError(
            f"the address {clipped(address)} is too long; give {_LONGEST_UNTRUSTED:,} characters at most"
        )
    kind, _, rest = address.partition(":")
    rest, _, text = rest.partition("?")
    options = _options(text, address)
    if kind not in UNTRUSTED_KINDS or not set(options) <= UNTRUSTED_OPTIONS:
        allowed = "atlas, place:LAT,LON,2km@17 or hub:owner/name"
        raise TileSourceError(f"{clipped(address, 200)} is not open to visitors of this page; give {allowed}")
    if kind == "hub":
        options["token"] = "no"
    return _kinds()[kind](rest, options, UNTRUSTED_TILES)


def _kinds() -> dict[str, Callable[[str, dict[str, str], int | None], TileSource]]:
    """Map each kind of address to its opener, which takes address, options and the most tiles it may list.

    Imported here, so that opening a folder needs none of it.
    """
    from lrsclip.tiles.atlas import AtlasTiles
    from lrsclip.tiles.geotiff import GeoTiffTiles
    from lrsclip.tiles.hf_dataset import HubTiles
    from lrsclip.tiles.xyz import PlaceTiles

    return {
        "atlas": AtlasTiles.from_spec,
        "geotiff": GeoTiffTiles.from_spec,
        "hub": HubTiles.from_spec,
        "place": PlaceTiles.from_spec,
    }


def _options(text: str, address: str) -> dict[str, str]:
    """Parse `a=1&b=2` to a mapping; refuse a name given twice, because one could be checked and the other used."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=_MAX_OPTIONS)
    except ValueError as error:
        raise TileSourceError(
            f"the options of {clipped(address, 200)} read like ?seed=3&tiles=4096 ({clipped(str(error))})"
        ) from error
    options = dict(pairs)
    if len(options) < len(pairs):
        twice = next(name for name in options if sum(name == other for other, _ in pairs) > 1)
        raise TileSourceError(f"the option {clipped(twice)} of {clipped(address, 200)} is given twice; give it once")
    return options


def _is_folder(address: str) -> bool:
    try:
        return Path(address).is_dir()
    except (OSError, ValueError):
        return False
