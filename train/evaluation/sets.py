"""The parts of the public data sets that are measured: which pictures, with which captions or class names.

Where a set lies and how it is read stands in `data.public_sets`. Splits are the official ones, or the hashed ones of
`data.names`, so that nothing measured was trained on by our own recipes. RSITMD is taken whole where it lies there
whole; its official test pictures stand mostly in RSICD's training split, so for a checkpoint trained on RSICD only the
subset on RSICD's test files is held out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lrsclip.errors import DataError
from train.data.corpus import read_records
from train.data.public_sets import PUBLIC_SETS
from train.data.records import Record
from train.data.sources.folders import FolderSource
from train.data.text_pairs import sentences_of


@dataclass(frozen=True)
class PictureSet:
    """What one row is measured on.

    Attributes:
        name: the data set and its part, as the tables call it.
        records: its pictures; all with captions, or all with a label.
        classes: every class name there is to choose from, in order; () for captions.
    """

    name: str
    records: tuple[Record, ...]
    classes: tuple[str, ...] = ()


class NotHere(DataError):
    """A data set, or the split asked for, is not in the data folder."""


def rsicd_captions(data: Path, split: str) -> PictureSet:
    """Read RSICD with its own captions."""
    return _captioned("rsicd", _read("rsicd", data), split)


def ucm_captions(data: Path, split: str) -> PictureSet:
    """Read UCM-Captions."""
    return _captioned("ucm", _read("ucm", data), split)


def rsitmd_captions(data: Path, split: str) -> PictureSet:
    """Read RSITMD: the whole set if it is there, else its captions of RSICD's files, in their split."""
    name = "rsitmd" if PUBLIC_SETS["rsitmd"].missing_in(data) is None else "rsitmd-on-rsicd"
    return _captioned(name, _read(name, data), split)


def rsicd_classes(data: Path, split: str) -> PictureSet:
    """Read the 30 scene classes that RSICD's file names give; pictures without one are left out."""
    return _labeled("rsicd30", [r for r in _read("rsicd", data) if r.label], split)


def ucm_classes(data: Path, split: str) -> PictureSet:
    """Read UC Merced's 21 land-use classes, in the split of UCM-Captions."""
    return _labeled("ucm", _read("ucm", data), split)


def eurosat_classes(data: Path, split: str) -> PictureSet:
    """Read EuroSAT's ten classes, in the hashed split: there is no official one, and training uses the other part."""
    return _labeled("eurosat hashed", _read("eurosat", data), split)


def resisc45_classes(data: Path, split: str) -> PictureSet:
    """Read RESISC45's classes that are there; NWPU-Captions' split where it names a picture, else the hashed one."""
    records = _read("resisc45", data)
    captioned = [] if PUBLIC_SETS["nwpu"].missing_in(data) else _read("nwpu", data)
    official = {record.path: record.split for record in captioned}
    records = [replace(r, split=official.get(r.path, r.split)) for r in records]
    return _labeled("resisc45-subset hashed", records, split)


def rsscn7_classes(data: Path, split: str) -> PictureSet:
    """Read RSSCN7's seven classes, every picture whatever the split: none is ever trained on."""
    return _all_pictures("rsscn7", _read("rsscn7", data))


def class_folders(root: Path, name: str | None = None) -> PictureSet:
    """Read any folder of class folders, every picture of it.

    Args:
        root: the folder; a class is called what its folder is called, in words.
        name: what to call the set; the folder's name if not given.

    Raises:
        DataError: no such folder, no picture in it, fewer than two classes, or two folders of one name.
    """
    name = name or root.resolve().name
    source = FolderSource(name=re.sub("[^a-z0-9]+", "-", name.lower()).strip("-") or "folders", root=root)
    return _all_pictures(name, read_records([source]))


_FIX = "pass --data with the folder that holds it, or leave it out with --sets"
CAPTION_SETS: dict[str, Callable[[Path, str], PictureSet]] = {
    "rsicd": rsicd_captions,
    "rsitmd": rsitmd_captions,
    "ucm": ucm_captions,
}
CLASS_SETS: dict[str, Callable[[Path, str], PictureSet]] = {
    "rsicd30": rsicd_classes,
    "ucm": ucm_classes,
    "resisc45": resisc45_classes,
    "eurosat": eurosat_classes,
    "rsscn7": rsscn7_classes,
}


def _read(name: str, data: Path) -> list[Record]:
    """Read a set as its authors gave it.

    Raises:
        NotHere: it is not in the data folder.
    """
    chosen = PUBLIC_SETS[name]
    if missing := chosen.missing_in(data):
        raise NotHere(f"{missing} is not there; {_FIX}")
    return read_records([chosen.source(data, alone=True)])


def _captioned(name: str, records: list[Record], split: str) -> PictureSet:
    captions_only = [replace(r, label=None) for r in records if r.split == split]
    chosen = tuple(r for r in captions_only if sentences_of(r))  # a lone full stop says nothing
    if not chosen:
        raise NotHere(f"{name} has no {split} pictures with captions; choose another --split, or leave it out")
    return PictureSet(f"{name} {split}", chosen)


def _labeled(name: str, records: list[Record], split: str) -> PictureSet:
    chosen = tuple(r for r in records if r.split == split)
    if not chosen:
        raise NotHere(f"{name} has no {split} pictures; choose another --split, or leave it out with --sets")
    return PictureSet(f"{name} {split}", chosen, tuple(sorted({str(r.label) for r in records})))


def _all_pictures(name: str, records: list[Record]) -> PictureSet:
    folders: dict[str, Path] = {}
    for record in records:
        label, folder = str(record.label), record.path.parent
        if folders.setdefault(label, folder).name != folder.name:
            one, two = folders[label], folder
            raise DataError(f"{one.parent}: {one.name} and {two.name} both read {label!r}; rename or merge one of them")
    if len(folders) < 2:
        raise DataError(f"{name} holds one class, {min(folders)!r}; there is nothing to choose from")
    return PictureSet(f"{name}, all pictures", tuple(records), tuple(folders))
