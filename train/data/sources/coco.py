"""COCO's JSON, read as a stream: of its marks only what is used stays in memory."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lrsclip.errors import DataError
from train.data.faults import Faults
from train.data.json_stream import stream_lists
from train.data.names import split_in_name, split_or_none
from train.data.records import SourceRecord
from train.data.sources.base import Source
from train.data.sources.files import Pattern, Place, below, header_size, matching_files, number_in, picture_in
from train.data.sources.marks import Marks

_PARTS = ("images", "annotations", "categories")
_SOUND, _CROWD, _NO_BOX = 0, 1, 2
_SIDES = 4


class CocoSource(Source):
    """COCO: JSON with `images`, `annotations` and `categories`.

    A picture's split is its own field `split`, else the word in the JSON's name (`instances_val2017.json`) or in the
    names of its folders (`val/_annotations.coco.json`).

    Attributes:
        root: the folder.
        annotations: pattern of the JSON files.
        pictures: folder of the pictures. Also searched are the one below it, or below the root, that is called as the
            last part of the JSON's name (`val2017`), the folder of the JSON, and those beside it.
    """

    layout: Literal["coco"] = "coco"
    root: Place
    annotations: Pattern = "annotations/*.json"
    pictures: Pattern = "images"

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        seen: set[str] = set()
        for path in matching_files(self.root, self.annotations, self.name):
            try:
                content = _read_content(path)
            except DataError as error:
                faults.add("annotation unreadable", str(error))
                continue
            if content.missing:
                faults.add("annotation unreadable", f"{path} lacks one of images, annotations, categories; mend it")
                continue
            lines = content.lines_of_images()
            for number, image in enumerate(content.images):
                of_image = lines.pop(image.key, []) if image.key is not None else []
                yield from self._one(path, number, image, of_image, content, seen, faults)
            for at in sorted(at for orphans in lines.values() for at in orphans):
                faults.add("broken annotation line", f"annotations[{at}] of {path} is of no picture; remove it")

    def _one(
        self,
        path: Path,
        number: int,
        image: _Image,
        lines: list[int],
        content: _Content,
        seen: set[str],
        faults: Faults,
    ) -> Iterator[SourceRecord]:
        where = f"images[{number}] of {path}"
        picture = picture_in(self._folder(path, image.name), image.name, where, faults)
        size = header_size(picture, faults) if picture else None
        if picture is None or size is None:
            return
        within = picture.relative_to(self.root).as_posix()
        if within in seen:
            faults.add("picture named twice", f"{where} names {within} again; remove one of the two")
            return
        seen.add(within)
        marks = Marks(self, size, faults)
        if not marks.fits(image.width, image.height, where):
            return
        for at in lines:
            content.mark(at, f"annotations[{at}] of {path}", marks)
        folders = path.parent.relative_to(self.root).as_posix()
        split = split_or_none(str(image.split)) or split_in_name(path.stem) or split_in_name(folders)
        yield self.record(within, picture, marks.facts(), split, size)

    def _folder(self, annotations: Path, name: object) -> Path:
        """Return where a picture lies: the first folder that has it, else the one that should."""
        part = re.split(r"[_-]", annotations.stem)[-1]
        beside = annotations.parent
        folders = [self.root / self.pictures, self.root / self.pictures / part, self.root / part]
        folders += [beside, beside / self.pictures, beside.parent / self.pictures, beside.parent / part, beside.parent]
        inside = [folder for folder in folders if folder.is_relative_to(self.root)]
        return next((folder for folder in inside if below(folder, name)), folders[0])


@dataclass(frozen=True)
class _Image:
    """An entry of `images`, without what is not used."""

    key: int | str | None
    name: object
    width: object
    height: object
    split: object


@dataclass
class _Content:
    """What is used of a JSON; a mark takes 42 bytes.

    Attributes:
        images: in the order of the file.
        names: of the categories.
        missing: lists that the file lacks.
    """

    images: list[_Image] = field(default_factory=list)
    names: dict[int | str | None, object] = field(default_factory=dict)
    missing: set[str] = field(default_factory=lambda: set(_PARTS))
    _numbers: dict[int | str | None, int] = field(default_factory=dict)  # of ids, as they come up
    _image: array[int] = field(default_factory=lambda: array("i"))
    _category: array[int] = field(default_factory=lambda: array("i"))
    _state: array[int] = field(default_factory=lambda: array("b"))
    _boxes: array[float] = field(default_factory=lambda: array("d"))

    def take(self, entry: Any) -> None:
        """Take an entry of `annotations`."""
        self._image.append(self._number(_id(entry, "image_id")))
        self._category.append(self._number(_id(entry, "category_id")))
        line = entry if isinstance(entry, dict) else {}
        box, state = (math.nan,) * _SIDES, _CROWD if line.get("iscrowd") in (1, True) else _SOUND
        if state == _SOUND:
            try:
                numbers = [number_in(number) for number in line["bbox"]] if isinstance(line.get("bbox"), list) else []
                left, top, width, height = (math.nan if number is None else number for number in numbers)
                box = (left, top, width, height)
            except ValueError:
                state = _NO_BOX
        self._state.append(state)
        self._boxes.extend(box)

    def lines_of_images(self) -> dict[int | str | None, list[int]]:
        """Return the numbers of the annotations of each id of a picture, in order."""
        ids = {number: key for key, number in self._numbers.items()}
        of_line = np.frombuffer(self._image, np.intc) if self._image else np.zeros(0, np.intc)
        order = np.argsort(of_line, kind="stable")
        begins = np.flatnonzero(np.diff(of_line[order], prepend=-1))
        return {
            ids[int(of_line[part[0]])]: part.tolist() for part in np.split(order, begins[1:]) if part.size
        }  # fmt: skip

    def mark(self, at: int, where: str, marks: Marks) -> None:
        """Add an annotation to the marks of its picture.

        Args:
            at: its number.
            where: file and number.
            marks: of the picture.
        """
        if self._state[at] == _CROWD:  # a box around nobody knows how many
            marks.complete = False
            return None
        if self._state[at] == _NO_BOX:
            return marks.leave_out(where, "its bbox is not four numbers")
        name = self._by_number.get(self._category[at])
        if not isinstance(name, str):
            return marks.leave_out(where, "its category_id is not among the categories")
        left, top, width, height = self._boxes[_SIDES * at : _SIDES * (at + 1)]
        if not (width > 0 and height > 0):
            return marks.leave_out(where, "its bbox has no area")
        return marks.add(name, [(left, top), (left + width, top + height)], where)

    @cached_property
    def _by_number(self) -> dict[int, object]:
        return {self._numbers[key]: name for key, name in self.names.items() if key in self._numbers}

    def _number(self, key: int | str | None) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


def _read_content(path: Path) -> _Content:
    """Read a JSON.

    Raises:
        DataError: it cannot be read to its end.
    """
    content = _Content()
    for part, number, entry in stream_lists(path, _PARTS):
        if number < 0:
            content.missing.discard(part)
        elif part == "annotations":
            content.take(entry)
        elif part == "categories":
            if isinstance(entry, dict):
                content.names[_id(entry, "id")] = entry.get("name")
        else:
            facts = entry if isinstance(entry, dict) else {}
            values = (facts.get(name) for name in ("file_name", "width", "height", "split"))
            content.images.append(_Image(_id(entry, "id"), *values))
    return content


def _id(entry: Any, key: str) -> int | str | None:
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, (int, str)) else None
