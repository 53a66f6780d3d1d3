"""A search as a program runs it: words, images, tiles and what to leave out to hits, and whether any fits."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import lrsclip
from lrsclip.calibration.match import BEST, MANIFEST_KEY
from lrsclip.errors import IndexArgumentError, IndexMismatchError, PictureError, TextError, TileSourceError
from lrsclip.index import TileIndex, build_index
from lrsclip.retrieval import Query, collection_centroid, encode_query, search, search_encoded
from lrsclip.tiles import TileSource, open_tiles
from tests.lrsclip.index.helpers import paint, vectors_of

TILES = 16
SOURCES = {"a": range(4), "b": range(4, 10)}  # names of folders and the seeds of their pictures
SURE = {"weights": [0.0, 0.0, 0.0, 0.0], "bias": 9.0, "false_alarm_rate": 0.13, "miss_rate": 0.092}
ALL = Query("a harbor", k=TILES, hide_duplicates=False)


@pytest.fixture(scope="module")
def bundle() -> lrsclip.LRSCLIP:
    return lrsclip.load("tiny")


@pytest.fixture(scope="module")
def tiles() -> TileSource:
    return open_tiles(f"atlas:?tiles={TILES}")


@pytest.fixture(scope="module")
def index(bundle: lrsclip.LRSCLIP, tiles: TileSource, tmp_path_factory: pytest.TempPathFactory) -> TileIndex:
    return build_index(tiles, bundle, tmp_path_factory.mktemp("index"))


def judging(bundle: lrsclip.LRSCLIP, **change: object) -> lrsclip.LRSCLIP:
    """The model with a calibration of its matches that is known."""
    return dataclasses.replace(bundle, manifest={MANIFEST_KEY: SURE | change})


def unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


def test_words_and_image_are_averaged_and_what_to_leave_out_is_subtracted(
    bundle: lrsclip.LRSCLIP, index: TileIndex, tiles: TileSource, tmp_path: Path
) -> None:
    image = tiles.picture(tiles.tile_ids()[3])
    words, without = bundle.encode_text(["white boats", "a road"])
    seen = bundle.encode_image([image])[0]
    query = Query("white boats", image=image, image_weight=0.3, exclude="a road", exclude_weight=0.4)
    made = encode_query(index, bundle, query)
    np.testing.assert_allclose(made.vector, unit(unit(0.3 * seen + 0.7 * words) - 0.4 * without), atol=1e-5)
    assert made.text_vector is not None
    np.testing.assert_allclose(made.text_vector, words, atol=1e-6)
    image.save(tmp_path / "image.png")
    for path in (tmp_path / "image.png", str(tmp_path / "image.png")):
        again = encode_query(index, bundle, dataclasses.replace(query, image=path))
        np.testing.assert_array_equal(again.vector, made.vector)
    with (tmp_path / "image.png").open("rb") as file:
        again = encode_query(index, bundle, dataclasses.replace(query, image=file))
    np.testing.assert_array_equal(again.vector, made.vector)


def test_weights_of_nothing_and_of_all_leave_one_part(bundle: lrsclip.LRSCLIP, index: TileIndex) -> None:
    like = index.tile_ids()[2]
    words = bundle.encode_text(["a field"])[0]
    none = encode_query(index, bundle, Query("a field", like=like, image_weight=0, exclude="a road", exclude_weight=0))
    np.testing.assert_allclose(none.vector, words, atol=1e-6)
    full = encode_query(index, bundle, Query("a field", like=like, image_weight=1))
    np.testing.assert_allclose(full.vector, index.vector(like), atol=1e-6)
    assert full.text_vector is None
    alone = encode_query(index, bundle, Query(like=like, image_weight=0))  # without words the weight says nothing
    np.testing.assert_allclose(alone.vector, index.vector(like), atol=1e-6)


def test_hits_are_the_nearest_tiles_and_what_is_left_out_sinks(bundle: lrsclip.LRSCLIP, index: TileIndex) -> None:
    words, road = bundle.encode_text([ALL.text, "a road"])
    order = np.argsort(-(vectors_of(index) @ words), kind="stable")
    plain = search(index, bundle, ALL)
    assert [hit.tile_id for hit in plain.hits] == [index.tile_ids()[at] for at in order]
    assert [hit.rank for hit in plain.hits] == list(range(1, TILES + 1))
    assert [hit.tile_id for hit in search(index, bundle, dataclasses.replace(ALL, k=3)).hits] == [
        hit.tile_id for hit in plain.hits[:3]
    ]
    without = search(index, bundle, dataclasses.replace(ALL, exclude="a road", exclude_weight=1.0))
    roads = [float(np.mean([index.vector(h.tile_id) @ road for h in r.hits[:4]])) for r in (plain, without)]
    assert roads[1] < roads[0]


def test_more_like_a_tile_leaves_the_tile_itself_out(bundle: lrsclip.LRSCLIP, index: TileIndex) -> None:
    like = index.tile_ids()[5]
    result = search(index, bundle, Query(like=like, k=4, hide_duplicates=False))
    order = np.argsort(-(vectors_of(index) @ index.vector(like)), kind="stable")
    nearest = [tile_id for tile_id in (index.tile_ids()[at] for at in order) if tile_id != like]
    assert [hit.tile_id for hit in result.hits] == nearest[:4]
    assert [hit.rank for hit in result.hits] == [1, 2, 3, 4]
    assert result.match is None and result.fits is None


def test_a_lowest_score_keeps_the_tiles_that_reach_it(bundle: lrsclip.LRSCLIP, index: TileIndex) -> None:
    plain = search(index, bundle, ALL)
    bar = plain.hits[3].score_cos
    assert search(index, bundle, dataclasses.replace(ALL, min_score_cos=bar)).hits == plain.hits[:4]
    none = search(index, bundle, dataclasses.replace(ALL, min_score_cos=0.99))
    assert not none.hits and none.fits is False and none.best_cos == plain.hits[0].score_cos


def test_an_area_keeps_hits_and_judgment_to_its_tiles(bundle: lrsclip.LRSCLIP, index: TileIndex) -> None:
    by_size = judging(bundle, weights=[0.0, 0.0, 0.0, 1.0], bias=0.0)  # the odds are the number of tiles
    middles = {tile_id: index.tile(tile_id).middle_lonlat or (0.0, 0.0) for tile_id in index.tile_ids()}
    south = sorted(latitude for _, latitude in middles.values())[TILES // 2] - 1e-9
    inside = {tile_id for tile_id, (_, latitude) in middles.items() if latitude >= south}
    assert BEST <= len(inside) < TILES
    for box, within in (((-180.0, south, 180.0, 90.0), inside), (None, set(middles))):
        result = search(index, by_size, dataclasses.replace(ALL, bbox_lonlat=box))
        assert {hit.tile_id for hit in result.hits} == within
        assert result.match is not None
        assert result.match.probability == pytest.approx(len(within) / (len(within) + 1))
    nowhere = search(index, bundle, dataclasses.replace(ALL, bbox_lonlat=(0, 0, 1, 1)))
    assert (nowhere.hits, nowhere.best_cos, nowhere.match, nowhere.fits) == ((), None, None, False)


def test_a_judgment_is_of_the_words_and_says_whether_a_tile_fits(bundle: lrsclip.LRSCLIP, index: TileIndex) -> None:
    sure, unsure = (search(index, judging(bundle, bias=bias), ALL) for bias in (9.0, -9.0))
    assert (sure.fits, unsure.fits) == (True, False) and unsure.hits  # shown all the same
    assert sure.match is not None and (sure.match.false_alarm_rate, sure.match.miss_rate) == (0.13, 0.092)
    mixed = search(index, judging(bundle), dataclasses.replace(ALL, like=index.tile_ids()[0], image_weight=0.2))
    assert mixed.match is None  # nobody has measured what a score means where an image counts too
    silent = search(index, dataclasses.replace(bundle, manifest={}), ALL)
    assert silent.match is None and silent.fits is None
    by_score = judging(bundle, weights=[1.0, 0.0, 0.0, 0.0], bias=0.0)
    plain, excluding = (
        search(index, by_score, dataclasses.replace(ALL, exclude=x, exclude_weight=1.0)) for x in ("", "a road")
    )
    assert plain.match == excluding.match and plain.hits != excluding.hits


def test_the_shipped_checkpoint_judges_a_search(bundle: lrsclip.LRSCLIP, index: TileIndex) -> None:
    result = search(index, bundle, Query("a snowy mountain ridge above a glacier"))
    assert result.match is not None
    assert result.fits is {"yes": True, "unsure": None, "no": False}[result.match.verdict]


def test_near_duplicates_are_hidden_unless_they_are_asked_for(
    bundle: lrsclip.LRSCLIP, tiles: TileSource, tmp_path: Path
) -> None:
    for name, at in (("0.png", 0), ("1.png", 6), ("twin.png", 0)):
        tiles.picture(tiles.tile_ids()[at]).save(tmp_path / name)
    index = build_index(open_tiles(str(tmp_path)), bundle, tmp_path / "index")
    hidden, kept = (search(index, bundle, Query("a road", hide_duplicates=hide)).hits for hide in (True, False))
    assert sorted(hit.tile_id for hit in kept) == ["0.png", "1.png", "twin.png"]
    assert sorted(hit.tile_id for hit in hidden) == ["0.png", "1.png"]  # of equals the first


def test_a_search_of_some_sources_knows_nothing_of_the_others(tmp_path: Path) -> None:
    model = judging(lrsclip.random_model(), weights=[0.0, 0.0, 0.0, 1.0], bias=0.0)
    one, other = (open_tiles(str(paint(tmp_path / name, numbers, name))) for name, numbers in SOURCES.items())
    index = build_index(one, model, tmp_path / "index")
    index.add(other, model)
    query = Query("a road", source_specs=(other.spec,), hide_duplicates=False)
    result = search(index, model, query)
    assert {hit.tile_id for hit in result.hits} == set(other.tile_ids())
    assert result.match is not None and result.match.probability == pytest.approx(6 / 7)
    own = np.array([index.source_spec(tile_id) == other.spec for tile_id in index.tile_ids()])
    np.testing.assert_allclose(
        collection_centroid(index, query.source_specs), vectors_of(index)[own].mean(axis=0), atol=1e-4
    )
    assert np.abs(collection_centroid(index) - collection_centroid(index, query.source_specs)).max() > 1e-6
    alike = judging(model, weights=[0.0, 0.0, 5.0, 0.0], bias=0.0)  # likeness, seen from the collection's centroid
    vectors = encode_query(index, alike, query)
    own_match, other_match = (
        search_encoded(index, alike, query, vectors, collection_centroid(index, specs)).match
        for specs in (query.source_specs, None)
    )
    assert search(index, alike, query).match == own_match != other_match
    with pytest.raises(TileSourceError, match="another collection"):
        search(index, model, Query(like=one.tile_ids()[0], source_specs=(other.spec,)))


@pytest.mark.parametrize(
    ("query", "error", "says"),
    [
        (Query(" \n"), TextError, "description is empty"),
        (Query(exclude="a road"), TextError, "description is empty"),
        (Query("a road", exclude="a road", exclude_weight=1.0), TextError, "nothing is left"),
        (Query(like="../secret.png"), TileSourceError, "no tile"),
        (Query(image="nowhere.png"), PictureError, "cannot read nowhere.png"),
        (Query("a road", source_specs=("folder:/nowhere",)), IndexArgumentError, "no source"),
    ],
)
def test_questions_that_make_no_sense_are_answered_in_words(
    bundle: lrsclip.LRSCLIP, index: TileIndex, query: Query, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        search(index, bundle, query)


def test_another_model_than_the_index_s_is_refused(index: TileIndex, bundle: lrsclip.LRSCLIP) -> None:
    with pytest.raises(IndexMismatchError, match="was built by model tiny"):
        search(index, dataclasses.replace(bundle, sha256="other"), ALL)  # of the same dimension


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 0},
        {"k": 2.5},
        {"exclude_weight": 1.1},
        {"image_weight": float("nan")},
        {"min_score_cos": -2.0},
        {"bbox_lonlat": (0, 10, 1, -10)},
        {"bbox_lonlat": (0, 0, 181, 1)},
        {"polygon_lonlat": ((0, 0), (1, 1))},
    ],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(IndexArgumentError):
        Query("boats", **wrong)  # type: ignore[arg-type]


def test_queries_of_different_images_differ(tiles: TileSource) -> None:
    one, other = (Query(image=tiles.picture(tile_id)) for tile_id in tiles.tile_ids()[:2])
    assert one != other and one == dataclasses.replace(one) and hash(one) == hash(dataclasses.replace(one))
