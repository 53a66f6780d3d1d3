"""Detection sets: DOTA's text files, Pascal VOC's XML as DIOR has it, COCO's JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from defusedxml.ElementTree import parse as parse_xml

from lrsclip.errors import DataError
from lrsclip.io.caption_json import read_json
from train.data.faults import Faults
from train.data.names import split_in_name, split_or_none
from train.data.records import SourceRecord, Split
from train.data.sources.base import Source
from train.data.sources.files import (
    Pattern,
    Place,
    below,
    gsd_in,
    header_size,
    matching_files,
    need_folder,
    number_in,
    picture_files,
    picture_in,
)
from train.data.sources.marks import Marks

_HEADER = re.compile(r"\s*(imagesource|gsd)\s*:\s*(.*)", re.IGNORECASE)
_DIOR_BOXES = "Annotations/Horizontal Bounding Boxes"
_XML_FAULTS = (OSError, SyntaxError, ValueError, LookupError, RecursionError)  # ValueError: defused entities too


class DotaSource(Source):
    """DOTA: `images/*.png` and `labelTxt/*.txt`, optionally below `train`, `val`, `test`.

    Attributes:
        root: the folder.
        pictures, labels: names of the two folders.
    """

    layout: Literal["dota"] = "dota"
    root: Place
    pictures: Pattern = "images"
    labels: Pattern = "labelTxt"

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        need_folder(self.root, self.name)
        below = [(path, split_or_none(path.name)) for path in sorted(self.root.iterdir())]
        for folder, split in [(self.root, None), *((path, split) for path, split in below if split)]:
            if not (folder / self.pictures).is_dir():
                continue
            if not (folder / self.labels).is_dir():
                faults.add("annotation missing", f"{folder} has no folder {self.labels}; its pictures are left out")
                continue
            for picture in picture_files(folder / self.pictures, faults):
                record = self._one(picture, folder / self.labels / f"{picture.stem}.txt", split, faults)
                if record:
                    yield record

    def _one(self, picture: Path, label: Path, split: Split | None, faults: Faults) -> SourceRecord | None:
        size = header_size(picture, faults)
        if size is None:
            return None
        marks, gsd = Marks(self, size, faults), None
        try:
            with label.open(encoding="utf-8-sig", errors="replace") as lines:
                for number, line in enumerate(lines, 1):
                    where = f"line {number} of {label}"
                    header = _HEADER.match(line)
                    if header is None:
                        _dota_line(line, where, marks)
                    elif header[1].lower() == "gsd" and header[2].strip().lower() not in ("null", "none", "nan"):
                        gsd = gsd_in(header[2], where, faults)
        except OSError as error:
            faults.add("annotation missing", f"{label} cannot be read ({error.strerror}); add it or remove {picture}")
            return None
        within = picture.relative_to(self.root).as_posix()
        return self.record(within, picture, marks.facts(), split, size, gsd_m=gsd)


def _dota_line(line: str, where: str, marks: Marks) -> None:
    """Read a line: x1 y1 x2 y2 x3 y3 x4 y4 class difficult; the last may be missing."""
    words = line.split()
    if not words:
        return
    try:
        at = [float(word) for word in words[:8]]
    except ValueError:
        at = []
    if len(at) < 8 or not 9 <= len(words) <= 10:
        marks.leave_out(where, "it is not eight numbers, a class and whether it is difficult")
    else:
        marks.add(words[8], list(zip(at[::2], at[1::2], strict=True)), where, turned=True)


class VocSource(Source):
    """Pascal VOC and DIOR: `JPEGImages*/`, `Annotations/*.xml`, `ImageSets/Main/{train,val,test,trainval}.txt`.

    Where there are lists, only the pictures in them are read; without lists, a hash of the name gives the split.

    Attributes:
        root: the folder.
        pictures: pattern of the folders of pictures.
        annotations: folder of the XML files; None: where VOC or DIOR has it.
    """

    layout: Literal["voc"] = "voc"
    root: Place
    pictures: Pattern = "JPEGImages*"
    annotations: Pattern | None = None

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        need_folder(self.root, self.name)
        folder = self.annotations or (_DIOR_BOXES if (self.root / _DIOR_BOXES).is_dir() else "Annotations")
        found = [f for top in sorted(self.root.glob(self.pictures)) if top.is_dir() for f in picture_files(top, faults)]
        pictures = {picture.stem: picture for picture in reversed(found)}  # the first of a name
        splits = self._lists(faults)
        for stem, split in sorted(splits.items()) if splits else [(stem, None) for stem in sorted(pictures)]:
            if stem not in pictures:
                faults.add(
                    "picture missing",
                    f"{stem[:200]!r} is listed in {self.root}/ImageSets/Main but is not there; fetch it",
                )
                continue
            size = header_size(pictures[stem], faults)
            marks = Marks(self, size, faults) if size else None
            if marks and _voc_file(self.root / folder / f"{stem}.xml", marks, faults):
                yield self.record(stem, pictures[stem], marks.facts(), split, size or (0, 0))

    def _lists(self, faults: Faults) -> dict[str, Split]:
        """Read name to split; what is in two lists stays out of training."""
        splits: dict[str, Split] = {}
        for name in ("test", "val", "train", "trainval"):
            path = self.root / "ImageSets" / "Main" / f"{name}.txt"
            split = split_or_none(name)
            if split is None or not path.is_file():
                continue
            for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
                stem = line.strip()
                if name != "trainval" and stem in splits:
                    faults.add("picture in two splits", f"{path} and another list name {stem[:200]}; remove one")
                elif stem:
                    splits.setdefault(stem, split)
        return splits


def _voc_file(path: Path, marks: Marks, faults: Faults) -> bool:
    """Read one XML; False (and a fault) where it cannot be."""
    try:
        root = parse_xml(path).getroot()
    except FileNotFoundError:
        faults.add("annotation missing", f"{path} is not there; add it or remove its picture")
        return False
    except _XML_FAULTS as error:
        faults.add("annotation unreadable", f"{path} is no XML that can be read ({error}); fetch it again")
        return False
    if root is None:
        return True
    said = [_number(root.findtext(f"size/{side}")) for side in ("width", "height")]
    if not marks.fits(said[0], said[1], str(path)):
        return False
    for number, element in enumerate(root.iter("object"), 1):
        where = f"object {number} of {path}"
        texts = [element.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
        try:
            left, top, right, bottom = (float(text or "") for text in texts)
        except ValueError:
            marks.leave_out(where, "its bndbox has not four numbers")
            continue
        if right <= left or bottom <= top:
            marks.leave_out(where, "its bndbox has no area")
            continue
        marks.add((element.findtext("name") or "").strip(), [(left, top), (right, bottom)], where)
    return True


def _number(text: str | None) -> float | None:
    try:
        return number_in(text)
    except ValueError:
        return None


class CocoSource(Source):
    """COCO: JSON with `images`, `annotations` and `categories`.

    A picture's split is its own field `split`, else the word in the JSON's name (`instances_val2017.json`).

    Attributes:
        root: the folder.
        annotations: pattern of the JSON files.
        pictures: folder of the pictures; also searched is the one below it, or below the root, that is called as the
            last part of the JSON's name (`val2017`).
    """

    layout: Literal["coco"] = "coco"
    root: Place
    annotations: Pattern = "annotations/*.json"
    pictures: Pattern = "images"

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        seen: set[str] = set()
        for path in matching_files(self.root, self.annotations, self.name):
            try:
                read = read_json(path)
            except DataError as error:
                faults.add("annotation unreadable", str(error))
                continue
            parts = [
                read.get(key) if isinstance(read, dict) else None for key in ("images", "annotations", "categories")
            ]
            if not all(isinstance(part, list) for part in parts):
                faults.add("annotation unreadable", f"{path} lacks one of images, annotations, categories; mend it")
                continue
            images, annotations, categories = parts
            names = {_id(c, "id"): c.get("name") for c in categories or () if isinstance(c, dict)}
            lines: dict[Any, list[tuple[int, dict[str, Any]]]] = {}
            for number, line in enumerate(annotations or ()):
                lines.setdefault(_id(line, "image_id"), []).append((number, line))
            for number, image in enumerate(images or ()):
                of_image = lines.pop(_id(image, "id"), []) if _id(image, "id") is not None else []
                yield from self._one(path, number, image, of_image, names, seen, faults)
            for number, _ in (line for orphans in lines.values() for line in orphans):
                faults.add("broken annotation line", f"annotations[{number}] of {path} is of no picture; remove it")

    def _one(
        self,
        path: Path,
        number: int,
        image: Any,
        lines: list[tuple[int, dict[str, Any]]],
        names: dict[Any, Any],
        seen: set[str],
        faults: Faults,
    ) -> Iterator[SourceRecord]:
        where = f"images[{number}] of {path}"
        name = image.get("file_name") if isinstance(image, dict) else None
        picture = picture_in(self._folder(path, name), name, where, faults)
        size = header_size(picture, faults) if picture else None
        if picture is None or size is None:
            return
        within = picture.relative_to(self.root).as_posix()
        if within in seen:
            faults.add("picture named twice", f"{where} names {within} again; remove one of the two")
            return
        seen.add(within)
        marks = Marks(self, size, faults)
        if not marks.fits(image.get("width"), image.get("height"), where):
            return
        for at, line in lines:
            _coco_line(line, f"annotations[{at}] of {path}", names, marks)
        split = split_or_none(str(image.get("split"))) or split_in_name(path.stem)
        yield self.record(within, picture, marks.facts(), split, size)

    def _folder(self, annotations: Path, name: object) -> Path:
        """Return where a picture lies: the first folder that has it, else the one that should."""
        part = re.split(r"[_-]", annotations.stem)[-1]
        folders = [self.root / self.pictures, self.root / self.pictures / part, self.root / part]
        return next((folder for folder in folders if below(folder, name)), folders[0])


def _id(entry: Any, key: str) -> int | str | None:
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, (int, str)) else None


def _coco_line(line: dict[str, Any], where: str, names: dict[Any, Any], marks: Marks) -> None:
    if line.get("iscrowd") in (1, True):  # a box around nobody knows how many
        marks.complete = False
        return
    name, box = names.get(_id(line, "category_id")), line.get("bbox")
    try:
        numbers = [number_in(number) for number in box] if isinstance(box, list) else []
        left, top, width, height = (math.nan if number is None else number for number in numbers)
    except ValueError:
        return marks.leave_out(where, "its bbox is not four numbers")
    if not isinstance(name, str):
        return marks.leave_out(where, "its category_id is not among the categories")
    if not (width > 0 and height > 0):
        return marks.leave_out(where, "its bbox has no area")
    return marks.add(name, [(left, top), (left + width, top + height)], where)
