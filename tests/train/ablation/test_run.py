"""The ablation command: every recipe with every seed, stopped and gone on with, and its tables by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from lrsclip.models.dual_encoder import DualEncoder
from tests.helpers.corpora import made_up_corpus, make_rsicd, small_model
from train.ablation import run as ablate
from train.ablation import scores as ablate_scores
from train.ablation.report import RunResult, as_csv, as_markdown, relative, spread
from train.ablation.scores import Split, score
from train.data.records import Record
from train.settings import Settings
from train.trainer import Trainer

pytestmark = pytest.mark.slow

SETTINGS = {
    "model": "tiny-causal",
    "trunk": "frozen",
    "stages": [
        {"context_length": 77, "epochs": 5, "long_weight": 0.5},
        {"context_length": 248, "epochs": 5, "long_weight": 0.5},
    ],
    "batch_size": 36,
    "learning_rate": 0.001,
    "weight_decay": 0.1,
    "warmup_steps": 1,
    "class_folder_share": 0.0,
    "sources": ["rsicd"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A corpus of 40 training pictures and settings for a small model."""
    root = tmp_path_factory.mktemp("ablate")
    make_rsicd(root / "data", per_class=12)
    (root / "settings.json").write_text(json.dumps(SETTINGS))

    def begin(settings: Settings, init: Path | None, text: Path | None = None) -> DualEncoder:
        return small_model(settings.seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablate, "initial_model", begin)
        yield root


def arguments(place: Path, out: str, *more: str) -> list[str]:
    """The command line of one table: three recipes, two seeds, an epoch of one step in each stage."""
    return [
        *("--config", str(place / "settings.json"), "--data", str(place / "data"), "--out", str(place / out)),
        *("--cache", str(place / "cache"), "--recipes", "longclip,clip77,lrsclip-debias", "--seeds", "0,1"),
        *("--epochs", "1,1", "--device", "cpu", *more),
    ]


@pytest.fixture(scope="module")
def table(place: Path) -> Path:
    """A table made in one go."""
    assert ablate.main(arguments(place, "whole")) == 0
    return place / "whole"


