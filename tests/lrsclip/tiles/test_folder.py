"""Tile sources over real picture files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lrsclip.errors import PictureError, TileSourceError
from lrsclip.tiles import FolderTiles, TileSource, open_tiles, preview_of

RED, GRAY = (255, 0, 0), (90, 90, 90)


def _save(path: Path, picture: Image.Image | None = None, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (picture or Image.new("RGB", (6, 4), GRAY)).save(path, **options)
    return path


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("given", ["{}", "folder:{}", "Folder:{}", "  {}/ "])
def test_typed_address_opens_the_folder(tmp_path: Path, given: str) -> None:
    _save(tmp_path / "a.png")
    source: TileSource = open_tiles(given.format(tmp_path))
    assert source.spec == f"folder:{tmp_path.resolve()}"
    assert open_tiles(source.spec).tile_ids() == source.tile_ids() == ["a.png"]


@pytest.mark.parametrize(
    "given", ["", "  ", "https://example.org/tiles", "s3:bucket", "folder:", "a\0b", "no/such/folder"]
)
def test_other_addresses_are_refused_with_the_mend(given: str) -> None:
    with pytest.raises(TileSourceError, match="folder"):
        open_tiles(given)


def test_folder_whose_name_holds_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save(tmp_path / "area:one" / "a.png")
    monkeypatch.chdir(tmp_path)
    assert open_tiles("area:one").tile_ids() == ["a.png"]


def test_file_and_folder_without_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(TileSourceError, match=r"no pictures under .*put JPEG, PNG, WebP or TIFF"):
        open_tiles(str(tmp_path))
    with pytest.raises(TileSourceError, match="is a file"):
        open_tiles(str(tmp_path / "notes.txt"))


def test_a_preview_is_smaller_where_that_is_faster_and_upright(tmp_path: Path) -> None:
    picture = Image.linear_gradient("L").resize((1600, 800)).convert("RGB")
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=turned)
    picture.save(tmp_path / "b.png")
    source = FolderTiles(tmp_path)
    assert preview_of(source, "a.jpg", 190).size == (200, 400) and source.picture("a.jpg").size == (800, 1600)
    assert preview_of(source, "a.jpg", 900).size == (800, 1600), "no side is made shorter than that"
    assert preview_of(source, "b.png", 190).size == (1600, 800)
    small, whole = preview_of(source, "a.jpg", 190), source.picture("a.jpg").resize((200, 400))
    assert np.abs(np.asarray(small, int) - np.asarray(whole, int)).mean() < 3


def test_pictures_at_any_depth_in_natural_order(tmp_path: Path) -> None:
    wanted = [
        "2.TIF",
        "10.jpg",
        "area 2/b.png",
        "area 10/a.WebP",
        "Area 10/deep/er/x9.JPEG",
        "area 10/deep/er/x10.tiff",
    ]
    for name in reversed(wanted):
        _save(tmp_path / name)
    for name in (".hidden.png", ".cache/a.png", "area 2/.b/c.png"):
        _save(tmp_path / name)
    (tmp_path / "readme.md").write_text("")
    (tmp_path / "folder.png").mkdir()
    tiles = FolderTiles(tmp_path)
    assert tiles.tile_ids() == wanted
    assert len(tiles) == len(wanted)


def test_name_that_is_not_utf8_gets_an_id_that_is_text(tmp_path: Path) -> None:
    _save(tmp_path / "plain.png")
    try:
        os.rename(tmp_path / "plain.png", os.fsencode(tmp_path) + b"/caf\xe9.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    tiles = FolderTiles(tmp_path)
    assert tiles.tile_ids() == ["caf\\xe9.png"]
    assert tiles.picture("caf\\xe9.png").size == (6, 4)


def test_links_never_lead_out_of_the_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    _save(inside / "real.png")
    _save(outside / "secret.png")
    (inside / "same.png").symlink_to("real.png")
    (inside / "secret.png").symlink_to(outside / "secret.png")
    (inside / "folder").symlink_to(outside, target_is_directory=True)
    (inside / "loop").symlink_to(inside, target_is_directory=True)
    (inside / "circle.png").symlink_to("circle.png")
    (inside / "nowhere.png").symlink_to("gone.png")
    tiles = FolderTiles(inside)
    assert tiles.tile_ids() == ["real.png", "same.png"]
    # Swapped for a link after the listing.
    (inside / "real.png").unlink()
    (inside / "real.png").symlink_to(outside / "secret.png")
    for read in (tiles.picture, tiles.tile):
        with pytest.raises(PictureError, match=r"real\.png"):
            read("real.png")
    (inside / "same.png").unlink()
    with pytest.raises(TileSourceError, match="links that lead out"):
        FolderTiles(inside)


@pytest.mark.parametrize("tile_id", ["../out.png", "b.png", "", "a.png/"])
def test_only_listed_ids_are_opened(tmp_path: Path, tile_id: str) -> None:
    _save(tmp_path / "out.png")
    tiles = FolderTiles(_save(tmp_path / "in" / "a.png").parent)
    for read in (tiles.picture, tiles.tile, tiles.fingerprint):
        with pytest.raises(TileSourceError):
            read(tile_id)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize(
    ("orientation", "size_px", "red_corner"),
    [
        (1, (60, 40), (5, 5)),
        (3, (60, 40), (54, 34)),
        (6, (40, 60), (34, 5)),
        (7, (40, 60), (34, 54)),
        (8, (40, 60), (5, 54)),
    ],
)
def test_pictures_stand_upright(
    tmp_path: Path, suffix: str, orientation: int, size_px: tuple[int, int], red_corner: tuple[int, int]
) -> None:
    picture = Image.new("RGB", (60, 40))
    picture.paste(RED, (0, 0, 20, 20))
    _save(tmp_path / f"a.{suffix}", picture, exif=_exif(orientation))
    tiles = FolderTiles(tmp_path)
    shown, tile = tiles.picture(f"a.{suffix}"), tiles.tile(f"a.{suffix}")
    assert shown.size == (tile.width_px, tile.height_px) == size_px
    assert np.asarray(shown)[red_corner[1], red_corner[0], 0] > 200
    assert not shown.info  # neither position nor camera travel on


def test_garbled_metadata_do_not_lose_the_picture(tmp_path: Path) -> None:
    _save(tmp_path / "a.jpg", exif=b"Exif\0\0not a TIFF header")
    tiles = FolderTiles(tmp_path)
    assert tiles.picture("a.jpg").size == (6, 4)
    assert tiles.tile("a.jpg").width_px == 6


def _modes() -> dict[str, tuple[Image.Image, tuple[int, int, int]]]:
    transparent = Image.new("RGBA", (6, 4), (255, 255, 255, 0))
    palette = Image.new("RGB", (6, 4), RED).quantize(4)
    return {
        "bits.png": (Image.new("1", (6, 4), 1), (255, 255, 255)),
        "grey.png": (Image.new("L", (6, 4), 90), GRAY),
        "palette.png": (palette, RED),
        "opaque.png": (Image.new("RGBA", (6, 4), (*RED, 255)), RED),
        "transparent.png": (transparent, (0, 0, 0)),
        "transparent.webp": (transparent, (0, 0, 0)),
        "grey-alpha.png": (Image.new("LA", (6, 4), (255, 0)), (0, 0, 0)),
        "print.tif": (Image.new("CMYK", (6, 4), (0, 255, 255, 0)), RED),
    }


@pytest.mark.parametrize("name", _modes())
def test_every_mode_becomes_rgb(tmp_path: Path, name: str) -> None:
    picture, color = _modes()[name]
    _save(tmp_path / name, picture)
    shown = FolderTiles(tmp_path).picture(name)
    assert shown.mode == "RGB"
    assert shown.getpixel((3, 2)) == color


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "float.tif"])
def test_one_deep_band_is_stretched_not_cut(tmp_path: Path, name: str) -> None:
    ramp = np.linspace(1000, 3000, 100 * 100).reshape(100, 100)  # as 12-bit sensors fill 16 bits
    values = ramp.astype(np.float32 if name.startswith("float") else np.uint16)
    if name.startswith("float"):
        values[0, 0] = np.nan
    _save(tmp_path / name, Image.fromarray(values))
    shown = np.asarray(FolderTiles(tmp_path).picture(name))
    assert shown.shape == (100, 100, 3)
    gray = shown[..., 0].ravel()[1:].astype(int)
    assert (np.diff(gray) >= 0).all()
    assert len(np.unique(gray)) == 256


def test_flat_deep_band_is_no_error(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", Image.fromarray(np.full((4, 6), 700, np.uint16)))
    assert FolderTiles(tmp_path).picture("a.png").size == (6, 4)


@pytest.mark.parametrize("fault", ["empty", "cut", "text", "bomb", "gone"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_unreadable_picture_is_named(tmp_path: Path, suffix: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = _save(tmp_path / "sub" / f"bad.{suffix}", Image.fromarray(noise))
    tiles = FolderTiles(tmp_path)
    if fault == "bomb":
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    elif fault == "gone":
        path.unlink()
    else:
        whole = path.read_bytes()
        path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"<html>not found</html>"}[fault])
    with pytest.raises(PictureError, match=rf"sub/bad\.{suffix}") as caught:
        tiles.picture(f"sub/bad.{suffix}")
    assert "\n" not in str(caught.value)


def test_other_formats_under_a_picture_name_are_not_decoded(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png", format="PPM")
    with pytest.raises(PictureError, match="it is a PNM picture, not a JPEG"):
        FolderTiles(tmp_path).picture("a.png")


def test_fingerprint_follows_the_file(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.png")
    tiles = FolderTiles(tmp_path)
    before = tiles.fingerprint("a.png")
    assert before == FolderTiles(tmp_path).fingerprint("a.png")
    _save(path, Image.new("RGB", (60, 40)))
    changed = tiles.fingerprint("a.png")
    path.unlink()
    assert len({before, changed, tiles.fingerprint("a.png")}) == 3
