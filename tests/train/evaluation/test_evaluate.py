"""The evaluation command: one run over everything, the published layout, and what it says when something is wrong."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lrsclip.atlas.seeds import DEFAULT_SEED, GROUNDING_SEED
from lrsclip.checkpoints.factory import EMBEDDED
from lrsclip.checkpoints.native import read_manifest, write_checkpoint
from lrsclip.clip import Embeddings
from lrsclip.models.config import ImageConfig, ModelConfig, PreprocessConfig, TextConfig
from lrsclip.models.dual_encoder import seeded_model
from lrsclip.models.tokenizer import words
from tests.helpers.corpora import COLORS, make_class_folders, make_rsicd, make_rsitmd, make_ucm, write_picture
from tests.helpers.published_forward import random_state
from train import card, evaluate
from train.evaluation.atlas import run_grounding
from train.evaluation.localization import run_atlas_scenes
from train.evaluation.synonyms import PAIRS, run_synonyms, taught

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with every set that has pictures here, and a published and an own checkpoint beside it."""
    root = tmp_path_factory.mktemp("evaluate")
    data = root / "data"
    make_rsicd(data)
    make_ucm(data)
    make_rsitmd(data)
    make_class_folders(data / "RSSCN7", per_class=1)
    make_class_folders(root / "scenes", per_class=1)
    torch.save(random_state(64, 64, 1, 1, 32, 32), root / "LRSCLIP_any.pt")
    config = ModelConfig(
        embed_dim=32,
        image=ImageConfig(kind="vit", width=64, layers=1, heads=1, patch_px=32),
        text=TextConfig(width=64, layers=1, heads=1, embed_rank=16),
        preprocess=PreprocessConfig(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
    )
    write_checkpoint(root / "ours", seeded_model(config, 0), name="ours", vocabulary={}, training={}, metrics={})
    return root


@pytest.fixture(scope="module", autouse=True)
def few_rendered_tiles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Four tiles of each world and one scene of the atlas, kept for this file's tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LRSCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("lrsclip.atlas.scenes.SCENE_PX", 800)
        patch.setattr("train.evaluation.plan.run_grounding", partial(run_grounding, tiles=4, index_tiles=4))
        patch.setattr("train.evaluation.plan.run_atlas_scenes", partial(run_atlas_scenes, count=1))
        yield


@pytest.fixture
def place(original: Path, tmp_path: Path) -> Path:
    """A copy to break things in."""
    return Path(shutil.copytree(original, tmp_path / "place"))


def run(place: Path, *more: str, checkpoint: str = "ours") -> int:
    """The command on a place; a later option wins over an earlier one."""
    start = ["--checkpoint", str(place / checkpoint), "--data", str(place / "data"), "--precision", "fp32"]
    return evaluate.main([*start, "--device", "cpu", "--json", str(place / "out.json"), *more])


def test_a_published_file_is_measured_in_one_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, "--class-folder", str(place / "scenes"), checkpoint="LRSCLIP_any.pt") == 0
    report = json.loads((place / "out.json").read_text())
    assert report["complete"] is True
    assert (report["checkpoint"], report["dtype"], report["device"]) == ("LRSCLIP_any", "torch.float32", "cpu")
    assert len(report["sha256"]) == 64
    assert report["seconds"] >= sum(row["seconds"] for row in report["results"]) > 0
    assert {"date", "cpu", "gpu", "python", "torch"} <= report.keys()
    measured = {(row["task"], row["data_set"]) for row in report["results"]}
    captions, classes = {"rsicd test", "ucm test", "rsitmd test"}, {"rsicd30 test", "ucm test"}
    assert measured == {
        ("wording", "rsicd30 test"),
        ("own-words", "rsicd30 test"),
        *(("short-retrieval", name) for name in captions),
        *(("long-retrieval", name) for name in captions),
        *(("classification", name) for name in classes | {"rsscn7, all pictures", "scenes, all pictures"}),
        ("synonyms", "words of no caption"),
        ("synonyms", "words of no caption and not in the bank"),
        ("semantic-localization", f"atlas scenes {DEFAULT_SEED}"),
        ("grounding", f"atlas {DEFAULT_SEED}"),
        ("grounding", f"atlas {GROUNDING_SEED}"),
    }
    protocols = {row["protocol"] for row in report["results"] if row["task"] == "short-retrieval"}
    assert protocols == {"raw", "merged"}
    assert all(0 <= value <= 100 for row in report["results"] for value in row["metrics"].values())
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if line.startswith("#")] == [
        "## wording",
        "## own-words",
        "## short-retrieval",
        "## long-retrieval",
        "## classification",
        "## semantic-localization",
        "## synonyms",
        "## grounding",
    ]
    assert "skipped eurosat" in err and "skipped air-slt" in err and "skipped mosaics" in err
    assert sum("EuroSAT_RGB is not there" in line for line in report["skipped"]) == 1


