"""Localization: the map is exactly the mean over covering windows; scenes of any shape come out right or in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import lrsclip
from lrsclip.atlas.land_use import World
from lrsclip.atlas.layout import Country
from lrsclip.atlas.rendering import render
from lrsclip.errors import PictureError, TextError
from lrsclip.localize import (
    Heatmap,
    WindowMemory,
    automatic_scales,
    localize,
    localize_all,
    mean_over_windows,
    window_boxes,
)
from lrsclip.localize import window_encoding as parts
from lrsclip.protocols import METHODS
from tests.helpers.localize_parts import Counting, noise

Floats = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def model() -> lrsclip.LRSCLIP:
    return lrsclip.random_model()


@pytest.fixture(scope="module")
def land() -> Image.Image:
    """A scene in which there is something to tell apart: some 450 x 350 m of the atlas."""
    return render(Country(World(11)), 0, 0, 450, 350, 0.5)


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
    one = localize(model, scenes_[0], "x", memory=WindowMemory()).windows * (model.embed_dim * 4 + 4 * 8)
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


def test_a_long_strip_is_localized(model: lrsclip.LRSCLIP) -> None:
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
    with Image.open(path) as scene, pytest.raises(PictureError, match="replace"):
        localize(model, scene, "a river")


def test_an_empty_sentence_is_refused_before_any_work(model: lrsclip.LRSCLIP) -> None:
    counting = Counting(model)
    with pytest.raises(TextError):
        localize(counting, noise(64, 64), "  ")
    assert not counting.encoded


def test_several_sentences_are_each_the_map_of_its_own(model: lrsclip.LRSCLIP) -> None:
    counting, scene, texts = Counting(model), noise(80, 64), ["a river", "a bridge over it"]
    together = localize_all(counting, scene, texts, memory=WindowMemory())
    assert sum(counting.encoded) == together[0].windows
    for text, heatmap in zip(texts, together, strict=True):
        alone = localize(model, scene, text, memory=WindowMemory())
        assert heatmap.text == text
        np.testing.assert_allclose(heatmap.scores_cos, alone.scores_cos, atol=1e-5)
    with pytest.raises(TextError, match="no sentence"):
        localize_all(model, scene, [])


def test_what_is_excluded_is_taken_off(model: lrsclip.LRSCLIP) -> None:
    scene, memory = noise(80, 64), WindowMemory()
    wanted, other = (localize(model, scene, text, memory=memory) for text in ("a river", "a road"))
    difference = localize(model, scene, "a river", exclude="a road", memory=memory)
    np.testing.assert_allclose(difference.scores_cos, wanted.scores_cos - other.scores_cos, atol=1e-5)
    nothing = localize(model, scene, "a river", exclude="a river", memory=memory)
    np.testing.assert_allclose(nothing.scores_cos, 0, atol=1e-5)


def test_ten_thousand_words_are_cut_not_refused(model: lrsclip.LRSCLIP) -> None:
    scene, memory, words = noise(64, 64), WindowMemory(), "a river beside green fields " * 2_000
    cut = localize(model, scene, words, memory=memory)
    kept = localize(model, scene, model.describe_tokens(words).kept, memory=memory)
    np.testing.assert_allclose(cut.scores_cos, kept.scores_cos, atol=1e-5)


def test_where_a_scene_holds_no_data_there_is_no_score(model: lrsclip.LRSCLIP) -> None:
    values = np.random.default_rng(0).uniform(0, 1, (64, 160, 3)).astype(np.float32)
    values[:, 96:] = np.nan
    for method in METHODS:
        heatmap = localize(model, values, "a river", method=method, scales_px=(32,), memory=WindowMemory())
        assert np.isfinite(heatmap.scores_cos[:, :96]).all()
        assert np.isnan(heatmap.scores_cos[:, 128:]).all()
        assert np.isfinite([heatmap.min_cos, heatmap.max_cos]).all()
    clear = Image.new("RGBA", (64, 64), (9, 9, 9, 0))
    with pytest.raises(PictureError, match="no data"):
        localize(model, clear, "a river", memory=WindowMemory())


def test_rasters_are_remembered_on_disk_and_damage_there_is_harmless(model: lrsclip.LRSCLIP, tmp_path: Path) -> None:
    raster, kept = tmp_path / "scene.tif", tmp_path / "kept"
    noise(96, 80).save(raster)
    first = localize(model, raster, "a river", memory=WindowMemory(folder=kept))
    again = localize(model, raster, "a river", memory=WindowMemory(folder=kept))  # as if in another process
    assert (first.reused, again.reused) == (False, True)
    np.testing.assert_array_equal(first.scores_cos, again.scores_cos)
    assert not localize(model, noise(96, 80), "a river", memory=WindowMemory(folder=kept)).reused  # no raster
    (file,) = kept.glob("*.npz")
    file.write_bytes(file.read_bytes()[:200])
    assert not localize(model, raster, "a river", memory=WindowMemory(folder=kept)).reused
    noise(96, 80, seed=1).save(raster)
    assert not localize(model, raster, "a river", memory=WindowMemory(folder=kept)).reused


def test_the_disk_holds_no_more_than_it_may(model: lrsclip.LRSCLIP, tmp_path: Path) -> None:
    def on_disk(folder: Path, most: int) -> list[int]:
        for seed in range(4):
            noise(64, 64, seed).save(tmp_path / "scene.tif")
            localize(model, tmp_path / "scene.tif", "x", memory=WindowMemory(0, folder, most))
        return [file.stat().st_size for file in folder.glob("*.npz")]

    sizes = on_disk(tmp_path / "all", 2**30)
    assert len(sizes) == 4
    assert len(on_disk(tmp_path / "some", int(2.9 * sizes[0]))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("size", [(480, 400), (500, 140), (130, 300)])
def test_the_dense_map_agrees_with_windows_encoded_one_by_one(
    land: Image.Image, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "DENSE_PX", 224)  # as large as the windows are seen one by one
    monkeypatch.setattr(parts, "MAX_ENLARGED", 5.0)
    shipped, scene = lrsclip.load("tiny", precision="fp32"), land.crop((0, 0, *size))
    heatmap = localize(shipped, scene, "a dense residential area", method="dense", memory=WindowMemory())
    boxes = window_boxes(*size, heatmap.scales_px)
    crops = [scene.crop((left, top, right, bottom)) for left, top, right, bottom in boxes.tolist()]
    scores = shipped.encode_image(crops) @ shipped.encode_text(["a dense residential area"])[0]
    expected = mean_over_windows(boxes, scores, *size).per_pixel()
    assert heatmap.windows == len(boxes)
    assert np.corrcoef(heatmap.scores_cos.ravel(), expected.ravel())[0, 1] > 0.8


def test_blocks_of_the_dense_map_agree_with_the_whole(land: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped, steps = lrsclip.load("tiny", precision="fp32"), list[tuple[int, int]]()

    def localized(text: str) -> Heatmap:
        return localize(
            shipped, land, text, method="dense", scales_px=(112,), memory=WindowMemory(),
            progress=lambda *at: steps.append(at),
        )  # fmt: skip

    whole = localized("a dense residential area")
    monkeypatch.setattr(parts, "_BLOCK_PX", 256)
    cut = localized("a dense residential area")
    assert len(steps) == 1 + 6  # 3 x 2 blocks
    assert cut.windows == whole.windows
    assert np.corrcoef(whole.scores_cos.ravel(), cut.scores_cos.ravel())[0, 1] > 0.93


def test_patches_of_a_vit_look_at_their_neighbors(model: lrsclip.LRSCLIP) -> None:
    """Against NACLIP's formula, head by head and patch by patch."""
    tower, picture = model.model.patched, noise(224, 224)
    block = tower.transformer.resblocks[-1]
    heads, width = block.attn.num_heads, tower.conv1.out_channels
    with torch.inference_mode():
        tokens = tower._embeds(model.preprocess(picture)[None])[0, 1:]
        weight, bias = block.attn.in_proj_weight, block.attn.in_proj_bias
        _, keys, values = (block.ln_1(tokens) @ weight.T + bias).split(width, dim=1)
        side, share = round(len(tokens) ** 0.5), width // heads
        mixed = torch.zeros(len(tokens), width)
        for head in range(heads):
            part = slice(head * share, (head + 1) * share)
            for i in range(len(tokens)):
                squares = [(i // side - j // side) ** 2 + (i % side - j % side) ** 2 for j in range(len(tokens))]
                near = torch.exp(-torch.tensor(squares) / (2 * 5.0**2))
                mixed[i, part] = torch.softmax(keys[:, part] @ keys[i, part] / share**0.5 + near, 0) @ values[:, part]
        expected = torch.nn.functional.normalize(tower.ln_post(block.attn.out_proj(mixed)) @ tower.proj, dim=1)
    found = model.encode_patches([picture])[0].reshape(len(tokens), -1)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("size", [(200, 160), (64, 900)])
def test_a_dense_map_of_a_vit_covers_the_scene(model: lrsclip.LRSCLIP, size: tuple[int, int]) -> None:
    heatmap = localize(model, noise(*size), "a river", method="dense", scales_px=(48,), memory=WindowMemory())
    assert np.isfinite(heatmap.scores_cos).all()
    assert len(np.unique(heatmap.scores_cos)) > 50


def test_a_model_without_a_dense_method_says_so(model: lrsclip.LRSCLIP) -> None:
    with pytest.raises(PictureError, match='method="windows"'):
        localize(Counting(model), noise(64, 64), "x", method="dense", memory=WindowMemory())
    with pytest.raises(PictureError, match="windows or dense"):
        localize(model, noise(64, 64), "x", method="sparse", memory=WindowMemory())  # type: ignore[arg-type]
