"""The commands of a shell: what they print, what they write, and how they end."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
import rasterio

from lrsclip.cli import COMMANDS, main
from lrsclip.commands import checkpoint, classify, localize
from tests.helpers.app_parts import draw_tile, write_geotiff
from tests.helpers.picture_kinds import make


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_a_command_that_can_be_typed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    usage = capsys.readouterr().out.splitlines()[0]
    assert ended.value.code == 0
    assert usage.startswith(f"usage: lrsclip {'index search' if name == 'search' else name} ")


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_geotiff(tmp_path / "scene.tif", draw_tile("harbour", 2, 240))


def test_localize_tells_and_writes(scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "maps"
    assert (
        localize.main([str(scene), "white boats in a harbour", "a road", "--out", str(out), "--threshold", "0.1"]) == 0
    )
    told = capsys.readouterr().out
    assert told.count("best window") == 2 and told.count("above 0.100") == 2 and "white boats" in told
    with rasterio.open(out / "heatmap-2.tif") as data:
        assert (data.width, data.height) == (240, 240) and str(data.crs) == "EPSG:26914"
    assert json.loads((out / "regions-1.geojson").read_text())["type"] == "FeatureCollection"


def test_localize_ends_in_words(scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert localize.main([str(tmp_path / "none.tif"), "a road"]) == 2
    assert localize.main([str(scene), " "]) == 2
    (tmp_path / "file").write_text("")
    assert localize.main([str(scene), "a road", "--out", str(tmp_path / "file")]) == 2
    errors = capsys.readouterr().err
    assert errors.count("error: ") == 3 and "Traceback" not in errors
    assert "there is no file" in errors and "another folder with --out" in errors


def test_classify_names_pictures_and_goes_on_past_a_bad_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_tile("road", 1).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    (tmp_path / "labels.txt").write_text("\ufeffa field\n\na harbor\n", encoding="utf-8")
    pictures = [str(tmp_path / name) for name in ("b.png", "a.png")]
    assert classify.main([*pictures, "--label", "a road", "--labels", str(tmp_path / "labels.txt"), "-k", "2"]) == 2
    told = capsys.readouterr()
    assert told.out.count("%") == 2 and told.out.startswith(pictures[1]) and "b.png" in told.err
    assert classify.main([pictures[1]]) == 2 and "no class names" in capsys.readouterr().err
    assert classify.main([pictures[1], "--labels", str(tmp_path)]) == 2 and "text file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("labels.txt", "ein Fluß, breit\nLärm\n".encode("cp1252"), "Windows-1252"),
        ("labels.csv", "id;Class name\n1;a field\n2;a harbor\n".encode("utf-16"), ""),
        ("labels.csv", b'sep=,\rlabel,id\ra field,1\r"a harbor, large",2\r', ""),
        ("labels.tsv", b"a field\na harbor\n", ""),
    ],
)
def test_labels_come_from_what_spreadsheets_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, told: str
) -> None:
    draw_tile("road", 1).save(tmp_path / "a.png")
    (tmp_path / name).write_bytes(content)
    assert classify.main([str(tmp_path / "a.png"), "--labels", str(tmp_path / name)]) == 0
    answer = capsys.readouterr()
    assert answer.out.count("%") == 2
    assert told in answer.err and bool(told) == bool(answer.err)


def test_checkpoint_tells_and_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checkpoint.main(["info", "tiny"]) == 0
    assert "tokens      248" in (told := capsys.readouterr().out) and "dimensions  256" in told
    assert checkpoint.main(["verify", "tiny"]) == 0 and "whole" in capsys.readouterr().out
    assert checkpoint.main(["verify", str(tmp_path / "none")]) == 2 and "no checkpoint" in capsys.readouterr().err


def test_bands_are_told_and_chosen_in_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiles").mkdir()
    scene = make("planet.tif", tmp_path / "tiles")
    for asked, bands in (([], "3, 2, 1"), (["--bands", "1,2,3"], "1, 2, 3")):
        shown = f"bands {bands}; stretched 2-98 %"
        assert localize.main([str(scene), "a road", *asked]) == 0
        assert capsys.readouterr().out.startswith(f"{scene}: {shown}\n")
        assert classify.main([str(scene), "--label", "a road", "--label", "a field", *asked]) == 0
        told = capsys.readouterr()
        assert told.err == f"{scene}: {shown}\n" and told.out.startswith(f"{scene}\ta "), "the table stays a table"
    index = str(tmp_path / "index")
    assert main(["index", "build", f"{scene.parent}?bands=1,2,3", "--out", index]) == 0
    assert "planet.tif: bands 1, 2, 3; stretched 2-98 %" in capsys.readouterr().err
    assert main(["search", index, "--image", str(scene), "--bands", "1,2,3", "--json"]) == 0
    told = capsys.readouterr()
    assert "bands 1, 2, 3" in told.err
    assert json.loads(told.out)["hits"][0]["score_cos"] == pytest.approx(1, abs=1e-4), "the same pixels"
    assert main(["search", index, "--image", str(scene), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hits"][0]["score_cos"] < 0.9999
    for wrong, said in (("red", "give three numbers"), ("9,2,1", "there is no band 9")):
        with pytest.raises(SystemExit) if wrong == "red" else nullcontext():
            assert localize.main([str(scene), "a road", "--bands", wrong]) == 2
        assert said in capsys.readouterr().err
    draw_tile("road", 1).save(tmp_path / "a.png")
    assert classify.main([str(tmp_path / "a.png"), "--label", "a road"]) == 0
    assert capsys.readouterr().err == "", "nothing is told of a plain picture"
