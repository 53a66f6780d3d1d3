"""Detection sets: DOTA's text files, and Pascal VOC's XML as DIOR has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from defusedxml.ElementTree import parse as parse_xml

from train.data.faults import Faults
from train.data.names import split_or_none
from train.data.records import SourceRecord, Split
from train.data.sources.base import Source
from train.data.sources.files import (
    Pattern,
    Place,
    folders_below,
    gsd_in,
    header_size,
    need_folder,
    number_in,
    picture_files,
)
from train.data.sources.marks import Marks

_HEADER = re.compile(r"\s*(imagesource|gsd)\s*:\s*(.*)", re.IGNORECASE)
_UPRIGHT = re.compile(r"hbb|reclabel|task2", re.IGNORECASE)  # the same things in boxes that are not turned
_DIOR_BOXES = "Annotations/Horizontal Bounding Boxes"
_XML_FAULTS = (OSError, SyntaxError, ValueError, LookupError, RecursionError)  # ValueError: defused entities too


class DotaSource(Source):
    """DOTA: `images/*.png` and `labelTxt/*.txt`, optionally below `train`, `val`, `test`.

    Both as they are unpacked, too: pictures at any depth below `images` (`images/part1/images/P0000.png`), labels below
    a folder of their version (`labelTxt-v1.5/DOTA-v1.5_train/P0000.txt`). Of several versions the last one is read, and
    never the copies with upright boxes.

    Attributes:
        root: the folder.
        pictures: name of the folder of pictures.
        labels: pattern of the folder of labels.
    """

    layout: Literal["dota"] = "dota"
    root: Place
    pictures: Pattern = "images"
    labels: Pattern = "labelTxt*"

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        need_folder(self.root, self.name)
        below = [(path, split_or_none(path.name)) for path in sorted(self.root.iterdir())]
        for folder, split in [(self.root, None), *((path, split) for path, split in below if split)]:
            if not (folder / self.pictures).is_dir():
                continue
            labels = _label_folder(folder, self.labels)
            if labels is None:
                faults.add(
                    "annotation missing", f"{folder} has no folder {self.labels} of texts; its pictures are left out"
                )
                continue
            for pictures in folders_below(folder / self.pictures):
                for picture in picture_files(pictures, faults):
                    record = self._one(picture, labels / f"{picture.stem}.txt", split, faults)
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


def _label_folder(folder: Path, pattern: str) -> Path | None:
    """Return the folder below another that holds labels, of the last version where there are several."""
    found = [
        inner
        for top in sorted(folder.glob(pattern), key=lambda path: path.name, reverse=True)
        if top.is_dir()
        for inner in folders_below(top)
        if not _UPRIGHT.search(inner.name) and any(inner.glob("*.txt"))
    ]
    return next(iter(found), None)


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
