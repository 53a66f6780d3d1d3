"""The study of long texts: all arms from one start, asked the same, stopped and gone on with, and compared in pairs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsclip.errors import TrainingError
from lrsclip.models.dual_encoder import DualEncoder, seeded_model
from lrsclip.models.tokenizer import Tokenizer
from tests.helpers.corpora import make_rsicd, small_model
from train import fit
from train.ablation import long_text, questions
from train.ablation.long_text import Study
from train.ablation.paired import compared
from train.settings import Settings

STUDY: dict[str, Any] = {
    "start": {
        "model": "tiny-causal",
        "trunk": "frozen",
        "recipe": "clip77",
        "stages": [{"context_length": 77, "epochs": 1, "long_weight": 0.0}],
        "batch_size": 16,
        "learning_rate": 0.001,
        "weight_decay": 0.1,
        "warmup_steps": 1,
        "class_folder_share": 0.0,
        "sources": ["rsicd"],
        "atlas_seeds": [101],
        "atlas_tiles": 16,
        "false_twins": False,
    },
    "shared": {"stages": [{"context_length": 248, "epochs": 1, "long_weight": 0.5}]},
    "arms": {
        "short": {"recipe": "clip77", "stages": [{"context_length": 77, "epochs": 1, "long_weight": 0.0}]},
        "long": {"recipe": "lrsclip"},
        "captions": {"recipe": "lrsclip", "atlas_seeds": []},
    },
    "worlds": {"val": [12], "test": [11]},
    "contrasts": [
        {
            "one": "long",
            "other": "short",
            "measure": "atlas, over 77: R@1",
            "expected": "none: one step",
        }
    ],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("study")
    make_rsicd(root / "data", per_class=6)
    (root / "study.json").write_text(json.dumps(STUDY))

    def fresh(settings: Settings, context_length: int | None = None) -> DualEncoder:
        length = context_length or settings.stages[0].context_length
        return seeded_model(small_model().config.with_context(length), settings.seed)

    def initial(settings: Settings, init: Path | None, text: Path | None = None) -> DualEncoder:
        return fresh(settings)

    with pytest.MonkeyPatch.context() as patch:
        for module in (fit, long_text):
            patch.setattr(module, "fresh_model", fresh)
        patch.setattr(long_text, "initial_model", initial)
        yield root


def run(place: Path, *more: str) -> int:
    asked = ["--config", str(place / "study.json"), "--data", str(place / "data"), "--out", str(place / "out")]
    return long_text.main([*asked, "--seeds", "0,1", "--tiles", "16", "--device", "cpu", *more])


@pytest.mark.slow
def test_a_study_trains_every_arm_asks_it_and_goes_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place) == 0
    table = (place / "out/long_text.md").read_text()
    assert table in capsys.readouterr().out
    assert "| long against short | atlas, over 77: R@1 |" in table and "none: one step" in table
    assert "| rsicd, short: mR |" in table and "| atlas val, all: R@1 |" in table
    assert "| claims behind token 77 |" in table
    folders = sorted(path.name for path in (place / "out").iterdir() if path.is_dir())
    assert folders == [f"{arm}-{seed}" for arm in ("captions", "long", "short", "start") for seed in (0, 1)]
    # a reader of 77 tokens cannot tell claims behind them apart, to the last bit
    row = next(line for line in table.splitlines() if line.startswith("| claims behind"))
    cells = [cell.strip() for cell in row.strip("|").split("|")[1:]]
    assert cells[0] == cells[1] == "50.0 ± 0.0"  # the start and the arm of short texts
    states = sorted(path.parent.name for path in (place / "out").glob("*/state.pt"))
    assert states == ["start-0", "start-1"]  # what others begin with stays, the rest goes

    assert run(place) != 0 and "--resume" in capsys.readouterr().err
    before = {p: p.stat().st_mtime_ns for p in (place / "out").glob(f"*/{long_text.ANSWERS}")}
    gone = place / "out/long-1"
    for file in gone.glob("*"):
        if file.is_file():
            file.unlink()
    assert run(place, "--resume") == 0
    assert (place / "out/long_text.md").read_text() == table  # the arm made again is the same one
    made = {p for p, at in before.items() if p.stat().st_mtime_ns != at}
    assert made == {gone / long_text.ANSWERS}

    (gone / long_text.ANSWERS).write_bytes(b"cut off")
    assert run(place, "--resume") != 0 and "is damaged" in capsys.readouterr().err


def test_a_study_that_is_none_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "study.json"
    with pytest.raises(TrainingError, match="say one of long-text"):
        Study.read("nothing")
    for change, words in (
        ({"arms": {}}, "arms"),
        ({"contrasts": [{"one": "a", "other": "short", "measure": "m", "expected": ""}]}, "no arm 'a'"),
        ({"more": 1}, "more"),
    ):
        file.write_text(json.dumps(STUDY | change))
        with pytest.raises(TrainingError, match=words):
            Study.read(str(file))
    file.write_text(json.dumps(STUDY | {"arms": {"short": {"epochs": 3}}, "contrasts": []}))
    with pytest.raises(TrainingError, match="study, short: epochs"):
        Study.read(str(file)).settings("short", 0)


def test_the_study_at_hand_differs_in_one_thing_an_arm_and_has_as_many_steps() -> None:
    study = Study.read("long-text")
    settings = {arm: study.settings(arm, 0) for arm in study.arms}
    rows = {name: found.model_dump(exclude={"recipe", "stages", "atlas_seeds"}) for name, found in settings.items()}
    assert all(row == rows["lrsclip"] for row in rows.values())
    texts = 40 * 256  # RSICD's and UCM's captioned training pictures, about
    shown = {
        name: found.epochs * (texts + len(found.atlas_seeds) * found.atlas_tiles) for name, found in settings.items()
    }
    assert max(shown.values()) == min(shown.values())
    assert study.settings(None, 0).stages[0].context_length == 77
    measured = {seed for seeds in study.worlds.values() for seed in seeds}
    assert not measured & {seed for found in settings.values() for seed in found.atlas_seeds}


def test_what_stands_behind_77_tokens() -> None:
    words = [f"river{'s' * (n % 2)}" for n in range(100)]
    text = " ".join(words)
    tail = questions.behind(text, 77)
    assert Tokenizer(77).describe(text).kept + " " + tail == text and tail
    assert questions.behind("a short text", 77) == ""


@given(st.integers(1, 4), st.integers(2, 40), st.integers(0, 100))
def test_a_pair_of_the_same_arm_is_a_null(seeds: int, count: int, seed: int) -> None:
    values = 1 + np.random.default_rng(seed).random((seeds, count))
    result = compared(values, values, draws=20)
    assert result.relative_pct == result.low_pct == result.high_pct == 0 and result.is_null


def test_pairing_sees_a_small_difference_that_is_the_same_everywhere() -> None:
    hard = 100.0 * (np.random.default_rng(0).random((1, 400)) < 0.5)  # the questions differ far more than the arms
    better = np.clip(hard + 2, 0, None)
    result = compared(better, hard)
    assert result.low_pct > 0 and not result.is_null
    shuffled = hard[:, np.random.default_rng(1).permutation(400)]
    assert compared(shuffled, hard).is_null
    with pytest.raises(ValueError, match="no pairs"):
        compared(hard, hard[:, :5])
