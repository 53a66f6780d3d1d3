"""Scenes read by windows: every kind of picture, array and raster comes out right, or is refused in words."""

from __future__ import annotations

import hashlib
import resource
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from lrsclip.errors import Cancelled, PictureError
from lrsclip.localize import scene as scene_module
from lrsclip.localize import scene_kinds
from lrsclip.localize.scene import Scene, open_scene
from tests.helpers.scene_parts import HIGH_PX, WIDE_PX, Bytes, noise, smooth, whole, write_raster


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bytes, dict[str, Scene]]]:
    """The same pixels as a picture, an array, a tiled raster, one in strips, and a picture file."""
    folder = tmp_path_factory.mktemp("kinds")
    pixels = noise()
    tiled = write_raster(folder / "tiled.tif", pixels, tiled=True, blockxsize=32, blockysize=16)
    strips = write_raster(folder / "strips.tif", pixels, compress="deflate")
    Image.fromarray(pixels).save(folder / "a.png")
    given: dict[str, Any] = {
        "picture": Image.fromarray(pixels),
        "array": pixels,
        "tiled": tiled,
        "strips": str(strips),
        "file": folder / "a.png",
    }
    opened = {name: open_scene(what) for name, what in given.items()}
    yield pixels, opened
    for scene in opened.values():
        scene.close()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_window_is_a_slice(kinds: tuple[Bytes, dict[str, Scene]], data: st.DataObject) -> None:
    pixels, opened = kinds
    left, top = data.draw(st.integers(0, WIDE_PX - 1)), data.draw(st.integers(0, HIGH_PX - 1))
    right, bottom = data.draw(st.integers(left + 1, WIDE_PX)), data.draw(st.integers(top + 1, HIGH_PX))
    for name, scene in opened.items():
        part = scene.read((left, top, right, bottom))
        np.testing.assert_array_equal(part, pixels[top:bottom, left:right], err_msg=name)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(-5, 95), st.integers(-5, 75), st.integers(-5, 95), st.integers(-5, 75), st.integers(-1, 99), st.data()
)
def test_a_window_comes_in_the_size_asked_for_or_is_refused(
    kinds: tuple[Bytes, dict[str, Scene]], left: int, top: int, right: int, bottom: int, wide: int, data: st.DataObject
) -> None:
    scene = kinds[1][data.draw(st.sampled_from(sorted(kinds[1])))]
    inside = 0 <= left < right <= WIDE_PX and 0 <= top < bottom <= HIGH_PX
    if inside and wide > 0:
        part = scene.read((left, top, right, bottom), (wide, 7))
        assert part.shape == (7, wide, 3)
        assert part.dtype == np.uint8
    else:
        with pytest.raises(PictureError, match="window"):
            scene.read((left, top, right, bottom), (wide, 7))


def test_shrunk_windows_agree_whatever_the_kind(tmp_path: Path) -> None:
    pixels = smooth()
    deep = pixels.astype(np.uint16) * 100
    box, size_px = (20, 30, 308, 174), (48, 24)
    expected = np.asarray(Image.fromarray(pixels[30:174, 20:308]).resize(size_px, Image.Resampling.BOX)).astype(int)
    for what in (pixels, write_raster(tmp_path / "a.tif", pixels), write_raster(tmp_path / "b.tif", pixels, nodata=0)):
        assert np.abs(open_scene(what).read(box, size_px).astype(int) - expected).max() <= 4
    same = [
        open_scene(write_raster(tmp_path / f"{name}.tif", deep.astype(kind))).read(box, size_px).astype(int)
        for name, kind in (("u16", np.uint16), ("i32", np.int32), ("f32", np.float32), ("f64", np.float64))
    ]
    for other in (*same, open_scene(deep).read(box, size_px).astype(int)):
        assert np.abs(other - same[0]).max() <= 4


