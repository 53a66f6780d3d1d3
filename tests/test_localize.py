"""Localisation: the map is exactly the mean over covering windows; scenes of any shape come out right or in words."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import lrsclip
from lrsclip.errors import Cancelled, PictureError, TextError
from lrsclip.localize import WindowMemory, automatic_scales, localize, mean_over_windows, window_boxes

Floats = npt.NDArray[np.float32]


@dataclass
class Counting:
    """A real model that counts the pictures it encodes."""

    model: lrsclip.LRSCLIP
    encoded: list[int] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return self.model.sha256

    def encode_text(self, texts: list[str]) -> Floats:
        return self.model.encode_text(texts)

    def encode_image(self, pictures: list[Image.Image]) -> Floats:
        self.encoded.append(len(pictures))
        return self.model.encode_image(pictures)


@pytest.fixture(scope="module")
def model() -> lrsclip.LRSCLIP:
    return lrsclip.random_model()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def naive_mean(boxes: npt.NDArray[np.int64], scores: Floats, width: int, height: int) -> npt.NDArray[np.float64]:
    """The definition: add each window's score to each of its pixels, then divide by how many came."""
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for (left, top, right, bottom), score in zip(boxes, scores, strict=True):
        total[top:bottom, left:right] += score
        count[top:bottom, left:right] += 1
    assert count.min() > 0, "a pixel without a window"
    return total / count


@st.composite
def scenes(draw: st.DrawFn) -> tuple[int, int, list[int]]:
    width, height = draw(st.integers(16, 90)), draw(st.integers(16, 90))
    sizes = st.integers(4, min(width, height))
    return width, height, draw(st.lists(sizes, min_size=1, max_size=3, unique=True))


@settings(deadline=None, max_examples=80)
@given(scenes(), st.integers(0, 2**32 - 1))
def test_map_equals_the_per_pixel_loop(scene: tuple[int, int, list[int]], seed: int) -> None:
    width, height, sizes = scene
    boxes = window_boxes(width, height, sizes)
    scores = np.random.default_rng(seed).uniform(-1, 1, len(boxes)).astype(np.float32)
    cells = mean_over_windows(boxes, scores, width, height)
    expected = naive_mean(boxes, scores, width, height)
    np.testing.assert_allclose(cells.per_pixel(), expected, atol=1e-6)
    np.testing.assert_array_equal(cells.sampled(width, height), cells.per_pixel())


@settings(deadline=None, max_examples=80)
@given(scenes())
def test_windows_are_distinct_and_stay_inside(scene: tuple[int, int, list[int]]) -> None:
    width, height, sizes = scene
    boxes = window_boxes(width, height, sizes)
    assert len(np.unique(boxes, axis=0)) == len(boxes)
    assert boxes[:, :2].min() >= 0
    assert boxes[:, 2].max() == width
    assert boxes[:, 3].max() == height
    sides = boxes[:, 2:] - boxes[:, :2]
    assert set(np.unique(sides)) == set(sizes)
    assert (sides[:, 0] == sides[:, 1]).all()


def test_two_diagonal_grids_as_selo_lays_them() -> None:
    # worked out by hand: 100 x 60 px, windows of 40 px; starts 0, 40, 60 and 20, 60 in x, 0, 20 and 20 in y
    corners = {(int(left), int(top)) for left, top, _, _ in window_boxes(100, 60, [40])}
    assert corners == {(0, 0), (40, 0), (60, 0), (0, 20), (40, 20), (60, 20), (20, 20)}


def test_as_many_windows_as_the_reference_tool_makes() -> None:
    # 40² + 39² + 20² + 20² + 14² + 13², less the far corner of each size, where the border brings both grids together
    assert len(window_boxes(10_000, 10_000, (256, 512, 768))) == 4286 - 3


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((4000, 3000), (256, 512, 768)),
        ((1024, 9000), (256, 512, 768)),
        ((512, 600), (128, 256, 384)),
        ((100, 120), (48, 50, 75)),
        ((64, 64), (48,)),
        ((20, 500), (20,)),
    ],
)
def test_automatic_window_sizes(size: tuple[int, int], expected: tuple[int, ...]) -> None:
    assert automatic_scales(*size) == expected


def test_every_pixel_has_the_mean_cosine_of_its_windows(model: lrsclip.LRSCLIP) -> None:
    scene = noise(150, 110)
    seen: list[tuple[int, int]] = []
    result = localize(
        model, scene, "a harbour", batch_size=8, progress=lambda *at: seen.append(at), memory=WindowMemory()
    )
    boxes = window_boxes(150, 110, automatic_scales(150, 110))
    crops = [scene.crop((left, top, right, bottom)) for left, top, right, bottom in boxes.tolist()]
    scores = model.encode_image(crops) @ model.encode_text(["a harbour"])[0]
    np.testing.assert_allclose(result.scores_cos, naive_mean(boxes, scores, 150, 110), atol=1e-5)
    assert result.scores_cos.shape == (110, 150)
    assert (result.min_cos, result.max_cos) == (result.scores_cos.min(), result.scores_cos.max())
    left, top, right, _ = boxes[scores.argmax()]
    assert (result.best.x_px, result.best.y_px, result.best.size_px) == (left, top, right - left)
    assert seen[0] == (8, len(boxes))
    assert seen[-1] == (len(boxes), len(boxes))


