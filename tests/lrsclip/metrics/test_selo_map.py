"""SeLo's heat-map: the mean over windows by plain loops, every step against its definition, and each switched off."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import lrsclip
from lrsclip.errors import DataError, PictureError
from lrsclip.localize import CellMap, window_boxes
from lrsclip.metrics.selo_map import (
    PROTOCOLS,
    SceneWindows,
    SeloProtocol,
    encode_scene,
    finished_map,
    min_max,
    selo_map,
    selo_protocol,
)

Floats = npt.NDArray[np.float32]
RAW = PROTOCOLS["raw"]


class Watching:
    """Encoders that keep what they are shown."""

    sha256 = "0"

    def __init__(self) -> None:
        self.shown: list[Image.Image] = []

    def encode_text(self, texts: list[str]) -> Floats:
        return np.ones((len(texts), 1), np.float32)

    def encode_image(self, pictures: list[Image.Image]) -> Floats:
        self.shown += pictures
        return np.ones((len(pictures), 1), np.float32)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def cells_of(values: npt.NDArray[np.floating]) -> CellMap:
    """A map with one cell per pixel."""
    height, width = values.shape
    return CellMap(values.astype(np.float32), np.arange(height + 1), np.arange(width + 1))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[int, int, tuple[int, ...]]:
    width, height = draw(st.integers(16, 60)), draw(st.integers(16, 60))
    sizes = st.integers(4, min(width, height))
    return width, height, tuple(draw(st.lists(sizes, min_size=1, max_size=3, unique=True)))


@settings(deadline=None, max_examples=40)
@given(scenes(), st.integers(0, 2**32 - 1))
def test_the_map_equals_a_plain_loop(scene: tuple[int, int, tuple[int, ...]], seed: int) -> None:
    width, height, window_px = scene
    random = np.random.default_rng(seed)
    boxes = window_boxes(width, height, window_px)
    vectors = random.normal(size=(len(boxes), 3)).astype(np.float32)
    text = random.normal(size=3).astype(np.float32)
    windows = SceneWindows(boxes, vectors, width, height)

    mean = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            over = (boxes[:, 0] <= x) & (x < boxes[:, 2]) & (boxes[:, 1] <= y) & (y < boxes[:, 3])
            mean[y, x] = np.mean([float(vector @ text) for vector in vectors[over]])
    contrast = mean.max() - mean.min()
    expected = (mean - mean.min()) / contrast if contrast > 1e-5 else None
    found = selo_map(windows, text, RAW)
    assert found.shape == (height, width)
    assert found.dtype == np.float32
    if expected is not None:
        np.testing.assert_allclose(found, expected, atol=1e-5 / contrast)
        gray = selo_map(windows, text, dataclasses.replace(RAW, gray=True))
        level = np.rint(gray * 255)
        assert np.abs(gray * 255 - level).max() < 1e-4  # whole levels
        assert np.abs(level - 255 * expected).max() <= 1 + 255e-5 / contrast  # cut, not rounded
        assert level.max() == 255
        assert level.min() == 0


def test_gray_levels_are_cut_not_rounded() -> None:
    values = np.array([[0.0, 0.5, 0.999, 1.0]])  # times 255: 0, 127.5, 254.7, 255
    gray = finished_map(cells_of(values), dataclasses.replace(RAW, gray=True)) * 255
    np.testing.assert_allclose(gray, [[0, 127, 254, 255]], atol=1e-4)


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_a_map_without_contrast_is_nothing(name: str) -> None:
    found = finished_map(cells_of(np.full((20, 30), 0.3)), selo_protocol(name))
    np.testing.assert_array_equal(found, np.zeros((20, 30)))


@pytest.mark.parametrize("kernel", [3, 5, 9, 25])
@pytest.mark.parametrize("shape", [(31, 40), (7, 60), (40, 31)])
def test_the_median_is_exact_and_repeats_the_border(kernel: int, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(kernel).integers(0, 256, shape) / 255
    values.flat[:2] = 0, 1  # so that min-max changes nothing
    found = finished_map(cells_of(values), dataclasses.replace(RAW, gray=True, median_px=kernel)) * 255
    gray = finished_map(cells_of(values), dataclasses.replace(RAW, gray=True)) * 255
    wide = np.pad(np.rint(gray), kernel // 2, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(wide, (kernel, kernel))
    np.testing.assert_allclose(found, np.median(around, axis=(2, 3)), atol=1e-4)


def test_the_published_median_is_exact_on_a_map_larger_than_it() -> None:
    values = np.random.default_rng(0).integers(0, 256, (300, 320)) ** 2 / 255**2
    gray = np.rint(finished_map(cells_of(values), dataclasses.replace(RAW, gray=True)) * 255)
    found = finished_map(cells_of(values), dataclasses.replace(RAW, gray=True, median_px=251)) * 255
    wide = np.pad(gray, 125, mode="edge")
    for y, x in ((0, 0), (0, 319), (299, 100), (150, 160), (130, 7), (299, 319)):
        assert found[y, x] == pytest.approx(np.median(wide[y : y + 251, x : x + 251]), abs=1e-4)


def test_the_maps_jpeg_is_a_real_one() -> None:
    values = np.random.default_rng(0).integers(0, 256, (40, 48)) / 255
    plain = finished_map(cells_of(values), dataclasses.replace(RAW, gray=True))
    found = finished_map(cells_of(values), dataclasses.replace(RAW, gray=True, map_jpeg=True))
    file = io.BytesIO()  # Pillow's own encoder at the same quality must agree to a level or two
    Image.fromarray(np.rint(plain * 255).astype(np.uint8)).save(file, "JPEG", quality=95)
    with Image.open(file) as stored:
        np.testing.assert_allclose(found * 255, np.asarray(stored), atol=2)
    assert np.abs(found - plain).max() > 1.5 / 255


def test_a_window_is_resized_without_smoothing() -> None:
    """OpenCV's bicubic at a third takes every third pixel as it is; Pillow's would mix three columns to a third."""
    stripes = np.zeros((48, 48, 3), np.uint8)
    stripes[:, 1::3] = 255  # the middle of every three columns
    watching = Watching()
    encode_scene(watching, Image.fromarray(stripes), dataclasses.replace(RAW, window_px=(48,), crop_px=16))
    (shown,) = watching.shown
    np.testing.assert_array_equal(np.asarray(shown), np.full((16, 16, 3), 255))


def test_a_window_keeps_its_colors_and_its_place() -> None:
    scene = Image.new("RGB", (64, 32), (200, 30, 60))
    scene.paste((20, 60, 220), (32, 0, 64, 32))
    watching = Watching()
    windows = encode_scene(watching, scene, SeloProtocol(window_px=(32,)))
    for box, shown in zip(windows.boxes_px.tolist(), watching.shown, strict=True):
        assert shown.size == (256, 256)
        blue = box[0] / 32  # the window's share of the right half: 0, 0.5 or 1
        expected = (1 - blue) * np.array([200, 30, 60]) + blue * np.array([20, 60, 220])
        np.testing.assert_allclose(np.asarray(shown, dtype=float).mean(axis=(0, 1)), expected, atol=4)
    assert [box[0] for box in windows.boxes_px.tolist()] == [0, 16, 32]


def test_a_windows_jpeg_is_a_real_one() -> None:
    scene, protocol = noise(32, 32), SeloProtocol(window_px=(32,), crop_px=None)
    watching = Watching()
    encode_scene(watching, scene, protocol)
    encode_scene(watching, scene, dataclasses.replace(protocol, crop_jpeg=False))
    file = io.BytesIO()
    scene.save(file, "JPEG", quality=95)
    with Image.open(file) as stored:
        np.testing.assert_allclose(np.asarray(watching.shown[0], float), np.asarray(stored, float), atol=3)
    assert np.abs(np.asarray(watching.shown[0], int) - np.asarray(scene, int)).max() > 10
    np.testing.assert_array_equal(np.asarray(watching.shown[1]), np.asarray(scene))


def test_every_window_is_encoded_once_and_told() -> None:
    watching, told = Watching(), list[tuple[int, int]]()
    protocol = dataclasses.replace(RAW, window_px=(16, 24))
    windows = encode_scene(watching, noise(150, 110), protocol, lambda *at: told.append(at))
    np.testing.assert_array_equal(windows.boxes_px, window_boxes(150, 110, (16, 24)))
    assert len(watching.shown) == len(windows.boxes_px) == len(windows.vectors)
    assert told[0] == (64, len(windows.boxes_px))
    assert told[-1] == (len(windows.boxes_px), len(windows.boxes_px))


def test_windows_larger_than_the_scene_are_refused() -> None:
    with pytest.raises(PictureError, match="do not fit"):
        encode_scene(Watching(), noise(300, 200), SeloProtocol())


@pytest.fixture(scope="module")
def model() -> lrsclip.LRSCLIP:
    return lrsclip.random_model()


def small(name: str) -> SeloProtocol:
    """A protocol by name, in sizes for a small scene."""
    protocol = selo_protocol(name)
    return dataclasses.replace(
        protocol,
        window_px=(32, 48),
        crop_px=None if protocol.crop_px is None else 40,
        median_px=None if protocol.median_px is None else 21,
    )


@pytest.fixture(scope="module")
def maps(model: lrsclip.LRSCLIP) -> dict[str, Floats]:
    scene = noise(30, 25).resize((120, 100), Image.Resampling.NEAREST)
    text = model.encode_text(["a harbour"])[0]
    return {name: selo_map(encode_scene(model, scene, small(name)), text, small(name)) for name in PROTOCOLS}


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if name != "standard"])
def test_each_step_switched_off_gives_another_map(maps: dict[str, Floats], name: str) -> None:
    assert maps[name].shape == (100, 120)
    assert maps[name].min() >= 0
    assert maps[name].max() <= 1
    assert not np.array_equal(maps[name], maps["standard"])


def test_a_step_acts_where_it_should(maps: dict[str, Floats]) -> None:
    """The median takes levels away, the JPEG brings some in; the raw map alone is not in levels."""
    for name in PROTOCOLS:
        in_levels = np.abs(maps[name] * 255 - np.rint(maps[name] * 255)).max() < 1e-4
        assert in_levels == (name != "raw"), name
    assert len(np.unique(maps["no-map-jpeg"])) < len(np.unique(maps["standard"]))


def test_the_same_protocol_gives_the_same_map(model: lrsclip.LRSCLIP, maps: dict[str, Floats]) -> None:
    scene = noise(30, 25).resize((120, 100), Image.Resampling.NEAREST)
    again = selo_map(
        encode_scene(model, scene, small("standard")), model.encode_text(["a harbour"])[0], small("standard")
    )
    np.testing.assert_array_equal(again, maps["standard"])


def test_min_max() -> None:
    np.testing.assert_array_equal(min_max(np.array([[2.0, 4.0, 6.0]])), [[0, 0.5, 1]])
    np.testing.assert_array_equal(min_max(np.full((2, 2), 7.0)), np.zeros((2, 2)))


def test_a_protocol_that_is_not_known() -> None:
    with pytest.raises(DataError, match=r"'median'.*standard, no-crop-resize.*raw"):
        selo_protocol("median")


def test_every_protocol_goes_by_its_own_name() -> None:
    assert all(selo_protocol(name).name == name for name in PROTOCOLS)


@pytest.mark.parametrize(
    "change", [{"median_px": 250}, {"median_px": 1}, {"gray": False}, {"gray": False, "median_px": None}]
)
def test_protocols_that_make_no_sense(change: dict[str, int | bool | None]) -> None:
    with pytest.raises(ValueError, match="median"):
        SeloProtocol(**change)  # type: ignore[arg-type]
