"""Files that cost their decoder far more than their size tells: refused, bounded, or decoded elsewhere."""

from __future__ import annotations

import io
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from app.media import images, scene_input
from app.media.images import check_work, uploaded
from app.media.scene_input import opened_upload
from app.server import settings
from app.server.concurrency import WeightedSemaphore
from app.server.encoder_queue import STOP
from lrsclip.errors import Cancelled, PictureError
from lrsclip.io.decode import as_rgb
from lrsclip.localize import open_scene
from tests.helpers.app_parts import as_sent, draw_tile


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    content = io.BytesIO()
    draw_tile("road", 1).save(content, "JPEG", progressive=True)
    plain = content.getvalue()
    last = plain.rindex(b"\xff\xda")
    path = tmp_path / "scans.jpg"
    path.write_bytes(plain)
    check_work(path)
    assert uploaded(as_sent(path)).size == (128, 128)
    path.write_bytes(plain[:-2] + plain[last:-2] * 150 + plain[-2:])
    upload = as_sent(path)
    assert upload.path.read_bytes() == b""
    with pytest.raises(PictureError, match=r"JPEG of 1\d\d scans; save it anew"):
        uploaded(upload)


def test_a_fax_is_no_picture_of_the_earth(tmp_path: Path) -> None:
    """Of each damaged row libtiff writes a line, and a file may have 60,000."""
    for kind in ("group3", "group4", "tiff_ccitt"):
        Image.new("1", (64, 64)).save(tmp_path / "fax.tif", compression=kind)
        with pytest.raises(PictureError, match=r"compression [234]; save it with deflate"):
            uploaded(as_sent(tmp_path / "fax.tif"))
    for kind in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "raw"):
        draw_tile("road", 1).save(tmp_path / "a.tif", compression=kind)
        assert uploaded(as_sent(tmp_path / "a.tif")).size == (128, 128)


def test_a_raster_of_more_pixels_than_its_file_can_hold_is_refused(tmp_path: Path) -> None:
    facts: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": "uint8",
        "sparse_ok": True,
        "compress": "deflate",
        "tiled": True,
    }
    with rasterio.open(tmp_path / "a.tif", "w", width=20_000, height=20_000, count=1, **facts):
        pass
    with pytest.raises(PictureError, match="far more pixels than a file of its size can"):
        open_scene(tmp_path / "a.tif", untrusted=True)
    assert open_scene(tmp_path / "a.tif").width_px == 20_000
    facts |= {"dtype": "float32", "interleave": "pixel"}
    with rasterio.open(tmp_path / "b.tif", "w", width=9000, height=9000, count=20, **facts):
        pass
    with pytest.raises(PictureError, match=r"holds 6\.0 GB of pixels in 20 bands"):
        open_scene(tmp_path / "b.tif", untrusted=True)


def test_a_tile_far_larger_than_its_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.new("L", (64, 64)).save(path, compression="tiff_adobe_deflate")
    plain = path.read_bytes()
    check_work(path)
    at = int.from_bytes(plain[4:8], "little")
    count = int.from_bytes(plain[at : at + 2], "little")
    entries = [plain[at + 2 + 12 * n : at + 14 + 12 * n] for n in range(count)]
    tags = {int.from_bytes(entry[:2], "little"): entry for entry in entries}
    tags.pop(278, None)
    (_, _, _, begins), (_, _, _, lengths) = (struct.unpack("<HHII", tags.pop(code)) for code in (273, 279))
    tags |= {code: struct.pack("<HHII", code, 4, 1, value) for code, value in (
        (322, 46_320), (323, 46_320), (324, begins), (325, lengths)
    )}  # fmt: skip
    written = b"".join(tags[code] for code in sorted(tags))
    path.write_bytes(plain + struct.pack("<H", len(tags)) + written + bytes(4))
    content = bytearray(path.read_bytes())
    content[4:8] = struct.pack("<I", len(plain))
    path.write_bytes(bytes(content))
    with pytest.raises(PictureError, match="far larger than itself"):
        check_work(path)
    with pytest.raises(PictureError), open_scene(path, untrusted=True):
        pass