def test_another_sentence_on_the_same_pixels_encodes_no_picture(model: lrsclip.LRSCLIP) -> None:
    counting, memory, scene = Counting(model), WindowMemory(), noise(90, 80)
    first = localize(counting, scene, "a river", memory=memory)
    assert sum(counting.encoded) == first.windows
    again = localize(counting, noise(90, 80), "a bridge", memory=memory)  # equal pixels in another object
    assert sum(counting.encoded) == first.windows
    assert (first.reused, again.reused) == (False, True)
    fresh = localize(counting, scene, "a bridge", memory=WindowMemory())
    np.testing.assert_array_equal(again.scores_cos, fresh.scores_cos)


@pytest.mark.parametrize("change", ["pixels", "shape", "model", "scales"])
def test_nothing_is_reused_when_anything_differs(model: lrsclip.LRSCLIP, change: str) -> None:
    memory, scene = WindowMemory(), Image.new("RGB", (96, 64))
    localize(model, scene, "a river", scales_px=(48,), memory=memory)
    other, scales = scene.copy(), (48,)
    if change == "pixels":
        other.putpixel((95, 63), (0, 0, 1))
    elif change == "shape":
        other = Image.new("RGB", (64, 96))  # as many equal bytes
    elif change == "model":
        model = lrsclip.random_model(seed=1)
    else:
        scales = (32,)
    assert not localize(model, other, "a river", scales_px=scales, memory=memory).reused


def test_memory_drops_the_oldest_scene_first(model: lrsclip.LRSCLIP) -> None:
    scenes_ = [noise(64, 64, seed) for seed in range(3)]
    one = localize(model, scenes_[0], "x", memory=WindowMemory()).windows * model.embed_dim * 4
    memory = WindowMemory(max_bytes=2 * one)
    for number in (0, 1, 0, 2):
        localize(model, scenes_[number], "x", memory=memory)
    assert len(memory) == 2
    assert localize(model, scenes_[0], "x", memory=memory).reused
    assert not localize(model, scenes_[1], "x", memory=memory).reused


@pytest.mark.parametrize("size", [(0, 0), (0, 40), (1, 1), (1, 50_000), (50_000, 1), (300, 15)])
def test_scenes_too_small_for_a_window_are_refused_in_words(model: lrsclip.LRSCLIP, size: tuple[int, int]) -> None:
    with pytest.raises(PictureError, match=f"{size[0]} x {size[1]} px"):
        localize(model, Image.new("RGB", size), "a river")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_scenes_of_other_modes_are_read(model: lrsclip.LRSCLIP, mode: str) -> None:
    result = localize(model, noise(70, 60).convert(mode), "a river", memory=WindowMemory())
    assert np.isfinite(result.scores_cos).all()


def test_a_long_strip_is_localised(model: lrsclip.LRSCLIP) -> None:
    result = localize(model, noise(900, 16), "a river", memory=WindowMemory())
    assert result.scores_cos.shape == (16, 900)


@pytest.mark.parametrize("scales", [(), (0,), (-4,), (61,), (16, 4000)])
def test_window_sizes_that_do_not_fit_are_refused(model: lrsclip.LRSCLIP, scales: tuple[int, ...]) -> None:
    with pytest.raises(PictureError, match="from 1 to 60 px"):
        localize(model, noise(90, 60), "a river", scales_px=scales)


def test_more_windows_than_anybody_can_mean_are_refused(model: lrsclip.LRSCLIP) -> None:
    with pytest.raises(PictureError, match="windows"):
        localize(model, Image.new("RGB", (2000, 2000)), "a river", scales_px=(2,))


def test_a_damaged_file_is_named_as_such(model: lrsclip.LRSCLIP, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("damaged") / "cut.png"
    noise(80, 80).save(path)
    path.write_bytes(path.read_bytes()[:4000])
    with Image.open(path) as scene, pytest.raises(PictureError, match="save it again"):
        localize(model, scene, "a river")


def test_an_empty_sentence_is_refused_before_any_work(model: lrsclip.LRSCLIP) -> None:
    counting = Counting(model)
    with pytest.raises(TextError):
        localize(counting, noise(64, 64), "  ")
    assert not counting.encoded


def test_stop_ends_the_work_before_the_next_batch(model: lrsclip.LRSCLIP) -> None:
    counting, stop, memory = Counting(model), threading.Event(), WindowMemory()
    with pytest.raises(Cancelled, match="after 4 of"):
        localize(
            counting,
            noise(64, 64),
            "x",
            scales_px=(16,),
            batch_size=4,
            progress=lambda *_: stop.set(),
            stop=stop,
            memory=memory,
        )
    assert counting.encoded == [4]
    assert len(memory) == 0
