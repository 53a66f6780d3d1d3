"""Caption JSON as Karpathy laid it out: RSICD, RSITMD, UCM-, Sydney- and NWPU-Captions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from lrsclip.errors import DataError
from train.data.faults import Faults
from train.data.records import Facts, SourceRecord
from train.data.sources.base import Source
from train.data.sources.files import Place, need_folder, not_empty, picture_in, split_or_none, texts_in

_PREFIX = re.compile(r"([A-Za-z][A-Za-z_-]*?)[_-]\d+$")  # airport_102; files that are only a number have no class


class CaptionSource(Source):
    """`images[].{filename, split, sentences[].raw}`, with official splits.

    Attributes:
        annotations: the JSON.
        pictures: folder that the file names are relative to.
        extra_captions: a JSON `{file name: [caption, ...]}` of more captions for the same pictures.
        scene: whether a picture's class is its folder, or what stands before the number in its name.
        train_on_val: its validation pictures are trained on, since nothing is measured on them.
    """

    layout: Literal["captions"] = "captions"
    annotations: Place
    pictures: Place
    extra_captions: Place | None = None
    scene: Literal["none", "folder", "prefix"] = "none"
    train_on_val: bool = False

    def records(self, faults: Faults) -> Iterator[SourceRecord]:
        """Every record, in the order of the JSON.

        Raises:
            DataError: a JSON is missing, broken or of another layout, or no picture is there.
        """
        return not_empty(self._read(faults), self.name, self.annotations)

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        need_folder(self.pictures, self.name)
        rows = read_rows(self.annotations)
        extra = self._extra()
        seen: set[str] = set()
        for number, row in enumerate(rows):
            where = f"images[{number}] of {self.annotations}"
            name = row.get("filename") if isinstance(row, dict) else None
            picture = picture_in(self.pictures, name, where, faults)
            if not isinstance(row, dict) or not isinstance(name, str) or picture is None:
                continue
            if name in seen:
                faults.add("picture named twice", f"{where} names {name} again; remove one of the two")
                continue
            seen.add(name)
            split = split_or_none(str(row.get("split")))
            if split is None:
                faults.add("unknown split", f"{where} has split {row.get('split')!r}; make it train, val or test")
                continue
            captions = texts_in(row.get("sentences")) + extra.pop(PurePosixPath(name).name, ())
            if not captions:
                faults.add("no captions", f"{where} ({name}) has no caption with a word in it; add one or remove it")
            facts = Facts(scene=self._scene_of(name, faults, where), captions=captions)
            yield self.record(name, picture, facts, "train" if self.train_on_val and split == "val" else split)
        for name in extra:
            faults.add(
                "picture missing",
                f"{self.extra_captions} names {name[:200]!r}, which no record has; is it of another set?",
            )

    def _scene_of(self, name: str, faults: Faults, where: str) -> str | None:
        path = PurePosixPath(name)
        if self.scene == "prefix":
            match = _PREFIX.match(path.stem)
            named = match[1] if match else ""
        else:
            named = path.parent.name if self.scene == "folder" else ""
        return (self.words_of(named, faults, where) or None) if named else None

    def _extra(self) -> dict[str, tuple[str, ...]]:
        if self.extra_captions is None:
            return {}
        read = read_json(self.extra_captions)
        if not isinstance(read, dict):
            raise DataError(f"{self.extra_captions} is not of the layout {{file name: [caption, ...]}}; mend it")
        return {name: texts_in(captions) for name, captions in read.items()}


def read_rows(annotations: Path) -> list[Any]:
    """The list `images` of a caption JSON.

    Raises:
        DataError: the file is missing, broken or of another layout.
    """
    read = read_json(annotations)
    rows = read.get("images") if isinstance(read, dict) else None
    if not isinstance(rows, list):
        raise DataError(f"{annotations} is not of the layout images[].filename, split, sentences[].raw; mend it")
    return rows


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: it is missing or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there; fetch the data set's JSON or mend the path") from error
    except (OSError, ValueError, RecursionError) as error:  # ValueError: neither UTF-8 nor JSON
        raise DataError(f"{path} cannot be read as JSON ({error}); fetch it again") from error
