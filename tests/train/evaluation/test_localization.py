"""Localization end to end: painted scenes of AIR-SLT's layout and CHOICE's, and what is wrong with them in words."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import lrsclip
from lrsclip.errors import DataError, PictureError
from lrsclip.metrics.selo import selo_scores
from lrsclip.metrics.selo_map import encode_scene, selo_map, selo_protocol
from tests.helpers.corpora import COLORS
from train.data.records import Record
from train.evaluation.annotations import read_boxes, read_caption_choices, read_masks, read_scene_queries
from train.evaluation.localization import read_scenes, run_atlas_scenes, run_choice, run_mosaics, run_selo
from train.evaluation.plan import Wishes, plan
from train.evaluation.sets import PictureSet
from train.mosaics import SIDE, plan_mosaic

Floats = npt.NDArray[np.float32]
PROTOCOL = dataclasses.replace(selo_protocol("standard"), window_px=(64, 96, 128), crop_px=64, median_px=31)


class Colors:
    """A model that knows the colors of `COLORS` by name: a vector is the color, less gray."""

    sha256 = "colours"

    def __init__(self) -> None:
        self.encoded = 0

    def encode_text(self, texts: list[str]) -> Floats:
        known = [next((c for name, c in COLORS.items() if name in text), (0, 0, 0)) for text in texts]
        return _unit(np.array(known, np.float32))

    def encode_image(self, pictures: list[Image.Image]) -> Floats:
        self.encoded += len(pictures)
        return _unit(np.array([np.asarray(picture, np.float32).mean(axis=(0, 1)) for picture in pictures]))


def _unit(colors: Floats) -> Floats:
    off_gray = colors - 110
    return (off_gray / np.linalg.norm(off_gray, axis=1, keepdims=True)).astype(np.float32)


def paint(path: Path, size: tuple[int, int], *patches: tuple[str, tuple[int, int, int, int]]) -> None:
    """A picture of desert with patches of other kinds."""
    picture = Image.new("RGB", size, COLORS["desert"])
    for kind, box in patches:
        picture.paste(COLORS[kind], box)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def square(left: float, top: float, side: float) -> list[list[float]]:
    return [[left, top], [left + side, top], [left + side, top + side], [left, top + side]]


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


PAINTS = COLORS | {"snow": (250, 250, 250), "lava": (210, 60, 30), "ash": (40, 40, 40), "algae": (90, 200, 120)}


def painted(folder: Path) -> dict[str, list[Record]]:
    """Three pictures, not yet painted, of each color."""
    numbers = range(3)
    return {
        name: [Record("c", folder / f"{name}{n}.png", "val", (f"a {name}.",), name) for n in numbers] for name in PAINTS
    }


QUERIES = [
    {"caption": "there is a forest in the desert.\n", "jpg_name": "0.jpg", "points": [square(60.4, 60.2, 150)]},
    {"caption": "a harbour", "jpg_name": "0.jpg", "points": [square(520, 300, 150)]},
    {"caption": "a forest", "jpg_name": "1.jpg", "points": [square(200, 150, 160), square(20, 20, 40)]},
]


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    forest, harbour = ("forest", (60, 60, 210, 210)), ("harbour", (520, 300, 670, 450))
    paint(tmp_path / "tiny-slt/imgs/0.jpg", (720, 500), forest, harbour)
    paint(tmp_path / "tiny-slt/imgs/1.jpg", (500, 400), ("forest", (200, 150, 360, 310)))
    write(tmp_path / "tiny-slt/annotations/anno.json", QUERIES)
    return tmp_path / "tiny-slt"


def test_selo_finds_what_is_there(scenes: Path) -> None:
    colors = Colors()
    (result,) = run_selo(colors, scenes, PROTOCOL, ["windows"])
    assert (result.task, result.data_set, result.protocol) == ("semantic-localization", "tiny-slt", "windows, standard")
    assert (result.pictures, result.texts) == (2, 3)
    assert list(result.metrics)[:4] == ["Rsu", "Ras", "Rda", "Rmi"]
    assert result.metrics["pointing"] == 100
    areas = [151**2 / (720 * 500), 151**2 / (720 * 500), (161**2 + 41**2) / (500 * 400)]  # outlines count
    assert result.metrics["target_share"] == pytest.approx(100 * np.mean(areas), rel=0.02)
    assert 0 < result.metrics["seconds_a_scene"] <= result.seconds
    assert list(result.detail) == ["0", "1", "2"]
    assert result.detail["0"] > 0.9
    assert result.detail["1"] > 0.9
    # Its second polygon is on bare desert, so Rda is at most 1/2, the mean shift at least 1/2 and with it Ras at least
    # (e^1.5 - 1) / (e^3 - 1) = 0.1824: Rmi is at most 0.40 + 0.35 · 0.8176 + 0.25 / 2.
    assert 0.7 < result.detail["2"] <= 0.8112
    assert result.metrics["Rmi"] == pytest.approx(np.mean(list(result.detail.values())))
    weighted = 0.4 * result.metrics["Rsu"] + 0.35 * (1 - result.metrics["Ras"]) + 0.25 * result.metrics["Rda"]
    assert result.metrics["Rmi"] == pytest.approx(weighted)
    # each scene once, however many sentences it has
    expected = sum(
        len(encode_scene(Colors(), Image.new("RGB", size), PROTOCOL).boxes_px) for size in ((720, 500), (500, 400))
    )
    assert colors.encoded == expected


def test_selo_scores_what_is_not_there_low(scenes: Path) -> None:
    swapped = [QUERIES[0] | {"caption": "a harbour"}, QUERIES[1] | {"caption": "a forest"}]
    write(scenes / "annotations/anno.json", swapped)
    (result,) = run_selo(Colors(), scenes, PROTOCOL, ["windows"])
    assert result.metrics["Ras"] == 1
    assert result.metrics["Rda"] == 0
    assert result.metrics["Rmi"] == pytest.approx(0.4 * result.metrics["Rsu"])


def test_selo_with_a_real_model_equals_its_parts(scenes: Path) -> None:
    model = lrsclip.random_model()
    (result,) = run_selo(model, scenes, PROTOCOL, ["windows"])
    with Image.open(scenes / "imgs/1.jpg") as stored:
        windows = encode_scene(model, stored.convert("RGB"), PROTOCOL)
    probability = selo_map(windows, model.encode_text(["a forest"])[0], PROTOCOL)
    polygons = [np.array(outline) for outline in QUERIES[2]["points"]]
    assert result.detail["2"] == pytest.approx(selo_scores(probability, polygons).rmi)


@pytest.mark.slow
def test_both_methods_find_what_is_there_in_mosaics_and_on_the_atlas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lrsclip.atlas.scenes.SCENE_PX", 1024)
    monkeypatch.setattr("train.mosaics.CELL_PX", 192)
    shipped = lrsclip.load("tiny")
    colors = [record for records in painted(tmp_path).values() for record in records]
    for record in colors:
        Image.new("RGB", (32, 32), PAINTS[str(record.label)]).save(record.path)
    pictures = PictureSet("colours", tuple(colors), tuple(PAINTS))
    rows = run_mosaics(shipped, pictures, selo_protocol("no-median"), count=1)
    rows += run_atlas_scenes(shipped, selo_protocol("no-median"), count=1)
    assert [row.protocol for row in rows] == ["windows, no-median", "dense, no-median"] * 2
    for row in rows[2:]:
        assert row.metrics["Rmi"] > 0.4
        assert row.metrics["pointing"] > 2 * row.metrics["target_share"]


def test_a_mosaic_holds_what_its_queries_say(tmp_path: Path) -> None:
    by_class = painted(tmp_path)
    for seed in range(20):
        mosaic = plan_mosaic(by_class, np.random.default_rng(seed))
        assert len(mosaic.cells) == SIDE * SIDE
        assert sorted(len(places) for places in mosaic.queries.values()) == [1, 1, 1, 2, 3]
        for text, places in mosaic.queries.items():
            named = [n for n, record in enumerate(mosaic.cells) if f" {record.label}." in text]
            assert tuple(named) == tuple(sorted(places))


def test_missing_scenes_are_named_before_any_work(scenes: Path, caplog: pytest.LogCaptureFixture) -> None:
    every = read_scenes(scenes)
    (scenes / "imgs/1.jpg").unlink()
    assert [q.number for q in read_scenes(scenes)] == [q.number for q in every if q.scene.name == "0.jpg"]
    lost = sum(query.scene.name == "1.jpg" for query in every)
    assert 0 < lost < len(every) and f"(picture missing {lost})" in caplog.text
    (scenes / "imgs/0.jpg").unlink()
    colors = Colors()
    with pytest.raises(DataError, match=r"needs .*0\.jpg, which is not there, and neither is any other"):
        run_selo(colors, scenes, PROTOCOL, ["windows"])
    assert colors.encoded == 0


def test_a_broken_query_is_counted_and_the_rest_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "annotations/anno.json", [QUERIES[0], 17, QUERIES[1]])
    queries = read_scene_queries(tmp_path)
    assert [(query.number, query.caption) for query in queries] == [
        (0, "there is a forest in the desert."),
        (2, "a harbour"),
    ]
    assert "query 1 of" in caplog.text and caplog.records[-1].getMessage().endswith("1 fault (broken row 1)")


def test_a_scene_smaller_than_the_windows(scenes: Path) -> None:
    with pytest.raises(DataError, match=r"0\.jpg is 720 x 500 px, smaller than the protocol's windows of 768 px"):
        run_selo(Colors(), scenes, selo_protocol("standard"), ["windows"])


def test_a_scene_that_is_no_picture(scenes: Path) -> None:
    (scenes / "imgs/0.jpg").write_bytes(b"not a picture")
    with pytest.raises(PictureError, match=r"0\.jpg"):
        run_selo(Colors(), scenes, PROTOCOL, ["windows"])


def test_a_target_outside_its_scene(scenes: Path) -> None:
    write(scenes / "annotations/anno.json", [QUERIES[0] | {"points": [square(5000, 5000, 90)]}])
    with pytest.raises(DataError, match=r"query 0 on 0\.jpg: no polygon touches the picture of 720 x 500 px"):
        run_selo(Colors(), scenes, PROTOCOL, ["windows"])


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"caption": "x"}, "not a list"),
        ([], "not a list"),
        ([17], "query 0 of .* no caption that is a str"),
        ([{"caption": "x", "points": []}], "no jpg_name that is a str"),
        ([{"caption": "x", "jpg_name": "0.jpg", "points": "0 0"}], "no points that is a list"),
        ([QUERIES[0] | {"points": []}, QUERIES[1] | {"caption": " \n"}], "query that can be read: query 0 of"),
        ([QUERIES[1] | {"caption": " \n"}], "query 0 of .* empty caption"),
        ([QUERIES[0] | {"points": []}], "no polygon"),
        ([QUERIES[0] | {"points": [[]]}], "no list of"),
        ([QUERIES[0] | {"points": [[1, 2], [3, 4], [5, 6]]}], "no list of"),
        ([QUERIES[0] | {"points": [[[1, 2], [3]]]}], "no list of"),
        ([QUERIES[0] | {"points": [[["a", "b"], ["c", "d"], ["e", "f"]]]}], "no list of"),
        ([QUERIES[0] | {"points": [[[0, 0], [float("nan"), 9], [9, 9]]]}], "no list of"),
        ([QUERIES[0] | {"points": [square(0, 0, 1e9)]}], "beyond any picture"),
        ([QUERIES[0] | {"points": [[[1, 2], [3, 4]]]}], "2 points"),
        ([QUERIES[0] | {"points": [square(0.1, 0.1, 0.5)]}], "query 0 .* smaller than a pixel"),
    ],
)
def test_annotations_of_another_layout(tmp_path: Path, content: Any, match: str) -> None:
    write(tmp_path / "annotations/anno.json", content)
    with pytest.raises(DataError, match=match):
        read_scene_queries(tmp_path)


def test_annotations_that_are_no_json(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"anno\.json is not there"):
        read_scene_queries(tmp_path)
    write(tmp_path / "annotations/anno.json", [])
    for content in (b"[{", b"\xff\xfe\x00", b"[" * 100_000):
        (tmp_path / "annotations/anno.json").write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as JSON"):
            read_scene_queries(tmp_path)


def corners(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, bottom], [right, bottom], [right, top], [left, top]]


ASK_BOX = "Please output the coordinates of the {} in the image in the format (x1, y1, x2, y2). No other text."
LINES = "Describe this forest scene.\nA.A harbour with ships.\nB.Wide desert.\nC.A forest. It is dense.\nD.An airport."


@pytest.fixture
def choice(tmp_path: Path) -> Path:
    root = tmp_path / "CHOICE"
    paint(root / "visual_grounding/images/7.jpg", (320, 160), ("forest", (240, 0, 320, 40)))
    paint(root / "visual_grounding/images/8.jpg", (160, 160), ("harbour", (0, 80, 80, 160)))
    boxes = [
        {"image_path": "a/images/7.png", "question": ASK_BOX.format("forest"), "answer": corners(0.75, 0, 1, 0.25)},
        {"image_path": "a/images/8.png", "question": ASK_BOX.format("big-harbour"), "answer": corners(0, 0.5, 0.5, 1)},
    ]
    write(root / "visual_grounding/visual_grounding.json", boxes)
    mask = root / "referring_expression_segmentation"
    paint(mask / "images/9.jpg", (160, 160), ("forest", (80, 0, 160, 80)))
    painted = Image.new("RGB", (160, 160))
    painted.paste((255, 255, 255), (80, 0, 160, 80))
    (mask / "masks").mkdir()
    painted.save(mask / "masks/9.png")
    row = {
        "image_path": "b/9.png",
        "mask_path": "b/9.png",
        "question": "Give me the mask of all forests in this image.",
    }
    write(mask / f"{mask.name}.json", [row])
    paint(root / "image_caption/images/6.jpg", (64, 64), ("forest", (0, 0, 64, 64)))
    write(root / "image_caption/image_caption.json", [{"image_path": "c/6.png", "question": LINES, "answer": "C"}])
    return root


def test_choice_end_to_end(choice: Path) -> None:
    results = {(r.task, r.protocol): r for r in run_choice(Colors(), choice, ["windows"])}
    grid, engine = "grid 4 x 4", "windows"
    assert set(results) == {
        ("box-grounding", engine),
        ("box-grounding", grid),
        ("mask-grounding", engine),
        ("mask-grounding", grid),
        ("caption-choice", "highest cosine"),
    }
    # Tiles of 80 x 40 and 40 x 40 px fit the painted patches: pointing is sure, and the marked region all but exact.
    # The outline of a box counts, so 7.jpg's is 80 x 41 px (x 320 is outside) and 8.jpg's 81 x 80.
    box = results["box-grounding", grid]
    assert box.metrics["pointing"] == 100
    assert box.metrics["iou_own_threshold"] == pytest.approx(100 * (80 * 40 / (80 * 41) + 80 * 80 / (81 * 80)) / 2)
    assert box.metrics["iou_one_threshold"] == pytest.approx(box.metrics["iou_own_threshold"])
    share = (80 * 41 / (320 * 160) + 81 * 80 / 160**2) / 2
    assert box.metrics["target_share"] == pytest.approx(100 * share)
    assert (box.pictures, box.texts, list(box.detail)) == (2, 2, ["0", "1"])
    mask = results["mask-grounding", grid]
    assert mask.metrics["pointing"] == mask.metrics["iou_own_threshold"] == 100
    for task in ("box-grounding", "mask-grounding"):
        assert results[task, engine].metrics["pointing"] == 100
    caption = results["caption-choice", "highest cosine"]
    assert caption.metrics == {"accuracy": 100, "chance": 25}
    assert (caption.pictures, caption.texts) == (1, 4)


def test_choice_is_read_as_it_asks(choice: Path) -> None:
    boxes = read_boxes(choice / "visual_grounding")
    assert [item.phrase for item in boxes] == ["the forest", "the big harbour"]
    assert boxes[0].picture.name == "7.jpg"  # the annotations say .png
    assert read_masks(choice / "referring_expression_segmentation")[0].phrase == "all forests"
    (item,) = read_caption_choices(choice / "image_caption")
    assert item.captions == ("A harbour with ships.", "Wide desert.", "A forest. It is dense.", "An airport.")
    assert item.right == 2


@pytest.mark.parametrize(
    ("task", "change", "match"),
    [
        ("visual_grounding", {"image_path": "a/70.png"}, r"70\.png is named by entry 0 .* not there"),
        ("visual_grounding", {"question": "What is this?"}, "neither coordinates nor a mask"),
        ("visual_grounding", {"answer": "A"}, "no answer that is a list"),
        ("visual_grounding", {"answer": corners(0, 0, 320, 160)}, "fractions of width and height"),
        ("visual_grounding", {"answer": corners(0, 0, 1, 1)[:3]}, "four corners"),
        ("referring_expression_segmentation", {"mask_path": "b/90.png"}, r"90\.png is named"),
        ("image_caption", {"answer": "E"}, "'E' is one"),
        ("image_caption", {"question": "Describe this."}, "no lines A., B."),
    ],
)
def test_choice_of_another_layout(choice: Path, task: str, change: dict[str, Any], match: str) -> None:
    path = choice / task / f"{task}.json"
    rows = json.loads(path.read_text())
    write(path, [rows[0] | change])
    with pytest.raises(DataError, match=match):
        run_choice(Colors(), choice, ["windows"])


def test_masks_that_do_not_fit(choice: Path) -> None:
    path = choice / "referring_expression_segmentation/masks/9.png"
    for image in (Image.new("L", (160, 160)), Image.new("L", (80, 80), 255)):
        image.save(path)
        with pytest.raises(DataError, match=r"9\.png is empty or not of 9\.jpg's 160 x 160 px"):
            run_choice(Colors(), choice, ["windows"])
    path.write_bytes(b"no")
    with pytest.raises(DataError, match=r"9\.png cannot be read"):
        run_choice(Colors(), choice, ["windows"])


def test_a_folder_without_choice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"visual_grounding\.json is not there"):
        run_choice(Colors(), tmp_path, ["windows"])


def test_annotations_are_read_before_anything_is_encoded(choice: Path, scenes: Path, tmp_path: Path) -> None:
    wish = Wishes(tmp_path, ("localization",))
    (tmp_path / "AIR-SLT").mkdir()
    made = plan(wish)
    assert len(made.jobs) == 2  # CHOICE, and the atlas, which draws its own scenes
    assert "air-slt" in made.skipped[0] and "imgs is not there" in made.skipped[0]
    assert len(plan(replace(wish, air_slt=scenes)).jobs) == 3
    with pytest.raises(DataError, match=r"nowhere.imgs is not there"):
        plan(replace(wish, air_slt=tmp_path / "nowhere"))
    with pytest.raises(DataError, match="add it to --tasks"):
        plan(replace(wish, tasks=("classification",), air_slt=scenes))
    for scene in (scenes / "imgs").iterdir():
        scene.unlink()
    with pytest.raises(DataError, match="which is not there"):
        plan(replace(wish, air_slt=scenes))
    (choice / "image_caption/image_caption.json").write_text("{")
    with pytest.raises(DataError, match=r"image_caption\.json"):
        plan(wish)
