"""Small data sets of every layout that the data engine reads, made from nothing."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.helpers.corpora import COLORS, write_picture
from train.data.faults import Faults
from train.data.records import SourceRecord
from train.data.sources.base import Source
from train.data.sources.settings import (
    AtlasSource,
    CaptionSource,
    CocoSource,
    DotaSource,
    FolderSource,
    MaskSource,
    ParquetSource,
    TagSource,
    VocSource,
    WebDatasetSource,
)

WIDTH, HEIGHT = 120, 80
DOTA_LINES = ("10 10 70 10 70 20 10 20 plane 0", "80 0 100 0 100 40 80 40 small-vehicle 1")
VOC_BOXES = (("airplane", (10, 20, 60, 40)), ("storagetank", (70, 0, 90, 20)))


def read(source: Source) -> tuple[list[SourceRecord], Counter[str]]:
    """All records of a source, and how many faults of each kind it has."""
    faults = Faults()
    return list(source.records(faults)), faults.counts


def messages(source: Source) -> list[str]:
    """What the faults of a source say."""
    faults = Faults()
    list(source.records(faults))
    return [message for examples in faults.examples.values() for message in examples]


def encoded(seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT), kind: str = "JPEG") -> bytes:
    """A noisy picture as the bytes of a file."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def picture_file(path: Path, seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """A noisy picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(seed, size, "PNG" if path.suffix == ".png" else "JPEG"))
    return path