def test_record_goes_into_the_manifest_and_the_card(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = place / "all.csv"
    assert run(place, "--record", "--csv", str(table)) == 0
    lines = list(csv.DictReader(table.read_text().splitlines()))
    wanted = ("ucm test", "raw", "mR")
    (found,) = (line for line in lines if (line["data"], line["protocol"], line["metric"]) == wanted)
    assert found["dtype"] == "torch.float32" and found["cpu"] and found["date"]
    assert 0 < float(found["value"]) <= 100
    rows = read_manifest(place / "ours")["metrics"]["evaluation torch.float32"]["results"]
    (row,) = (r for r in rows if (r["task"], r["data_set"], r["protocol"]) == ("short-retrieval", "ucm test", "raw"))
    assert row["metrics"]["mR"] == pytest.approx(float(found["value"]), abs=1e-3)
    assert run(place, "--record", "--sets", "ucm") == 2  # it would take the other figures away
    assert read_manifest(place / "ours")["metrics"]["evaluation torch.float32"]["results"] == rows
    assert run(place, "--record", checkpoint="LRSCLIP_any.pt") == 2
    assert "has none; use --json" in capsys.readouterr().err
    assert card.main([str(place / "ours")]) == 0
    text = (place / "ours/README.md").read_text()
    assert f"| short-retrieval | ucm test | raw | mR {row['metrics']['mR']:.2f} |" in text
    assert "lrsclip.load(FOLDER)" in text and "MiniLM" not in text and "ResNet" not in text
    assert card.main([str(place / "data")]) == 2


def test_scenes_are_localized_under_a_named_protocol(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes = place / "scenes"
    write_picture(scenes / "imgs/0.jpg", COLORS["desert"], 1, px=800)
    query = {"caption": "a desert", "jpg_name": "0.jpg", "points": [[[50, 50], [300, 50], [300, 300], [50, 300]]]}
    (scenes / "annotations").mkdir()
    (scenes / "annotations/anno.json").write_text(json.dumps([query]))
    wanted = ("--tasks", "localization", "--sets", "air-slt", "--air-slt", str(scenes))
    assert run(place, *wanted, "--selo-protocol", "no-median") == 0
    row = json.loads((place / "out.json").read_text())["results"][0]
    assert "no-median" in row["protocol"] and {"Rsu", "Ras", "Rda", "Rmi"} <= row["metrics"].keys()
    assert run(place, *wanted, "--selo-protocol", "nosuch") == 2
    assert "no-median" in capsys.readouterr().err  # the names there are


def test_synonyms_are_asked_for_by_task(place: Path) -> None:
    assert run(place, "--tasks", "synonyms") == 0
    rows = json.loads((place / "out.json").read_text())["results"]
    assert [row["texts"] for row in rows] == [len(row["detail"]) for row in rows]
    assert rows[0]["texts"] == len(PAIRS) > rows[1]["texts"] > 10
    assert rows[1]["detail"].items() <= rows[0]["detail"].items()
    assert all(0 <= row["metrics"]["top1"] <= row["metrics"]["top5"] <= 100 for row in rows)


class Letters:
    """A text tower by hand: one axis a letter, by the last letter of the text."""

    def encode_text(self, texts: list[str], *, normalize: bool = True) -> Embeddings:
        """(N, 3) rows of the unit matrix; a text that ends in x stands between a and b."""
        of = {"a": (1, 0, 0), "b": (0, 1, 0), "c": (0, 0, 1), "x": (0.5**0.5, 0.5**0.5, 0)}
        return np.array([of[text.rstrip(".")[-1]] for text in texts], dtype=np.float32)


def test_a_synonym_is_right_where_its_everyday_word_is_nearest() -> None:
    """By hand: a rare word at a's place is right, one at b's is not, one between the two is half right."""
    pairs = (("ra", "a"), ("rb", "a"), ("rx", "b"), ("rc", "c"))
    row, _ = run_synonyms(Letters(), pairs)  # type: ignore[arg-type]
    assert row.detail == {"ra -> a": 100, "rb -> a": 0, "rx -> b": 50, "rc -> c": 100}
    assert row.metrics == pytest.approx({"top1": 62.5, "top5": 100, "chance": 100 / 3})


def test_no_rare_word_of_the_pairs_stands_in_a_training_caption() -> None:
    trained = read_manifest(EMBEDDED / "tiny")["vocabulary"]
    for rare, known in PAIRS:  # the bank has many of the rare words by now; the others are in no text at all
        assert taught(rare) or not [word for word in words(rare) if word in trained], rare
        assert all(word in trained for word in words(known)), known


def test_a_late_failure_leaves_what_was_finished(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next((place / "data/RSSCN7/Forest").iterdir()).write_bytes(b"no picture")
    assert run(place, "--tasks", "short-retrieval,classification", "--sets", "ucm,rsscn7") == 2
    out, err = capsys.readouterr()
    assert "Forest_0.jpg" in err.splitlines()[-1]
    report = json.loads((place / "out.json").read_text())
    assert report["complete"] is False
    assert [r["task"] for r in report["results"]] == ["short-retrieval"] * 2 + ["classification"] * 2
    assert out.count("| ucm test |") == 4  # and the tables of what was finished are shown
    assert not list(place.glob("*.tmp"))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--data", "nowhere"], "nowhere is not a folder; pass --data"),
        (["--sets", "eurosat"], "EuroSAT_RGB is not there"),
        (["--sets", "moon"], "data set 'moon' is not known; there are: rsicd"),
        (["--tasks", "dreaming"], "task 'dreaming' is not known; there are: wording"),
        (["--tasks", ","], "no task is named"),
        (["--split", "val", "--sets", "ucm"], "ucm has no val pictures"),
        (["--class-folder", "nowhere"], "nowhere is not a folder"),
        (["--json", "nowhere/out.json"], "nowhere/out.json must be a file in a folder that is there"),
        (["--checkpoint", "nowhere.pt"], "no checkpoint 'nowhere.pt'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_measured(
    original: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    assert run(original, *more) == 2
    assert says in capsys.readouterr().err
    assert not (original / "out.json").exists()


def test_broken_data_are_said_before_anything_is_measured(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "out.json").write_text("an earlier report")
    for picture in (place / "data/RSSCN7").glob("*/*"):
        picture.unlink()
    assert run(place) == 2
    assert "the source rsscn7 gives no record" in capsys.readouterr().err
    (place / "data/UCMerced_LandUse/dataset_UCM.json").write_text("{")
    assert run(place) == 2
    assert "dataset_UCM.json cannot be read as JSON" in capsys.readouterr().err
    assert (place / "out.json").read_text() == "an earlier report"
