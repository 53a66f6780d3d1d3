"""Scenes for localization, with polygons, in the layout of AIR-SLT: `imgs/` and `annotations/anno.json`.

A query names a piece of land by its use, or describes one by the things on it, or names things of one kind and
color; its polygons are all places in the scene of which it is true. So SeLo's four metrics can be measured with
nothing downloaded. Their kernels are fixed in pixels, so a scene here is like one of AIR-SLT: some 2,500 px a side, and
half a meter a pixel (there: 3,000 px and 0.32 m on average).
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from lrsclip.atlas.features import KINDS
from lrsclip.atlas.land_use import World
from lrsclip.atlas.layout import Country
from lrsclip.atlas.noise import rng_at
from lrsclip.atlas.realization import named, sentences
from lrsclip.atlas.rendering import render
from lrsclip.atlas.statement import COLORED, Statement
from lrsclip.atlas.truth import SEEN_SHARE, Thing, TileTruth, truth_of
from lrsclip.errors import TileSourceError
from lrsclip.io.atomic import write_atomically
from lrsclip.io.encode import encoded

SCENE_PX, PX_M = 2560, 0.5
_SPACING_M = 2000.0  # scenes do not touch
_MIN_SHARE, _MAX_SHARE = 0.001, 0.2  # a smaller target is a speck in the smallest window; a larger one no target
_NEAR_M = 40.0  # outlines nearer together are one place: the breadth of a street with its verges
_MAX_PARTS = 4  # AIR-SLT has 1 to 5 polygons a query
_MIN_COMPACT = 0.35  # of its hull: a shape that winds more has no middle that attention could be measured from
_MAX_QUERIES = 9
_DETAILS, _MAX_COUNTED = 3, 12
_PLAIN = frozenset({"car", "truck", "crop", "parasol", "platform"})


@dataclass(frozen=True)
class Query:
    """A sentence, with the places of its scene where it is true.

    Attributes:
        caption: the sentence.
        parts: the places, in meters of the scene; none touches another.
    """

    caption: str
    parts: tuple[Polygon, ...]


@dataclass(frozen=True)
class _Piece:
    """A connected piece of land of one use, with the number of things of each kind and color that are whole on it."""

    outline: Polygon
    counts: dict[tuple[str, str], int]


def queries_of(truth: TileTruth, seed: int, number: int) -> list[Query]:
    """Choose sentences that are true of some places in a scene and of no other, in a fixed order by chance.

    Land uses, descriptions and things take turns, as long as there are any.

    Args:
        truth: ground truth of the whole scene.
        seed: the world's.
        number: the scene's.
    """
    rng = rng_at(seed, "scene queries", number, 0)
    kinds = []
    for candidates in (_uses(truth), _descriptions(truth, seed, number), _groups(truth)):
        found = [query for query in candidates if _fit(query, truth.size_m)]
        kinds.append([found[index] for index in rng.permutation(len(found)).tolist()])
    turns = itertools.chain.from_iterable(itertools.zip_longest(*kinds))
    return [query for query in turns if query is not None][:_MAX_QUERIES]


def _fit(query: Query, size_m: float) -> bool:
    share = sum(part.area for part in query.parts) / size_m**2
    compact = all(part.area > _MIN_COMPACT * part.convex_hull.area for part in query.parts)
    return _MIN_SHARE < share < _MAX_SHARE and len(query.parts) <= _MAX_PARTS and compact


def _uses(truth: TileTruth) -> Iterator[Query]:
    for use, area in truth.areas.items():
        yield Query(named(Statement("scene", use)), _places([area]))


def _groups(truth: TileTruth) -> Iterator[Query]:
    groups: dict[tuple[str, str], list[BaseGeometry]] = {}
    for thing in truth.things:
        if KINDS[thing.kind].counted and thing.kind not in _PLAIN:
            groups.setdefault(_kind(thing), []).append(thing.outline)
    for (kind, color), outlines in groups.items():
        if not (kind == "house" and color):
            article = 1 if len(outlines) == 1 else 0
            yield Query(named(Statement("group", kind, article, color=color)), _places(outlines))


def _descriptions(truth: TileTruth, seed: int, number: int) -> Iterator[Query]:
    """Describe pieces of land by the things on them; true of each piece of that use with the same things."""
    for use, area in truth.areas.items():
        pieces = [_Piece(outline, _counts(truth, outline)) for outline in _places([area])]
        for turn, piece in enumerate(pieces):
            largest = sorted(piece.counts.items(), key=lambda item: -item[1] * _size_m2(truth, item[0][0]))
            details = [(key, count) for key, count in largest if count <= _MAX_COUNTED][:_DETAILS]
            if details:
                told = [Statement("group", kind, count, color=color) for (kind, color), count in details]
                rng = rng_at(seed, f"scene words {use}", number, turn)
                caption = " ".join(sentences([Statement("scene", use), *told], rng))
                alike = [p.outline for p in pieces if all(p.counts.get(key) == count for key, count in details)]
                yield Query(caption, tuple(alike))


def _kind(thing: Thing) -> tuple[str, str]:
    return thing.kind, thing.color if thing.kind in COLORED else ""


def _counts(truth: TileTruth, outline: Polygon) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for thing in truth.things:
        told = KINDS[thing.kind].counted and thing.kind not in _PLAIN and thing.share >= SEEN_SHARE
        if told and outline.contains(thing.outline.centroid):
            counts[_kind(thing)] = counts.get(_kind(thing), 0) + 1
    return counts


def _size_m2(truth: TileTruth, kind: str) -> float:
    return max(thing.outline.area for thing in truth.seen[kind])


def _places(outlines: list[BaseGeometry]) -> tuple[Polygon, ...]:
    """Join outlines that lie near together into one each, a little rounded; the largest first."""
    grown = shapely.union_all([outline.buffer(_NEAR_M / 2) for outline in outlines])
    rounded = grown.buffer(4 - _NEAR_M / 2).simplify(2.0)
    parts = [part for part in getattr(rounded, "geoms", [rounded]) if part.area > 1]
    return tuple(sorted(parts, key=lambda part: -part.area))


def write_scenes(
    folder: str | os.PathLike[str], count: int = 12, seed: int = 11, progress: Callable[[int, int], None] | None = None
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
    folder = Path(folder)
    annotations = folder / "annotations" / "anno.json"
    if annotations.exists():
        raise TileSourceError(f"{annotations} is there already; choose another folder, or delete that one")
    rows: list[dict[str, Any]] = []
    country, size_m = Country(World(seed)), SCENE_PX * PX_M
    try:
        (folder / "imgs").mkdir(parents=True, exist_ok=True)
        annotations.parent.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            west, north = number % 6 * _SPACING_M, number // 6 * _SPACING_M
            name = f"atlas_{number:03d}.jpg"
            drawn = render(country, west, north, size_m, size_m, PX_M)
            (folder / "imgs" / name).write_bytes(encoded(drawn, "JPEG", quality=92))
            truth = truth_of(country, west, north, size_m)
            rows += [_row(name, query) for query in queries_of(truth, seed, number)]
            if progress is not None:
                progress(number + 1, count)
        write_atomically(annotations, json.dumps(rows, indent=1).encode())
    except OSError as error:
        raise TileSourceError(f"cannot write scenes to {folder} ({error}); choose another folder") from error
    return len(rows)


def _row(name: str, query: Query) -> dict[str, Any]:
    most = SCENE_PX - 1
    outlines = [
        [[min(most, max(0, round(x / PX_M))), min(most, max(0, round(y / PX_M)))] for x, y in part.exterior.coords[:-1]]
        for part in query.parts
    ]
    return {"jpg_name": name, "caption": query.caption, "points": outlines}
