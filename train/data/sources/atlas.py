"""The project's own rendered landscape as a source: everything in a picture is known."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

import shapely
from pydantic import Field, field_validator
from shapely.geometry.base import BaseGeometry

from lrsclip.atlas.features import KINDS
from lrsclip.atlas.seeds import DEFAULT_SEED, GROUNDING_SEED
from lrsclip.atlas.truth import Thing as AtlasThing
from lrsclip.atlas.truth import TileTruth, rectangle_around
from lrsclip.tiles.atlas import TILE_PX, AtlasTiles
from train.data.faults import Faults
from train.data.names import class_words
from train.data.records import Facts, Share, SourceRecord, Thing
from train.data.sources.base import Source

log = logging.getLogger(__name__)
_PX_M = 1.0
_SCENE_SHARE = 0.45  # an area that takes so much of a picture is its scene
_LONG_RATIO = 1.2
_EDGE_M = 0.01
_DIGITS = 4


class AtlasSource(Source):
    """Tiles of one world; what is missing is drawn first, with all cores.

    Attributes:
        seed: the world; not one that is measured on.
        tiles: how many.
    """

    layout: Literal["atlas"] = "atlas"
    license: str = "Apache-2.0"
    seed: int = Field(ge=0)
    tiles: int = Field(default=1024, ge=1, le=16_384)  # the atlas keeps no more than that on disk

    @field_validator("seed")
    @classmethod
    def _not_measured_on(cls, seed: int) -> int:
        if seed in (DEFAULT_SEED, GROUNDING_SEED):
            raise ValueError(f"atlas seed {seed} is measured on; choose another world")
        return seed

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        """Read every record, block by block.

        Raises:
            TileSourceError: the user's cache cannot be written.
        """
        atlas = AtlasTiles(self.seed, self.tiles, _PX_M)
        if plan := atlas.plan():
            log.info("atlas %d: %s", self.seed, plan)
        atlas.prepare()
        words = class_words("rsicd30")
        for tile_id in atlas.tile_ids():
            row, column = (int(part) for part in tile_id[1:].split("c"))
            lonlat = atlas.lonlat((column + 0.5) * atlas.tile_m, (row + 0.5) * atlas.tile_m)
            facts = facts_of(atlas.truth(tile_id), words)
            size = (TILE_PX, TILE_PX)
            within = f"{self.seed}/{tile_id}"
            yield self.record(within, atlas.kept_file(tile_id), facts, "train", size, lonlat, _PX_M)


def facts_of(truth: TileTruth, words: dict[str, str]) -> Facts:
    """Return what is in a tile.

    Only kinds that the atlas itself counts are things: a road is many pieces, and trees are too many. Of a thing on the
    edge enough must be seen.

    Args:
        truth: the tile's.
        words: land use without spaces to plain words; one that is not here stays as it is.
    """
    things = [thing for kind, seen in truth.seen.items() if KINDS[kind].counted for thing in seen]
    shares = sorted(
        (_share(words.get(use.replace(" ", ""), use), area, truth.size_m) for use, area in truth.areas.items()),
        key=lambda share: (-share.share, share.kind),
    )
    scene = shares[0].kind if shares and shares[0].share >= _SCENE_SHARE else None
    return Facts(
        scene=scene,
        things=tuple(found for thing in things if (found := _thing(thing, truth.size_m))),
        things_complete=True,
        shares=tuple(share for share in shares if share.share > 0),
    )


def _thing(thing: AtlasThing, size_m: float) -> Thing | None:
    bounds = thing.outline.bounds
    left, top, right, bottom = (round(min(max(at / size_m, 0.0), 1.0), _DIGITS + 2) for at in bounds)
    if left >= right or top >= bottom:
        return None
    around = rectangle_around(thing.outline)
    long = around.length_m >= _LONG_RATIO * around.breadth_m
    return Thing(
        kind=KINDS[thing.kind].one,
        box=(left, top, right, bottom),
        bearing_deg=round(around.bearing_deg, 1) % 180 if long else None,
        color=thing.color,
        cut=min(bounds) <= _EDGE_M or max(bounds) >= size_m - _EDGE_M,
    )


def _share(kind: str, area: BaseGeometry, size_m: float) -> Share:
    side = size_m / 3
    cells = tuple(
        round(
            float(shapely.clip_by_rect(area, x * side, y * side, (x + 1) * side, (y + 1) * side).area / side**2),
            _DIGITS,
        )
        for y in range(3)
        for x in range(3)
    )
    return Share(kind, round(float(area.area / size_m**2), _DIGITS), cells)
