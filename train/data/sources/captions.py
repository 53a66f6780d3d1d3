"""Caption JSON as Karpathy laid it out: RSICD, RSITMD, UCM-, Sydney- and NWPU-Captions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

from lrsclip.errors import DataError
from lrsclip.io.caption_json import as_given, read_caption_rows, read_json, texts_in
from train.data.faults import Faults
from train.data.names import split_or_none
from train.data.records import Facts, SourceRecord
from train.data.sources.base import Source
from train.data.sources.files import Place, need_folder, picture_in

_PREFIX = re.compile(
    r"([^\W\d_](?:[^\W\d]|-|[^\w\s\x00-\x7f])*?)[_-]\d+$"
)  # airport_102; files that are only a number have no class


class CaptionSource(Source):
    """`images[].{filename, split, sentences[].raw}`, with official splits, in the order of the JSON.

    Captions are as the JSON has them, since protocols of retrieval count equal ones.

    Attributes:
        annotations: the JSON.
        pictures: folder that the file names are relative to.
        extra_captions: a JSON `{file name: [caption, ...]}` of more captions for the same pictures.
        own_captions: whether the rows' own sentences count; without them only pictures of `extra_captions` are read.
        scene: whether a picture's class is its folder, or what stands before the number in its name.
        train_on_val: its validation pictures are trained on, since nothing is measured on them.
    """

    layout: Literal["captions"] = "captions"
    annotations: Place
    pictures: Place
    extra_captions: Place | None = None
    own_captions: bool = True
    scene: Literal["none", "folder", "prefix"] = "none"
    train_on_val: bool = False

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        need_folder(self.pictures, self.name)
        rows = read_caption_rows(self.annotations)
        extra = self._extra()
        seen: set[str] = set()
        for number, row in enumerate(rows):
            where = f"images[{number}] of {self.annotations}"
            if row is None:
                faults.add("broken row", f"{where} names no file; mend or remove it")
                continue
            more = extra.pop(PurePosixPath(row.file).name, ())
            if not (self.own_captions or more):
                continue
            picture = picture_in(self.pictures, row.file, where, faults)
            if picture is None:
                continue
            if row.file in seen:
                faults.add("picture named twice", f"{where} names {row.file} again; remove one of the two")
                continue
            seen.add(row.file)
            split = split_or_none(row.split)
            if split is None:
                faults.add("unknown split", f"{where} has split {row.split[:80]!r}; make it train, val or test")
                continue
            captions = (row.captions if self.own_captions else ()) + more
            if not captions:
                faults.add("no captions", f"{where} ({row.file}) has no caption with a word in it; add or remove it")
            facts = Facts(scene=self._scene_of(row.file, faults, where), captions=captions)
            yield self.record(row.file, picture, facts, "train" if self.train_on_val and split == "val" else split)
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
        return {name: texts_in(captions, as_given) for name, captions in read.items()}
