"""`lrsclip search`: every part of a query from a shell, the judgment in words, JSON, and errors in one line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

import lrsclip
from lrsclip.calibration.match import MANIFEST_KEY
from lrsclip.cli import main
from lrsclip.index import TileIndex, build_index
from lrsclip.retrieval import Query, SearchResult, search
from lrsclip.tiles import open_tiles

TEXT = "a harbor with white ships"
SURE = {"weights": [0.0, 0.0, 0.0, 0.0], "bias": 9.0, "false_alarm_rate": 0.13, "miss_rate": 0.092}
TILES = open_tiles("atlas:?tiles=16")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, lrsclip.LRSCLIP, TileIndex]:
    bundle = dataclasses.replace(lrsclip.load("tiny"), manifest={})
    directory = tmp_path_factory.mktemp("index")
    return str(directory), bundle, build_index(TILES, bundle, directory)


class Shell:
    """The command, and what the library answers to the same query."""

    def __init__(self, built: tuple[str, lrsclip.LRSCLIP, TileIndex], capsys: pytest.CaptureFixture[str]) -> None:
        self.directory, self.bundle, self.index = built
        self._capsys = capsys

    def run(self, *arguments: str, status: int = 0) -> tuple[str, str]:
        self._capsys.readouterr()
        assert main(["search", self.directory, *arguments]) == status
        told = self._capsys.readouterr()
        return told.out, told.err

    def library(self, query: Query) -> SearchResult:
        return search(self.index, self.bundle, query)


@pytest.fixture
def shell(
    built: tuple[str, lrsclip.LRSCLIP, TileIndex],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    monkeypatch.setattr(lrsclip, "load", lambda _name: built[1])
    return Shell(built, capsys)


def calibrated(shell: Shell, monkeypatch: pytest.MonkeyPatch, **change: object) -> None:
    shell.bundle = dataclasses.replace(shell.bundle, manifest={MANIFEST_KEY: SURE | change})
    monkeypatch.setattr(lrsclip, "load", lambda _name: shell.bundle)


def lines(result: SearchResult) -> list[str]:
    return [f"{hit.rank:4d}  {hit.score_cos:+.4f}  {hit.tile_id}" for hit in result.hits]


def test_every_option_asks_what_the_library_answers(shell: Shell, tmp_path: Path) -> None:
    ids, image = TILES.tile_ids(), tmp_path / "image.png"
    TILES.picture(ids[3]).save(image)
    middle = shell.index.tile(ids[9]).middle_lonlat
    assert middle is not None
    box = (middle[0] - 0.01, middle[1] - 0.01, middle[0] + 0.01, middle[1] + 1e-5)
    corners = ((box[0], box[1]), (box[2], box[1]), (middle[0], box[3]))
    least = shell.library(Query(TEXT)).hits[3].score_cos
    asked: list[tuple[list[str], dict[str, Any]]] = [
        ([TEXT], {"text": TEXT}),
        (["--image", str(image)], {"image": image}),
        ([TEXT, "--image", str(image), "--image-weight", "0.2"], {"text": TEXT, "image": image, "image_weight": 0.2}),
        (["--like", ids[2]], {"like": ids[2]}),
        ([TEXT, "--exclude", "a road"], {"text": TEXT, "exclude": "a road"}),
        (
            [TEXT, "--exclude", "a road", "--exclude-weight", "1"],
            {"text": TEXT, "exclude": "a road", "exclude_weight": 1},
        ),
        ([TEXT, "-k", "9", "--min-score", repr(least)], {"text": TEXT, "k": 9, "min_score_cos": least}),
        ([TEXT, "--area", ",".join(map(repr, box))], {"text": TEXT, "bbox_lonlat": box}),
        ([TEXT, "--area", ", ".join(f"{x!r} {y!r}" for x, y in corners)], {"text": TEXT, "polygon_lonlat": corners}),
        ([TEXT, "--source", TILES.spec], {"text": TEXT, "source_specs": (TILES.spec,)}),
        ([TEXT, "-k", "16", "--keep-duplicates"], {"text": TEXT, "k": 16, "hide_duplicates": False}),
    ]
    answers = []
    for arguments, settings in asked:
        out, _ = shell.run(*arguments)
        expected = lines(shell.library(Query(**{"k": 5, **settings})))
        assert out.splitlines() == expected and expected, arguments
        answers.append(out)
    assert len(set(answers)) == len(answers) - 1  # the only source is all there is


def test_duplicates_are_hidden_unless_they_are_kept(shell: Shell, tmp_path: Path) -> None:
    for name, at in (("0.png", 0), ("1.png", 6), ("twin.png", 0)):
        TILES.picture(TILES.tile_ids()[at]).save(tmp_path / name)
    shell.directory = str(tmp_path / "index")
    build_index(open_tiles(tmp_path), shell.bundle, shell.directory)
    assert [len(shell.run(TEXT, *more)[0].splitlines()) for more in ([], ["--keep-duplicates"])] == [2, 3]


def test_the_judgment_is_told(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    calibrated(shell, monkeypatch)
    assert shell.run(TEXT, "-k", "1")[0].splitlines()[1:] == ["probably a match (100%)"]
    calibrated(shell, monkeypatch, bias=-2.0)
    assert shell.run(TEXT, "-k", "1")[0].splitlines()[1:] == [
        "probably no match: 12% chance that the index shows this; these are only the closest tiles"
    ]
    calibrated(shell, monkeypatch, bias=-0.4, no_below=0.3, yes_from=0.7)
    assert shell.run(TEXT, "-k", "1")[0].splitlines()[1:] == [
        "unsure whether anything matches (40% chance that the index shows this)"
    ]
    best = shell.library(Query(TEXT)).best_cos
    assert shell.run(TEXT, "--min-score", "0.99")[0] == (
        f"no good match: the best tile scores {best:.4f}, below --min-score 0.99; lower it\n"
    )
    assert "no tile lies in the area" in shell.run(TEXT, "--area", "0 0 1 1")[0]


def test_json_is_for_programs(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    calibrated(shell, monkeypatch, bias=-2.0)
    told = json.loads(shell.run(TEXT, "-k", "2", "--json")[0])
    expected = shell.library(Query(TEXT, k=2))
    assert set(told) == {"hits", "match", "fits", "best_cos"} and told["fits"] is False
    assert told["match"]["probability"] == pytest.approx(0.119, abs=1e-3)
    assert [hit["tile_id"] for hit in told["hits"]] == [hit.tile_id for hit in expected.hits]
    assert [hit["score_cos"] for hit in told["hits"]] == [hit.score_cos for hit in expected.hits]
    first = shell.index.tile(expected.hits[0].tile_id)
    assert told["hits"][0]["center_lonlat"] == list(first.middle_lonlat or ())
    assert (told["hits"][0]["caption"], told["hits"][0]["source"]) == (first.caption, TILES.spec)
    nothing = json.loads(shell.run(TEXT, "--min-score", "1", "--json")[0])
    assert nothing["hits"] == [] and nothing["best_cos"] == pytest.approx(expected.hits[0].score_cos)


def test_a_text_that_is_cut_is_told(shell: Shell) -> None:
    _, told = shell.run("boats " * 300, "--exclude", "roads " * 300)
    assert told.count("the text is cut at 248 tokens") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "the description is empty"),
        (["--exclude", "cars"], "the description is empty"),
        (["boats", "-k", "0"], "k is 0"),
        (["boats", "--image", "nowhere.png"], "cannot read nowhere.png"),
        (["--like", "no-tile"], "no tile 'no-tile'"),
        (["boats", "--image-weight", "1.5"], "image_weight is 1.5"),
        (["boats", "--exclude", "cars", "--exclude-weight", "-1"], "exclude_weight is -1"),
        (["boats", "--min-score", "7"], "min_score_cos is 7"),
        (["boats", "--area", "-95,29,-94"], "cannot read"),
        (["boats", "--area=1,2,x,4"], "cannot read"),
        (["boats", "--source", "folder:/nowhere"], "no folder at"),
        (["boats", "--exclude", "boats", "--exclude-weight", "1"], "nothing is left"),
    ],
)
def test_nonsense_is_an_error_in_one_line(shell: Shell, arguments: list[str], says: str) -> None:
    out, told = shell.run(*arguments, status=2)
    assert out == "" and told.startswith("error: ") and says in told and len(told.splitlines()) == 1
