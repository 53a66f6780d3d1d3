"""What a tile is, what a tile source must be able to do, and how a typed address becomes a source."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import parse_qsl

from PIL import Image

from lrsclip.errors import TileSourceError
from lrsclip.numbers import clipped, decimal_of, whole_of

# Two letters at least, so that the drive in C:\tiles is not taken for a kind of source.
_KIND = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):")
GUEST_KINDS, GUEST_OPTIONS = (
    frozenset({"atlas", "hub", "place"}),
    frozenset({"seed", "tiles", "px_m", "service", "image", "caption"}),
)
GUEST_TILES = 4096
_LONGEST_GUEST = 2000  # characters of an address
_MOST_OPTIONS = 16
_ROUND = 360 - 1e-9  # degrees; a small tile on the date line comes near it
_ACCEPTED = (
    "give atlas, atlas:?seed=3, place:LAT,LON,2km@17, hub:owner/name, geotiff:PATTERN, or the path of a folder of "
    "pictures, bare or as folder:PATH"
)


@dataclass(frozen=True)
class Tile:
    """What is known of one tile without its pixels.

    Attributes:
        tile_id: name that is unique within its source.
        width_px: width as shown, that is after any turn the file asks for.
        height_px: height as shown.
        ground_m: length of the tile's side on the ground in metres, where known.
        footprint_lonlat: outline as (longitude, latitude) pairs in degrees, where known.
        caption: a sentence about the tile, where there is one.
        attribution: whom to credit for the picture, where that is known.
        center_lonlat: its middle in degrees, where only that is known; see `middle_lonlat`.
    """

    tile_id: str
    width_px: int
    height_px: int
    ground_m: float | None = None
    footprint_lonlat: tuple[tuple[float, float], ...] | None = None
    caption: str | None = None
    attribution: str | None = None
    center_lonlat: tuple[float, float] | None = None

    @property
    def middle_lonlat(self) -> tuple[float, float] | None:
        """Longitude and latitude of the middle in degrees, from whatever is known."""
        if not self.footprint_lonlat:
            return self.center_lonlat
        corners = unwrapped(self.footprint_lonlat)
        longitude, latitude = (sum(corner[axis] for corner in corners) / len(corners) for axis in (0, 1))
        return (longitude + 180) % 360 - 180, latitude


def unwrapped(outline: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """An outline (longitude, latitude) whose longitudes run on beyond 180 degrees where it crosses the date line.

    A corner that is more than half the world from the first one lies on its other side; one that is the whole world
    away, as of the one tile that is a map of everything, stays.
    """
    first = outline[0][0]
    turns = [0 if abs(lon - first) > _ROUND else round((lon - first) / 360) for lon, _ in outline]
    return [(lon - 360 * turn, lat) for (lon, lat), turn in zip(outline, turns, strict=True)]


class TileSource(Protocol):
    """Anything that lists tiles in a stable order and hands out their pictures, from several threads at once."""

    @property
    def spec(self) -> str:
        """Stable address of the source; `open_source(spec)` opens the same one again."""
        ...

    def __len__(self) -> int:
        """Number of tiles listed, readable or not."""
        ...

    def tile_ids(self) -> list[str]:
        """Ids of all tiles, each once, in an order that stays the same from run to run."""
        ...

    def tile(self, tile_id: str) -> Tile:
        """Facts of one tile.

        Raises:
            TileSourceError: the source has no such tile.
            PictureError: the tile is there and cannot be read.
        """
        ...

    def picture(self, tile_id: str) -> Image.Image:
        """Picture of one tile in mode RGB, upright.

        Raises:
            TileSourceError: the source has no such tile.
            PictureError: the tile is there and cannot be read.
        """
        ...


@runtime_checkable
class Fingerprinted(Protocol):
    """A source that can tell cheaply whether a tile changed under the same id; an index then encodes it afresh."""

    def fingerprint(self, tile_id: str) -> str:
        """Short text that changes when the tile's picture changes.

        Raises:
            TileSourceError: the source has no such tile.
        """
        ...


@runtime_checkable
class Planned(Protocol):
    """A source that can tell what reading its tiles will cost."""

    def plan(self) -> str:
        """What is to be drawn or fetched, as one sentence; empty where nothing is. Costs no request."""
        ...


@runtime_checkable
class Preparable(Planned, Protocol):
    """A source whose tiles must be drawn or fetched before they can be read: worth a progress bar of its own."""

    def prepare(self, progress: Callable[[int, int], None] | None = None, stop: threading.Event | None = None) -> None:
        """Make what is missing; what is made is kept if it is stopped.

        Args:
            progress: called with tiles done and tiles in all.
            stop: set it to end early.

        Raises:
            Cancelled: `stop` was set.
            TileSourceError: there is no place to keep them.
        """
        ...


def open_source(spec: str, *, guest: bool = False, progress: Callable[[int], None] | None = None) -> TileSource:
    """Open the tile source at an address.

    Args:
        spec: "atlas" for the landscape that the project renders, with options behind a question mark
            ("atlas:?seed=3&tiles=4096"); "place:37.76,-122.45,2km@17" for the web map of a place; "hub:owner/name" or
            "hub:owner/name:split" for a data set; "geotiff:scenes/*.tif?tile_px=512" for rasters; or the path of a
            folder, or "folder:PATH". A leading ~ stands for the home folder.
        guest: a stranger typed it: no files of this machine, no access token, no more than GUEST_TILES tiles.
        progress: called with the pictures found so far, where listing them takes a while.

    Returns:
        The source, with its tiles listed.

    Raises:
        TileSourceError: the address is of no known kind, or there is no folder of pictures at it.
    """
    # Here and not above: the folder source needs Tile from this module.
    from lrsclip.tiles.folder import FolderTiles

    if guest:
        return _for_guest(spec.strip())
    address = spec.strip()
    if not address:
        raise TileSourceError(f"the tile source is empty; {_ACCEPTED}")
    kind = _KIND.match(address)
    if address == "atlas" or (kind is not None and kind.group(1) in ("atlas", "geotiff", "hub", "place")):
        name, _, rest = address.partition(":")
        rest, _, options = rest.partition("?")
        return _kinds()[name](rest, _options(options, address), None)
    if kind is None:
        return FolderTiles(address, progress)
    if kind.group(1).lower() == "folder":
        path = address[kind.end() :]
        if not path:
            raise TileSourceError(f"no path after folder:; {_ACCEPTED}")
        return FolderTiles(path, progress)
    if _is_folder(address):  # a real folder whose name holds a colon
        return FolderTiles(address, progress)
    raise TileSourceError(f"no tile source of kind {kind.group(1)!r} ({address}); {_ACCEPTED}")


def is_for_guests(spec: str) -> bool:
    """Whether an address is of a kind that strangers may open."""
    return spec.partition(":")[0] in GUEST_KINDS


def _for_guest(address: str) -> TileSource:
    if len(address) > _LONGEST_GUEST:
        raise TileSourceError(f"the address {clipped(address)} is too long; give {_LONGEST_GUEST:,} characters at most")
    kind, _, rest = address.partition(":")
    rest, _, text = rest.partition("?")
    options = _options(text, address)
    if kind not in GUEST_KINDS or not set(options) <= GUEST_OPTIONS:
        allowed = "atlas, place:LAT,LON,2km@17 or hub:owner/name"
        raise TileSourceError(f"{clipped(address, 200)} is not open to visitors of this page; give {allowed}")
    if kind == "hub":
        options["token"] = "no"
    return _kinds()[kind](rest, options, GUEST_TILES)


def check_count(what: str, count: int, most_tiles: int | None) -> None:
    """Refuse more tiles than may be opened; to be asked before any of them is listed.

    Args:
        what: the kind of source, for the message.
        count: tiles that it would list.
        most_tiles: how many may be; None for any number.

    Raises:
        TileSourceError: there are too many.
    """
    if most_tiles is not None and count > most_tiles:
        raise TileSourceError(
            f"{what}: {count:,} tiles are more than visitors of this page may open; ask for {most_tiles:,} at most"
        )


def whole_option(kind: str, options: Mapping[str, str], name: str, usual: int) -> int:
    """An option of an address that is a whole number.

    Raises:
        TileSourceError: it is none.
    """
    if name not in options:
        return usual
    if (value := whole_of(options[name])) is None:
        raise TileSourceError(f"{kind}: {name} is {clipped(options[name])}; give a whole number in plain digits")
    return value


def decimal_option(kind: str, options: Mapping[str, str], name: str, usual: float) -> float:
    """An option of an address that is a number.

    Raises:
        TileSourceError: it is none.
    """
    if name not in options:
        return usual
    if (value := decimal_of(options[name])) is None:
        raise TileSourceError(f"{kind}: {name} is {clipped(options[name])}; give a number in plain digits, such as 0.5")
    return value


def _kinds() -> dict[str, Callable[[str, dict[str, str], int | None], TileSource]]:
    """What opens each kind of address, with its options and the most tiles that it may list.

    Imported here, so that opening a folder needs none of it.
    """
    from lrsclip.atlas.tiles import AtlasTiles
    from lrsclip.tiles.geotiff import GeoTiffTiles
    from lrsclip.tiles.hub import HubTiles
    from lrsclip.tiles.place import PlaceTiles

    return {
        "atlas": AtlasTiles.from_spec,
        "geotiff": GeoTiffTiles.from_spec,
        "hub": HubTiles.from_spec,
        "place": PlaceTiles.from_spec,
    }


def _options(text: str, address: str) -> dict[str, str]:
    """`a=1&b=2` as a mapping; a name twice is refused, because one could be checked and the other used."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=_MOST_OPTIONS)
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
