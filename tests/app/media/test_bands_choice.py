"""A visitor sees which bands an upload shows, and chooses others, on the Localize and the Classify page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from app.collections import AppState, Collections
from app.localize.html import answer_facts
from app.media.scene_input import SceneBox, SceneRef, opened
from app.places.service import look_up
from app.server.upload_folder import own_folder
from lrsclip.errors import PictureError
from lrsclip.io.bands import bands_of
from tests.helpers.app_parts import answer_of, as_sent, made_heatmap, make_state
from tests.helpers.browsing import needs_chromium, visit
from tests.helpers.picture_kinds import REFLECTANCE, make, write

PLANET = ("blue", "green", "red", "nir")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    return make_state(tmp_path_factory.mktemp("bands"))


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with visit(browser, url, "Localize") as opened_page:
        yield opened_page


@pytest.fixture
def planet(tmp_path: Path) -> Path:
    large = np.repeat(np.repeat(np.concatenate([REFLECTANCE[::-1], REFLECTANCE[:1]]), 3, 1), 3, 2)
    return write(tmp_path / "planet.tif", large, names=PLANET)


@pytest.mark.parametrize(
    ("typed", "bands"),
    [("", None), ("automatic", None), ("4, 3, 2", (4, 3, 2)), ("4 3 2", (4, 3, 2)), ("4;3;2", (4, 3, 2)), ("7", (7,))],
)
def test_bands_are_read_as_they_are_typed(typed: str, bands: tuple[int, ...] | None) -> None:
    assert bands_of(typed) == bands


@pytest.mark.parametrize("typed", ["red", "4,3", "1,2,3,4", "-1", "4.5", "²", "9999999"])
def test_bands_that_are_none_are_refused_in_words(typed: str) -> None:
    with pytest.raises(PictureError, match=r"give three numbers, such as 4,3,2"):
        bands_of(typed)


def test_an_upload_is_opened_in_the_bands_that_stand_in_the_box(state: AppState, planet: Path) -> None:
    upload, collections = as_sent(planet), Collections(state)
    ref = SceneRef(str(upload.path), upload=upload)
    with opened(collections, upload, ref) as usual, opened(collections, upload, ref, "1,2,3") as other:
        assert usual.scene.summary == "bands 3, 2, 1; stretched 2-98 %"
        assert other.scene.summary == "bands 1, 2, 3; stretched 2-98 %"
        box = (0, 0, 64, 64)
        np.testing.assert_array_equal(usual.scene.read(box), other.scene.read(box)[:, :, ::-1])
        assert usual.scene.sha256 != other.scene.sha256
    with pytest.raises(PictureError, match="so there is no band 9"), opened(collections, upload, ref, "9,2,1"):
        pytest.fail("it was opened")
    later = ref.shown_as("/elsewhere/preview.png", (1, 2, 3))
    assert later.is_of(upload), "a click may still have sent the picture before"
    tile = SceneRef(str(upload.path), spec=state.source.spec, tile_id=next(iter(state.tile_ids())))
    with pytest.raises(PictureError, match=r"\?bands=4,3,2"), opened(collections, upload, tile, "3,2,1"):
        pytest.fail("it was opened")


def test_the_facts_of_an_answer_say_which_bands_it_saw() -> None:
    answer = dataclasses.replace(answer_of(made_heatmap()), shown="bands 4, 3, 2; stretched 2-98 %")
    assert "bands 4, 3, 2; stretched 2-98 %" in answer_facts(answer)


def test_a_collection_says_which_bands_it_shows_before_it_is_opened(state: AppState, tmp_path: Path) -> None:
    make("planet.tif", tmp_path)
    for address, bands in ((str(tmp_path), "3, 2, 1"), (f"{tmp_path}?bands=1,2,3", "1, 2, 3")):
        assert look_up(Collections(state), address).shown == f"bands {bands}; stretched 2-98 %"


def test_a_tile_in_the_box_says_its_bands(state: AppState) -> None:
    with gr.Blocks():
        box = SceneBox.lay_out(label="Scene")
    values = box.with_tile(state, next(iter(state.tile_ids())))
    assert values[box.bands].info.startswith("Shown: bands 1, 2, 3")
    assert own_folder().admit(values[box.image], "picture.png")


@needs_chromium
@pytest.mark.parametrize(("tab", "box"), [("Localize", "scene"), ("Classify", "classify-picture")])
def test_a_visitor_sees_the_bands_and_chooses_others(tab: str, box: str, page: Page, planet: Path) -> None:
    page.get_by_role("tab", name=tab).click()
    page.locator(f"#{box} input[type=file]").set_input_files(planet)
    bands, shown = page.locator(f"#{box}-bands input, #{box}-bands textarea"), page.locator(f"#{box}-bands")
    expect(shown).to_contain_text("Shown: bands 3, 2, 1; stretched 2-98 %.")
    before = page.locator(f"#{box} img").get_attribute("src")
    bands.fill("1, 2, 3")
    bands.press("Enter")
    expect(shown).to_contain_text("Shown: bands 1, 2, 3; stretched 2-98 %.")
    expect(page.locator(f"#{box} img")).not_to_have_attribute("src", before or "")
    expect(bands).to_have_value("1, 2, 3")
    bands.fill("9, 2, 3")
    bands.press("Enter")
    expect(page.get_by_text("there is no band 9")).to_be_visible()
    expect(shown).to_contain_text("Shown: bands 1, 2, 3")
