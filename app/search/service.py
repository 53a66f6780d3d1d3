"""The Search page's work: words, a picture and what to leave out to ranked tiles, with the time of each stage."""

from __future__ import annotations

import math
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
from PIL import Image

from app.collections import AppState
from app.server.concurrency import Recent
from app.server.queued_model import check_length
from app.server.settings import in_force
from app.ui.bbox import Box
from lrsclip.calibration.match import BEST, MANIFEST_KEY, Match, match_of, middle_of
from lrsclip.errors import TextError, TileSourceError
from lrsclip.index import Hit, SearchFilter
from lrsclip.tiles import is_for_guests
from lrsclip.vectors import unit

MAX_HITS = 60
START_HITS = 12
START_EXCLUDE_WEIGHT = 0.5
START_PICTURE_WEIGHT = 0.5
_LEAST_LENGTH = 1e-3  # of a query vector; with less of it left, what is found would be noise
Floats = npt.NDArray[np.float32]
_MIDDLES: Recent[Floats] = Recent(8)


@dataclass(frozen=True)
class Query:
    """What is searched for.

    Attributes:
        text: the description; may be empty where there is a picture.
        exclude: what the tiles should not show.
        exclude_weight: how much of it is taken off, 0 to 1.
        like: id of a tile that they should be like; "" for none.
        picture: a picture that they should be like; goes before `like`.
        picture_weight: how much the picture counts against the description, 0 to 1.
        k: how many tiles.
        min_score_cos: tiles that score less are not shown; None: no such bar.
        hide_duplicates: leave out tiles that look the same as a better one.
        bbox_lonlat: west, south, east, north in degrees, where the tiles must lie; None: anywhere.

    Raises:
        TextError: a number is out of range.
    """

    text: str = ""
    exclude: str = ""
    exclude_weight: float = START_EXCLUDE_WEIGHT
    like: str = ""
    picture: Image.Image | None = field(default=None, compare=False)
    picture_weight: float = START_PICTURE_WEIGHT
    k: int = START_HITS
    min_score_cos: float | None = None
    hide_duplicates: bool = True
    bbox_lonlat: Box | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if not 1 <= self.k <= MAX_HITS:
            raise TextError(f"k is {self.k}; ask for 1 to {MAX_HITS} tiles")
        shares = (("exclude_weight", self.exclude_weight), ("picture_weight", self.picture_weight))
        for name, value in shares:
            if not 0 <= value <= 1:
                raise TextError(f"{name} is {value}; choose 0 to 1")
        if self.min_score_cos is not None and not -1 <= self.min_score_cos <= 1:
            raise TextError(f"min_score_cos is {self.min_score_cos}; a cosine lies from -1 to 1")

    @property
    def has_picture(self) -> bool:
        """Whether a picture or a tile counts."""
        return bool(self.picture is not None or self.like) and (self.picture_weight > 0 or not self.text.strip())

    @property
    def has_text(self) -> bool:
        """Whether the description counts."""
        return bool(self.text.strip()) and not (self.has_picture and self.picture_weight >= 1)


@dataclass(frozen=True)
class Found:
    """The result of one search.

    Attributes:
        query: what was searched for.
        hits: best first.
        text_ms: time to encode what was asked.
        index_ms: time to search the index, and to judge what was found.
        spec: address of the collection that was searched.
        match: how well the best tile fits the description; None where nobody can tell.
        best_cos: score of the best tile before any bar; None where there was none to score.
        pictures_ms: time to make the hits' pictures small; filled in by the page.
        searched: whether this is the answer to a search, and not what is shown before any.
    """

    query: Query
    hits: tuple[Hit, ...]
    text_ms: float
    index_ms: float
    spec: str
    match: Match | None = None
    best_cos: float | None = None
    pictures_ms: float = 0.0
    searched: bool = True


def search(state: AppState, query: Query) -> Found:
    """Find the tiles that fit a question best.

    Raises:
        TextError: there is nothing to search for, what to exclude leaves nothing of it, or a text is far too long.
        TileSourceError: the tile to be like is not in this collection.
        IndexArgumentError: the area is none.
    """
    check_length((query.text, query.exclude), in_force().max_text)  # also of what is not encoded: the answer keeps it
    started = time.perf_counter()
    vector, text_vector = query_vector(state, query)
    encoded = time.perf_counter()
    hits = _hits(state, query, vector)
    best_cos = hits[0].score_cos if hits else None
    match = _match(state, query, text_vector)
    searched = time.perf_counter()
    if query.min_score_cos is not None:
        hits = [hit for hit in hits if hit.score_cos >= query.min_score_cos]
    times_ms = 1000 * (encoded - started), 1000 * (searched - encoded)
    return Found(query, tuple(hits), *times_ms, state.source.spec, match, best_cos)


