"""Tiles of a place on Earth from a web map service (XYZ): fetched politely, kept on disk, credited.

One web map tile is one tile. At zoom 17 it is 256 px and some 240 m wide in the middle latitudes, much like the
pictures that the models were trained on.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from urllib.parse import urlencode

import mercantile
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from lrsclip.errors import Cancelled, FetchError, PictureError, TileSourceError
from lrsclip.io.atomic import write_atomically
from lrsclip.io.decode import DECODE_FAULTS, open_image, opened
from lrsclip.io.safe_fetch import fetch
from lrsclip.io.user_cache import FIX, user_cache
from lrsclip.numbers import clipped, decimal_of
from lrsclip.tiles.base import Tile, check_count, decimal_option, whole_option
from lrsclip.tiles.xyz_services import DEFAULT_SERVICE, MAX_ZOOM, provider_of

DEFAULT_LIMIT = 2500
FORM = "place:37.76,-122.45,2km@17, or place:box=-122.46,37.75,-122.44,37.77@17 (west, south, east, north)"
_SERVED = ("JPEG", "PNG", "WEBP")  # what services of tiles hand out; no other decoder is lent to them
_NUMBER = r"([-+.0-9]{1,32})"
_AROUND = re.compile(rf"{_NUMBER},\s*{_NUMBER},\s*{_NUMBER}\s*(?P<unit>km|m)@(?P<zoom>[0-9]{{1,2}})")
_BOX = re.compile(rf"(?:box=)?\s*{_NUMBER},\s*{_NUMBER},\s*{_NUMBER},\s*{_NUMBER}@(?P<zoom>[0-9]{{1,2}})")
_MAX_LIMIT = 10**12
_EARTH_M = 6_378_137.0
_MAX_LATITUDE = 85.0511
_MAX_BYTES, _MAX_PX = 4_000_000, 1024
_MAX_UNTRUSTED_BYTES = 384 * 2**20  # of all tiles of a place that a stranger opens: 4,096 of 96 KiB each
_DECIMALS = 6  # of a degree: a tenth of a meter
_WORKERS, _ATTEMPTS, _MAX_WAIT_S = 4, 4, 30.0
_GIVE_UP_AFTER = 8  # refusals before anything at all was fetched
_GIVE_UP_AFTER_ABSENT = 64  # tiles that are not there, likewise


class Place(BaseModel):
    """A box on the Earth and a zoom level.

    Attributes:
        west, south, east, north: degrees; a box may not cross the date line.
        zoom: of the web map.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    west: float = Field(ge=-180, le=180)
    south: float = Field(ge=-_MAX_LATITUDE, le=_MAX_LATITUDE)
    east: float = Field(ge=-180, le=180)
    north: float = Field(ge=-_MAX_LATITUDE, le=_MAX_LATITUDE)
    zoom: int = Field(ge=0, le=MAX_ZOOM)

    @field_validator("west", "south", "east", "north")
    @classmethod
    def _as_written(cls, degrees: float) -> float:
        """Round a coordinate as `spec` writes it, so that opening it again gives the same place."""
        return round(degrees, _DECIMALS)

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read "lat,lon,radius@zoom" or "box=west,south,east,north@zoom".

        Four numbers without "box=" are south, west, north, east: addresses of old have them so.

        Raises:
            TileSourceError: it is neither, or lies off the map.
        """
        text = text.strip()
        around, box = _AROUND.fullmatch(text), _BOX.fullmatch(text)
        found = around or box
        numbers = [decimal_of(one) for one in (found[1], found[2], found[3])] if found else []
        numbers += [decimal_of(box[4])] if box else []
        if found is None or None in numbers:
            raise TileSourceError(f"{clipped(text)} is no place; write {FORM}")
        zoom, degrees = int(found["zoom"]), [one for one in numbers if one is not None]
        try:
            if around is not None:
                lat, lon, radius = degrees
                up = math.degrees(radius * (1000 if around["unit"] == "km" else 1) / _EARTH_M)
                aside = up / max(0.01, math.cos(math.radians(min(abs(lat), 89.0))))
                place = cls(south=lat - up, west=lon - aside, north=lat + up, east=lon + aside, zoom=zoom)
            else:
                west, south, east, north = degrees if text.startswith("box=") else _of_old(degrees)
                place = cls(south=south, west=west, north=north, east=east, zoom=zoom)
        except ValidationError as error:
            fault = error.errors()[0]
            raise TileSourceError(
                f"the place {clipped(text)} lies off the map: {fault['loc'][0]} {fault['msg'].lower()}; write {FORM}"
            ) from error
        if place.south > place.north or place.west > place.east:
            raise TileSourceError(f"the corners of {clipped(text)} are swapped; write {FORM}")
        return place

    @property
    def count(self) -> int:
        """Number of the web map's tiles that the box touches."""
        columns, rows = self.columns_rows()
        return len(columns) * len(rows)

    def columns_rows(self) -> tuple[range, range]:
        """Compute the columns and rows of the web map's tiles that the box touches."""
        first = mercantile.tile(self.west, self.north, self.zoom)
        last = mercantile.tile(self.east, self.south, self.zoom)
        return range(first.x, last.x + 1), range(first.y, last.y + 1)


