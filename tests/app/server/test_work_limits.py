"""Work is bounded before it starts: what would take minutes is refused in no time, and says what can be had."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.classify.service import MAX_PROMPTS, prototypes_of
from app.collections import AppState
from app.localize.service import Question, ask
from app.media.scene_input import OpenScene
from app.server import settings
from app.server.queued_model import check_length
from app.server.settings import Settings
from lrsclip.errors import PictureError, TextError
from lrsclip.localize import Allowance, Method, window_boxes
from lrsclip.localize.window_encoding import scales_of

SIZES: dict[Method, int] = {"windows": 1000, "dense": 15_000}


@pytest.fixture(autouse=True)
def _usual() -> Iterator[None]:
    settings.use(Settings())
    yield
    settings.use(Settings())


class Untouchable:
    """A scene or a model that nobody may use yet."""

    def __init__(self, **facts: Any) -> None:
        self.__dict__.update(facts)

    def __getattr__(self, name: str) -> Any:
        pytest.fail(f"{name} was used before the work was counted")


def refusal(width_px: int, height_px: int, question: Question) -> str:
    state = SimpleNamespace(bundle=Untouchable())
    scene = Untouchable(width_px=width_px, height_px=height_px)
    with pytest.raises(PictureError) as caught:
        ask(cast(AppState, state), OpenScene(cast(Any, scene)), question)
    return str(caught.value)


@pytest.mark.parametrize("method", ["windows", "dense"])
@pytest.mark.parametrize("scales", [(1,), (2, 3, 4), (1, 400)])
def test_windows_of_a_few_pixels_are_counted_before_anything_is_done(method: Method, scales: tuple[int, ...]) -> None:
    told = refusal(600, 400, Question("a harbor", by_clause=True, method=method, scales_px=scales))
    asked = sum(2 * -(-600 // size) * -(-400 // size) for size in scales)
    assert f"need {asked:,} windows" in told
    assert f"{SIZES[method]:,} windows that are looked at" in told
    found = re.search(r"smallest window size that fits alone is (\d+) px", told)
    assert found is not None
    smallest, allowed = int(found[1]), Allowance(1000, 200_000_000)
    allowed.check(method, 600, 400, [smallest])
    with pytest.raises(PictureError, match="looked at in one go"):
        allowed.check(method, 600, 400, [smallest - 1])
    if method == "windows":
        assert len(window_boxes(600, 400, [smallest])) <= 1000


@pytest.mark.parametrize("method", ["windows", "dense"])
def test_a_scene_of_a_thousand_million_pixels_is_for_the_library(method: Method) -> None:
    assert "200,000,000 px are looked at" in refusal(32_000, 31_000, Question("a harbor", method=method))
    assert "give a smaller scene" in refusal(16, 12_000_000, Question("a harbor", method="windows"))


def test_windows_of_a_large_scene_are_for_the_dense_method() -> None:
    assert "dense method may look at more" in refusal(10_000, 10_000, Question("a harbor", method="windows"))


@pytest.mark.parametrize("side", [16, 192, 1024, 4096, 10_000, 14_000])
def test_usual_scenes_pass(side: int) -> None:
    allowed = Allowance(Settings().max_windows, Settings().max_scene_px)
    allowed.check("dense", side, side, scales_of("dense", side, side, None))
    if side <= 4096:
        allowed.check("windows", side, side, scales_of("windows", side, side, None))


def test_an_operator_can_allow_more() -> None:
    settings.use(Settings.from_environment({"LRSCLIP_MAX_WINDOWS": "10", "LRSCLIP_MAX_SCENE_PX": "5000"}))
    assert "5,000 px are looked at" in refusal(100, 100, Question("a harbor"))
    Allowance(100_000, 10**9).check("dense", 31_000, 32_000, scales_of("dense", 31_000, 32_000, None))


@pytest.mark.parametrize(
    ("names", "templates", "told"),
    [
        (500, 20, "10,000 texts"),
        (301, 10, "3,010 texts"),
        (2, 20, "characters; 3,000 texts"),
    ],
)
def test_names_times_templates_are_bounded(names: int, templates: int, told: str) -> None:
    state = SimpleNamespace(bundle=Untouchable(sha256="x"))
    long = "a long word " * (700 if names == 2 else 0)
    labels = "\n".join(f"name {n} {long}" for n in range(names))
    with pytest.raises(TextError, match=told):
        prototypes_of(cast(AppState, state), labels, "\n".join(f"{n} {{}}" for n in range(templates)))
    assert MAX_PROMPTS >= 45 * 40, "the label sets that are offered must pass with all templates"


def test_signs_that_are_written_out_count_as_their_letters() -> None:
    check_length(["\ufb03" * 3000], 10_000)
    with pytest.raises(TextError, match="12,000 characters"):
        check_length(["\ufb03" * 4000], 10_000)
    with pytest.raises(TextError, match="180,000 characters"):
        check_length(["\ufdfa" * 10_000], 10_000)