def test_bands_by_the_thousand_and_tiles_of_many_scans_are_refused(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"driver": "GTiff", "width": 16, "height": 16, "dtype": "uint8"}
    with rasterio.open(tmp_path / "bands.tif", "w", count=2000, **facts) as data:
        data.write(np.zeros((2000, 16, 16), np.uint8))
    with pytest.raises(PictureError, match="2,000 bands"):
        check_work(tmp_path / "bands.tif")
    with rasterio.open(
        tmp_path / "plain.tif", "w", count=3, compress="jpeg", photometric="ycbcr", tiled=True, blockxsize=16,
        blockysize=16, **facts | {"width": 64, "height": 64},
    ) as data:  # fmt: skip
        data.write(np.random.default_rng(1).integers(0, 255, (3, 64, 64), np.uint8))
    check_work(tmp_path / "plain.tif")
    draw_tile("road", 1, px=512).save(piece := io.BytesIO(), "JPEG", progressive=True)
    jpeg = piece.getvalue()
    assert jpeg.count(b"\xff\xda") > 8
    tags = {256: 512, 257: 512, 258: 8, 259: 7, 262: 6, 273: 8, 277: 3, 278: 512, 279: len(jpeg)}
    listed = b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in tags.items())
    begin = 8 + len(jpeg)
    odd = b"II*\0" + struct.pack("<I", begin) + jpeg + struct.pack("<H", len(tags)) + listed + bytes(4)
    (tmp_path / "odd.tif").write_bytes(odd)
    with pytest.raises(PictureError, match="scans"):
        check_work(tmp_path / "odd.tif")
    pixels = bytes(2**20)
    tags |= {273: 8 + len(pixels), 279: 8 + len(pixels) + 400}
    begin = 8 + len(pixels) + 800
    listed = b"".join(
        struct.pack("<HHII", code, 4, 100 if code in (273, 279) else 1, value) for code, value in tags.items()
    )
    places = np.arange(8, 108, dtype="<u4").tobytes() + np.full(100, 2**19, "<u4").tobytes()
    head = b"II*\0" + struct.pack("<I", begin)
    (tmp_path / "again.tif").write_bytes(head + pixels + places + struct.pack("<H", len(tags)) + listed + bytes(4))
    with pytest.raises(PictureError, match="overlap"):
        check_work(tmp_path / "again.tif")


def test_a_long_strip_is_kept_small_while_it_waits(tmp_path: Path) -> None:
    Image.new("RGB", (2047, 39_000)).save(tmp_path / "a.png")
    kept = uploaded(as_sent(tmp_path / "a.png"))
    assert kept.width * kept.height < 10_000_000 and min(kept.size) >= 600


def test_a_large_picture_is_decoded_in_a_process_of_its_own_and_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.radial_gradient("L").resize((2600, 2300)).convert("RGB")
    for kind in ("png", "webp", "tif", "jpg"):
        picture.save(tmp_path / f"a.{kind}")
        apart = uploaded(as_sent(tmp_path / f"a.{kind}"))
        monkeypatch.setattr(images, "_AT_HAND_PX", 10**9)
        assert apart.tobytes() == uploaded(as_sent(tmp_path / f"a.{kind}")).tobytes()
        monkeypatch.undo()
    monkeypatch.setattr(images, "_MOST_SECONDS", 0.0)
    with pytest.raises(PictureError, match="cannot read the upload: it takes longer"):
        uploaded(as_sent(tmp_path / "a.png"))


def test_scans_count_for_what_they_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    draw_tile("road", 1).save(path, "JPEG", progressive=True)
    check_work(path)
    monkeypatch.setattr(images, "_MAX_SCANNED_PX", 128 * 128 * 5)
    with pytest.raises(PictureError, match="scans"):
        check_work(path)


