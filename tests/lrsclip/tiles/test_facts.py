"""Places and captions that a folder's files tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from PIL.ExifTags import GPS, IFD

from lrsclip.tiles import open_tiles


def write_picture(path: Path, exif: Image.Exif | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), "green").save(path, exif=exif or Image.Exif())


def test_a_place_in_the_name(tmp_path: Path) -> None:
    for name in ("-93.94735_30.135984.jpg", "tile_12_14.jpg", "200.5_30.1.jpg", "12_14.jpg"):
        write_picture(tmp_path / name)
    source = open_tiles(str(tmp_path))
    places = {name: source.tile(name).middle_lonlat for name in source.tile_ids()}
    assert places.pop("-93.94735_30.135984.jpg") == (-93.94735, 30.135984)
    assert set(places.values()) == {None}


def test_a_place_in_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[IFD.GPSInfo] = {
        GPS.GPSLatitudeRef: "S",
        GPS.GPSLatitude: (33.0, 30.0, 36.0),
        GPS.GPSLongitudeRef: "W",
        GPS.GPSLongitude: (70.0, 15.0, 0.0),
    }
    write_picture(tmp_path / "a.jpg", exif)
    garbled = Image.Exif()
    garbled[IFD.GPSInfo] = {GPS.GPSLatitude: (33.0,), GPS.GPSLongitude: (70.0, 0.0, 0.0)}
    write_picture(tmp_path / "b.jpg", garbled)
    source = open_tiles(str(tmp_path))
    assert source.tile("a.jpg").middle_lonlat == pytest.approx((-70.25, -33.51))
    assert source.tile("b.jpg").middle_lonlat is None


def test_captions_of_a_karpathy_file_beside_the_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_picture(tmp_path / "Images" / "deep" / "a.png")
    write_picture(tmp_path / "Images" / "b.png")
    rows = [{"filename": "a.png", "sentences": [{"raw": " . "}, {"raw": "A green\n field ."}]}]
    (tmp_path / "dataset_x.json").write_text(json.dumps({"images": rows}))
    (tmp_path / "dataset_y.json").write_text("{")
    source = open_tiles(str(tmp_path / "Images"))
    assert source.tile("deep/a.png").caption == "A green field ."
    assert source.tile("b.png").caption is None
    assert "dataset_y.json" in caplog.text


def test_captions_of_equal_names_in_different_folders(tmp_path: Path) -> None:
    for name in ("airport/1.png", "beach/1.png", "port/1.png", "beach/2.png"):
        write_picture(tmp_path / name)
    rows = [{"filename": f"{k}/1.png", "sentences": [{"raw": f"a {k}"}]} for k in ("airport", "beach")]
    rows.append({"filename": "2.png", "sentences": [{"raw": "a second beach"}]})
    (tmp_path / "dataset.json").write_text(json.dumps({"images": rows}))
    source = open_tiles(str(tmp_path))
    told = {name: source.tile(name).caption for name in source.tile_ids()}
    assert told == {
        "airport/1.png": "a airport",
        "beach/1.png": "a beach",
        "beach/2.png": "a second beach",
        "port/1.png": None,  # whose "1.png" a mere name would be cannot be told
    }
    assert open_tiles(str(tmp_path / "beach")).tile("2.png").caption == "a second beach"
