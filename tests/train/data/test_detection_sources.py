"""DOTA, Pascal VOC and COCO into records, and what is done about broken annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lrsclip.errors import DataError
from tests.train.data import layouts as lay
from tests.train.data.layouts import messages, read
from train.data.faults import Faults
from train.data.sources import settings as sources


def test_dota_gives_boxes_bearings_and_ground_size(tmp_path: Path) -> None:
    records, faults = read(lay.make_dota(tmp_path))
    first = records[0]
    assert (first.width_px, first.height_px, first.gsd_m) == (lay.WIDTH, lay.HEIGHT, 0.25) and not faults
    assert [record.split for record in records] == ["train", "val"] and first.facts.things_complete
    plane, car = first.facts.things
    assert plane.kind == "plane" and plane.bearing_deg == 90 and not plane.cut
    assert plane.box == (round(10 / 120, 6), 0.125, round(70 / 120, 6), 0.25)
    assert car.kind == "small vehicle" and car.bearing_deg == 0 and car.cut


@pytest.mark.parametrize(
    ("corners", "bearing"),
    [("20 40 40 20 45 25 25 45", 45), ("20 20 40 40 35 45 15 25", 135), ("20 20 40 20 40 40 20 40", None)],
)
def test_dota_bearing_runs_clockwise_from_up(corners: str, bearing: float | None, tmp_path: Path) -> None:
    records, _ = read(lay.make_dota(tmp_path, [f"{corners} ship 0"]))
    assert records[0].facts.things[0].bearing_deg == bearing


def test_broken_dota_lines_are_counted_and_named(tmp_path: Path) -> None:
    lines = [
        *lay.DOTA_LINES,
        "1 2 3",
        "a b c d e f g h plane 0",
        "nan 10 70 10 70 20 10 20 plane 0",
        "10 10 10 10 10 10 10 10 plane 0",
        "10 10 30 30 30 30 10 10 plane 0",
        "500 10 570 10 570 20 500 20 plane 0",
    ]
    source = lay.make_dota(tmp_path, lines, ())
    records, faults = read(source)
    assert len(records[0].facts.things) == 2 and not records[0].facts.things_complete
    assert faults == {"broken annotation line": 6}
    assert "line 5 of" in messages(source)[0] and "P0000.txt" in messages(source)[0]


def test_dota_without_ground_size_labels_or_readable_pictures(tmp_path: Path) -> None:
    source = lay.make_dota(tmp_path)
    lay.text_file(tmp_path / "val/labelTxt/P0001.txt", "gsd:null\n")
    lay.text_file(tmp_path / "val/images/broken.png", "no picture")
    lay.picture_file(tmp_path / "val/images/alone.png")
    lay.picture_file(tmp_path / "test/images/unmarked.png")
    records, faults = read(source)
    assert [record.gsd_m for record in records] == [0.25, None]
    assert records[1].facts.things == () and records[1].facts.things_complete
    assert faults == {"annotation missing": 2, "picture unreadable": 1}


def test_dota_as_it_is_unpacked(tmp_path: Path) -> None:
    for number, part in enumerate(("part1/images", "part2/images")):
        lay.picture_file(tmp_path / "train/images" / part / f"P{number:04d}.png", number)
        for labels, box in (
            ("labelTxt-v1.0/labelTxt", "10 10 70 10 70 20 10 20 ship 0"),
            ("labelTxt-v1.5/DOTA-v1.5_train", "10 10 70 10 70 20 10 20 plane 0"),
            ("labelTxt-v1.5/DOTA-v1.5_train_hbb", "10 10 70 10 70 20 10 20 harbor 0"),
        ):
            lay.text_file(
                tmp_path / "train" / labels / f"P{number:04d}.txt", f"imagesource:GoogleEarth\ngsd:null\n{box}"
            )
    lay.picture_file(tmp_path / "test/images/P0009.png")
    records, faults = read(sources.DotaSource(name="dota", root=tmp_path))
    assert [record.key.rsplit("/", 1)[1] for record in records] == ["P0000.png", "P0001.png"]
    assert {thing.kind for record in records for thing in record.facts.things} == {"plane"}
    assert faults == {"annotation missing": 1}


def test_boxes_are_of_the_upright_picture(tmp_path: Path) -> None:
    source = lay.make_dota(tmp_path, splits=())
    turned = Image.new("RGB", (lay.HEIGHT, lay.WIDTH))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "images/P0000.png", exif=exif)
    assert (read(source)[0][0].width_px, read(source)[0][0].height_px) == (lay.WIDTH, lay.HEIGHT)


def test_voc_reads_dior(tmp_path: Path) -> None:
    records, faults = read(lay.make_voc(tmp_path))
    assert [record.split for record in records] == ["train", "val", "test"] and not faults
    assert [thing.kind for thing in records[0].facts.things] == ["airplane", "storage tank"]
    assert [thing.cut for thing in records[0].facts.things] == [False, True]
    assert records[0].facts.things_complete


def test_voc_without_lists_hashes(tmp_path: Path) -> None:
    lay.picture_file(tmp_path / "JPEGImages/a.jpg")
    lay.text_file(tmp_path / "Annotations/a.xml", lay.voc_xml(lay.VOC_BOXES))
    records, _ = read(sources.VocSource(name="voc", root=tmp_path))
    assert [record.key for record in records] == ["voc/a"]


def test_broken_voc_files(tmp_path: Path) -> None:
    boxes = [*lay.VOC_BOXES, ("ship", (50, 20, 40, 30)), ("ship", (500, 500, 600, 600)), ("--", (1, 1, 9, 9))]
    source = lay.make_voc(tmp_path, boxes)
    lay.text_file(tmp_path / "ImageSets/Main/test.txt", "00002\ngone\n00000\n")
    bomb = '<!DOCTYPE a [<!ENTITY b "boom">]><annotation><object>&b;</object></annotation>'
    lay.text_file(tmp_path / "Annotations/Horizontal Bounding Boxes/00002.xml", bomb)
    records, faults = read(source)
    assert [(record.key, record.split) for record in records] == [("voc/00000", "test"), ("voc/00001", "val")]
    assert not records[0].facts.things_complete and len(records[0].facts.things) == 2
    assert faults == {
        "broken annotation line": 6,
        "picture missing": 1,
        "picture in two splits": 1,
        "annotation unreadable": 1,
    }
    lay.text_file(tmp_path / "Annotations/Horizontal Bounding Boxes/00000.xml", lay.voc_xml([], (800, 800)))
    assert read(source)[1]["picture of another size"] == 1


def test_coco(tmp_path: Path) -> None:
    records, faults = read(lay.make_coco(tmp_path))
    assert [record.split for record in records] == ["train", "val"] and not faults
    plane, tank = records[0].facts.things
    assert (plane.kind, tank.kind, plane.cut, tank.cut) == ("plane", "storage tank", False, True)
    assert tank.box == (round(100 / 120, 6), 0.75, 1.0, 1.0) and records[0].facts.things_complete


def test_broken_coco_entries(tmp_path: Path) -> None:
    usual = {"image_id": 0, "category_id": 1}
    broken: list[Any] = [
        {**usual, "bbox": [10, 10, 20, 20]},
        {**usual, "bbox": [10, 10, 20, 20], "iscrowd": 1},
        {**usual, "bbox": [10, 10, -20, 20]},
        {**usual, "bbox": [10, None, "x", 20]},
        {**usual, "bbox": "all"},
        {**usual, "category_id": 99, "bbox": [10, 10, 20, 20]},
        {"image_id": [3]},
        7,
    ]
    records, faults = read(lay.make_coco(tmp_path, broken))
    assert len(records[0].facts.things) == 1 and not records[0].facts.things_complete
    assert faults["broken annotation line"] == 4 + 2 + len(broken)  # in the other JSON all are of no picture
    lay.text_file(tmp_path / "annotations/captions_train2017.json", '{"images": []}')
    assert read(sources.CocoSource(name="coco", root=tmp_path))[1]["annotation unreadable"] == 1


@pytest.mark.parametrize(
    ("json_at", "pictures"),
    [
        ("annotations/instances_val2017.json", "val2017"),
        ("annotations/instances_val2017.json", "images/val2017"),
        ("val/_annotations.coco.json", "val"),
        ("val/Annotations/iSAID_val.json", "val/images"),
    ],
)
def test_coco_as_it_is_distributed(json_at: str, pictures: str, tmp_path: Path) -> None:
    lay.picture_file(tmp_path / pictures / "ä 1.jpg")
    content = {
        "info": {"year": 2017, "more": [1, 2, {"images": []}]},
        "licenses": [{"id": 1}],
        "annotations": [
            {"id": 5, "image_id": "a", "category_id": 3, "bbox": [10, 20, 30, 40], "segmentation": [[1.5e1] * 4000]}
        ],
        "images": [{"id": "a", "file_name": "ä 1.jpg", "width": lay.WIDTH, "height": lay.HEIGHT}],
        "categories": [{"id": 3, "name": "storage_tank"}],
    }
    lay.text_file(tmp_path / json_at, "\ufeff" + json.dumps(content, indent=1))
    source = sources.CocoSource(name="coco", root=tmp_path, annotations="**/*.json")
    (record,), faults = read(source)
    assert record.split == "val" and not faults and record.facts.things_complete
    assert [thing.kind for thing in record.facts.things] == ["storage tank"]
    whole = (tmp_path / json_at).read_text(encoding="utf-8")
    for cut in (whole[:-200], whole + "x", whole.replace("[", "{", 1), "[]", ""):
        (tmp_path / json_at).write_text(cut, encoding="utf-8")
        broken = Faults()
        with pytest.raises(DataError):
            list(source.records(broken))
        assert broken.counts == {"annotation unreadable": 1}