def query_vector(state: AppState, query: Query) -> tuple[Floats, Floats | None]:
    """The question as one vector, (D,) of length one, and the description's own, None where it does not count.

    Words and picture are averaged by weight, and what to exclude is subtracted, because a model of this kind reads
    "without cars" as "cars": the word pulls tiles with cars near, whatever stands before it.

    Raises:
        TextError: there is nothing to search for, or what to exclude leaves nothing of it.
        TileSourceError: the tile to be like is not in this collection.
    """
    if not query.has_text and not query.has_picture:
        raise TextError("the description is empty; write what the picture should show, or give a picture")
    texts = [query.text] if query.has_text else []
    excludes = bool(query.exclude.strip()) and query.exclude_weight > 0
    vectors = state.bundle.encode_text([*texts, query.exclude] if excludes else texts)
    text_vector = vectors[0] if texts else None
    made = np.zeros(state.bundle.embed_dim, np.float32)
    if query.has_picture:
        made = _picture_vector(state, query)
    if text_vector is not None:
        share = query.picture_weight if query.has_picture else 0.0
        made = unit(share * made + (1 - share) * text_vector)
    if excludes:
        made = made - query.exclude_weight * vectors[-1]
        if float(np.linalg.norm(made)) < _LEAST_LENGTH:
            raise TextError("what to exclude is what is searched for, so nothing is left; change one of the two")
    return unit(made), text_vector


def within(state: AppState, bbox_lonlat: Box | None) -> SearchFilter | None:
    """The filter a search of a collection needs; None where none is needed, as FAISS on a GPU knows no filter."""
    specs = (state.source.spec,) if state.shares_index else None
    return SearchFilter(bbox_lonlat, specs) if specs or bbox_lonlat is not None else None


def _picture_vector(state: AppState, query: Query) -> Floats:
    if query.picture is not None:
        return state.bundle.encode_image([query.picture])[0]
    if state.index.source_spec(query.like) != state.source.spec:
        raise TileSourceError(f"the tile {query.like!r} is of another collection; open that one")
    return state.index.vector(query.like)


def _hits(state: AppState, query: Query, vector: Floats) -> list[Hit]:
    like = query.like if query.has_picture and query.picture is None else ""
    hits = state.index.search(
        vector[None],
        query.k + bool(like),  # a tile is most like itself, which is no news
        within=within(state, query.bbox_lonlat),
        hide_duplicates=query.hide_duplicates,
    )[0]
    others = [hit for hit in hits if hit.tile_id != like][: query.k]
    return [replace(hit, rank=rank) for rank, hit in enumerate(others, 1)] if like else others


def _match(state: AppState, query: Query, text_vector: Floats | None) -> Match | None:
    """How well the collection fits the words; where a picture counts too, nobody has measured what a score means."""
    if text_vector is None or query.has_picture or MANIFEST_KEY not in state.bundle.manifest:
        return None
    # By the words alone, because with something left out the tile that fits them best need not be the first.
    place = within(state, query.bbox_lonlat)
    best = state.index.search(text_vector[None], BEST, within=place)[0]
    if not best:
        return None
    middle = _MIDDLES.get((state.source.spec, state.index.manifest.created), lambda: _middle(state))
    vectors = np.stack([state.index.vector(hit.tile_id) for hit in best])
    return match_of(state.bundle, text_vector, vectors, middle, state.index.count(place))


def _middle(state: AppState) -> Floats:
    data = state.index.data
    if not state.shares_index:
        return middle_of(data.vectors)
    return middle_of(data.vectors[[row.source_spec == state.source.spec for row in data.rows]])


def first_tiles(state: AppState) -> Found:
    """The first tiles of the collection, to look at before any search; they have ranks but no scores."""
    first = state.tile_ids()[:START_HITS]
    hits = tuple(Hit(tile_id, math.nan, rank) for rank, tile_id in enumerate(first, 1))
    return Found(Query(), hits, 0.0, 0.0, state.source.spec, searched=False)


def public_address(spec: str) -> str:
    """A collection's address if strangers may know it, else "": it may be a folder, or hold a map service's key."""
    return spec if is_for_guests(spec) and "//" not in unquote(spec) else ""


@dataclass(frozen=True)
class Example:
    """A description that a visitor can start from."""

    title: str
    text: str


def _read_examples() -> tuple[Example, ...]:
    listed: list[Mapping[str, str]] = tomllib.loads(
        (Path(__file__).parent / "examples.toml").read_text(encoding="utf-8")
    )["example"]
    return tuple(Example(one["title"], " ".join(one["text"].split())) for one in listed)


EXAMPLES = _read_examples()
