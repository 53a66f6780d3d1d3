"""The training corpus: every data set of the data folder, official splits, nothing of a held-out set in training."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path

from lrsclip.errors import DataError
from train.data.engine_output import FINISHED, read_lrs2m
from train.data.readers import Record, add_captions, class_words, folder_words, read_class_folders, read_karpathy

log = logging.getLogger(__name__)

_KIND = re.compile(r"([a-z]+)_\d")  # airport_102.jpg; files that are only a number have no class


def read_rsicd(data: Path) -> list[Record]:
    """RSICD with its own captions only, as the retrieval protocol asks; the file's prefix gives the scene class."""
    records = read_karpathy(data / "RSICD/dataset_rsicd.json", data / "RSICD/RSICD_images", "rsicd")
    words = class_words("rsicd30")
    kinds = [_KIND.match(r.path.name) for r in records]
    return [replace(r, label=words.get(kind[1]) if kind else None) for r, kind in zip(records, kinds, strict=True)]


def read_ucm(data: Path) -> list[Record]:
    """UCM-Captions; the folder gives the scene class."""
    root = data / "UCMerced_LandUse"
    records = read_karpathy(root / "dataset_UCM.json", root / "Images", "ucm")
    words = class_words("ucm")
    return [replace(r, label=words.get(folder := r.path.parent.name) or folder_words(folder)) for r in records]


def read_corpus(data: Path) -> list[Record]:
    """All records under a data folder, every split.

    RSITMD's captions join the RSICD picture that they describe, and so its split. RESISC45 pictures that NWPU-Captions
    describes are read once, with their captions; its validation split is trained on, since nothing is measured on it.
    RSSCN7 and CHOICE are never read here: they stay unseen. A folder that the data engine made is read as it is.

    Raises:
        DataError: the folder is missing or holds none of the sets.
    """
    if not data.is_dir():
        raise DataError(
            f"{data} is not a folder; pass --data with the folder that holds RSICD/, UCMerced_LandUse/, ..."
        )
    if (data / FINISHED).is_file():
        return read_lrs2m(data)
    records: list[Record] = []
    if (data / "RSICD").is_dir():
        rsicd = read_rsicd(data)
        extra = data / "RSITMD/rsitmd_captions_on_rsicd_files.json"
        records += add_captions(rsicd, extra) if extra.is_file() else rsicd
    if (data / "UCMerced_LandUse").is_dir():
        records += read_ucm(data)
    if (data / "NWPU-RESISC45-subset").is_dir():
        root = data / "NWPU-RESISC45-subset"
        captioned = read_nwpu(root)
        described = {record.path for record in captioned}
        records += captioned + [r for r in read_class_folders(root, "resisc45") if r.path not in described]
    if (data / "EuroSAT_RGB").is_dir():
        records += read_class_folders(data / "EuroSAT_RGB", "eurosat", class_words("eurosat"))
    if not records:
        raise DataError(f"{data} holds none of RSICD, UCMerced_LandUse, NWPU-RESISC45-subset, EuroSAT_RGB")
    log.info("%d records from %s", len(records), data)
    return records


def read_nwpu(root: Path) -> list[Record]:
    """NWPU-Captions of RESISC45's pictures, if they are there; its validation pictures are trained on."""
    annotations = root / "dataset_nwpu.json"
    if not annotations.is_file():
        return []
    return [
        replace(r, split="train" if r.split == "val" else r.split, label=folder_words(r.path.parent.name))
        for r in read_karpathy(annotations, root, "nwpu")
    ]
