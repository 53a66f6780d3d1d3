"""The Localize page beside its maps: what each clause is told, outlines that show on any ground, and the examples."""

from __future__ import annotations

import dataclasses
import html
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from torch import Tensor

from app.collections import AppState
from app.localize import exports
from app.localize.answers import Answers
from app.localize.examples import STARTS, best_tile
from app.localize.heatmap_map import map_frame
from app.localize.html import answer_facts, clause_summary
from app.localize.service import Question, regions_of
from app.media.scene_input import SceneBox
from lrsclip import LRSCLIP
from lrsclip.calibration.presence import Presence
from lrsclip.errors import TileSourceError
from lrsclip.localize.score_grid import CellMap
from tests.app.search.test_page import judged
from tests.helpers.app_parts import NASTY, answer_of, calling, draw_tile, ground_with, made_heatmap, make_state
from tests.helpers.browsing import visit


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    return make_state(tmp_path_factory.mktemp("localize"))


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with visit(browser, url, "Localize") as opened:
        yield opened


def test_each_clause_has_its_heading_and_what_was_found() -> None:
    here = dataclasses.replace(made_heatmap(text="white boats"), presence=Presence(0.91, "yes", 0.2, 0.2, 0.0))
    gone = dataclasses.replace(made_heatmap(text=NASTY), presence=Presence(0.2, "no", 0.2, 0.2, 0.0))
    facts = answer_facts(answer_of(made_heatmap(), clauses=(here, gone, made_heatmap(text="a pier"))))
    told = re.findall(r"<li><h4>(.*?)</h4><p>(.*?)</p></li>", facts)
    assert [html.unescape(heading) for heading, _ in told] == ["white boats", NASTY, "a pier"]
    assert [said for _, said in told] == [
        "Best cosine 0.410, probably present (91 %).",
        "Best cosine 0.410, probably not here (20 %).",
        "Best cosine 0.410.",
    ]
    assert "<script" not in facts and "<img" not in facts
    assert "clauses" not in answer_facts(answer_of(made_heatmap()))


def test_texts_count_among_the_bytes_of_an_answer() -> None:
    """A small picture has few cells; its three texts of 10,000 characters were kept for nothing."""
    answers = Answers(max_bytes=2**20)
    question = Question("a" * 10_000, compare="b" * 10_000)
    names = [answers.put(f"s{n}", answer_of(made_heatmap(), question=question)) for n in range(6)]
    kept = [name for n, name in enumerate(names) if answers.get(f"s{n}", name)]
    assert kept == names[-len(kept) :] and 1 <= len(kept) <= 3


def test_answers_are_bounded_and_each_client_pushes_out_its_own() -> None:
    answers, one = Answers(max_bytes=3 * 2**20), answer_of(made_heatmap())
    assert answers.get("a", None) is None and answers.get("a", "made up") is None
    first = answers.put("a", one)
    assert answers.get("a", first) is one and answers.get("b", first) is None
    second = answers.put("a", one)
    assert answers.get("a", first) is None and answers.get("a", second) is one, "a session has one"
    answers.drop("a")
    assert answers.get("a", second) is None
    cells = CellMap(np.zeros((512, 512), np.float32), np.arange(513), np.arange(513))
    large = answer_of(dataclasses.replace(made_heatmap(), cells=cells))
    with calling("other"):
        mine = answers.put("mine", large)
    names = [answers.put(f"s{n}", large) for n in range(8)]
    assert answers.get("mine", mine) is large and answers.get("s7", names[7]) is large
    assert answers.get("s0", names[0]) is None


def test_files_of_one_client_push_out_none_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "write_files", lambda folder, *_: [folder / "heatmap.tif"])
    downloads, one = exports.Downloads(), answer_of(made_heatmap())
    with calling("other"):
        (mine,) = downloads.write("mine", one, "tiny")
    paths = [Path(path) for n in range(40) for path in downloads.write(f"s{n}", one, "tiny")]
    assert Path(mine).parent.is_dir() and paths[-1].parent.is_dir() and not paths[0].parent.is_dir()
    downloads.clear()
    assert not Path(mine).parent.is_dir()


def test_an_example_takes_the_tile_that_search_finds(state: AppState) -> None:
    assert len(STARTS) == 3
    with gr.Blocks():
        box = SceneBox.lay_out()
    for start in STARTS:
        tile_id = best_tile(state, start.text)
        assert tile_id == state.index.search(state.bundle.encode_text([start.text]), 1)[0][0].tile_id
        values = box.with_tile(state, tile_id)
        assert Path(values[box.image]).is_file()
        assert values[box.ref].tile_id == tile_id


