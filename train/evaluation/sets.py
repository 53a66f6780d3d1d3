"""The parts of the public data sets that are measured: which pictures, with which captions or class names.

Splits are the official ones, or the hashed ones of `data.readers`, so that nothing measured was trained on by our own
recipes. RSITMD is taken whole where it lies there whole; its official test pictures stand mostly in RSICD's training
split, so for a checkpoint trained on RSICD only the subset on RSICD's test files is held out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lrsclip.errors import DataError
from train.data.corpus import read_nwpu, read_rsicd, read_ucm
from train.data.readers import Record, add_captions, class_words, read_class_folders, read_karpathy
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
    """RSICD with its own captions."""
    _need(data / "RSICD")
    return _captioned("rsicd", read_rsicd(data), split)


def ucm_captions(data: Path, split: str) -> PictureSet:
    """UCM-Captions."""
    _need(data / "UCMerced_LandUse")
    return _captioned("ucm", read_ucm(data), split)


def rsitmd_captions(data: Path, split: str) -> PictureSet:
    """RSITMD: the whole set in its public layout if it is there, else its captions of RSICD's files in their split."""
    root = data / "RSITMD"
    annotations, extra = root / "dataset_RSITMD.json", root / "rsitmd_captions_on_rsicd_files.json"
    if annotations.is_file():
        return _captioned("rsitmd", read_karpathy(annotations, _need(root / "images"), "rsitmd"), split)
    _need(root)
    if not extra.is_file():
        raise NotHere(f"{root} has neither {annotations.name} with images/ nor {extra.name}")
    _need(data / "RSICD")
    bare = [replace(record, captions=(), source="rsitmd-on-rsicd") for record in read_rsicd(data)]
    return _captioned("rsitmd-on-rsicd", add_captions(bare, extra), split)


def rsicd_classes(data: Path, split: str) -> PictureSet:
    """The 30 scene classes that RSICD's file names give; pictures without one are left out."""
    _need(data / "RSICD")
    return _labeled("rsicd30", [r for r in read_rsicd(data) if r.label], split)


def ucm_classes(data: Path, split: str) -> PictureSet:
    """UC Merced's 21 land-use classes, in the split of UCM-Captions."""
    _need(data / "UCMerced_LandUse")
    return _labeled("ucm", read_ucm(data), split)


def eurosat_classes(data: Path, split: str) -> PictureSet:
    """EuroSAT's ten classes, in the hashed split: there is no official one, and training uses the other part."""
    records = read_class_folders(_need(data / "EuroSAT_RGB"), "eurosat", class_words("eurosat"))
    return _labeled("eurosat hashed", records, split)


def resisc45_classes(data: Path, split: str) -> PictureSet:
    """RESISC45's classes that are there; NWPU-Captions' split where it names a picture, else the hashed one."""
    root = _need(data / "NWPU-RESISC45-subset")
    official = {record.path: record.split for record in read_nwpu(root)}
    records = [replace(r, split=official.get(r.path, r.split)) for r in read_class_folders(root, "resisc45")]
    return _labeled("resisc45-subset hashed", records, split)


def rsscn7_classes(data: Path, split: str) -> PictureSet:
    """RSSCN7's seven classes, every picture whatever the split: none is ever trained on."""
    return class_folders(_need(data / "RSSCN7"), "rsscn7", class_words("rsscn7"))


def class_folders(root: Path, name: str | None = None, words: dict[str, str] | None = None) -> PictureSet:
    """Any folder of class folders, every picture of it.

    Args:
        root: the folder; a class is called what its folder is called, in words.
        name: what to call the set; the folder's name if not given.
        words: folder to words, where a name does not read well.

    Raises:
        DataError: no such folder, a class without a picture, fewer than two classes, or two folders of one name.
    """
    name = name or root.resolve().name
    records = read_class_folders(root, name, words)
    folders: dict[str, str] = {}
    for record in records:
        label, folder = str(record.label), record.path.parent.name
        if folders.setdefault(label, folder) != folder:
            raise DataError(f"{root}: {folders[label]} and {folder} both read {label!r}; rename or merge one of them")
    if len(folders) < 2:
        raise DataError(f"{root} holds one class, {min(folders)!r}; there is nothing to choose from")
    return PictureSet(f"{name}, all pictures", tuple(records), tuple(folders))


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


def _need(folder: Path) -> Path:
    if not folder.is_dir():
        raise NotHere(f"{folder} is not there; pass --data with the folder that holds it, or leave it out with --sets")
    return folder


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
