"""The page's own logic, and its endpoints through a real client."""

from __future__ import annotations

import functools
import html
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import lrsclip
from app import cli
from app.classify.label_sets import FIRST_SET, lines_of
from app.classify.service import judge_one
from app.collections import AppState
from app.media.images import shrunk, thumbnail, tile_picture, uploaded
from app.search.service import EXAMPLES, first_tiles
from app.server.concurrency import LruCache, StopFlags
from app.ui import html as words
from app.ui.tile_picker import spread
from app.ui.token_counter import token_report
from lrsclip.checkpoints.native import write_checkpoint
from lrsclip.classification import classify
from lrsclip.errors import PictureError, TextError, TileSourceError
from lrsclip.localize import WindowMemory, localize
from lrsclip.tiles import open_tiles
from lrsclip.zero_shot.classifier import class_prototypes
from tests.helpers.app_parts import KINDS, NASTY, PER_KIND, as_sent, draw_tile, find, make_state, write_geotiff


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    return make_state(tmp_path_factory.mktemp("app"))


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


def visible(fragment: str) -> str:
    """What a reader sees of an HTML fragment."""
    return html.unescape(re.sub(r"<[^>]*>", "", fragment))


# token meter


def test_the_reading_marks_a_word_once_and_cuts_no_word_in_half(state: AppState) -> None:
    report = token_report(state, "the white zeppelin of the long harbour road " * 60)
    assert report is not None and report.is_cut
    shown = re.sub(r"<[^>]+>", " ", words.reading(report))
    assert words.reading(report).count("<mark>zeppelin</mark>") == 1
    allowed = set(["the", "white", "zeppelin", "of", "long", "harbour", "road"])
    before_why = re.findall(r'<p class="reading">(.*?)</p>', words.reading(report))
    assert set(re.sub(r"<[^>]+>|…", " ", " ".join(before_why)).split()) <= allowed
    assert "not read by the model" in shown


def test_meter_counts_and_stays_quiet_while_all_is_well(state: AppState) -> None:
    report = token_report(state, "white boats in a harbour")
    assert report is not None
    assert visible(words.token_meter(report, 248)).startswith(f"{report.count} / 248 tokens")
    assert words.reading(report) == ""
    assert words.reading(token_report(state, "  ")) == ""
    assert visible(words.token_meter(None, 248)).startswith("0 / 248")


def test_the_cut_tail_is_struck_out_whole(state: AppState) -> None:
    text = "boats " * 300 + "THE END"
    report = token_report(state, text)
    assert report is not None and report.is_cut
    shown = words.reading(report)
    struck = re.search(r"<del>(.*?)</del>", shown, re.S)
    assert struck is not None
    assert struck.group(1).endswith("THE END")
    assert report.kept + html.unescape(struck.group(1)) == text
    assert f"{report.count - 248} too many" in words.token_meter(report, 248)


def test_unseen_words_are_marked_where_they_stand(state: AppState) -> None:
    shown = words.reading(token_report(state, "a white Zeppelin and the long zeppelins of a quay"))
    assert re.findall(r"<mark>(\w+)</mark>", shown)[:3] == ["Zeppelin", "zeppelins", "quay"]
    assert "a white Zeppelin and the long zeppelins of a quay" in visible(shown)


def test_words_read_letter_by_letter_are_told(state: AppState) -> None:
    shown = words.reading(
        token_report(state, "boats in the 港口 " + "".join(f"<港{letter}> " for letter in "口里的船白色森林机"))
    )
    assert "letter by letter" in shown and "<mark>港口</mark>" in shown and ", …" in shown
    assert "letter by letter" not in words.reading(token_report(state, "white boats near a café"))


def test_an_unseen_word_that_is_also_cut_is_still_named(state: AppState) -> None:
    shown = words.reading(token_report(state, "boats " * 300 + "zeppelin"))
    assert "<mark>zeppelin</mark>" in shown


def test_typed_html_is_shown_and_never_run(state: AppState) -> None:
    for text in (NASTY, NASTY * 60):
        assert "<img" not in words.reading(token_report(state, text))


# fragments


def test_bars_show_the_best_and_account_for_the_rest(state: AppState) -> None:
    scores = judge_one(state, draw_tile("road", 0), "\n".join([*FIRST_SET.labels, NASTY]), "{}").scores
    shown = words.class_bars(scores, 8)
    assert shown.count("<li>") == 8
    assert "<img" not in shown
    percents = [float(p) for p in re.findall(r"([\d.]+) %", visible(shown))]
    assert sum(percents) == pytest.approx(100, abs=0.5)


