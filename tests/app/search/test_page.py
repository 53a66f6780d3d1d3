"""The Search page's work without a browser: questions to vectors, bars, files, many descriptions at once."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from markupsafe import escape

from app.collections import AppState
from app.search.batch import Row, as_csv, read_queries, run
from app.search.files import footprint, found_csv, found_geojson
from app.search.html import batch_table, hit_facts, like_note, note, shown_tiles, summary
from app.search.service import Found, Query, first_tiles, public_address, search
from app.server.concurrency import StopFlags
from app.server.queued_model import SharedModel
from app.ui.csv_export import csv_text
from lrsclip.calibration.match import BEST, MANIFEST_KEY
from lrsclip.errors import PictureError, TextError, TileSourceError
from lrsclip.index import Area, Hit, IndexArgumentError, parse_area
from lrsclip.tiles import Tile
from tests.helpers.app_parts import NASTY, as_sent, landscape_state, make_state, running

SURE = {"weights": [0.0, 0.0, 0.0, 0.0], "bias": 9.0, "false_alarm_rate": 0.13, "miss_rate": 0.092}


def judged(state: AppState, **change: object) -> AppState:
    """The same app whose checkpoint says something of matches."""
    bundle = dataclasses.replace(state.bundle, manifest={MANIFEST_KEY: SURE | change})
    return dataclasses.replace(state, bundle=bundle)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    return make_state(tmp_path_factory.mktemp("search"))


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    """An app over nine tiles whose place is known."""
    return landscape_state(tmp_path_factory.mktemp("placed"), 9)


@pytest.mark.slow
def test_a_match_in_an_area_is_judged_by_the_tiles_there(placed: AppState) -> None:
    by_size = judged(placed, weights=[0.0, 0.0, 0.0, 1.0], bias=0.0)  # the odds are the number of tiles
    middles = [placed.index.tile(tile_id).middle_lonlat or (0.0, 0.0) for tile_id in placed.tile_ids()]
    box = (min(m[0] for m in middles), sorted(m[1] for m in middles)[3] - 1e-9, max(m[0] for m in middles), 90.0)
    inside = sum(box[1] <= latitude for _, latitude in middles)
    assert BEST <= inside < len(middles)
    for area, tiles in ((box, inside), (None, len(middles))):
        match = search(by_size, Query("a pond", bbox_lonlat=area)).match
        assert match is not None and match.probability == pytest.approx(tiles / (tiles + 1))


# a question as a vector


def test_what_is_left_out_sinks(state: AppState) -> None:
    query = Query("white boats", exclude_weight=1.0, k=16, hide_duplicates=False)
    plain, without = (search(state, dataclasses.replace(query, exclude=x)) for x in ("", "a road"))
    road = state.bundle.encode_text(["a road"])[0]
    best, other = (state.index.vector(found.hits[0].tile_id) @ road for found in (plain, without))
    assert other < best


def test_more_like_a_tile_leaves_the_tile_itself_out(state: AppState) -> None:
    like = state.tile_ids()[5]
    found = search(state, Query(like=like, image_weight=1.0, k=4, hide_duplicates=False))
    vectors = np.stack([state.index.vector(tile_id) for tile_id in state.tile_ids()])
    order = np.argsort(-(vectors @ state.index.vector(like)), kind="stable")
    nearest = [tile_id for tile_id in (state.tile_ids()[at] for at in order) if tile_id != like]
    assert [hit.tile_id for hit in found.hits] == nearest[:4]
    assert [hit.rank for hit in found.hits] == [1, 2, 3, 4]
    assert found.match is None  # nobody has measured what a score of two pictures means


@pytest.mark.parametrize(
    ("query", "error", "says"),
    [
        (Query(" \n"), TextError, "description is empty"),
        (Query("", exclude="a road"), TextError, "description is empty"),
        (Query("a road", exclude="a road", exclude_weight=1.0), TextError, "nothing is left"),
        (Query(like="../secret.png"), TileSourceError, "no tile"),
    ],
)
def test_questions_that_make_no_sense_are_answered_in_words(
    state: AppState, query: Query, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        search(state, query)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"k": 301}, {"exclude_weight": 2.0}, {"image_weight": float("nan")}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(IndexArgumentError, match=r"1 to 300|choose 0 to 1"):
        Query("boats", **wrong)  # type: ignore[arg-type]


# where, and how good


def test_an_area_keeps_the_search_to_its_tiles(placed: AppState) -> None:
    tile = placed.index.tile(placed.tile_ids()[4])
    assert tile.middle_lonlat is not None
    longitude, latitude = tile.middle_lonlat
    box = (longitude - 1e-4, latitude - 1e-4, longitude + 1e-4, latitude + 1e-4)
    assert [hit.tile_id for hit in search(placed, Query("a pond", bbox_lonlat=box)).hits] == [tile.tile_id]
    elsewhere = search(placed, Query("a pond", bbox_lonlat=(0, 0, 1, 1)))
    assert not elsewhere.hits
    assert "No good match:</b> no tile lies in this area" in summary(elsewhere, 9)


def test_an_area_is_read_as_it_is_typed() -> None:
    assert parse_area(" -95.4,29.7 ; -95.3  29.8 ").bbox_lonlat == (-95.4, 29.7, -95.3, 29.8)
    assert not parse_area("  ")
    assert parse_area(Area((-95.4, 29.7, 0.0, 29.8123456)).written()).bbox_lonlat == (-95.4, 29.7, 0.0, 29.812346)
    triangle = ((0.0, 0.0), (10.0, 0.0), (0.0, 10.5))
    for text in ("0 0, 10 0, 0 10.5", "POLYGON ((0 0, 10 0, 0 10.5, 0 0))", "polygon((0 0,10 0,0 10.5,0 0))"):
        assert parse_area(text).polygon_lonlat == triangle
    assert parse_area(Area(polygon_lonlat=triangle).written()).polygon_lonlat == triangle
    for wrong in (
        "1,2,3", "a,b,c,d", "nan,0,1,1", "0,0,181,1", "0,9,1,1", "0 0, 1 0, 1 1, 2", "0 0, 1 1, 2 2",
        "0 0, 1 0, 1 91", "-300 0, 300 0, 300 1", "POLYGON ((0 0, 1 0, 1 1), (0 0, 1 0, 1 1))", "1 2, " * 150,
    ):  # fmt: skip
        with pytest.raises(IndexArgumentError):
            parse_area(wrong)


def test_a_bar_that_nothing_passes_is_no_good_match(state: AppState) -> None:
    found = search(state, Query("white boats", min_score_cos=0.99))
    assert not found.hits and found.best_cos is not None
    assert f"the best tile scores {found.best_cos:.3f}, below your lowest score of 0.99" in summary(found, 16)
    least = search(state, Query("white boats", k=16, hide_duplicates=False)).hits[3].score_cos
    kept = search(state, Query("white boats", k=16, hide_duplicates=False, min_score_cos=least))
    assert len(kept.hits) == 4


def test_a_judgment_warns_below_the_bar_and_promises_nothing_above(state: AppState) -> None:
    sure, absent = (search(judged(state, bias=bias), Query("white boats")) for bias in (9.0, -9.0))
    assert sure.match is not None and sure.match.good
    assert "Probably a match (over 95 %)" in summary(sure, 16) and "13 % of descriptions" in summary(sure, 16)
    assert "Probably no match" not in summary(sure, 16)
    assert "Probably no match:</b> under 5 % chance that the collection shows this" in summary(absent, 16)
    assert len(absent.hits) > 0  # shown all the same


def test_between_yes_and_no_the_page_is_unsure_and_does_not_contradict_itself(state: AppState) -> None:
    bounds = {"no_below": 0.3, "yes_from": 0.7, "unsure_rate": 0.2}
    words = {"yes": "Probably a match", "unsure": "Unsure</b>", "no": "Probably no match:"}
    for bias, verdict in ((-2.0, "no"), (-0.4, "unsure"), (0.4, "unsure"), (2.0, "yes")):
        found = search(judged(state, bias=bias, **bounds), Query("white boats"))
        assert found.match is not None and found.match.verdict == verdict
        assert found.match.good is (verdict == "yes")
        told = summary(found, 16)
        assert [said for said, word in words.items() if word in told] == [verdict]
        rows = as_csv([Row(1, "white boats", found)]).splitlines()
        assert rows[0].split(",")[6] == "match" and rows[1].split(",")[6] == verdict
    assert "match (" not in summary(search(state, Query("white boats")), 16)  # a checkpoint that cannot tell


def test_the_time_of_every_stage_is_told(state: AppState) -> None:
    found = dataclasses.replace(search(state, Query("white boats")), pictures_ms=7.2)
    assert found.text_ms > 0 and found.index_ms > 0
    assert "preparing the pictures 7 ms" in summary(found, 16)


# files


def test_texts_that_a_spreadsheet_would_run_are_defused_and_numbers_are_not() -> None:
    rows = [("=1+1", "+x", "-x", "@x", " =x", "\t=x", "a=b", -122.5)]
    made = list(csv.reader(io.StringIO(csv_text(["="], rows))))[1]
    assert made == ["'=1+1", "'+x", "'-x", "'@x", "' =x", "'\t=x", "a=b", "-122.5"]


def test_hits_go_into_csv_and_geojson(placed: AppState) -> None:
    found = search(placed, Query("a pond", exclude="=cars", k=3, hide_duplicates=False))
    rows = list(csv.DictReader(io.StringIO(found_csv(placed, found))))
    assert [row["tile_id"] for row in rows] == [hit.tile_id for hit in found.hits]
    assert float(rows[0]["longitude"]) < -122 and rows[0]["collection"] == placed.source.spec
    assert {row["exclude"] for row in rows} == {"'=cars"}
    shapes = json.loads(found_geojson(placed, found))
    assert [one["properties"]["rank"] for one in shapes["features"]] == [1, 2, 3]
    (ring,) = shapes["features"][0]["geometry"]["coordinates"]
    assert ring[0] == ring[-1] and len(ring) == 5
    doubled = sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring))
    assert doubled > 0, "outer rings run counter-clockwise"


def test_tiles_without_a_place_have_no_geometry_and_their_folder_stays_unknown(state: AppState) -> None:
    shapes = json.loads(found_geojson(state, first_tiles(state)))
    assert {one["geometry"] for one in shapes["features"]} == {None}
    assert {one["properties"]["score_cos"] for one in shapes["features"]} == {None}
    folder = state.source.spec.removeprefix("folder:")
    assert folder not in json.dumps(shapes) and folder not in found_csv(state, first_tiles(state))
    assert public_address("place:1,2,2km@17?service=https%3A%2F%2Fkey@x") == ""


def test_a_footprint_on_the_date_line_is_in_two_parts() -> None:
    outline = ((179.9, 5.0), (-179.9, 5.0), (-179.9, 4.0), (179.9, 4.0))
    shape = footprint(Tile("a", 8, 8, footprint_lonlat=outline))
    assert shape is not None and shape["type"] == "MultiPolygon"
    longitudes = {x for part in shape["coordinates"] for ring in part for x, _ in ring}
    assert longitudes == {179.9, 180.0, -180.0, -179.9}
    assert footprint(Tile("a", 8, 8, center_lonlat=(1.0, 2.0))) == {"type": "Point", "coordinates": [1.0, 2.0]}


# many descriptions


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("id,Query\n1,white boats\n2,\n3,a road\n", ["white boats", "a road"]),
        ('"white boats, many"\na road\n', ["white boats, many", "a road"]),
        ("\ufeffquery\nein Fluss\n", ["ein Fluss"]),
        ("query;id\nwhite boats;1\n", ["white boats"]),
        ("white boats,\na road,\n", ["white boats", "a road"]),
        ("sep=;\nid;query\n1;a harbor\n", ["a harbor"]),
        ("sep=\t\nid\tquery\n1\ta harbor, with boats\n", ["a harbor, with boats"]),
        ("query\tid\na harbor, with boats\t1\n", ["a harbor, with boats"]),
        ("id|Text\n1|a harbor\n", ["a harbor"]),
        ("text\na harbor\n", ["a harbor"]),
        ("description\na harbor\n", ["a harbor"]),
        ("ID;Image Description;Name\n1;a harbor;x\n", ["a harbor"]),
        ("nr,SEARCH_TEXT\n1,a harbor\n", ["a harbor"]),
        ('"id, of mine";"query"\n1;a harbor\n', ["a harbor"]),
        ('query\n"a harbor\nwith boats"\na lake\n', ["a harbor\nwith boats", "a lake"]),
        ("\n\nquery\na harbor\n", ["a harbor"]),
        ('a 5" pipe\na lake\n', ['a 5" pipe', "a lake"]),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_descriptions_are_read_from_a_csv(
    tmp_path: Path, content: str, expected: list[str], end: str, codec: str
) -> None:
    (tmp_path / "q.csv").write_bytes(content.removeprefix("\ufeff").replace("\n", end).encode(codec))
    assert read_queries(as_sent(tmp_path / "q.csv")) == expected


@pytest.mark.parametrize(
    ("codec", "query", "guess"),
    [
        ("cp1252", "ein Hafen mit weißen Booten", "Windows-1252"),
        ("cp1250", "port z białymi statkami", "Windows-1250"),
        ("gbk", "港口", "GBK"),
    ],
)
def test_a_guessed_encoding_and_the_column_are_told(tmp_path: Path, codec: str, query: str, guess: str) -> None:
    (tmp_path / "q.csv").write_bytes(f"id;Query\n1;{query}\n".encode(codec))
    told: list[str] = []
    assert read_queries(as_sent(tmp_path / "q.csv"), told.append) == [query]
    assert guess in told[0] and '"Query"' in told[1]
    assert all(str(escape(note)) in batch_table([], {}, told) for note in told)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no descriptions"),
        (b"query\n", "no descriptions"),
        (b"PK\x03\x00", "no CSV"),
        (b"x\n" * 201, "200 at a time"),
        ((b"x" * 5_000 + b"\n") * 61, "305,000 characters together; 300,000 at a time .* split the file"),
        (b"a road\nwhite boats, many of them\n", "row 2 .* 2 columns instead of 1; .*quotes"),
        (b"dark water; white boats\n", "row 1 .* 2 columns instead of 1"),
        (b"id,query\n1,white boats, many of them\n", "row 2 .* 3 columns instead of 2"),
        (b"\n" * 2_000_000, "more than 20,000 lines; leave out empty ones"),
        (b"\r" * 2_000_000, "more than 20,000 lines; leave out empty ones"),
        (b'query\n"a harbor\na forest\na lake\n', "row 2 .*quote .* not closed"),
        (b'query\na forest\n\n"a harbor\n"a lake"\n', "row 4 .*quote .* not closed"),
        (b'sep=;\n"id;query"\n1;a harbor\n', "row 3 .* 2 columns instead of 1"),
        ("query\nFlüsse, Bäume, Öl und Gebüsch\n".encode().replace(b"Fl\xc3", b"Fl\xff"), "line 2 .* broken"),
    ],
)
def test_a_csv_that_is_none_is_refused_in_words(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "q.csv").write_bytes(content)
    with pytest.raises((TextError, PictureError), match=says):
        read_queries(as_sent(tmp_path / "q.csv"))


def test_a_description_that_cannot_be_read_does_not_stop_the_others(state: AppState) -> None:
    told: list[tuple[int, int]] = []
    rows = run(state, ["white boats", "<end_of_text>", NASTY], Query(k=2), lambda *done: told.append(done))
    assert told == [(1, 3), (2, 3), (3, 3)]
    lines = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [line["number"] for line in lines] == ["1", "1", "2", "3", "3"]
    assert lines[0]["tile_id"] == search(state, Query("white boats", k=2)).hits[0].tile_id
    assert "write at least one word" in lines[2]["note"]
    table = batch_table(rows, dict.fromkeys((1, 2, 3), "data:image/webp;base64,AA=="))
    found = sum(row.found is not None for row in rows)
    assert table.count("<img") == found  # of the tiles, and none that a description brought
    assert NASTY not in table


def test_what_the_model_cannot_read_well_is_said(state: AppState) -> None:
    rows = run(state, ["white boats", "港口里的船"], Query(k=1), lambda *_: None)
    plain, foreign = csv.DictReader(io.StringIO(as_csv(rows)))
    assert not plain["note"] and "港口里的船" in foreign["note"] and "English" in foreign["note"]
    assert "letter by letter" in batch_table(rows, dict.fromkeys((1, 2), "data:image/webp;base64,AA=="))


# fragments


def test_what_others_wrote_is_escaped(state: AppState) -> None:
    tile = Tile(NASTY, 10, 20, ground_m=100.4, caption=NASTY, attribution=NASTY, center_lonlat=(190.0, -10.0))
    facts = hit_facts(state, tile, Hit(NASTY, 0.25, 3))
    assert "10.00000° S 170.00000° W" in facts and "a collection of this machine" in facts
    liked = Found(Query(like=NASTY), (Hit(NASTY, 0.5, 1),), 1, 1, "")
    for fragment in (
        facts,
        like_note(NASTY, "data:,").replace('<img src="data:,"', ""),
        note(NASTY),
        summary(liked, 3),
    ):
        assert "<img" not in fragment
    assert "<img" not in shown_tiles(liked.hits, {"credit": NASTY}, NASTY)


# the endpoint


@pytest.fixture(scope="module")
def client(placed: AppState) -> Iterator[Client]:
    with running(judged(placed)) as url:
        yield Client(url, verbose=False)


def test_the_endpoint_takes_all_that_the_page_takes(client: Client, placed: AppState, tmp_path: Path) -> None:
    settings = {
        "k": 2,
        "exclude": "a road",
        "exclude_weight": 0.3,
        "bbox": [-123.1, -48.9, -122, -48],
        "min_score_cos": -1,
    }
    answer = client.predict(text="a pond", hide_duplicates=True, **settings, api_name="/search")
    box = (-123.1, -48.9, -122.0, -48.0)
    asked = Query("a pond", exclude="a road", exclude_weight=0.3, k=2, min_score_cos=-1, bbox_lonlat=box)
    hits = search(placed, asked).hits
    assert [(hit["tile_id"], hit["score_cos"]) for hit in answer["hits"]] == [(h.tile_id, h.score_cos) for h in hits]
    assert answer["hits"][0]["footprint"] == footprint(placed.index.tile(hits[0].tile_id))
    assert answer["match"]["good"] and answer["match"]["miss_rate"] == 0.092
    assert answer["timings_ms"]["text"] > 0
    like = placed.tile_ids()[2]
    placed.source.picture(like).save(tmp_path / "like.png")
    of_picture = client.predict(picture=handle_file(tmp_path / "like.png"), k=1, api_name="/search")
    assert of_picture["hits"][0]["tile_id"] == like and of_picture["match"] is None
    of_tile = client.predict(like=like, k=3, api_name="/search")
    assert like not in [hit["tile_id"] for hit in of_tile["hits"]]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"bbox": [1, 2, 3]}, "give .west"),
        ({"bbox": {"west": 1}}, "bbox is an object; give a list"),
        ({"exclude_weight": 7}, "choose 0 to 1"),
        ({"min_score_cos": 3}, "a cosine lies"),
        ({"like": "nowhere"}, "no tile"),
    ],
)
def test_the_endpoint_answers_nonsense_with_a_sentence(client: Client, wrong: dict[str, object], says: str) -> None:
    with pytest.raises(AppError, match=says):
        client.predict(text="a pond", **wrong, api_name="/search")


def test_a_stopped_batch_keeps_what_was_answered(state: AppState) -> None:
    stops, shared = StopFlags(), dataclasses.replace(state, bundle=SharedModel.of(state.bundle))

    def work() -> list[Row]:
        stops.start("me")
        return run(
            shared,
            ["a road", "boats", "tanks", "a field"],
            Query(k=2),
            lambda n, _: stops.stop("me") if n == 2 else None,
        )

    with ThreadPoolExecutor(1) as other:  # the flag counts for the thread that works
        rows = other.submit(work).result(60)
    assert [bool(row.found) for row in rows] == [True, True, False, False]
    assert all("stopped" in row.fault for row in rows[2:])
    assert as_csv(rows).count("stopped") == 2
