"""The Classify page: label sets, several pictures with a bad one among them, the table, its CSV, and the hint."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import Browser, Page, expect

from app.classify.html import NO_FIT, csv_text, table, verdict
from app.classify.label_sets import LABEL_SETS, OWN, set_of
from app.classify.service import Row, judge_many
from app.collections import AppState
from app.server.upload_folder import Upload
from app.server.values import MAX_PICTURES
from lrsclip.calibration.labels import MANIFEST_KEY, Calibration, Classification
from lrsclip.errors import PictureError
from lrsclip.zero_shot.classifier import ClassScore
from tests.helpers.app_parts import as_sent, draw_tile, make_state
from tests.helpers.browsing import needs_chromium, visit
from train.data.names import class_words

NASTY = '<img src=x onerror="window.ran=1">&\'.png'
RATES = {"false_alarm_rate": 0.1, "miss_rate": 0.4, "error_rate": 0.05}
# the weights ask for a cosine of 1: no label fits
STRICT: dict[str, Any] = {"scale": [2.5, 2.4], "weights": [50, 0], "bias": -50, "threshold": 0.4, **RATES}
LABELS = "storage tanks\nharbour\na road"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    made = make_state(tmp_path_factory.mktemp("classify"))
    return dataclasses.replace(made, bundle=dataclasses.replace(made.bundle, manifest={MANIFEST_KEY: STRICT}))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two pictures with a file that is none between them."""
    names = ("=cmd.png", NASTY, "tanks.jpg")
    draw_tile("harbour", 1).save(tmp_path / names[0])
    (tmp_path / names[1]).write_text("no picture")
    draw_tile("tanks", 1).save(tmp_path / names[2])
    return [tmp_path / name for name in names]


def uploads(files: list[Path]) -> list[Upload]:
    return [as_sent(path) for path in files]


def judged(fit: float | None = 0.9, *labels: str) -> Classification:
    scores = tuple(ClassScore(label, 0.4 - n / 10, 0.7 - n / 10) for n, label in enumerate(labels or ("a", "b")))
    return Classification(scores, Calibration.model_validate(STRICT) if fit is not None else None, fit)


def test_label_sets_are_what_they_are_called_and_in_the_words_that_were_measured() -> None:
    for title, given in LABEL_SETS.items():
        assert len(set(given.labels)) == int(title.rpartition("-")[2])
        assert set_of("\n".join(reversed(given.labels))) == title
    for title, source in (("RSICD-30", "rsicd30"), ("UCM-21", "ucm"), ("EuroSAT-10", "eurosat")):
        assert set(LABEL_SETS[title].labels) == set(class_words(source).values())
    assert set_of(LABEL_SETS["UCM-21"].text + "\nairport") == OWN == set_of("")


def test_a_bad_file_stands_among_the_others(state: AppState, files: list[Path]) -> None:
    rows = judge_many(state, uploads(files), LABELS, "{}")
    assert [row.file for row in rows] == [path.name for path in files]
    assert rows[1].judged is None and "no JPEG, PNG, WebP, TIFF" in rows[1].problem
    alone = judge_many(state, uploads(files[2:]), LABELS, "{}")[0].judged
    assert rows[2].judged is not None and alone is not None
    got, expected = ({s.label: s.probability for s in one.scores} for one in (rows[2].judged, alone))
    assert got == pytest.approx(expected, abs=1e-4)
    with pytest.raises(PictureError, match="upload some"):
        judge_many(state, None, LABELS, "{}")
    with pytest.raises(PictureError, match=f"{MAX_PICTURES + 1} pictures; give at most {MAX_PICTURES}"):
        judge_many(state, uploads(files[:1] * (MAX_PICTURES + 1)), LABELS, "{}")


def test_names_of_files_and_labels_are_escaped_and_no_formula_is_saved() -> None:
    rows = [Row(NASTY, judged(0.9, NASTY, "=b")), Row("-x", problem=f"cannot read {NASTY}"), Row("+y", judged(0.1))]
    shown = table(rows)
    assert "<img" not in shown and 'onerror="' not in shown
    assert html.unescape(re.sub(r"<[^>]*>", "", shown)).count(NASTY) == 3
    assert shown.count(NO_FIT.lower()) == 1
    read = list(csv.reader(io.StringIO(csv_text(rows))))
    assert [row[0] for row in read[1:]] == [NASTY, "'-x", "'+y"]
    assert read[1][1:7] == [NASTY, "0.7", "0.4", "'=b", "0.6", "0.3"]
    assert [row[7] for row in read[1:]] == ["yes", "", "no"]
    assert {len(row) for row in read} == {10}
    assert not [cell for row in read for cell in row if cell.startswith(("=", "+", "@", "-"))]