def _of_old(degrees: list[float]) -> tuple[float, float, float, float]:
    south, west, north, east = degrees
    return west, south, east, north


class PlaceTiles:
    """The web map's tiles over a place.

    Args:
        place: the box and the zoom level.
        service: a name of xyzservices ("USGS.USImagery", "Esri.WorldImagery") or an address with {z}, {x} and {y}.
        limit: more tiles than this are refused.
        per_second: requests begun in a second, at most.
        max_total_bytes: of all its tiles on disk, so that an odd service does not fill it; None for any.

    Raises:
        TileSourceError: no such service, a zoom level that it lacks, or more tiles than the limit.
    """

    def __init__(
        self,
        place: Place,
        service: str = DEFAULT_SERVICE,
        limit: int = DEFAULT_LIMIT,
        per_second: float = 8.0,
        max_total_bytes: int | None = None,
    ) -> None:
        if not 1 <= limit <= _MAX_LIMIT:
            raise TileSourceError(f"place: limit is {limit}; choose 1 to {_MAX_LIMIT:,} tiles")
        if not 0.1 <= per_second <= 50:
            raise TileSourceError(f"place: per_second is {per_second:g}; choose 0.1 to 50 requests a second")
        self.place, self.service, self.limit, self.per_second = place, service, limit, per_second
        self._provider = provider_of(service, place.zoom)
        count = place.count
        if count > limit:
            raise TileSourceError(
                f"the place has {count:,} tiles at zoom {place.zoom}, more than the limit of {limit:,}; choose a "
                f"smaller place or zoom, or raise the limit (?limit={count})"
            )
        columns, rows = place.columns_rows()
        self._ids = [f"{place.zoom}/{x}/{y}" for y in rows for x in columns]
        self._known = set(self._ids)
        self._failed: dict[str, str] = {}
        self._max_total_bytes, self._total_bytes = max_total_bytes, 0
        self._lock, self._next_s = threading.Lock(), 0.0

    @classmethod
    def from_spec(cls, address: str, options: Mapping[str, str], max_tiles: int | None = None) -> PlaceTiles:
        """Open `place:37.76,-122.45,2km@17`, with options `service`, `limit` and `per_second`.

        Args:
            address: the place.
            options: as texts.
            max_tiles: more are refused before any is listed, whatever `limit` says.

        Raises:
            TileSourceError: the address is no place, or an option is unknown, no number or out of range.
        """
        unknown = sorted(set(options) - {"service", "limit", "per_second"})
        if unknown:
            hint = "; write an & inside the service's address as %26" if "{" in options.get("service", "") else ""
            known = "service, limit and per_second"
            raise TileSourceError(f"place has no option {clipped(unknown[0])}; it has {known}{hint}")
        limit = whole_option("place", options, "limit", DEFAULT_LIMIT)
        per_second = decimal_option("place", options, "per_second", 8.0)
        place = Place.parse(address)
        check_count("place", place.count, max_tiles)
        max_total_bytes = None if max_tiles is None else _MAX_UNTRUSTED_BYTES
        return cls(place, options.get("service", DEFAULT_SERVICE), limit, per_second, max_total_bytes)

    @property
    def spec(self) -> str:
        """Address that opens the same tiles again."""
        p = self.place
        # not as floats: 1e-05 is no number that `parse` reads
        corners = (f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".") for value in (p.west, p.south, p.east, p.north))
        where = f"place:box={','.join(corners)}@{p.zoom}"
        options = {
            **({"service": self.service} if self.service != DEFAULT_SERVICE else {}),
            **({"limit": self.limit} if self.limit > DEFAULT_LIMIT else {}),
        }
        return f"{where}?{urlencode(options, safe=':/{}')}" if options else where

    @property
    def attribution(self) -> str:
        """Credit line of the service."""
        return str(self._provider.get("attribution") or self._provider["name"])

    def __len__(self) -> int:
        """Count the tiles, fetched or not."""
        return len(self._ids)

    def tile_ids(self) -> list[str]:
        """List the ids "zoom/column/row", row by row."""
        return list(self._ids)

    def tile(self, tile_id: str) -> Tile:
        """Look up a tile's facts; its size in pixels is known once it is fetched and 256 before."""
        zoom, x, y = self._check(tile_id)
        west, south, east, north = mercantile.bounds(x, y, zoom)
        footprint = ((west, north), (east, north), (east, south), (west, south))
        across_m = 2 * math.pi * _EARTH_M / 2**zoom * math.cos(math.radians((north + south) / 2))
        width, height = 256, 256
        try:
            with opened(self._file(tile_id), _SERVED) as kept:
                width, height = kept.size
        except (FileNotFoundError, *DECODE_FAULTS):
            pass
        return Tile(tile_id, width, height, across_m, footprint, None, self.attribution)

    def picture(self, tile_id: str) -> Image.Image:
        """Read a tile in mode RGB, from disk or else from the service.

        Raises:
            PictureError: the service has no picture there, or none that can be read.
            AddressError: the service's address may not be asked.
            TileSourceError: there is no such tile.
        """
        self._check(tile_id)
        file = self._file(tile_id)
        if not file.is_file():
            if tile_id in self._failed:
                raise PictureError(self._failed[tile_id])
            self._bring(tile_id, None)
        name = f"tile {tile_id} of {self._provider['name']}"
        try:
            return open_image(file, name=name)
        except PictureError:  # the kept file was whole when it was written; the disk has lost it since
            file.unlink(missing_ok=True)
            self._bring(tile_id, None)
            return open_image(file, name=name)

    def files(self) -> list[Path]:
        """List the files on disk in which its tiles are kept, once they are fetched."""
        return list(map(self._file, self._ids))

    def plan(self) -> str:
        """Describe the work of `prepare` in one sentence; empty where there is none."""
        missing = sum(not self._file(name).is_file() for name in self._ids)
        if not missing:
            return ""
        minutes = missing / self.per_second / 60
        spent = (
            f"about {minutes:.0f} minutes" if minutes >= 1.5 else "about a minute" if minutes > 0.5 else "a few seconds"
        )
        name = self._provider["name"]
        return f"will download {missing:,} tiles from {name} ({spent}, once). {self.attribution}"

    def prepare(self, progress: Callable[[int, int], None] | None = None, stop: threading.Event | None = None) -> None:
        """Fetch the missing tiles, a few at a time and no faster than `per_second`; keep the fetched ones.

        Args:
            progress: called with tiles done and tiles in all.
            stop: set it to end early.

        Raises:
            Cancelled: `stop` was set.
            AddressError: the service's address may not be asked.
            TileSourceError: nothing at all can be fetched.
        """
        stop = stop or threading.Event()
        not_kept = [name for name in self._ids if not self._file(name).is_file()]
        if self._max_total_bytes is not None:
            self._total_bytes = sum(file.stat().st_size for file in self.files() if file.is_file())
        got = len(not_kept) < len(self)
        missing = [name for name in not_kept if name not in self._failed]
        done = len(self) - len(missing)
        refused = absent = 0
        queue = iter(missing)
        with ThreadPoolExecutor(_WORKERS) as pool:
            running: set[Future[None]] = set()
            try:
                while True:
                    # Few are submitted at a time, so that a stop is felt at once.
                    while len(running) < _WORKERS and (name := next(queue, None)) is not None:
                        running.add(pool.submit(self._bring, name, stop))
                    if not running:
                        if missing and not got:
                            raise TileSourceError(f"nothing can be fetched: {next(iter(self._failed.values()))}")
                        return
                    ended, running = wait(running, return_when=FIRST_COMPLETED)
                    for job in ended:
                        fault = job.exception()
                        if isinstance(fault, PictureError):
                            refused += isinstance(fault, _RefusedError)
                            absent += not isinstance(fault, _RefusedError)
                            # A service may lack many places, so a missing tile counts for less than a refusal.
                            if not got and (refused >= _GIVE_UP_AFTER or absent >= _GIVE_UP_AFTER_ABSENT):
                                raise TileSourceError(f"nothing can be fetched: {fault}") from fault
                        elif fault is not None:
                            raise fault
                        else:
                            got = True
                    done += len(ended)
                    if progress is not None:
                        progress(done, len(self))
            except BaseException:
                stop.set()  # requests that still wait for their turn end now
                raise

    def fingerprint(self, tile_id: str) -> str:
        """Tell "kept" from "missing": a tile fetched after a failure thus counts as changed and is indexed."""
        self._check(tile_id)
        return "kept" if self._file(tile_id).is_file() else "missing"

    def _bring(self, tile_id: str, stop: threading.Event | None) -> None:
        """Fetch one tile and keep it."""
        zoom, x, y = self._check(tile_id)
        url = self._provider.build_url(x=x, y=y, z=zoom)
        name = f"tile {tile_id} of {self._provider['name']}"

        def once() -> bytes:
            self._wait_for_turn(stop)
            answer = fetch(url, max_bytes=_MAX_BYTES)
            if answer.status == 429 or answer.status >= 500:
                raise _BusyError(f"the server answers {answer.status}", answer.retry_after_s)
            if answer.status in (401, 403):
                raise _RefusedError(f"the server refuses {name} (it answers {answer.status})")
            if answer.status != 200:
                raise PictureError(f"{name} is not there (the server answers {answer.status})")
            return _checked(answer.content, name)

        def pause(seconds: float) -> None:
            if stop is None:
                time.sleep(seconds)
            elif stop.wait(seconds):
                raise Cancelled("fetching was stopped; what is fetched is kept")

        again = Retrying(
            retry=retry_if_exception_type(FetchError),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=_pause_s,
            sleep=pause,
            reraise=True,
        )
        file = self._file(tile_id)
        try:
            content = again(once)  # before its folder is made: a service that refuses then leaves nothing behind
            self._check_total(len(content))
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, content)
        except PictureError as error:
            self._failed[tile_id] = str(error)
            raise
        except FetchError as error:
            self._failed[tile_id] = f"{name} cannot be fetched: {error}; open the place again to try once more"
            raise _RefusedError(self._failed[tile_id]) from error
        except OSError as error:
            raise TileSourceError(f"cannot write to {user_cache()} ({error}); {FIX}") from error

    def _check_total(self, more_bytes: int) -> None:
        """Count a tile's bytes.

        Raises:
            TileSourceError: they are more than all tiles may have.
        """
        with self._lock:
            self._total_bytes += more_bytes
            if self._max_total_bytes is not None and self._total_bytes > self._max_total_bytes:
                raise TileSourceError(
                    f"the tiles of {self._provider['name']} are far larger than tiles are, over "
                    f"{self._max_total_bytes // 2**20} MB for this place; choose a smaller place, or another service"
                )

    def _wait_for_turn(self, stop: threading.Event | None) -> None:
        with self._lock:
            now = time.monotonic()
            self._next_s = max(now, self._next_s) + 1 / self.per_second
            pause = self._next_s - 1 / self.per_second - now
        if stop is not None and stop.wait(pause):
            raise Cancelled("fetching was stopped; what is fetched is kept")
        if stop is None and pause > 0:
            time.sleep(pause)

    def _file(self, tile_id: str) -> Path:
        # with all its options filled in, by which services of one family differ
        key = hashlib.sha256(self._provider.build_url().encode()).hexdigest()[:16]
        return user_cache() / "places" / key / f"{tile_id}.tile"

    def _check(self, tile_id: str) -> tuple[int, int, int]:
        if tile_id not in self._known:
            raise TileSourceError(f"the place has no tile {tile_id!r}; ids look like {self._ids[0]!r}")
        zoom, x, y = (int(part) for part in tile_id.split("/"))
        return zoom, x, y


class _RefusedError(PictureError):
    """A refusal: the server gives nobody the tile, or does not answer."""


class _BusyError(FetchError):
    """A server's request for patience."""

    def __init__(self, message: str, wait_s: float | None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def _pause_s(state: RetryCallState) -> float:
    """Choose the pause in seconds: twice as long each time, or as long as the server asks."""
    fault = state.outcome.exception() if state.outcome else None
    asked = fault.wait_s if isinstance(fault, _BusyError) else None
    return float(min(_MAX_WAIT_S, asked if asked is not None else 0.5 * 2**state.attempt_number))


def _checked(content: bytes, name: str) -> bytes:
    """Check that the bytes are a picture of a tile's size, whatever the server calls them; return them."""
    try:
        with opened(io.BytesIO(content), _SERVED) as picture:
            if max(picture.size) > _MAX_PX:
                raise PictureError(f"{name} is {picture.width} x {picture.height} px; a tile has {_MAX_PX} at most")
            picture.load()
    except DECODE_FAULTS as error:
        if isinstance(error, PictureError):
            raise
        raise PictureError(f"{name} is no picture that can be read, whatever the server calls it") from error
    return content
