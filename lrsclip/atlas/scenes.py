"""Scenes for localisation, with polygons, in the layout of AIR-SLT: `imgs/` and `annotations/anno.json`.

A query names a piece of land by its use and what stands there, or things of one kind and colour; its polygons are all
places in the scene of which it is true. So SeLo's four metrics can be measured with nothing downloaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from lrsclip.atlas.chance import rng_at
from lrsclip.atlas.claims import COLOURED, Statement
from lrsclip.atlas.country import Country
from lrsclip.atlas.features import KINDS
from lrsclip.atlas.landuse import World
from lrsclip.atlas.region import render
from lrsclip.atlas.truth import TileTruth, truth_of
from lrsclip.atlas.words import named
from lrsclip.errors import TileSourceError
from lrsclip.files import write_atomically

SCENE_PX = 1024
_SPACING_M = 1500.0  # scenes do not touch
_LEAST_SHARE, _MOST_SHARE = 0.004, 0.2
_NEAR_M = 24.0  # things nearer than this are marked by one outline
_MOST_QUERIES = 8
_PLAIN = frozenset({"car", "truck", "crop", "parasol", "platform"})


@dataclass(frozen=True)
class Query:
    """A sentence and where in its scene it is true.

    Attributes:
        caption: the sentence.
        region: in metres of the scene, which are pixels.
    """

    caption: str
    region: BaseGeometry


def queries_of(truth: TileTruth, seed: int, number: int) -> list[Query]:
    """Sentences that are true of some places in a scene and of no other, in a fixed order by chance.

    Args:
        truth: of the whole scene.
        seed: the world.
        number: of the scene.
    """
    rng = rng_at(seed, "scene queries", number, 0)
    found = list(_candidates(truth))
    order = rng.permutation(len(found)).tolist()
    return [found[index] for index in order[:_MOST_QUERIES]]


def _candidates(truth: TileTruth) -> Iterator[Query]:
    total = truth.size_m**2
    for use, area in truth.areas.items():
        if _LEAST_SHARE < area.area / total < _MOST_SHARE:
            yield Query(named(Statement("scene", use)), area)
    groups: dict[tuple[str, str], list[BaseGeometry]] = {}
    for thing in truth.things:
        if KINDS[thing.kind].counted and thing.kind not in _PLAIN:
            colour = thing.colour if thing.kind in COLOURED else ""
            groups.setdefault((thing.kind, colour), []).append(thing.outline)
    for (kind, colour), outlines in groups.items():
        region = shapely.union_all([outline.buffer(_NEAR_M / 2) for outline in outlines]).buffer(-_NEAR_M / 2 + 4)
        if region.area / total < _MOST_SHARE and not (kind == "house" and colour):
            article = 1 if len(outlines) == 1 else 0
            yield Query(named(Statement("group", kind, article, colour=colour)), region)


def write_scenes(
    folder: Path, count: int = 24, seed: int = 11, progress: Callable[[int, int], None] | None = None
) -> int:
    """Draw scenes and write them with their queries; the annotations last, as the sign that all is there.

    Args:
        folder: made if need be.
        count: scenes.
        seed: the world.
        progress: called with scenes done and scenes in all.

    Returns:
        Number of queries.

    Raises:
        TileSourceError: the folder cannot be written to, or holds annotations already.
    """
    annotations = folder / "annotations" / "anno.json"
    if annotations.exists():
        raise TileSourceError(f"{annotations} is there already; choose another folder, or delete that one")
    rows: list[dict[str, Any]] = []
    country = Country(World(seed))
    try:
        (folder / "imgs").mkdir(parents=True, exist_ok=True)
        annotations.parent.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            west, north = number % 6 * _SPACING_M, number // 6 * _SPACING_M
            name = f"atlas_{number:03d}.jpg"
            render(country, west, north, SCENE_PX, SCENE_PX).save(folder / "imgs" / name, quality=92)
            truth = truth_of(country, west, north, float(SCENE_PX))
            rows += [_row(name, query) for query in queries_of(truth, seed, number)]
            if progress is not None:
                progress(number + 1, count)
        write_atomically(annotations, json.dumps(rows, indent=1).encode())
    except OSError as error:
        raise TileSourceError(f"cannot write scenes to {folder} ({error}); choose another folder") from error
    return len(rows)


def _row(name: str, query: Query) -> dict[str, Any]:
    parts = [part for part in getattr(query.region, "geoms", [query.region]) if part.area > 1]
    outlines = [[[round(x), round(y)] for x, y in part.exterior.coords[:-1]] for part in parts]
    inside = [[[min(SCENE_PX - 1, max(0, x)), min(SCENE_PX - 1, max(0, y))] for x, y in o] for o in outlines]
    return {"jpg_name": name, "caption": query.caption, "points": inside}
