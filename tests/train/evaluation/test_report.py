"""Tables are those of the CSV, to the digit."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrsclip.errors import DataError
from train.evaluation import report

ROOT = Path(__file__).resolve().parents[3]
CSV, BEFORE = ROOT / "train/results/tiny.csv", ROOT / "train/results/tiny-before.csv"


def test_the_document_has_the_figures_of_the_csv() -> None:
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    assert report.into(text, report.read_figures(CSV), report.read_figures(BEFORE)) == text, (
        f"python -m train.evaluation.report {CSV.relative_to(ROOT)} --before {BEFORE.relative_to(ROOT)} "
        "--into docs/results.md"
    )


def test_the_readme_has_figures_of_the_csv() -> None:
    figures, text = report.read_figures(CSV), (ROOT / "README.md").read_text(encoding="utf-8")
    for task, protocol in (("short-retrieval", "raw"), ("long-retrieval", "composed paragraph")):
        assert f"| {figures[task, 'rsicd test', protocol]['mR']:.2f} |" in text
    own_tile = figures["grounding", "atlas 11", "long description, own tile"]
    assert " / ".join(f"{own_tile[f't2i_r{k}']:.1f}" for k in (1, 5, 10)) in text


def test_strangers_words_stand_first_where_they_were_measured() -> None:
    figures = {
        ("wording", "eurosat hashed test", wording): {"top1": 50.0 + number}
        for number, wording in enumerate(("everyday", "noun", "article", "technical", "phrase", "request"))
    }
    figures["wording", "eurosat hashed test", "all 6 wordings"] = {"worst": 50.0, "mean": 52.5}
    hits = {"hit1": 80.0, "hit5": 90.0}
    figures["own-words", "rsicd30 test", "sentences of strangers"] = hits
    text = report.tables(figures)
    assert text.startswith("### Words of strangers") and text.count("###") == 1
    assert "| EuroSAT, 10 classes | 50.0 | 51.0 | 52.0 | 53.0 | 54.0 | 55.0 | **50.0** | 52.5 |" in text
    assert text.endswith("for **80.0 %**, one of five for 90.0 %.")
    hits |= {"denied": 12.0, "claimed": 8.0, "verdict": 10.0}
    assert "(mean **10.0 %**)." in report.tables(figures)


def test_what_was_lost_stands_beside_what_was_won() -> None:
    key = ("wording", "eurosat hashed test", "all 6 wordings")
    before, after = ({key: {"worst": worst, "mean": mean}} for worst, mean in ((30.0, 62.04), (85.0, 61.0)))
    after["own-words", "rsicd30 test", "sentences of strangers"] = {"hit1": 80.0, "hit5": 90.0}  # not known before
    table = report.tables(after, before).split("### Before and after")[1].splitlines()
    assert table[2:] == [
        "| per cent | before | now | difference |",
        "|---|---|---|---|",
        "| EuroSAT, 10 classes: worst of six unseen wordings | 30.0 | 85.0 | +55.0 |",
        "| EuroSAT, 10 classes: mean of six unseen wordings | 62.0 | 61.0 | -1.0 |",
    ]


def test_wilsons_interval() -> None:
    assert report.interval(0.8, 20) == pytest.approx((0.584, 0.919), abs=1e-3)


def test_what_is_no_csv_or_has_no_marks_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match=r"a\.csv is no CSV"):
        report.read_figures(tmp_path / "a.csv")
    (tmp_path / "a.md").write_text("nothing")
    assert report.main([str(CSV), "--into", str(tmp_path / "a.md")]) == 2
    assert "has no lines" in capsys.readouterr().err and (tmp_path / "a.md").read_text() == "nothing"
    assert report.main([str(CSV)]) == 0 and "### Retrieval" in capsys.readouterr().out
