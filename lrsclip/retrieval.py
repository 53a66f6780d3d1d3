"""Retrieval: the tiles that fit a question in words and images best, and a judgment whether any of them does.

Everything becomes one vector: words and image are averaged by weight, and excluded words are subtracted, because a
model of this kind reads "without cars" as "cars": the word pulls tiles with cars near, whatever stands before it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, BinaryIO, Protocol

import numpy as np
from PIL import Image

from lrsclip.calibration.match import BEST, MANIFEST_KEY, Match, centroid, match_of
from lrsclip.errors import IndexArgumentError, TextError, TileSourceError
from lrsclip.index.filters import Area, Box, Corners, SearchFilter
from lrsclip.index.index import Hit, TileIndex
from lrsclip.index.schema import ImageEncoder, ModelMark
from lrsclip.io.decode import open_image
from lrsclip.vectors import Floats, unit

_MIN_LENGTH = 1e-3  # of a query vector; with less of it left, the hits would be noise


class Encoders(ImageEncoder, Protocol):
    """The part of a model that a search needs; `lrsclip.LRSCLIP` has it."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The checkpoint's manifest, with its calibration."""
        ...

    def encode_text(self, texts: list[str], /) -> Floats:
        """Encode texts to L2-normalized vectors, (N, D) float32."""
        ...


@dataclass(frozen=True)
class Query:
    """A question to an index.

    Attributes:
        text: the description; may be empty where there is an image or a tile.
        image: an image that the tiles should be like, or the path of one, or an open file.
        like: id of a tile of the index that they should be like; "" for none. An image goes before it.
        image_weight: share of the image or tile beside the description, 0 to 1.
        exclude: description of things that the tiles should not show.
        exclude_weight: factor of its vector, which is subtracted, 0 to 1.
        k: number of tiles, 1 or more.
        min_score_cos: lowest score of a hit, a cosine; None for no such bar.
        bbox_lonlat: west, south, east, north in degrees, where the tiles must lie; None for anywhere.
        polygon_lonlat: longitude and latitude of the corners of a polygon where they must lie; None for anywhere.
        source_specs: addresses of the sources to search, of those in the index; None for all.
        hide_duplicates: leave out tiles that look the same as a better one.

    Raises:
        IndexArgumentError: a number is out of range, or the area is no box.
    """

    text: str = ""
    _: KW_ONLY
    image: Image.Image | str | os.PathLike[str] | BinaryIO | None = field(default=None, hash=False)
    like: str = ""
    image_weight: float = 0.5
    exclude: str = ""
    exclude_weight: float = 0.5
    k: int = 10
    min_score_cos: float | None = None
    bbox_lonlat: Box | None = None
    polygon_lonlat: Corners | None = None
    source_specs: tuple[str, ...] | None = None
    hide_duplicates: bool = True

    def __post_init__(self) -> None:
        """Refuse numbers that are out of range, and an area that is no box."""
        if not self.k >= 1 or self.k != math.floor(self.k):
            raise IndexArgumentError(f"k is {self.k}; ask for 1 tile or more")
        for name, value in (("exclude_weight", self.exclude_weight), ("image_weight", self.image_weight)):
            if not 0 <= value <= 1:
                raise IndexArgumentError(f"{name} is {value}; choose 0 to 1")
        if self.min_score_cos is not None and not -1 <= self.min_score_cos <= 1:
            raise IndexArgumentError(f"min_score_cos is {self.min_score_cos}; a cosine lies from -1 to 1")
        _ = self.area  # refuses one that is none

    @property
    def has_image(self) -> bool:
        """Whether an image or a tile counts."""
        return bool(self.image is not None or self.like) and (self.image_weight > 0 or not self.text.strip())

    @property
    def has_text(self) -> bool:
        """Whether the description counts."""
        return bool(self.text.strip()) and not (self.has_image and self.image_weight >= 1)

    @property
    def area(self) -> Area:
        """The area where tiles must lie."""
        return Area(self.bbox_lonlat, self.polygon_lonlat)

    @property
    def within(self) -> SearchFilter | None:
        """Filter of area and sources; None where all tiles may be found, as FAISS on a GPU knows no filter."""
        if not self.area and self.source_specs is None:
            return None
        return SearchFilter(self.area, self.source_specs)


@dataclass(frozen=True, eq=False)
class QueryVectors:
    """An encoded query.

    Attributes:
        vector: (D,) of length one, compared with the tiles.
        text_vector: (D,) of length one, the description alone; None where it does not count.
    """

    vector: Floats
    text_vector: Floats | None


@dataclass(frozen=True)
class SearchResult:
    """The answer to a query.

    Attributes:
        query: the question.
        hits: best first; may be fewer than `query.k`.
        match: calibrated judgment of the best tile's fit to the description; None with an image or a tile,
            whose scores nobody has calibrated, where the checkpoint is not calibrated, and for fewer than
            five tiles.
        best_cos: score of the best tile before `query.min_score_cos`; None where there was no tile to score.
    """

    query: Query
    hits: tuple[Hit, ...]
    match: Match | None
    best_cos: float | None

    @property
    def fits(self) -> bool | None:
        """Whether a tile fits: False without hits or with a no, True with a yes; None if unsure or without a match."""
        if not self.hits:
            return False
        return None if self.match is None or self.match.verdict == "unsure" else self.match.good