# an index with a second source


def test_tiles_of_another_source_in_the_index_are_not_shown(tmp_path: Path) -> None:
    state = make_state(tmp_path)
    own = state.tile_ids()
    (tmp_path / "other").mkdir()
    for seed in range(3):
        draw_tile("harbour", 20 + seed).save(tmp_path / "other" / f"0-other{seed}.png")
    state.index.add(open_tiles(str(tmp_path / "other")), state.bundle, directory=tmp_path / "index")
    assert len(state.index) == len(own) + 3
    found = find(state, "a harbour", 60).hits
    assert sorted(hit.tile_id for hit in found) == sorted(own)
    shown = [hit.tile_id for hit in (*found, *first_tiles(state).hits)] + list(spread(state).tile_ids)
    assert all(thumbnail(state, tile_id) for tile_id in shown)
    with pytest.raises(TileSourceError, match="of another collection") as caught:
        tile_picture(state, "0-other1.png")
    assert str(tmp_path) not in str(caught.value)


# classification


def test_a_prototype_is_the_normalized_mean_of_its_phrasings(state: AppState) -> None:
    templates = ("a photo of {}.", "{} from above, {}")
    made = class_prototypes(state.bundle, ["a road", "a field"], templates)
    texts = state.bundle.encode_text(["a photo of a road.", "a road from above, a road"])
    expected = texts.mean(axis=0) / np.linalg.norm(texts.mean(axis=0))
    np.testing.assert_allclose(made.vectors[0], expected, atol=1e-6)


def test_probabilities_are_the_softmax_of_scaled_cosines(state: AppState) -> None:
    labels = ["road", "harbour", "a {} field"]
    for answer in classify(state.bundle, [draw_tile("road", 0), draw_tile("tanks", 1)], labels, ["{}"]):
        scores = answer.scores
        logits = np.array([s.score_cos for s in scores]) * state.bundle.logit_scale
        np.testing.assert_allclose([s.probability for s in scores], np.exp(logits) / np.exp(logits).sum(), rtol=1e-4)
        assert [s.probability for s in scores] == sorted((s.probability for s in scores), reverse=True)
        assert {s.label for s in scores} == set(labels)


@pytest.mark.parametrize(
    ("labels", "templates", "says"),
    [
        ([], ["{}"], "at least one"),
        (["road", " "], ["{}"], "class name 2 of 2 is empty"),
        (["road", "road "], ["{}"], "'road' is given twice"),
        (["road"], [], "at least one"),
        (["road"], ["a photo"], "put {} where"),
    ],
)
def test_class_lists_that_make_no_sense_are_explained(
    state: AppState, labels: list[str], templates: list[str], says: str
) -> None:
    with pytest.raises(TextError, match=re.escape(says)):
        classify(state.bundle, [draw_tile("road", 0)], labels, templates)


def test_lines_of_a_box() -> None:
    assert lines_of(" a road \n\n\tfield\r\n") == ("a road", "field")


# search


def test_search_returns_the_index_s_hits_with_times(state: AppState) -> None:
    found = find(state, "white boats", 5)
    assert list(found.hits) == state.index.search(state.bundle.encode_text(["white boats"]), 5)[0]
    assert found.text_ms > 0
    with pytest.raises(TextError):
        find(state, " \n", 5)


def test_examples_are_long_and_fit() -> None:
    counts = [lrsclip.random_model().describe_tokens(example.text).count for example in EXAMPLES]
    assert len(EXAMPLES) == 5
    assert min(counts) > 60
    assert max(counts) <= 248


# pictures