def text_file(path: Path, text: str) -> Path:
    """A text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def make_captions(root: Path, rows: Sequence[Mapping[str, Any]] = ()) -> CaptionSource:
    """Karpathy JSON; three pictures with the three splits and, if given, more rows as they are."""
    images: list[Mapping[str, Any]] = []
    for number, (kind, split) in enumerate(zip(COLORS, ("train", "val", "test"), strict=False)):
        name = f"{kind}_{number}.jpg"
        write_picture(root / "pictures" / name, COLORS[kind], number)
        raws = [f"a {kind} seen from above .", "", f"here lies a {kind}"]
        images.append({"filename": name, "split": split, "sentences": [{"raw": raw} for raw in raws]})
    annotations = text_file(root / "dataset.json", json.dumps({"images": [*images, *rows]}))
    extra = text_file(root / "extra.json", json.dumps({images[0]["filename"]: ["one more sentence", " "]}))
    return CaptionSource(
        name="captions", annotations=annotations, pictures=root / "pictures", extra_captions=extra, scene="prefix"
    )


def make_folders(root: Path, splits: Sequence[str] = ()) -> FolderSource:
    """Class folders, below split folders if some are named."""
    for split in splits or (".",):
        for kind in COLORS:
            for number in range(3):
                write_picture(root / split / f"{kind.title()}Land" / f"{number}.jpg", COLORS[kind], number)
    return FolderSource(name="folders", root=root)


def make_dota(root: Path, lines: Sequence[str] = DOTA_LINES, splits: Sequence[str] = ("train", "val")) -> DotaSource:
    """One picture in each split, or in the root where none is named."""
    for number, split in enumerate(splits or (".",)):
        picture_file(root / split / "images" / f"P{number:04d}.png", number)
        text = "\n".join(["imagesource:GoogleEarth", "gsd:0.25", *lines])
        text_file(root / split / "labelTxt" / f"P{number:04d}.txt", text)
    return DotaSource(name="dota", root=root)


def voc_xml(boxes: Sequence[tuple[str, tuple[float, ...]]], size: tuple[int, int] = (WIDTH, HEIGHT)) -> str:
    """Pascal VOC's XML."""
    objects = ""
    for name, box in boxes:
        sides = "".join(f"<{s}>{v}</{s}>" for s, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
        objects += f"<object><name>{name}</name><difficult>1</difficult><bndbox>{sides}</bndbox></object>"
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{objects}</annotation>"


def make_voc(root: Path, boxes: Sequence[tuple[str, tuple[float, ...]]] = VOC_BOXES) -> VocSource:
    """DIOR's folders: one picture in each of train, val, test."""
    for number, split in enumerate(("train", "val", "test")):
        stem = f"{number:05d}"
        folder = "JPEGImages-test" if split == "test" else "JPEGImages-trainval"
        picture_file(root / folder / f"{stem}.jpg", number)
        text_file(root / "Annotations/Horizontal Bounding Boxes" / f"{stem}.xml", voc_xml(boxes))
        text_file(root / "ImageSets/Main" / f"{split}.txt", f"{stem}\n")
    text_file(root / "ImageSets/Main/trainval.txt", "00000\n00001\n")
    return VocSource(name="voc", root=root, classes={"storagetank": "storage tank"})


def make_coco(root: Path, annotations: Sequence[Any] | None = None) -> CocoSource:
    """Two JSONs, one picture with two things in each."""
    for number, part in enumerate(("train2017", "val2017")):
        name = f"{number:06d}.jpg"
        picture_file(root / "images" / part / name, number)
        usual = [
            {"image_id": number, "category_id": 1, "bbox": [10, 20, 30, 40], "iscrowd": 0},
            {"image_id": number, "category_id": 7, "bbox": [100, 60, 40, 40]},
        ]
        content = {
            "images": [{"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}],
            "annotations": usual if annotations is None else list(annotations),
            "categories": [{"id": 1, "name": "plane"}, {"id": 7, "name": "Storage Tank"}],
        }
        text_file(root / "annotations" / f"instances_{part}.json", json.dumps(content))
    return CocoSource(name="coco", root=root)


def write_mask(path: Path, values: np.ndarray[Any, Any]) -> None:
    """A mask of (H, W) values or (H, W, 3) colors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def make_masks(root: Path, colored: bool = False) -> MaskSource:
    """LoveDA's folders: the left third is 1 (building), the rest 2 (water), the last row of pixels 0 (background)."""
    colors = np.array([(0, 0, 0), (0, 0, 255), (255, 255, 255)], np.uint8)
    for number, split in enumerate(("Train", "Val")):
        folder = root / split / "Urban"
        picture_file(folder / "images_png" / f"{number}.png", number)
        values = np.full((HEIGHT, WIDTH), 2, np.uint8)
        values[:, : WIDTH // 3] = 1
        values[-1] = 0
        write_mask(folder / "masks_png" / f"{number}.png", colors[values] if colored else values)
    keys = [",".join(map(str, color)) for color in colors.tolist()] if colored else ["0", "1", "2"]
    palette = dict(zip(keys, ("background", "building", "water"), strict=True))
    return MaskSource(name="masks", root=root, palette=palette, ignore=("background",))


def make_tags(root: Path, lines: Sequence[str] = ()) -> TagSource:
    """A CSV of three pictures and, if given, more lines as they are."""
    rows = [
        ("a/0.jpg", "a farm", "7.5", "51.25", '{"landuse": "farmland", "crop": "rice"}', "yes"),
        ("a/1.jpg", "", "", "", "highway=primary; surface=asphalt", ""),
        ("a/2.jpg", "a lake", "-120", "10", "", "no"),
    ]
    for number, row in enumerate(rows):
        picture_file(root / "images" / row[0], number)
    with (root / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["filepath", "title", "lon", "lat", "tags", "tag_water"])
        writer.writerows(rows)
        file.writelines(f"{line}\n" for line in lines)
    return TagSource(name="tags", table=root / "table.csv", pictures=root / "images")


def write_tar(path: Path, members: Sequence[tuple[str, bytes]], mode: str = "w") -> Path:
    """A tar of named contents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in members:
            facts = tarfile.TarInfo(name)
            facts.size = len(content)
            tar.addfile(facts, io.BytesIO(content))
    return path


def shard_members(count: int = 3) -> list[tuple[str, bytes]]:
    """Samples: a picture, a caption and a JSON each."""
    members: list[tuple[str, bytes]] = []
    for number in range(count):
        fields = {"captions": [f"again {number}"], "lon": 7.5, "lat": 51.0, "gsd": 0.5, "class": "SeaLake"}
        members += [
            (f"{number:04d}.jpg", encoded(number)),
            (f"{number:04d}.txt", f"caption {number}".encode()),
            (f"{number:04d}.json", json.dumps(fields).encode()),
        ]
    return members


def make_webdataset(root: Path) -> WebDatasetSource:
    """Two shards of three samples."""
    for shard in ("train-0000.tar", "val-0000.tar"):
        write_tar(root / shard, shard_members())
    return WebDatasetSource(name="shards", root=root)


def make_parquet(root: Path, rows: int = 5) -> ParquetSource:
    """A file as the Hub has them: pictures as structs, lists of captions, a ClassLabel; row groups of two rows."""
    table = pa.table(
        {
            "image": [{"bytes": encoded(number), "path": f"{number}.jpg"} for number in range(rows)],
            "caption": [[f"caption {number}", f"another {number}"] for number in range(rows)],
            "label": [number % 2 for number in range(rows)],
            "lon": [7.0 + number for number in range(rows)],
            "lat": [50.0] * rows,
        }
    )
    label = {"names": ["SeaLake", "Forest"], "_type": "ClassLabel"}
    told = {"huggingface": json.dumps({"info": {"features": {"label": label}}})}
    (root / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(told), root / "data/train-00000-of-00001.parquet", row_group_size=2)
    return ParquetSource(name="hub", root=root)


def make_atlas(root: Path) -> AtlasSource:
    """One block of a rendered world; the folder is not used, since the atlas is kept in the user's cache."""
    return AtlasSource(name="atlas", seed=3, tiles=16)


MAKERS: dict[str, Callable[[Path], Source]] = {
    "captions": make_captions,
    "folders": make_folders,
    "dota": make_dota,
    "voc": make_voc,
    "coco": make_coco,
    "masks": make_masks,
    "tags": make_tags,
    "webdataset": make_webdataset,
    "parquet": make_parquet,
    "atlas": make_atlas,
}