def shared_tiles(path: Path) -> Path:
    """A TIFF whose tiles are all one and the same piece of the file."""
    facts: dict[str, Any] = {"driver": "GTiff", "width": 1024, "height": 1024, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", tiled=True, blockxsize=256, blockysize=256, compress="deflate", **facts) as data:
        data.write(np.random.default_rng(1).integers(0, 255, (1, 1024, 1024), np.uint8))
    content = bytearray(path.read_bytes())
    begin = struct.unpack_from("<I", content, 4)[0]
    for at in range(begin + 2, begin + 2 + 12 * struct.unpack_from("<H", content, begin)[0], 12):
        code, _, count, value = struct.unpack_from("<HHII", content, at)
        if code in (324, 325):
            content[value : value + 4 * count] = content[value : value + 4] * count
    path.write_bytes(content)
    return path


def test_tiles_that_are_all_one_piece_are_refused(tmp_path: Path) -> None:
    path = shared_tiles(tmp_path / "a.tif")
    assert open_scene(path).width_px == 1024
    with pytest.raises(PictureError, match="far more pixels than a file of its size can"):
        open_scene(path, untrusted=True)


def test_the_scene_box_has_the_limit_of_scenes_and_stops_with_its_caller(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    facts: dict[str, Any] = {"driver": "GTiff", "width": 5000, "height": 4000, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", tiled=True, **facts) as data:
        data.write(np.arange(20_000_000, dtype=np.uint32).reshape(1, 4000, 5000).astype(np.uint8))
    with open_scene(path) as scene:
        assert scene.thumbnail(1600).size == (1600, 1280)
        scene.stop = threading.Event()
        scene.stop.set()
        with pytest.raises(Cancelled):
            scene.thumbnail(1600)
    settings.use(settings.Settings(max_scene_px=1_000_000))
    try:
        with pytest.raises(PictureError, match="1,000,000 px are looked at in one go"), opened_upload(as_sent(path)):
            pytest.fail("it was opened")
    finally:
        settings.use(settings.Settings())


def test_a_transparent_picture_takes_no_whole_copies_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    whole = Image.fromarray(rng.integers(0, 255, (1300, 70, 4), np.uint8))
    ground = Image.new("RGBA", whole.size, (0, 0, 0, 255))
    expected = Image.alpha_composite(ground, whole).convert("RGB")
    largest: list[int] = []
    convert = Image.Image.convert

    def noted(self: Image.Image, *rest: Any, **more: Any) -> Image.Image:
        largest.append(self.height)
        return convert(self, *rest, **more)

    monkeypatch.setattr(Image.Image, "convert", noted)
    assert as_rgb(whole).tobytes() == expected.tobytes()
    assert max(largest) <= 512
    with open_scene(whole) as scene:
        assert scene.data_share((0, 0, 70, 1300)) == pytest.approx((np.asarray(whole)[:, :, 3] > 0).mean())
    assert max(largest) <= 512


def test_a_deep_picture_is_stretched_strip_by_strip_as_it_was_at_once() -> None:
    values = np.random.default_rng(3).normal(500, 100, (1700, 900)).astype(np.float32)
    values[5:9] = np.nan
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, (2, 98))
    shares = np.nan_to_num((values - low) / (high - low), nan=0.0)
    expected = np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
    made = np.asarray(as_rgb(Image.fromarray(values)))
    assert np.abs(made[:, :, 0].astype(int) - expected).max() <= 1
    flat = np.zeros((600, 4), np.float32)
    flat[577, 3] = 7
    assert np.asarray(as_rgb(Image.fromarray(flat)))[577, 3, 0] == 255, "what little there is shows"


def test_a_stranger_s_raster_that_lies_on_its_side_is_bounded_as_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = Image.fromarray(np.arange(64 * 80, dtype=np.float32).reshape(64, 80))
    deep.save(tmp_path / "deep.tif", tiffinfo={274: 6})
    assert open_scene(tmp_path / "deep.tif", untrusted=True).width_px == 64, "it is stretched strip by strip"
    draw_tile("road", 1).resize((200, 100)).save(tmp_path / "plain.tif", tiffinfo={274: 6})
    assert open_scene(tmp_path / "plain.tif", untrusted=True).width_px == 100
    monkeypatch.setattr("lrsclip.localize.scene._MAX_WHOLE_PX", 1000)
    with pytest.raises(PictureError, match="save it upright"):
        open_scene(tmp_path / "deep.tif", untrusted=True)
    assert open_scene(tmp_path / "deep.tif").width_px == 64, "one's own machine may take its time"


def test_scenes_in_memory_share_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_tile("road", 1, 100).save(tmp_path / "a.png")
    monkeypatch.setattr(scene_input, "HELD", WeightedSemaphore(12_000))
    upload, stop = as_sent(tmp_path / "a.png"), threading.Event()
    token = STOP.set(stop)
    try:
        with opened_upload(upload):
            threading.Timer(0.1, stop.set).start()
            with pytest.raises(Cancelled), opened_upload(upload):
                pytest.fail("there is room for one")
    finally:
        STOP.reset(token)
    with opened_upload(upload):
        pass


@pytest.mark.slow
def test_a_large_deep_raster_is_sampled_in_pieces_and_read_in_strips(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    facts: dict[str, Any] = {"driver": "GTiff", "width": 6000, "height": 5000, "count": 3, "dtype": "uint16"}
    values = rng.normal(3000, 500, (3, 5000, 6000)).clip(0, 9000).astype(np.uint16)
    with rasterio.open(tmp_path / "a.tif", "w", tiled=True, interleave="pixel", **facts) as data:
        data.write(values)
    with open_scene(tmp_path / "a.tif", untrusted=True) as scene:
        assert scene.thumbnail(600).size == (600, 500)
        low, high = np.percentile(values[0], (2, 98))
        shown = scene.read((100, 100, 300, 300))[:, :, 0]
        expected = np.clip((values[0, 100:300, 100:300] - low) / (high - low), 0, 1) * 255
        assert np.abs(shown - expected).max() < 6, "pieces tell what the whole does"


def test_a_narrow_swath_in_a_wide_frame_is_stretched_by_what_it_holds(tmp_path: Path) -> None:
    facts: dict[str, Any] = {
        "driver": "GTiff",
        "width": 6000,
        "height": 5000,
        "count": 1,
        "dtype": "uint16",
        "nodata": 0,
    }
    values = np.zeros((1, 5000, 6000), np.uint16)
    values[0, :, 300:360] = np.random.default_rng(5).integers(1000, 1400, (5000, 60))
    with rasterio.open(tmp_path / "a.tif", "w", tiled=True, **facts) as data:
        data.write(values)
    with open_scene(tmp_path / "a.tif") as scene:
        shown = scene.read((300, 100, 360, 400))
    assert shown.min() < 20 and 100 < shown.mean() < 155 and shown.max() > 235