def test_the_hint_and_the_basis_are_said_only_where_they_are_known() -> None:
    assert NO_FIT in verdict(judged(0.1), 8)
    assert NO_FIT not in verdict(judged(0.9), 8) and "off by 5 %" in verdict(judged(0.9), 8)
    assert NO_FIT not in verdict(judged(None), 8) and "not calibrated" in verdict(judged(None), 8)
    assert "always gets 100 %" in verdict(judged(0.9, "a"), 8)


def test_the_endpoint_for_several(url: str, files: list[Path]) -> None:
    client = Client(url, verbose=False)
    answer = client.predict([handle_file(path) for path in files], LABELS, "{}", api_name="/classify_many")
    assert [bool(row["problem"]) for row in answer] == [False, True, False]
    assert [row["fits"] for row in answer] == [False, None, False]
    assert [len(row["scores"]) for row in answer] == [3, 0, 3]
    assert answer[0]["calibrated"] and answer[0]["scores"][0].keys() == {"label", "score_cos", "probability"}


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with visit(browser, url, "Classify") as opened:
        yield opened


@needs_chromium
def test_a_label_set_fills_the_box_and_editing_makes_it_ones_own(page: Page) -> None:
    box, chosen = page.locator("#labels textarea"), page.get_by_label("Label set")
    expect(chosen).to_have_value("RSICD-30")
    choose(page, "EuroSAT-10")
    expect(box).to_have_value(LABEL_SETS["EuroSAT-10"].text)
    expect(page.locator("#label-set-about")).to_contain_text("Sentinel-2")
    box.fill(LABELS)
    expect(chosen).to_have_value(OWN)
    choose(page, "UCM-21")
    expect(box).to_have_value(LABEL_SETS["UCM-21"].text)
    choose(page, OWN)
    expect(box).to_have_value(LABELS)
    templates = page.locator("#templates textarea")
    expect(templates).to_be_visible()
    templates.fill("{} from above")
    page.locator("#templates-reset").click()
    expect(templates).to_have_value(re.compile("^a satellite photo of {}"))


def choose(page: Page, title: str) -> None:
    page.get_by_label("Label set").click()
    page.get_by_role("option", name=title).click()


@needs_chromium
def test_several_are_classified_and_taken_home(page: Page, files: list[Path], tmp_path: Path) -> None:
    page.locator("#labels textarea").fill(LABELS)
    page.get_by_role("tab", name="Several pictures").click()
    page.locator("#classify-files input[type=file]").set_input_files(files)
    expect(page.locator("#classify-files")).to_contain_text("tanks")
    page.locator("#classify-all-button").click()
    rows = page.locator("#classified tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text(NO_FIT.lower())
    expect(rows.nth(1)).to_contain_text("no JPEG, PNG, WebP, TIFF")
    assert page.locator("#classified img").count() == 0
    with page.expect_download() as begun:
        page.get_by_role("link", name="Save as CSV").click()
    begun.value.save_as(tmp_path / "taken.csv")
    with (tmp_path / "taken.csv").open(encoding="utf-8", newline="") as file:
        taken = list(csv.DictReader(file))
    assert taken[0]["file"] == "'=cmd.png"
    assert [bool(row["problem"]) for row in taken] == [False, True, False]
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@needs_chromium
def test_one_picture_gets_the_hint(page: Page, files: list[Path]) -> None:
    page.locator("#classify-picture input[type=file]").set_input_files(files[2])
    expect(page.locator("#classify-picture img")).to_be_visible()
    page.locator("#classify-button").click()
    expect(page.locator("#bars li")).to_have_count(8)
    expect(page.locator("#bars [role=status]")).to_contain_text(NO_FIT)
    expect(page.locator("#bars li").first).to_contain_text(re.compile(r"\d\.\d %\s*cosine 0\.\d{3}"))