def test_uploads_come_upright_and_without_metadata(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "SECRET CAMERA"
    Image.new("RGB", (40, 20)).save(path, exif=exif)
    picture = uploaded(as_sent(path))
    assert picture.size == (20, 40)
    for copy in (picture, shrunk(Image.open(path), 500)):
        copy.save(tmp_path / "out.jpg", exif=copy.info.get("exif", b""))
        assert b"SECRET" not in (tmp_path / "out.jpg").read_bytes()


@pytest.mark.parametrize("content", [b"", b"no picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PNG\r\n"])
def test_uploads_that_are_no_pictures_are_named_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fake.png"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=r"the upload is (an .*, )?no JPEG, PNG|cannot read the upload"):
        uploaded(as_sent(path))
    with pytest.raises(PictureError, match="upload one"):
        uploaded(None)


def test_a_tile_whose_file_is_gone_leaves_the_other_results(tmp_path: Path) -> None:
    state = make_state(tmp_path)
    (tmp_path / "tiles/road_1.png").unlink()
    shown = {hit.tile_id: thumbnail(state, hit.tile_id) for hit in find(state, "a road", 60).hits}
    assert len(shown) == len(KINDS) * PER_KIND
    assert [tile_id for tile_id, picture in shown.items() if len(picture.getcolors(99) or ()) == 1] == ["road_1.png"]


# shared state


def test_recent_keeps_the_latest() -> None:
    recent: LruCache[int] = LruCache(2)
    made: list[str] = []

    def make(key: str) -> int:
        made.append(key)
        return len(made)

    for key in ("a", "b", "a", "c", "a", "b"):
        recent.get(key, functools.partial(make, key))
    assert made == ["a", "b", "c", "b"]


def test_a_stop_reaches_only_its_own_session() -> None:
    stops = StopFlags()
    mine, other = stops.start("me"), stops.start("other")
    stops.stop("me")
    stops.stop("nobody")
    assert mine.is_set() and not other.is_set()
    assert not stops.start("me").is_set()
    stops.start("other")
    assert other.is_set(), "new work replaces what its session started before"


# command line


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "small"
    write_checkpoint(folder, lrsclip.random_model().model, name="small", vocabulary={"a": 1}, training={}, metrics={})
    return folder


def test_a_folder_is_indexed_once(
    state: AppState, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiles = state.source.spec
    first = cli.open_state(tiles, str(checkpoint), tmp_path / "index")
    assert len(first.index) == len(KINDS) * PER_KIND
    written = (tmp_path / "index/manifest.json").stat().st_mtime_ns
    assert cli.open_state(tiles, str(checkpoint), tmp_path / "index").index.tile_ids() == first.index.tile_ids()
    assert (tmp_path / "index/manifest.json").stat().st_mtime_ns == written
    assert "indexing" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["tiles", "checkpoint", "port"])
def test_a_bad_start_ends_with_one_line(
    wrong: str, state: AppState, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        if wrong == "port":
            taken.listen()
        else:
            taken.close()
        tiles = str(tmp_path / "nowhere") if wrong == "tiles" else state.source.spec
        weights = str(tmp_path / "nothing") if wrong == "checkpoint" else str(checkpoint)
        arguments = ["--tiles", tiles, "--checkpoint", weights, "--index", str(tmp_path / "i"), "--port", port]
        assert cli.main(arguments) == 2
    last = capsys.readouterr().err.rstrip("\n").splitlines()[-1]
    assert last.startswith("error: ")
    assert {"tiles": "nowhere", "checkpoint": "nothing", "port": port}[wrong] in last


# endpoints


def test_only_the_endpoints_meant_for_programs_are_public(client: Client) -> None:
    listed = client.view_api(return_format="dict", print_info=False)
    public = {"/search", "/classify", "/classify_many", "/localize", "/grow", "/order", "/swap", "/reword"}
    assert set(listed["named_endpoints"]) == public
    assert not listed["unnamed_endpoints"]
    types = [parameter["type"] for one in listed["named_endpoints"].values() for parameter in one["parameters"]]
    assert all(kind.get("type") != {} for kind in types), "MCP clients refuse a value that may be anything"
    names = {name: [p["parameter_name"] for p in e["parameters"]] for name, e in listed["named_endpoints"].items()}
    assert names == {
        "/search": [
            "text", "k", "exclude", "exclude_weight", "like", "picture", "picture_weight", "min_score_cos", "bbox",
            "hide_duplicates",
        ],
        "/classify": ["picture", "labels", "templates", "tile_id"],
        "/classify_many": ["pictures", "labels", "templates"],
        "/localize": ["text", "picture", "tile_id", "method", "exclude", "scales_px", "threshold"],
        "/grow": ["tile_id", "text", "by"],
        "/order": ["tile_id", "text", "seed"],
        "/swap": ["tile_id", "true_text", "false_text", "kind"],
        "/reword": ["tile_id", "text", "again"],
    }  # fmt: skip


def test_search_endpoint_agrees_with_the_library(client: Client, state: AppState) -> None:
    answer = client.predict(text="white boats", k=3, api_name="/search")
    hits = state.index.search(state.bundle.encode_text(["white boats"]), 3)[0]
    named = [{name: hit[name] for name in ("tile_id", "score_cos", "rank")} for hit in answer["hits"]]
    assert named == [{"tile_id": h.tile_id, "score_cos": h.score_cos, "rank": h.rank} for h in hits]


def test_classify_endpoint_agrees_with_the_library(client: Client, state: AppState, tmp_path: Path) -> None:
    draw_tile("tanks", 7).save(tmp_path / "tanks.png")
    answer = client.predict(handle_file(tmp_path / "tanks.png"), "road\nstorage tanks", "{}", api_name="/classify")
    expected = classify(state.bundle, [draw_tile("tanks", 7)], ["road", "storage tanks"], ["{}"])[0].scores
    assert [row["label"] for row in answer] == [s.label for s in expected]
    assert [row["probability"] for row in answer] == pytest.approx([s.probability for s in expected])
    assert len(client.predict(handle_file(tmp_path / "tanks.png"), api_name="/classify")) == 30


def test_localize_endpoint_takes_a_tile_or_a_picture(client: Client, state: AppState) -> None:
    tile_id = state.index.tile_ids()[-1]
    path = Path(state.source.spec.removeprefix("folder:")) / tile_id
    of_tile = client.predict("white boats", None, tile_id, api_name="/localize")
    of_file = client.predict("white boats", handle_file(path), "", api_name="/localize")
    expected = localize(
        state.bundle, state.source.picture(tile_id), "white boats", method="dense", memory=WindowMemory()
    )
    for answer in (of_tile, of_file):
        assert answer["windows"] == expected.windows
        assert (answer["min_cos"], answer["max_cos"]) == pytest.approx((expected.min_cos, expected.max_cos), abs=1e-5)
        assert np.shape(answer["grid_cos"]) == (64, 64)


def test_localize_endpoint_tells_the_place_and_the_regions(client: Client, tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "scene.tif", draw_tile("harbour", 2, px=200))
    told = {"method": "dense", "exclude": "a road", "scales_px": [60, 90], "threshold": -1}
    answer = client.predict("white boats", handle_file(path), "", **told, api_name="/localize")
    assert (answer["method"], answer["scales_px"]) == ("dense", [60, 90])
    west, south, east, north = answer["bounds_lonlat"]
    assert -99.01 < west < east < -98.98 and 40.0 < south < north < 40.03
    (region,) = answer["regions"]["features"]  # all of it
    assert region["properties"]["area_m2"] == pytest.approx(400 * 400, rel=0.01)
    assert region["properties"]["threshold_cos"] == -1
    assert "presence" in answer
    with pytest.raises(AppError, match="no method"):
        client.predict("white boats", handle_file(path), "", "magic", api_name="/localize")


@pytest.mark.parametrize(
    ("endpoint", "arguments", "says"),
    [
        ("/search", ("", 3), "description is empty"),
        ("/search", ("boats", 0), "1 to 300"),
        ("/classify", (None, "road", "{}"), "neither picture nor tile_id"),
        ("/classify", (None, "road", "{}", "../../../etc/passwd"), "no tile .* in the index"),
        ("/localize", ("boats", None, ""), "neither picture nor tile_id"),
        ("/localize", ("boats", None, "../../../etc/passwd"), "no tile .* in the index"),
        ("/localize", ("", None, "road_1.png"), "sentence is empty"),
    ],
)
def test_endpoints_answer_nonsense_with_a_sentence(
    client: Client, endpoint: str, arguments: tuple[object, ...], says: str
) -> None:
    with pytest.raises(AppError, match=says) as caught:
        client.predict(*arguments, api_name=endpoint)
    assert "Traceback" not in str(caught.value)
    assert "/tiles" not in str(caught.value), "a visitor need not know where the tiles lie"


def test_the_tile_folder_itself_is_not_served(url: str, state: AppState) -> None:
    path = Path(state.source.spec.removeprefix("folder:")) / "road_1.png"
    assert path.is_file()
    for address in (f"{url}gradio_api/file={path}", f"{url}gradio_api/file={Path(cli.__file__)}"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address)
        assert refused.value.code in (403, 404)
