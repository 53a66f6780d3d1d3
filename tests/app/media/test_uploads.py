"""What becomes of an uploaded file: nothing that its camera or its maker wrote into it stays on the server."""

from __future__ import annotations

import struct
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app.media import images as pictures
from app.media.images import _checked, copy_without_metadata, uploaded
from app.media.scene_input import opened_upload
from app.server.concurrency import WeightedSemaphore
from app.server.settings import Settings, use
from app.server.upload_folder import UploadFolder
from lrsclip.errors import PictureError
from lrsclip.io import reduced
from lrsclip.io.decode import Decoded, decode
from lrsclip.tiles import open_image
from tests.helpers.app_parts import as_sent, draw_tile

SECRET = b"SECRET CAMERA"


def exif_of(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = turn, SECRET.decode()
    return exif


def written(path: Path) -> Path:
    """A picture of 96 x 64 px with a secret in it, as its name's ending says."""
    picture, text = draw_tile("tanks", 3, 96).crop((0, 0, 96, 64)), PngInfo()
    text.add_text("Comment", SECRET.decode())
    match path.suffix:
        case ".jpg":
            picture.save(path, exif=exif_of(6), comment=SECRET, quality=95)
        case ".png":
            picture.save(path, exif=exif_of(8), pnginfo=text)
        case ".webp":
            picture.save(path, exif=exif_of(3), xmp=b"<x:xmpmeta>" + SECRET + b"</x:xmpmeta>", lossless=True)
    assert SECRET in path.read_bytes()
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("scene", [False, True])
def test_an_upload_is_read_as_before_and_keeps_no_secret(name: str, scene: bool, tmp_path: Path) -> None:
    path = written(tmp_path / name)
    before = np.asarray(open_image(path), np.int16)
    content = path.read_bytes()
    upload = as_sent(path)
    if scene:
        with opened_upload(upload) as opened:
            assert (opened.scene.height_px, opened.scene.width_px) == before.shape[:2]
    else:
        assert uploaded(upload).size == before.shape[1::-1]
    assert SECRET not in upload.path.read_bytes()
    after = np.asarray(open_image(upload.path), np.int16)
    assert after.shape == before.shape, "it stands as upright as it did"
    assert abs(after - before).mean() < (2 if name == "a.jpg" else 1e-9)
    assert path.read_bytes() == content, "what is stripped is a copy"
    assert [entry.name for entry in upload.path.parent.iterdir()] == [name]


def hidden(path: Path) -> Path:
    """A picture with a secret where Pillow does not look when it opens a file."""
    draw_tile("tanks", 3, 96).save(path, quality=95)
    plain = path.read_bytes()
    match path.stem:
        case "behind-the-pixels":
            text = b"tEXtComment\0" + SECRET
            chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
            path.write_bytes(plain[:-12] + chunk + plain[-12:])
        case "in-a-part-of-its-own":  # as content credentials are (C2PA)
            path.write_bytes(plain[:2] + b"\xff\xeb" + struct.pack(">H", len(SECRET) + 2) + SECRET + plain[2:])
        case "behind-the-end":
            path.write_bytes(plain + SECRET)
    return path


@pytest.mark.parametrize(
    "name", ["behind-the-pixels.png", "in-a-part-of-its-own.jpg", "behind-the-end.jpg", "behind-the-end.png"]
)
def test_no_secret_is_left_where_few_look(name: str, tmp_path: Path) -> None:
    path = hidden(tmp_path / name)
    before = np.asarray(open_image(path), np.int16)
    assert copy_without_metadata(path, copy := tmp_path / "copy")
    assert SECRET not in copy.read_bytes() and SECRET in path.read_bytes()
    assert abs(np.asarray(open_image(copy), np.int16) - before).mean() < 2


KINDS: dict[str, dict[str, Any]] = {
    "strips": {},
    "jpeg in tiles": {"compress": "jpeg", "photometric": "ycbcr", "tiled": True},
    "big": {"compress": "deflate", "predictor": 2, "bigtiff": "yes"},
    "backwards": {"endianness": "big", "compress": "lzw"},
    "cloud": {"driver": "COG"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_tiff_keeps_its_pixels_and_its_place_and_no_secret(kind: str, tmp_path: Path) -> None:
    path, bands = tmp_path / "a.tif", np.random.default_rng(1).integers(0, 255, (3, 600, 700), np.uint8)
    place = Affine(1, 0, 500_123, 0, -1, 4_430_456)
    how: dict[str, Any] = {"driver": "GTiff", "crs": "EPSG:26914", "transform": place, "nodata": 7} | KINDS[kind]
    with rasterio.open(path, "w", width=700, height=600, count=3, dtype="uint8", **how) as dataset:
        dataset.write(bands)
        dataset.update_tags(TIFFTAG_ARTIST=SECRET.decode(), TIFFTAG_IMAGEDESCRIPTION=SECRET.decode() * 30)
        if how["driver"] == "GTiff":
            dataset.build_overviews([2, 4])
    with path.open("ab") as file:
        file.write(SECRET)
    before = seen(path)
    assert path.read_bytes().count(SECRET) == 32
    assert copy_without_metadata(path, copy := tmp_path / "copy.tif")
    assert SECRET not in copy.read_bytes() and path.read_bytes().count(SECRET) == 32
    assert seen(copy) == before
    assert not copy_without_metadata(copy, tmp_path / "again.tif"), "once is enough"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.tif", "copy.tif"]


def seen(path: Path) -> tuple[object, ...]:
    """What a reader makes of a raster: its pixels, also those of an overview, and all that says how to take them."""
    with rasterio.open(path) as dataset:
        small = dataset.read(out_shape=(3, 150, 175))
        return dataset.read().tobytes(), small.tobytes(), dataset.profile, dataset.overviews(1), dataset.colorinterp


def test_what_a_camera_wrote_into_a_tiff_goes_wherever_it_lies(tmp_path: Path) -> None:
    plain, exif = draw_tile("tanks", 3, 96), exif_of(6)
    plain.save(path := tmp_path / "a.tif", exif=exif)
    before = np.asarray(open_image(path))
    content = bytearray(path.read_bytes())
    # Pillow writes no list within the list, as cameras do: so the maker's name becomes the address of one
    camera = struct.pack("<HHHIII", 1, 0x9003, 2, len(SECRET), len(content) + 18, 0) + SECRET
    at = content.index(struct.pack("<HHI", 0x010F, 2, len(SECRET) + 1))
    content[at : at + 12] = struct.pack("<HHII", 0x8769, 4, 1, len(content))
    path.write_bytes(content + camera)
    with Image.open(path) as opened:
        assert opened.getexif().get_ifd(0x8769)[0x9003] == SECRET.decode()
    upload = as_sent(path)
    assert uploaded(upload).size == plain.size
    assert SECRET not in upload.path.read_bytes()
    np.testing.assert_array_equal(np.asarray(open_image(upload.path)), before)
    with Image.open(upload.path) as opened:
        assert not opened.getexif().get_ifd(0x8769) and opened.getexif()[0x0112] == 6


@settings(max_examples=150, deadline=None)
@given(st.data(), st.booleans())
def test_a_damaged_tiff_ends_in_words_or_stays(data: st.DataObject, big: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tif"
        draw_tile("road", 1, 32).save(path, exif=exif_of(1), big_tiff=big)
        content = bytearray(path.read_bytes())
        first = struct.unpack("<Q", content[8:16])[0] if big else struct.unpack("<I", content[4:8])[0]
        lists = [*range(16), *range(first, min(first + 300, len(content)))]
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.sampled_from(lists))] = data.draw(st.integers(0, 255))
        path.write_bytes(damaged := content[: data.draw(st.sampled_from([len(content), len(content) - 9, 40, 7, 4]))])
        copy, there = Path(folder) / "copy.tif", False
        with suppress(PictureError):
            there = copy_without_metadata(path, copy)
        assert copy.exists() == there, "nothing half-written"
        assert path.read_bytes() == damaged
        assert not there or copy.stat().st_size <= len(content)


def test_a_tiff_that_leads_back_to_itself_is_read_once_and_one_of_endless_parts_is_refused(tmp_path: Path) -> None:
    def written_with(count: int, lists: int) -> Path:
        """As many lists of strips as one wishes, all in the same place."""
        content, at = bytearray(b"II*\0" + struct.pack("<I", 8)), 8
        for number in range(lists):
            following = at + 30 if number < lists - 1 else 8
            content += struct.pack(
                "<HHHIIHHIII", 2, 273, 4, count, 30 * lists + 8, 279, 4, count, 30 * lists + 8, following
            )
            at += 30
        (tmp_path / "a.tif").write_bytes(bytes(content) + bytes(4 * count))
        return tmp_path / "a.tif"

    copy_without_metadata(written_with(100, 3), tmp_path / "copy.tif")
    for count, lists, says in ((100, 101, "more than 100 pictures"), (2**20, 5, "far too many parts")):
        upload = as_sent(written_with(count, lists))
        assert upload.path.read_bytes() == b"", "nothing of what is refused stays"
        with pytest.raises(PictureError, match=says):
            uploaded(upload)


def test_large_uploads_are_decoded_one_after_the_other_and_kept_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (6000, 2100), (90, 120, 60)).save(tmp_path / "large.png")
    budget, at_work, most, upload = WeightedSemaphore(20_000_000), [], [], as_sent(tmp_path / "large.png")

    def read(*given: Any, **options: Any) -> Decoded:
        at_work.append(1)
        most.append(len(at_work))
        time.sleep(0.05)
        at_work.pop()
        return decode(*given, **options)

    monkeypatch.setattr(pictures, "DECODING", budget)
    monkeypatch.setattr(pictures, "_AT_HAND_PX", 10**9)  # in this process, where it can be counted
    monkeypatch.setattr(reduced, "decode", read)
    with ThreadPoolExecutor(4) as pool:
        sizes = list(pool.map(lambda _: uploaded(upload).size, range(4)))
    assert sizes == [(3000, 1050)] * 4
    assert most == [1] * 4
    with budget.of(10**9):  # more than there is: alone, and not never
        pass


def test_what_holds_nothing_of_the_kind_is_not_written_anew(tmp_path: Path) -> None:
    draw_tile("road", 1).save(tmp_path / "plain.jpg")
    draw_tile("road", 1).convert("P").save(tmp_path / "clear.png", transparency=3)
    (tmp_path / "table.csv").write_bytes(b"description\na road\n")
    for path in sorted(tmp_path.iterdir()):
        assert not copy_without_metadata(path, tmp_path / "copy")
        assert as_sent(path).path.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gbk", "cp1250"])
def test_tables_of_every_encoding_come_in(codec: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("query;id\r\na harbor;1\r\n".encode(codec))
    assert not as_sent(tmp_path / "a.csv").refusal


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.gif", b"GIF89a" + SECRET),
        ("a.bmp", b"BM" + SECRET),
        ("a.avif", b"\0\0\0\x20ftypavif" + SECRET),
        ("a.jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + SECRET),
        ("a.heic", b"\0\0\0\x18ftypheic" + SECRET),
        ("a.html", b"<script>" + SECRET),
        ("a.zip", b"PK\3\4" + SECRET),
        ("a.csv", b"\0\1" + SECRET),
        ("a.png", SECRET),
        ("a.tif", b"II*\0" + SECRET * 20),
        ("a.tif", b"II\0*" + SECRET * 20),
        ("a.tif", b"MM*\0" + SECRET * 20),
    ],
)
def test_nothing_is_kept_of_what_nobody_reads(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    upload = as_sent(path)
    assert upload.path.read_bytes() == b""
    with pytest.raises(PictureError, match=r"save it (anew|as)|cannot read"):
        uploaded(upload)


def tiff_with(path: Path, *extra: tuple[int, int, int, bytes], thumbnail: bool = False) -> Path:
    """A small gray TIFF with further tags (code, kind, count, value), and a thumbnail of an old kind behind it."""
    pixels, tags = bytes(range(64)) * 4, []
    for code, number in ((256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (277, 1), (278, 16), (279, 256)):
        tags.append(struct.pack("<HHII", code, 4, 1, number))
    after = b""
    at = 8 + 256
    for code, kind, count, value in extra:
        tags.append(struct.pack("<HHII", code, kind, count, at + len(after)))
        after += value + b"\0" * (len(value) % 2)
    tags.append(struct.pack("<HHII", 273, 4, 1, 8))
    tags.sort(key=lambda tag: struct.unpack("<H", tag[:2])[0])
    begin = at + len(after)
    second = begin + 2 + 12 * len(tags) + 4
    first = struct.pack("<H", len(tags)) + b"".join(tags) + struct.pack("<I", second if thumbnail else 0)
    tail = struct.pack("<H", 2) + struct.pack("<HHII", 259, 3, 1, 6) + struct.pack("<HHII", 270, 2, 40, second + 40)
    tail = tail + struct.pack("<I", 0) + b"\0" * 10 + SECRET * 4 if thumbnail else b""
    path.write_bytes(b"II*\0" + struct.pack("<I", begin) + pixels + after + first + tail)
    return path


def test_a_cameras_thumbnail_goes_and_the_picture_stays(tmp_path: Path) -> None:
    path = tiff_with(tmp_path / "a.tif", (270, 2, len(SECRET), SECRET), thumbnail=True)
    with Image.open(path) as opened:
        before = np.asarray(opened)
    copy = tmp_path / "copy.tif"
    assert copy_without_metadata(path, copy)
    assert SECRET not in copy.read_bytes()
    with Image.open(copy) as opened:
        assert (np.asarray(opened) == before).all()
        assert getattr(opened, "n_frames", 1) == 1


def test_a_tag_of_no_known_kind_goes(tmp_path: Path) -> None:
    path = tiff_with(tmp_path / "a.tif", (305, 99, 4, SECRET), (270, 2, len(SECRET), SECRET))
    copy = tmp_path / "copy.tif"
    assert copy_without_metadata(path, copy)
    assert SECRET not in copy.read_bytes() and Image.open(copy).size == (16, 16)


def test_of_gdals_own_notes_those_on_numbers_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", width=32, height=32, count=2, dtype="int16") as dataset:
        dataset.write(np.arange(2048, dtype=np.int16).reshape(2, 32, 32))
        dataset.update_tags(OWNER=SECRET.decode())
        dataset.update_tags(ns="PRIVATE", PHOTOGRAPHER=SECRET.decode())
        dataset.scales, dataset.offsets = (0.5, 2.0), (1.0, 0.0)
        dataset.set_band_description(1, "near infrared")
    copy = tmp_path / "copy.tif"
    assert copy_without_metadata(path, copy)
    assert SECRET not in copy.read_bytes()
    with rasterio.open(copy) as dataset:
        assert dataset.scales == (0.5, 2.0) and dataset.offsets == (1.0, 0.0)
        assert dataset.descriptions[0] == "near infrared" and dataset.tags().get("OWNER") is None


def test_a_preview_has_a_name_that_nobody_can_work_out(tmp_path: Path) -> None:
    path = tiff_with(tmp_path / "a.tif")
    shown = [_checked(as_sent(path)) for _ in range(2)]
    assert shown[0] != shown[1] and all(len(Path(one).parent.name) == 64 for one in shown)
    with Image.open(shown[0]) as opened:
        assert opened.size == (16, 16)


@pytest.mark.slow
def test_what_is_made_for_a_user_is_under_the_bound_at_once(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path.resolve())
    use(Settings(max_uploads_mb=16))
    try:
        paths = [pictures.keep(Image.effect_noise((2000, 2000), 90).convert("RGB"), folder) for _ in range(4)]
    finally:
        use(Settings())
    assert paths[-1].is_file() and not paths[0].is_file()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 16 * 2**20
    small = pictures.smaller(Image.new("RGB", (2047, 16_300)))
    assert small.width * small.height <= 4 * 1024**2