def test_an_example_is_localized_with_the_keyboard_alone(page: Page) -> None:
    page.get_by_role("tab", name="Localize").click()
    expect(page.locator("#map")).to_contain_text("Nothing is chosen yet")
    page.get_by_role("button", name="Storage tanks").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#sentence textarea")).to_have_value("Round white storage tanks with a road beside them")
    expect(page.locator("#scene img")).to_be_visible()
    page.locator("#localize-settings button").first.focus()
    page.keyboard.press("Enter")
    page.get_by_label("One map per clause").focus()
    page.keyboard.press("Space")
    page.locator("#localize-button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#map .clauses li")).to_have_count(3)
    inside = page.frame_locator("iframe.map")
    expect(inside.get_by_role("region", name=re.compile("with a road, best cosine 0"))).to_be_attached()
    slider = inside.get_by_label("Heat-map opacity")
    slider.focus()
    page.keyboard.press("Home")
    expect(inside.get_by_alt_text("heat-map").first).to_have_css("opacity", "0")


def test_a_visitor_stops_a_heat_map_and_makes_it_after_all(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    pieces: list[int] = []
    own = LRSCLIP.encode_pixels

    def held(model: LRSCLIP, pixels: Tensor) -> Tensor:
        begun.set()
        assert go_on.wait(30)
        pieces.append(len(pixels))
        return own(model, pixels)

    monkeypatch.setattr(LRSCLIP, "encode_pixels", held)
    draw_tile("harbour", 5, 1600).save(tmp_path / "large.png")
    page.get_by_role("tab", name="Localize").click()
    page.locator("#scene input[type=file]").set_input_files(tmp_path / "large.png")
    expect(page.locator("#scene img")).to_be_visible()
    page.locator("#sentence textarea").fill("white boats")
    page.locator("#localize-settings > button").click()
    page.get_by_label("Windows", exact=True).check()
    page.locator("#localize-button").click()
    assert begun.wait(30)
    with page.expect_response(lambda answer: "/gradio_api/run/" in answer.url):
        page.get_by_role("button", name="Stop", exact=True).click()
    go_on.set()
    expect(page.get_by_text(re.compile("stopped", re.IGNORECASE))).to_be_visible()
    assert len(pieces) == 1, "the piece that was at hand"
    expect(page.locator("#map")).to_contain_text("Nothing is chosen yet")
    page.locator("#localize-button").click()
    expect(page.frame_locator("iframe.map").get_by_alt_text("heat-map")).to_be_visible(timeout=60_000)
    assert len(pieces) > 2


def test_every_outline_lies_on_a_dark_one_and_goes_with_it(page: Page) -> None:
    page.set_content(map_frame(answer_of(made_heatmap()), ground_with()))  # no more of the page than the map
    inside = page.frame_locator("iframe")
    expect(inside.locator("path.region").first).to_be_attached()
    regions = inside.locator("path.region").count()
    expect(inside.locator("path.casing")).to_have_count(regions + 1)  # the best window too
    first = inside.locator("path").first
    expect(first).to_have_class(re.compile("casing"))
    inside.locator(".leaflet-control-layers").hover()
    inside.get_by_role("checkbox", name="Regions").uncheck()
    expect(inside.locator("path.casing")).to_have_count(1)


def test_what_is_told_of_a_clause_without_a_calibration_is_its_cosine() -> None:
    assert clause_summary(made_heatmap()) == "best cosine 0.410"


def test_nothing_is_outlined_for_what_is_probably_not_there_unless_asked() -> None:
    plain = made_heatmap()
    absent = dataclasses.replace(plain, presence=Presence(0.02, "no", 0.1, 0.2, 0.3))
    assert regions_of(plain, None).regions
    assert not regions_of(absent, None).regions
    assert "none outlined, since this is probably not here" in answer_facts(answer_of(absent))
    assert regions_of(absent, 0.1).regions
    unsure = dataclasses.replace(plain, presence=Presence(0.4, "unsure", 0.1, 0.2, 0.3))
    assert regions_of(unsure, None).regions == regions_of(plain, None).regions


def test_a_tile_that_knows_its_ground_has_areas_on_the_ground() -> None:
    in_px, on_ground = regions_of(made_heatmap(), None), regions_of(made_heatmap(), None, 0.5)
    for one, same in zip(in_px.regions, on_ground.regions, strict=True):
        assert one.area_m2 is None
        assert same.area_m2 == one.area_px / 4


def test_an_example_that_a_collection_does_not_show_is_refused_in_words(state: AppState) -> None:
    with pytest.raises(TileSourceError, match="no tile of this collection seems to show"):
        best_tile(judged(state, bias=-9.0), STARTS[0].text)