def rows_of(out: Path) -> list[dict[str, str]]:
    """The CSV of a table."""
    with (out / "ablate.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_table_has_every_run(table: Path) -> None:
    rows = rows_of(table)
    recipes = ["longclip", "longclip", "clip77", "clip77", "lrsclip-debias", "lrsclip-debias"]
    assert [(r["recipe"], r["seed"]) for r in rows] == list(zip(recipes, "010101", strict=True))
    for row in rows:
        assert (row["epochs"], row["steps"]) == ("2", "2")  # one budget
        assert float(row["seconds"]) > 0
        assert row["cpu"]
        assert row["date"]
        for split in ("val", "test"):
            for metric in ("short_mR", "long_mR", "several_mR", "rest_mR"):
                assert 0 <= float(row[f"{split}_{metric}"]) <= 100
            assert row[f"{split}_long_mR"] == row[f"{split}_several_mR"]  # all have two distinct sentences here
    assert len({r["test_short_mR"] for r in rows}) > 1
    text = (table / "ablate.md").read_text()
    assert "40 training pictures (rsicd); 2 epochs, 2 steps of 36 pictures" in text
    assert text.count(" ± ") == 3 * 8 + 1
    with Image.open(table / "ablate.png") as picture:
        assert min(picture.size) > 200
    assert not list(table.rglob("state.pt"))
    lengths = {f.name: json.loads((f / "checkpoint/manifest.json").read_text()) for f in table.iterdir() if f.is_dir()}
    contexts = {name: manifest["config"]["text"]["context_length"] for name, manifest in lengths.items()}
    assert contexts["clip77-0"] == 77
    assert contexts["longclip-1"] == 248


def test_stopped_table_goes_on(place: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, epochs = Trainer._epoch, iter(range(100))

    def stop_in_third_run(trainer: Trainer, writer: SummaryWriter | None) -> None:
        if next(epochs) == 5:  # its second epoch
            raise KeyboardInterrupt
        real(trainer, writer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_epoch", stop_in_third_run)
        assert ablate.main(arguments(place, "halves")) == 130
    assert len(rows_of(place / "halves")) == 2
    made = (place / "halves/longclip-0/result.json").stat().st_mtime_ns
    left = iter(range(100))

    def count(trainer: Trainer, writer: SummaryWriter | None) -> None:
        next(left)
        real(trainer, writer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_epoch", count)
        assert ablate.main(arguments(place, "halves", "--resume")) == 0
    assert next(left) == 1 + 3 * 2  # the half run's second epoch, and three whole runs
    assert (place / "halves/longclip-0/result.json").stat().st_mtime_ns == made
    for one, other in zip(rows_of(place / "halves"), rows_of(table), strict=True):
        assert {k: v for k, v in one.items() if "mR" in k} == {k: v for k, v in other.items() if "mR" in k}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "add --resume"),
        (["--resume", "--epochs", "1,2"], "made with other settings"),
        (["--resume", "--splits", "val"], "made with other splits"),
        (["--recipes", "nosuch"], "'nosuch' is not known; there are: clip77"),
        (["--seeds", "one"], "whole numbers"),
        (["--seeds", ","], "no seeds given"),
        (["--epochs", "1"], "each of the 2 stages"),
        (["--data", "nosuch"], "nosuch is not a folder"),
    ],
)
def test_what_does_not_fit_is_said(
    place: Path, table: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert ablate.main(arguments(place, "whole", *more)) == 2
    assert message in capsys.readouterr().err


def test_scores_read_the_texts_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """One picture with one sentence twice, two with two: the last two figures are of the latter alone."""
    records = [
        Record("x", Path("a.jpg"), "val", ("A pond .", "a pond")),
        Record("x", Path("b.jpg"), "val", ("A road .", "Trees .")),
        Record("x", Path("c.jpg"), "val", ("A roof .", "Cars .", "a roof")),
    ]
    read: list[list[str]] = []

    def vectors(model: DualEncoder, texts: list[str], *_: Any) -> np.ndarray:
        read.append(texts)
        return np.eye(16, dtype=np.float32)[: len(texts)]

    monkeypatch.setattr(ablate_scores, "text_vectors", vectors)
    monkeypatch.setattr(ablate_scores, "picture_vectors", lambda *_: np.eye(16, dtype=np.float32)[[5, 0, 1]])
    split = Split("val", records, made_up_corpus(3).prepared, [0, 1, 2])
    scores = score(small_model(), split, torch.device("cpu"))
    assert read == [
        ["A pond .", "a pond", "A road .", "Trees .", "A roof .", "Cars .", "a roof"],
        ["A pond.", "A road. Trees.", "A roof. Cars."],
        ["A road. Trees.", "A roof. Cars."],
        ["Trees.", "Cars."],
    ]
    assert scores["rest_mR"] == scores["several_mR"] == 100
    assert scores["long_mR"] < 100


def result(recipe: str, seed: int, long: float, **more: Any) -> RunResult:
    """A run with one figure to look at."""
    scores = {"val_short_mR": 10.0, "val_long_mR": long, "test_long_mR": long / 2}
    made_on = {"date": "2026-01-01", "cpu": "a CPU"}
    return replace(RunResult(recipe, seed, 6, 200, 100.0, 5, scores, made_on), **more)


def test_report_by_hand() -> None:
    results = [
        *(result("longclip", seed, long) for seed, long in enumerate((20.0, 22.0, 24.0))),
        *(result("lrsclip", seed, long) for seed, long in enumerate((21.0, 24.2, 27.4))),
        result("clip77", 0, float("nan")),
    ]
    assert relative(results, "lrsclip", "val_long_mR") == "+10.0 %"
    assert relative(results, "longclip", "val_long_mR") == "-"
    assert relative(results, "clip77", "val_long_mR") == "-"
    assert spread([20.0, 22.0, 24.0]) == "22.00 ± 2.00"
    assert spread([20.0]) == "20.00"
    lines = as_markdown(results, "One budget.").splitlines()
    assert "| lrsclip | 3 | 10.00 ± 0.00 | 24.20 ± 3.20 | 12.10 ± 1.60 | +10.0 % | +10.0 % | 0.50 |" in lines
    assert "- By validation (mean of short and long mR) `lrsclip` comes first." in lines
    assert [line for line in lines if line.startswith("- Made on")] == ["- Made on: date 2026-01-01, cpu a CPU."]
    assert as_csv(results).splitlines()[1] == "longclip,0,6,200,100.0,0.5,5,10.0,20.0,10.0,2026-01-01,a CPU"
