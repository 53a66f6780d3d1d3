"""Tiles, and the protocols of their sources."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from PIL import Image

from lrsclip.errors import TileSourceError
from lrsclip.numbers import clipped, decimal_of, whole_of

_ROUND = 360 - 1e-9  # degrees; a small tile on the date line comes near it


@dataclass(frozen=True)
class Tile:
    """Facts of one tile, without its pixels.

    Attributes:
        tile_id: name that is unique within its source.
        width_px: width as shown, that is after any turn the file asks for.
        height_px: height as shown.
        ground_m: length of the tile's side on the ground in meters, where known.
        footprint_lonlat: outline as (longitude, latitude) pairs in degrees, where known.
        caption: a sentence about the tile, where there is one.
        attribution: credit line for the picture, where that is known.
        center_lonlat: its center in degrees, where only that is known; see `middle_lonlat`.
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
        """Longitude and latitude of the center in degrees, from the footprint or else `center_lonlat`."""
        if not self.footprint_lonlat:
            return self.center_lonlat
        corners = unwrapped(self.footprint_lonlat)
        longitude, latitude = (sum(corner[axis] for corner in corners) / len(corners) for axis in (0, 1))
        return (longitude + 180) % 360 - 180, latitude


def unwrapped(outline: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Unwrap an outline (longitude, latitude): run longitudes on beyond 180 degrees across the date line.

    A corner that is more than half the world from the first one lies on its other side; one that is the whole world
    away, as of the one tile that is a map of everything, stays.
    """
    first = outline[0][0]
    turns = [0 if abs(lon - first) > _ROUND else round((lon - first) / 360) for lon, _ in outline]
    return [(lon - 360 * turn, lat) for (lon, lat), turn in zip(outline, turns, strict=True)]


class TileSource(Protocol):
    """A list of tiles in a stable order, with their pictures; asked by several threads at once."""

    @property
    def spec(self) -> str:
        """Stable address of the source; `open_tiles(spec)` opens the same one again."""
        ...

    def __len__(self) -> int:
        """Count the tiles listed, readable or not."""
        ...

    def tile_ids(self) -> list[str]:
        """List the ids of all tiles, each once, in an order that stays the same from run to run."""
        ...

    def tile(self, tile_id: str) -> Tile:
        """Look up the facts of one tile.

        Raises:
            TileSourceError: the source has no such tile.
            PictureError: the tile is there and cannot be read.
        """
        ...

    def picture(self, tile_id: str) -> Image.Image:
        """Read the picture of one tile in mode RGB, upright.

        Raises:
            TileSourceError: the source has no such tile.
            PictureError: the tile is there and cannot be read.
        """
        ...


@runtime_checkable
class Fingerprinted(Protocol):
    """A source that can tell cheaply whether a tile changed under the same id; an index then encodes it afresh."""

    def fingerprint(self, tile_id: str) -> str:
        """Fingerprint a tile: a short text that changes when the tile's picture changes.

        Raises:
            TileSourceError: the source has no such tile.
        """
        ...


@runtime_checkable
class Partial(Protocol):
    """A source that went on without some of its files; an index lists them beside the pictures it cannot read."""

    @property
    def left_out(self) -> Mapping[str, str]:
        """Names of the files that give no tiles, each with the reason; none of them is the id of a tile."""
        ...


@runtime_checkable
class Previewed(Protocol):
    """A source that reads a small picture of a tile faster than a whole one."""

    def preview(self, tile_id: str, min_px: int) -> Image.Image:
        """Read a tile's picture in mode RGB, upright, smaller where that is faster; no side shorter than `min_px`.

        A side that is shorter already stays as it is.

        Raises:
            TileSourceError: the source has no such tile.
            PictureError: the tile is there and cannot be read.
        """
        ...


@runtime_checkable
class Summarized(Protocol):
    """A source whose tiles may have more bands than three, or deeper ones, and that knows how they are shown."""

    def summary(self, tile_id: str) -> str:
        """Say which bands a tile shows, and how: "bands 4, 3, 2; stretched 2-98 %".

        Raises:
            TileSourceError: the source has no such tile.
            PictureError: the tile is there and cannot be read.
        """
        ...


def summary_of_tile(source: TileSource, tile_id: str) -> str:
    """Say which bands a tile shows, and how, as `Summarized.summary`; "" where its source only has plain pictures."""
    return source.summary(tile_id) if isinstance(source, Summarized) else ""


def preview_of(source: TileSource, tile_id: str, min_px: int) -> Image.Image:
    """Read a tile's picture for a small view, as `Previewed.preview` where the source has that, else whole."""
    return source.preview(tile_id, min_px) if isinstance(source, Previewed) else source.picture(tile_id)


@runtime_checkable
class Planned(Protocol):
    """A source that knows the cost of reading its tiles."""

    def plan(self) -> str:
        """Describe the work before reading in one sentence; empty where there is none. Costs no request."""
        ...


@runtime_checkable
class Preparable(Planned, Protocol):
    """A source whose tiles must be drawn or fetched before they can be read: worth a progress bar of its own."""

    def prepare(self, progress: Callable[[int, int], None] | None = None, stop: threading.Event | None = None) -> None:
        """Draw or fetch the missing tiles; keep the finished ones if stopped.

        Args:
            progress: called with tiles done and tiles in all.
            stop: set it to end early.

        Raises:
            Cancelled: `stop` was set.
            TileSourceError: there is no place to keep them.
        """
        ...


def check_count(what: str, count: int, max_tiles: int | None) -> None:
    """Refuse more tiles than may be opened; call it before any of them is listed.

    Args:
        what: kind of source, for the message.
        count: tiles that it would list.
        max_tiles: most tiles that may be opened; None for any number.

    Raises:
        TileSourceError: there are too many.
    """
    if max_tiles is not None and count > max_tiles:
        raise TileSourceError(
            f"{what}: {count:,} tiles are more than visitors of this page may open; ask for {max_tiles:,} at most"
        )


def whole_option(kind: str, options: Mapping[str, str], name: str, usual: int) -> int:
    """Parse an option of an address as a whole number; `usual` where it is missing.

    Raises:
        TileSourceError: it is no whole number.
    """
    if name not in options:
        return usual
    if (value := whole_of(options[name])) is None:
        raise TileSourceError(f"{kind}: {name} is {clipped(options[name])}; give a whole number in plain digits")
    return value


def decimal_option(kind: str, options: Mapping[str, str], name: str, usual: float) -> float:
    """Parse an option of an address as a number; `usual` where it is missing.

    Raises:
        TileSourceError: it is no number.
    """
    if name not in options:
        return usual
    if (value := decimal_of(options[name])) is None:
        raise TileSourceError(f"{kind}: {name} is {clipped(options[name])}; give a number in plain digits, such as 0.5")
    return value


def bands_option(kind: str, options: Mapping[str, str]) -> tuple[int, ...] | None:
    """Parse the option `bands` of an address, as in `bands=4,3,2`; None where it is missing.

    Raises:
        TileSourceError: it is not one number or three.
    """
    if "bands" not in options:
        return None
    parts = [whole_of(part.strip()) for part in options["bands"].split(",")]
    bands = tuple(part for part in parts if part is not None)
    if len(bands) < len(parts):
        raise TileSourceError(
            f"{kind}: bands is {clipped(options['bands'])}; give whole numbers with commas, as in bands=4,3,2"
        )
    if len(bands) not in (1, 3):
        raise TileSourceError(f"{kind}: bands names {len(bands)} bands; name one, or three as in bands=4,3,2")
    return bands