def test_shrinking_smooths_a_fine_pattern(tmp_path: Path) -> None:
    board = np.indices((256, 256)).sum(axis=0) % 2 * 254 + 1
    pixels = np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8)
    for what in (pixels, write_raster(tmp_path / "a.tif", pixels)):
        part = open_scene(what).read((0, 0, 256, 256), (32, 32)).astype(int)
        assert np.abs(part - 128).max() <= 6, "a pattern finer than a pixel is grey"


def test_an_overview_serves_small_thumbnails(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", smooth(600, 900), tiled=True, blockxsize=256, blockysize=256)
    plain = np.asarray(open_scene(path).thumbnail(90)).astype(int)
    with rasterio.open(path, "r+") as data:
        data.build_overviews([2, 4], rasterio.enums.Resampling.average)
    thumbnail = open_scene(path).thumbnail(90)
    assert thumbnail.size == (90, 60)
    assert np.abs(np.asarray(thumbnail).astype(int) - plain).max() <= 6
    assert open_scene(path).thumbnail(5000).size == (900, 600), "never enlarged"


# Modes of pictures


def test_every_mode_of_picture_keeps_its_colors() -> None:
    pixels = smooth(64, 80)
    rgb = Image.fromarray(pixels)
    for mode in ("RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "P"):
        picture = rgb.convert(mode)
        shown = whole(open_scene(picture)).astype(int)
        np.testing.assert_array_equal(shown, np.asarray(picture.convert("RGB")), err_msg=mode)
        assert np.abs(shown - pixels).mean() < (25 if mode == "P" else 8), mode
    for mode in ("L", "LA", "1"):
        gray = whole(open_scene(rgb.convert(mode)))
        np.testing.assert_array_equal(gray[:, :, 0], np.asarray(rgb.convert(mode).convert("L")), err_msg=mode)
        assert (gray == gray[:, :, :1]).all()


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
def test_deep_pictures_are_stretched_and_not_cut_to_white(mode: str) -> None:
    ramp = np.linspace(3000, 9000, 64 * 80).reshape(64, 80)
    kinds = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4", "F": "<f4"}
    picture = Image.frombytes(mode, (80, 64), ramp.astype(kinds[mode]).tobytes())
    shown = whole(open_scene(picture))[:, :, 0].astype(int)
    array = whole(open_scene(ramp.astype(np.float32)))[:, :, 0].astype(int)
    assert np.abs(shown - array).max() <= 1, "as rasters and arrays are"
    assert shown[0, 0] == 0
    assert shown[-1, -1] == 255
    assert 120 < shown[32, 0] < 135
    assert (shown == 255).mean() < 0.03


def test_what_is_clear_or_not_a_number_is_a_gap() -> None:
    layer = np.dstack([noise(64, 80, 3), np.full((64, 80), 255, np.uint8)])
    layer[:, :20, 3] = 0
    number = Image.fromarray(smooth(64, 80)).convert("P")
    number.info["transparency"] = number.getpixel((40, 40))
    floats = noise(64, 80).astype(np.float32)
    floats[:, :20], floats[3, 40], floats[4, 40] = np.nan, np.inf, -np.inf
    for what in (Image.fromarray(layer), layer, Image.fromarray(floats), floats, layer.astype(np.uint16)):
        scene = open_scene(what)
        assert scene.has_gaps
        assert scene.data_share((0, 0, 20, 64)) == 0
        assert scene.data_share((20, 10, 40, 64)) == 1
        assert scene.data_share((10, 10, 30, 20)) == 0.5
        assert whole(scene)[:, :20].max() == 0
        assert scene.read((0, 0, 80, 64), (40, 32))[:, :10].max() == 0, "no colour runs into the gap"
        assert whole(scene)[:, 20:].mean() > 60
    assert whole(open_scene(floats))[3:5, 40].max() == 0
    assert open_scene(number).data_share((40, 40, 41, 41)) == 0
    opaque = layer.copy()
    opaque[:, :, 3] = 255
    assert not open_scene(opaque).has_gaps
    assert open_scene(opaque).data_share((0, 0, 80, 64)) == 1


def test_a_picture_is_turned_as_its_camera_tag_says(tmp_path: Path) -> None:
    pixels = smooth(64, 80)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.jpg", "a.png", "a.tif"):
        Image.fromarray(pixels).save(tmp_path / name, exif=exif, quality=98)
        expected = np.rot90(pixels, -1).astype(int)
        for what in (tmp_path / name, Image.open(tmp_path / name)):
            scene = open_scene(what)
            assert (scene.width_px, scene.height_px) == (64, 80), name
            assert np.abs(whole(scene).astype(int) - expected).mean() < 3, name


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16", "F", "RGBA"])
def test_a_tiff_looks_alike_to_both_readers(tmp_path: Path, mode: str) -> None:
    rgb = Image.fromarray(smooth(64, 80))
    picture = rgb.convert("L").convert(mode) if mode in ("I;16", "F") else rgb.convert(mode)
    picture.save(tmp_path / "a.tif")
    shown = whole(open_scene(tmp_path / "a.tif")).astype(int)
    assert np.abs(shown - whole(open_scene(picture)).astype(int)).max() <= 1


# Bands, depths and masks of rasters


def test_bands_are_the_named_ones_then_the_first_and_never_alpha(tmp_path: Path) -> None:
    four = noise(64, 80, 4)
    four[:, :, 3] = 255
    four[:20, :, 3] = 0
    rgba = open_scene(write_raster(tmp_path / "rgba.tif", four, alpha=True, photometric="rgb"))
    np.testing.assert_array_equal(whole(rgba)[20:], four[20:, :, :3])
    assert whole(rgba)[:20].max() == 0
    assert rgba.data_share((0, 0, 80, 40)) == 0.5
    many = noise(64, 80, 6)
    path = write_raster(tmp_path / "many.tif", many, photometric="minisblack")
    np.testing.assert_array_equal(whole(open_scene(path)), many[:, :, :3])
    np.testing.assert_array_equal(whole(open_scene(path, bands=(6, 2, 4))), many[:, :, [5, 1, 3]])
    np.testing.assert_array_equal(whole(open_scene(path, bands=(5,))), many[:, :, [4, 4, 4]])
    gray = write_raster(tmp_path / "grey.tif", four[:, :, [0, 1, 3]], alpha=True, photometric="minisblack")
    np.testing.assert_array_equal(whole(open_scene(gray))[20:], four[20:, :, [0, 0, 0]])


def test_gaps_of_rasters_are_black_and_counted(tmp_path: Path) -> None:
    pixels = noise(64, 80, 3)
    there = np.full((64, 80), 255, np.uint8)
    there[:, :20] = 0
    emptied = np.where(there[:, :, None] > 0, pixels, 255)
    emptied[pixels == 255] = 254
    emptied[:, :20] = 255
    floats = np.where(there[:, :, None] > 0, pixels.astype(np.float32), np.nan)
    for name, values, more in (
        ("mask", pixels, {"mask": there}),
        ("white", emptied, {"nodata": 255}),
        ("deep", np.where(there[:, :, None] > 0, pixels.astype(np.int16), -9999), {"nodata": -9999}),
        ("nan", floats, {}),
        ("named_nan", floats, {"nodata": np.nan}),
    ):
        scene = open_scene(write_raster(tmp_path / f"{name}.tif", values, **more))
        assert scene.has_gaps, name
        assert whole(scene)[:, :20].max() == 0, name
        assert whole(scene)[:, 20:].mean() > 100, name
        assert scene.read((0, 0, 80, 64), (40, 32))[:, :10].max() == 0, name
        assert scene.read((0, 0, 80, 64), (40, 32))[:, 12:].min() > 20, f"{name}: the gap does not spread"
        assert scene.data_share((0, 0, 20, 64)) == 0, name
        assert scene.data_share((0, 0, 80, 64)) == 0.75, name
    full = open_scene(write_raster(tmp_path / "full.tif", pixels))
    assert not full.has_gaps
    assert full.data_share((0, 0, 80, 64)) == 1


def test_scattered_gaps_do_not_blacken_a_thumbnail(tmp_path: Path) -> None:
    floats = noise(512, 512, 1).astype(np.float32)
    floats[np.random.default_rng(1).random(floats.shape) < 0.2] = np.nan
    for what in (floats, write_raster(tmp_path / "a.tif", floats)):
        thumbnail = np.asarray(open_scene(what).thumbnail(32)).astype(int)
        assert thumbnail.min() > 50
        assert abs(thumbnail.mean() - 128) < 5


def test_few_bits_palettes_and_paper_come_out_in_their_range(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(80) % 16, (64, 1))[:, :, None].astype(np.uint8)
    four_bits = whole(open_scene(write_raster(tmp_path / "n.tif", ramp, nbits=4)))
    np.testing.assert_array_equal(four_bits[0, :16, 0], np.arange(16) * 17)
    paper = whole(open_scene(write_raster(tmp_path / "w.tif", ramp, photometric="miniswhite")))
    np.testing.assert_array_equal(paper[0, :16, 0], 255 - np.arange(16))
    path = tmp_path / "p.tif"
    with rasterio.open(path, "w", driver="GTiff", width=80, height=64, count=1, dtype="uint16") as data:
        data.write(ramp[:, :, 0].astype(np.uint16) * 1000, 1)
        data.write_colormap(1, {number * 1000: (number * 10, 5, 255 - number, 255) for number in range(16)})
    colors = whole(open_scene(path))
    assert colors[0, 7].tolist() == [70, 5, 248]
    shrunk = open_scene(path).read((0, 0, 80, 64), (40, 32))
    assert shrunk[0, 3].tolist() != [0, 0, 0], "colours are smoothed, not their numbers"
    assert abs(int(shrunk[0, 3, 0]) - 65) <= 8


def test_large_numbers_close_together_keep_their_steps(tmp_path: Path) -> None:
    ramp = (4_000_000_000 + np.arange(64 * 80).reshape(64, 80, 1) // 20).astype(np.uint32)
    shown = whole(open_scene(write_raster(tmp_path / "a.tif", ramp)))[:, :, 0]
    assert len(np.unique(shown)) > 200


# Hashes, threads, ends


def test_a_hash_tells_pixels_gaps_files_and_bands_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise()
    clear = np.dstack([pixels, np.full((HIGH_PX, WIDE_PX), 255, np.uint8)])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert open_scene(pixels).sha256 == open_scene(Image.fromarray(pixels)).sha256
    assert open_scene(pixels).sha256 == open_scene(tmp_path / "a.png").sha256 == open_scene(clear).sha256
    pixels[0, 0] = clear[0, 0, :3] = 0
    clear[0, 0, 3] = 0
    assert open_scene(pixels).sha256 != open_scene(clear).sha256, "black is not a gap"
    path = write_raster(tmp_path / "a.tif", noise())
    shutil.copy(path, tmp_path / "b.tif")
    scene = open_scene(path)
    assert scene.sha256 == open_scene(tmp_path / "b.tif").sha256
    assert scene.sha256 != open_scene(path, bands=(3, 2, 1)).sha256
    kept, asked = hashlib.file_digest, []

    def counted(file: Any, kind: str) -> Any:
        asked.append(kind)
        return kept(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    again = open_scene(path)
    assert again.sha256 == again.sha256 == scene.sha256
    assert len(asked) == 1
    late = open_scene(path)
    path.unlink()
    with pytest.raises(PictureError, match=r"a\.tif"):
        _ = late.sha256


def test_many_threads_read_the_same_pixels(tmp_path: Path) -> None:
    pixels = noise(300, 400, 3)
    path = write_raster(tmp_path / "a.tif", pixels, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    corners = [(x, y) for y in range(0, 240, 30) for x in range(0, 340, 30)]
    for scene in (open_scene(path), open_scene(pixels)):
        with ThreadPoolExecutor(8) as pool:
            parts = pool.map(scene.read, [(x, y, x + 60, y + 60) for x, y in corners])
            for (x, y), part in zip(corners, parts, strict=True):
                np.testing.assert_array_equal(part, pixels[y : y + 60, x : x + 60])


def test_a_window_of_a_vast_raster_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    facts = {"driver": "GTiff", "count": 3, "dtype": "uint8", "sparse_ok": True, "tiled": True, "compress": "deflate"}
    with rasterio.open(path, "w", width=30_000, height=30_000, **facts) as data:
        data.write(noise(512, 512, 3).transpose(2, 0, 1), window=Window(20_000, 25_000, 512, 512))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scene = open_scene(path)
    np.testing.assert_array_equal(scene.read((20_000, 25_000, 20_512, 25_512)), noise(512, 512, 3))
    for left in range(0, 24_000, 3000):
        assert scene.read((left, 24_000, left + 3000, 27_000), (64, 64)).shape == (64, 64, 3)
    taken_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert taken_kb < 400_000, "2.7 GB decoded"


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["picture", "raster"]))
def test_many_windows_are_looked_up_at_once_and_stop_with_their_caller(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    there = rng.random((9, 7)).repeat(16, axis=0).repeat(16, axis=1) > 0.5
    there[0, 0], there[-1, -1] = True, False
    rgba = np.dstack([rng.integers(1, 255, (144, 112, 3), dtype=np.uint8), 255 * there.astype(np.uint8)])
    left, top = rng.integers(0, 96, 40), rng.integers(0, 128, 40)
    boxes = np.stack([left, top, left + rng.integers(1, 17, 40), top + rng.integers(1, 17, 40)], axis=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.tif")
        with rasterio.open(path, "w", driver="GTiff", width=112, height=144, count=4, dtype="uint8") as file:
            file.write(rgba.transpose(2, 0, 1))
            file.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
        with open_scene(rgba if kind == "picture" else path) as scene:
            assert scene.has_gaps
            alone = [scene.data_share(tuple(box)) for box in boxes.tolist()]
            np.testing.assert_allclose(scene.data_shares(boxes), alone)
            scene.stop = threading.Event()
            scene.stop.set()
            with pytest.raises(Cancelled):
                scene.data_shares(boxes)


def test_the_gaps_of_a_huge_scene_are_found_on_a_smaller_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_kinds, "_MAX_MASK_PX", 10_000)
    rgba = np.full((600, 900, 4), 200, np.uint8)
    rgba[:, :450, 3] = 0
    with open_scene(rgba) as scene:
        boxes = np.array([(0, 0, 200, 200), (350, 100, 550, 300), (700, 400, 900, 600)], dtype=np.int64)
        assert scene.data_shares(boxes) == pytest.approx([0, 0.5, 1], abs=0.05)


def test_bands_that_are_stored_apart_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for interleave in ("BAND", "PIXEL"):
        path = tmp_path / f"{interleave}.tif"
        facts = {"tiled": True, "blockxsize": 256, "blockysize": 256, "interleave": interleave}
        with rasterio.open(path, "w", driver="GTiff", width=512, height=512, count=3, dtype="uint16", **facts) as file:
            file.write(np.random.default_rng(1).integers(0, 9999, (3, 512, 512), dtype=np.uint16))
        open_scene(path, untrusted=True).close()
        with monkeypatch.context() as small:
            small.setattr(scene_module, "_MAX_STRANGERS_BLOCK_BYTES", 2 * 256 * 256 * 2)
            with pytest.raises(PictureError, match="too large to read by windows"):
                open_scene(path, untrusted=True)
