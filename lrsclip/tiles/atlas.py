"""The atlas as a tile source: a square region of a world in mid-ocean, cut into tiles that never overlap.

Tiles are rendered by blocks of four by four, drawn on first use and kept in the user's cache; `prepare` draws the
missing ones with all cores. A region may have any size; beyond `_KEPT_TILES` nothing is kept on disk.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image
from pyproj import Transformer

from lrsclip.atlas.falsify import falsified
from lrsclip.atlas.land_use import World
from lrsclip.atlas.layout import Country
from lrsclip.atlas.noise import rng_at
from lrsclip.atlas.realization import caption, sentences
from lrsclip.atlas.rendering import render
from lrsclip.atlas.seeds import DEFAULT_SEED
from lrsclip.atlas.selection import statements
from lrsclip.atlas.statement import CLAIM_KINDS, Statement
from lrsclip.atlas.truth import TileTruth, truth_of
from lrsclip.errors import Cancelled, PictureError, TileSourceError
from lrsclip.io.encode import encoded
from lrsclip.io.user_cache import FIX, user_cache
from lrsclip.numbers import clipped
from lrsclip.tiles.base import Tile, check_count, decimal_option, whole_option
from lrsclip.workers import end_now, process_pool

# Tiles and indexes that were made under another value are made anew. Raise it with every change of a pixel or a word,
# and then run `python -m assets.make_collection`; tests/lrsclip/atlas/test_recipe.py fails when that was forgotten.
RECIPE = "7d62e75e"
TILE_PX = 192
_TWINS = 3  # false sentences of each kind of claim
_BLOCK = 4  # tiles along the side of a block, which is rendered at once
_KEPT_TILES = 16_384
_REWORDINGS = 8  # tried, of which the one with the fewest sentences alike is taken
_MAX_SEED = 2**32 - 1  # chance is seeded with 32 bits: more would come round to the same worlds
_WEST_M, _NORTH_M = 497_000.0, 4_588_000.0
# UTM 10 south at those meters is the South Pacific near 48.9 S, 123 W: farther from land than nearly anywhere.
_CRS = "EPSG:32710"
_ATTRIBUTION = "LRSCLIP atlas, a rendered landscape"


@dataclass(frozen=True)
class AtlasText:
    """The texts of a tile.

    Attributes:
        short: a caption of one sentence.
        sentences: of the description.
        false: (number of a sentence, the same with one false claim), for learning to tell them apart.
    """

    short: str
    sentences: tuple[str, ...]
    false: tuple[tuple[int, str], ...] = ()

    @property
    def long(self) -> str:
        """The description, all sentences in one text."""
        return " ".join(self.sentences)


class AtlasTiles:
    """Tiles of a rendered landscape.

    Args:
        seed: the world.
        tiles: at least so many are listed; the region is a square of whole blocks.
        px_m: ground size of a pixel in meters.

    Raises:
        TileSourceError: a number is out of range.
    """

    def __init__(self, seed: int = DEFAULT_SEED, tiles: int = 1024, px_m: float = 1.0) -> None:
        if not 0 <= seed <= _MAX_SEED:
            raise TileSourceError(f"atlas: seed is {seed}; choose 0 to {_MAX_SEED:,}")
        if not 1 <= tiles <= 4_000_000:
            raise TileSourceError(f"atlas: tiles is {tiles}; choose 1 to 4,000,000")
        if not 0.25 <= px_m <= 2:
            raise TileSourceError(f"atlas: px_m is {px_m}; choose a ground size of a pixel from 0.25 to 2 m")
        self.seed, self.count, self.px_m = seed, tiles, px_m
        self.side = math.ceil(math.sqrt(tiles))
        self.tile_m = TILE_PX * px_m
        self.country = Country(World(seed))
        self._lonlat = Transformer.from_crs(_CRS, "EPSG:4326", always_xy=True)
        self._lock = threading.Lock()
        self._ids = [
            _name(row, column)
            for top in range(0, self.side, _BLOCK)
            for left in range(0, self.side, _BLOCK)
            for row in range(top, min(top + _BLOCK, self.side))
            for column in range(left, min(left + _BLOCK, self.side))
        ][:tiles]
        self._known = set(self._ids)
        self._recent = lru_cache(maxsize=4)(self._render_block)
        self._texts_of_block = lru_cache(maxsize=256)(self._read_texts)

    @classmethod
    def from_spec(cls, address: str, options: Mapping[str, str], max_tiles: int | None = None) -> AtlasTiles:
        """Open `atlas` or `atlas:?seed=3&tiles=4096`.

        Args:
            address: the text before the question mark; it must be empty.
            options: seed, tiles and px_m as texts.
            max_tiles: more are refused before any is listed.

        Raises:
            TileSourceError: an option is unknown, no number or out of range.
        """
        if address:
            raise TileSourceError(
                f"atlas takes no address ({clipped(address)}); options stand behind a question mark: atlas:?seed=3"
            )
        unknown = sorted(set(options) - {"seed", "tiles", "px_m"})
        if unknown:
            raise TileSourceError(f"atlas has no option {clipped(unknown[0])}; it has seed, tiles and px_m")
        seed = whole_option("atlas", options, "seed", DEFAULT_SEED)
        tiles = whole_option("atlas", options, "tiles", 1024)
        px_m = decimal_option("atlas", options, "px_m", 1.0)
        check_count("atlas", tiles, max_tiles)
        return cls(seed, tiles, float(f"{px_m:g}"))  # as `spec` writes it, so that reopening gives the same tiles

    @property
    def spec(self) -> str:
        """Address that opens the same tiles again."""
        told = {"seed": (self.seed, DEFAULT_SEED), "tiles": (self.count, 1024), "px_m": (self.px_m, 1.0)}
        options = "&".join(
            f"{name}={value:g}" if name == "px_m" else f"{name}={value}"
            for name, (value, usual) in told.items()
            if value != usual
        )
        return f"atlas:?{options}" if options else "atlas"

    def __len__(self) -> int:
        """Count the tiles."""
        return len(self._ids)

    def tile_ids(self) -> list[str]:
        """List the ids, block by block."""
        return list(self._ids)

    def fingerprint(self, tile_id: str) -> str:
        """Return the recipe, which changes with the program that draws."""
        self._check(tile_id)
        return recipe()

    def tile(self, tile_id: str) -> Tile:
        """Look up the facts of a tile; its caption is the short text."""
        row, column = self._check(tile_id)
        corners = [(column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1)]
        footprint = tuple(self.lonlat(x * self.tile_m, y * self.tile_m) for x, y in corners)
        return Tile(tile_id, TILE_PX, TILE_PX, self.tile_m, footprint, self.texts(tile_id).short, _ATTRIBUTION)

    def lonlat(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Convert a place in meters east and south of the region's corner to (longitude, latitude) in degrees."""
        longitude, latitude = self._lonlat.transform(_WEST_M + x_m, _NORTH_M - y_m)
        return float(longitude), float(latitude)

    def picture(self, tile_id: str) -> Image.Image:
        """Render a tile, (TILE_PX, TILE_PX) in mode RGB, or read its kept file."""
        return self._picture(tile_id, TILE_PX)

    def preview(self, tile_id: str, min_px: int) -> Image.Image:
        """Read a small picture of a tile, as `Previewed.preview`; one that is not kept is rendered whole."""
        return self._picture(tile_id, min_px)

    def _picture(self, tile_id: str, min_px: int) -> Image.Image:
        row, column = self._check(tile_id)
        kept = self.kept_file(tile_id)
        try:
            with Image.open(kept) as image:
                image.draft("RGB", (min_px, min_px))
                return image.convert("RGB")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise PictureError(f"the kept atlas tile {kept} cannot be read ({error}); delete it") from error
        with self._lock:
            block = self._recent(row // _BLOCK, column // _BLOCK)
        left, top = column % _BLOCK * TILE_PX, row % _BLOCK * TILE_PX
        return block.crop((left, top, left + TILE_PX, top + TILE_PX))

    def kept_file(self, tile_id: str) -> Path:
        """Name the file in which `prepare` keeps a tile's picture."""
        return self.folder / f"{tile_id}.jpg"

    def texts(self, tile_id: str) -> AtlasText:
        """Write the short and the long text of a tile, or read the kept ones."""
        row, column = self._check(tile_id)
        kept = self._texts_of_block(row // _BLOCK, column // _BLOCK).get(tile_id)
        if not kept:
            return self._written(row, column)
        return AtlasText(kept["short"], tuple(kept["sentences"]), tuple((at, text) for at, text in kept["false"]))

    def truth(self, tile_id: str) -> TileTruth:
        """Compute the ground truth of a tile as polygons."""
        return self._truth(*self._check(tile_id))

    def _truth(self, row: int, column: int) -> TileTruth:
        return truth_of(self.country, column * self.tile_m, row * self.tile_m, self.tile_m)

    def told(self, tile_id: str, truth: TileTruth | None = None) -> list[Statement]:
        """Select the statements of a tile's long text."""
        row, column = self._check(tile_id)
        return self._told(truth or self._truth(row, column), row, column)

    def _told(self, truth: TileTruth, row: int, column: int) -> list[Statement]:
        return statements(truth, rng_at(self.seed, "told", row, column))

    def described(self, told: list[Statement], tile_id: str) -> str:
        """Put statements into the wording of a tile."""
        return " ".join(self._sentences(told, *self._check(tile_id)))

    def reworded(self, tile_id: str) -> str:
        """Tell what a tile's long text tells, sentence by sentence, in other words where there are others."""
        row, column = self._check(tile_id)
        told = self.told(tile_id)
        own = self._sentences(told, row, column)
        tries = [sentences(told, rng_at(self.seed, "again", row, column, number)) for number in range(_REWORDINGS)]
        return " ".join(min(tries, key=lambda one: sum(a == b for a, b in zip(one, own, strict=True))))

    def _sentences(self, told: list[Statement], row: int, column: int) -> list[str]:
        return sentences(told, rng_at(self.seed, "words", row, column))

    def plan(self) -> str:
        """Describe the work of `prepare` in one sentence; empty where there is none."""
        missing = (
            0 if self.count > _KEPT_TILES else sum(not self._block_file(*block).exists() for block in self._blocks())
        )
        if not missing:
            return ""
        return f"{min(missing * _BLOCK**2, len(self)):,} tiles are to be drawn, once: some 30 a second and core"

    def _blocks(self) -> list[tuple[int, int]]:
        blocks = math.ceil(self.side / _BLOCK)
        return [(row, column) for row in range(blocks) for column in range(blocks)]

    def prepare(self, progress: Callable[[int, int], None] | None = None, stop: threading.Event | None = None) -> None:
        """Draw and describe every tile that is not kept yet, with all cores; keep finished blocks if stopped.

        Blocks that are half drawn by then are given up: after Ctrl-C nobody wants to wait for them.

        Args:
            progress: called with tiles done and tiles in all.
            stop: set it to end early.

        Raises:
            Cancelled: `stop` was set.
            TileSourceError: the cache cannot be written.
        """
        if self.count > _KEPT_TILES:
            return
        blocks = self._blocks()
        missing = [block for block in blocks if not self._block_file(*block).exists()]
        done = len(blocks) - len(missing)
        if not missing:
            return
        pool = process_pool(max(1, min(len(missing), os.cpu_count() or 1)))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for finished in self._draw(pool, missing, stop):
                done += finished
                if progress is not None:
                    progress(min(len(self), round(done / len(blocks) * len(self))), len(self))
        except OSError as error:
            raise TileSourceError(f"cannot write to {self.folder} ({error}); {FIX}") from error
        except BrokenProcessPool as error:
            raise TileSourceError(
                "a process that drew the atlas ended early: memory may be short; and a script that draws must "
                'keep what it does behind `if __name__ == "__main__":`, because it is read once more by each'
            ) from error
        finally:
            drew = end_now(pool)
            for pid in drew:
                for part in self.folder.glob(f".*.{pid}.part"):  # its draft as it ended
                    part.unlink(missing_ok=True)

    def _draw(
        self, pool: ProcessPoolExecutor, missing: list[tuple[int, int]], stop: threading.Event | None
    ) -> Iterator[int]:
        """Draw blocks; yield twice a second, and with each finished block, how many more are done."""
        setting = (self.seed, self.count, self.px_m)
        waiting = {pool.submit(_keep_block, setting, row, column) for row, column in missing}
        while waiting:
            if stop is not None and stop.is_set():
                raise Cancelled("drawing the atlas was stopped; what is drawn is kept")
            finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            for job in finished:
                job.result()
            yield len(finished)

    def keep_block(self, row: int, column: int) -> None:
        """Draw and describe one block of tiles and keep it: the texts last, as the sign that it is whole."""
        block, texts = self._render_block(row, column), {}
        folder = self.folder
        for tile_row in range(row * _BLOCK, min((row + 1) * _BLOCK, self.side)):
            for tile_column in range(column * _BLOCK, min((column + 1) * _BLOCK, self.side)):
                name = _name(tile_row, tile_column)
                left, top = tile_column % _BLOCK * TILE_PX, tile_row % _BLOCK * TILE_PX
                tile = block.crop((left, top, left + TILE_PX, top + TILE_PX))
                with _draft(folder / f"{name}.jpg", name) as part:
                    part.write_bytes(encoded(tile, "JPEG", quality=90))
                texts[name] = asdict(self._written(tile_row, tile_column))
        with _draft(self._block_file(row, column), f"block-{row}-{column}") as part:
            part.write_text(json.dumps(texts), encoding="utf-8")

    def _written(self, row: int, column: int) -> AtlasText:
        """Write the texts of any tile of the square, listed or not: a block is always kept as a whole."""
        truth = self._truth(row, column)
        told, rng = self._told(truth, row, column), rng_at(self.seed, "false", row, column)
        false = []
        for kind in CLAIM_KINDS * _TWINS:
            if (changed := falsified(told, truth, kind, rng)) is not None:
                at, statement = changed
                other = self._sentences([*told[:at], statement, *told[at + 1 :]], row, column)
                false.append((at, other[at]))
        short = caption(told, rng_at(self.seed, "caption", row, column))
        return AtlasText(short, tuple(self._sentences(told, row, column)), tuple(dict.fromkeys(false)))

    def _read_texts(self, row: int, column: int) -> dict[str, Any]:
        try:
            read: dict[str, Any] = json.loads(self._block_file(row, column).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return read

    def _render_block(self, row: int, column: int) -> Image.Image:
        size = _BLOCK * self.tile_m
        return render(self.country, column * size, row * size, size, size, self.px_m)

    @property
    def folder(self) -> Path:
        """Folder of the kept tiles."""
        return user_cache() / f"atlas-{recipe()}-{self.seed}-{self.side}-{self.px_m:g}"

    def _block_file(self, row: int, column: int) -> Path:
        return self.folder / f"block-{row}-{column}.json"

    def _check(self, tile_id: str) -> tuple[int, int]:
        if tile_id not in self._known:
            raise TileSourceError(f"the atlas has no tile {tile_id!r}; ids look like {self._ids[0]!r}")
        row, column = tile_id[1:].split("c")
        return int(row), int(column)


@contextmanager
def _draft(file: Path, name: str) -> Iterator[Path]:
    """Yield a path to write to; move it onto the file once whole, and delete it if the writing fails."""
    part = file.with_name(f".{name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _name(row: int, column: int) -> str:
    return f"r{row:03d}c{column:03d}"


def _keep_block(setting: tuple[int, int, float], row: int, column: int) -> None:
    _opened(*setting).keep_block(row, column)


@lru_cache(maxsize=1)
def _opened(seed: int, tiles: int, px_m: float) -> AtlasTiles:
    return AtlasTiles(seed, tiles, px_m)


def recipe() -> str:
    """Return the version of the drawings and texts, a short hash."""
    return RECIPE