def search(index: TileIndex, bundle: Encoders, query: Query) -> SearchResult:
    """Find the tiles that fit a query best.

    Args:
        index: the tiles.
        bundle: the model that built the index.
        query: the question.

    Raises:
        TextError: there is nothing to search for, or what to exclude leaves nothing of it.
        PictureError: the image cannot be read.
        TileSourceError: the tile to be like is not among those searched.
        IndexArgumentError: the index has no such source.
        IndexMismatchError: another model built the index.
        CheckpointError: the checkpoint's calibration is broken.
    """
    return search_encoded(index, bundle, query, encode_query(index, bundle, query))


def encode_query(index: TileIndex, bundle: Encoders, query: Query) -> QueryVectors:
    """Encode a query; the first half of `search`, and its slow one.

    Raises:
        TextError: there is nothing to search for, or what to exclude leaves nothing of it.
        PictureError: the image cannot be read.
        TileSourceError: the tile to be like is not among those searched.
        IndexMismatchError: another model built the index.
    """
    index.manifest.model.require(ModelMark.of(bundle), "the index")
    if not query.has_text and not query.has_image:
        raise TextError("the description is empty; write what the picture should show, or give a picture")
    texts = [query.text] if query.has_text else []
    excludes = bool(query.exclude.strip()) and query.exclude_weight > 0
    vectors = bundle.encode_text([*texts, query.exclude] if excludes else texts)
    text_vector = vectors[0] if query.has_text else None
    made = _mean(_image_vector(index, bundle, query) if query.has_image else None, text_vector, query.image_weight)
    if excludes:
        made = made - query.exclude_weight * vectors[-1]
        if float(np.linalg.norm(made)) < _MIN_LENGTH:
            raise TextError("what to exclude is what is searched for, so nothing is left; change one of the two")
    return QueryVectors(unit(made), text_vector)


def search_encoded(
    index: TileIndex, bundle: Encoders, query: Query, vectors: QueryVectors, center: Floats | None = None
) -> SearchResult:
    """Search with an encoded query; the second half of `search`.

    Args:
        index: the tiles.
        bundle: the model.
        query: the question.
        vectors: of `encode_query`.
        center: (D,) of `collection_centroid`, for callers that keep it between queries; None to compute it.

    Raises:
        IndexArgumentError: the index has no such source.
        CheckpointError: the checkpoint's calibration is broken.
    """
    hits = _hits(index, query, vectors.vector)
    match = None if query.has_image else _match(index, bundle, query, vectors.text_vector, center)
    best_cos = hits[0].score_cos if hits else None
    if query.min_score_cos is not None:
        hits = [hit for hit in hits if hit.score_cos >= query.min_score_cos]
    return SearchResult(query, tuple(hits), match, best_cos)


def collection_centroid(index: TileIndex, source_specs: tuple[str, ...] | None = None) -> Floats:
    """Average the vectors of an index, or of some of its sources, to (D,) float32."""
    data = index.data
    if source_specs is None:
        return centroid(data.vectors)
    return centroid(data.vectors[[row.source_spec in source_specs for row in data.rows]])


def _mean(image_vector: Floats | None, text_vector: Floats | None, image_weight: float) -> Floats:
    if image_vector is None or text_vector is None:
        only = image_vector if text_vector is None else text_vector
        assert only is not None  # a query without both was refused
        return only
    return unit(image_weight * image_vector + (1 - image_weight) * text_vector)


def _image_vector(index: TileIndex, bundle: Encoders, query: Query) -> Floats:
    if query.image is not None:
        image = query.image if isinstance(query.image, Image.Image) else open_image(query.image)
        return bundle.encode_image([image])[0]
    if query.source_specs is not None and index.source_spec(query.like) not in query.source_specs:
        raise TileSourceError(f"the tile {query.like!r} is of another collection; open that one")
    return index.vector(query.like)


def _hits(index: TileIndex, query: Query, vector: Floats) -> list[Hit]:
    like = query.like if query.has_image and query.image is None else ""
    hits = index.search(
        vector[None],
        query.k + bool(like),  # a tile is most like itself, which is no news
        within=query.within,
        hide_duplicates=query.hide_duplicates,
    )[0]
    others = [hit for hit in hits if hit.tile_id != like][: query.k]
    return [replace(hit, rank=rank) for rank, hit in enumerate(others, 1)] if like else others


def _match(
    index: TileIndex, bundle: Encoders, query: Query, text_vector: Floats | None, center: Floats | None
) -> Match | None:
    if text_vector is None or MANIFEST_KEY not in bundle.manifest:
        return None
    # By the words alone, because with something left out the tile that fits them best need not be the first.
    best = index.search(text_vector[None], BEST, within=query.within)[0]
    if not best:
        return None
    vectors = np.stack([index.vector(hit.tile_id) for hit in best])
    if center is None:
        center = collection_centroid(index, query.source_specs)
    return match_of(bundle, text_vector, vectors, center, index.count(query.within))
