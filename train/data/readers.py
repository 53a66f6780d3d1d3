"""Readers for the public data sets as they lie on disk: Karpathy caption JSON and class folders, with their splits."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lrsclip.errors import DataError
from lrsclip.io.plain_file import leads_inside

log = logging.getLogger(__name__)
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"}
SPLITS = ("train", "val", "test")
CLASS_NAMES = Path(__file__).parent / "class_names.json"
_WORD_STARTS = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True)
class Record:
    """One picture with what is known of it.

    Attributes:
        source: the data set's name.
        path: the picture file.
        split: `train`, `val` or `test`.
        captions: human captions as given, duplicates included (evaluation protocols count them); may be empty.
        label: scene class in plain words, or None.
        exact: the captions count things and name their places, so no crop of the picture is described by them; the
            first is a caption, the others are the sentences of one description.
        false: (number of a caption, the same sentence with one false claim).
        texts: (short, long) pairs that were written for the picture; training shows these and not the captions.
        span: offset and size in bytes of the picture in its file, which holds others too; None for a file of its own.
        name: within the source, where the file's name does not tell it.
    """

    source: str
    path: Path
    split: str
    captions: tuple[str, ...] = ()
    label: str | None = None
    exact: bool = False
    false: tuple[tuple[int, str], ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    span: tuple[int, int] | None = None
    name: str = ""

    @property
    def key(self) -> str:
        """Name that is unique among all records: source and file."""
        return f"{self.source}/{self.name or f'{self.path.parent.name}/{self.path.name}'}"

    @property
    def described(self) -> bool:
        """Whether there is more than a label."""
        return bool(self.captions or self.texts)

    @property
    def size_bytes(self) -> int:
        """Of the encoded picture."""
        return self.span[1] if self.span else self.path.stat().st_size


def read_karpathy(annotations: Path, pictures: Path, source: str) -> list[Record]:
    """Read a caption JSON of the layout `images[].{filename, split, sentences[].raw}` (RSICD, UCM- and NWPU-Captions).

    Raises:
        DataError: file missing, not JSON, not of this layout, or naming a picture that is not there.
    """
    try:
        rows = json.loads(annotations.read_text(encoding="utf-8"))["images"]
        records = [
            Record(source, pictures / row["filename"], row["split"], _captions(row["sentences"], row["filename"]))
            for row in rows
        ]
    except FileNotFoundError as error:
        raise DataError(f"{annotations} is not there; put the data set's caption JSON at that path") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{annotations} is not JSON ({error}); fetch it again") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{annotations} is not of the layout images[].filename, split, sentences[].raw") from error
    root = pictures.resolve()
    present = {p for p in pictures.rglob("*") if p.is_file() and (not p.is_symlink() or leads_inside(p, root))}
    for record in records:
        if record.path not in present:
            raise DataError(f"{record.path} is named in {annotations.name} but is not there; is the download complete?")
        if record.split not in SPLITS:
            raise DataError(f"{annotations.name}: {record.path.name} has split {record.split!r}, not one of {SPLITS}")
    return records


def _captions(sentences: list[dict[str, str]], name: str) -> tuple[str, ...]:
    """The raw captions; RSICD has a few that are empty, and those say nothing of the picture."""
    captions = tuple(s["raw"].strip().encode(errors="replace").decode() for s in sentences)  # no lone surrogates
    said = tuple(c for c in captions if any(letter.isalnum() for letter in c))
    if len(said) < len(captions):
        log.warning("%s has an empty caption, left out", name)
    return said


def read_class_folders(root: Path, source: str, labels: Mapping[str, str] | None = None) -> list[Record]:
    """Read `root/<class>/*.jpg`; such sets come without a split, so a hash of the file's name gives 80 / 10 / 10.

    Args:
        root: the folder of class folders.
        source: the data set's name.
        labels: class folder to words, where the folder's name, split into words, does not read well.

    Raises:
        DataError: missing folder, or a class folder without a picture.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; put the class folders there")
    records = []
    for folder in sorted(p for p in root.iterdir() if p.is_dir()):
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
        if not files:
            raise DataError(f"{folder} holds no picture; remove the folder or fill it")
        for file in files:
            if not leads_inside(file, root.resolve()):
                raise DataError(f"{file} is no regular file of {root}; put the picture itself there, or remove it")
        label = (labels or {}).get(folder.name) or folder_words(folder.name)
        records += [Record(source, file, hashed_split(f"{folder.name}/{file.name}"), (), label) for file in files]
    if not records:
        raise DataError(f"{root} holds no class folders")
    return records


def class_words(source: str) -> dict[str, str]:
    """The readable class names of a data set: folder (or file-name prefix) to words, from `class_names.json`."""
    words: dict[str, str] = json.loads(CLASS_NAMES.read_text(encoding="utf-8"))[source]["words"]
    return words


def folder_words(name: str) -> str:
    """A class folder's name as words: `SeaLake`, `sea_lake` and `sea-lake` become `sea lake`."""
    return " ".join(word.lower() for word in _WORD_STARTS.split(name) if word)


def hashed_split(name: str) -> str:
    """A split that depends on nothing but the name: 80 % train, 10 % val, 10 % test."""
    bucket = int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:4], "big") % 10
    return "test" if bucket == 0 else "val" if bucket == 1 else "train"


def add_captions(records: list[Record], extra: Path) -> list[Record]:
    """Add captions from a JSON `{file name: [caption, ...]}`; each stays with its picture's split.

    Raises:
        DataError: the file is broken or names a picture that no record has.
    """
    try:
        captions: dict[str, list[str]] = json.loads(extra.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: neither UTF-8 nor JSON
        raise DataError(f"{extra} cannot be read as JSON ({error}); fetch it again") from error
    if not isinstance(captions, dict) or not all(
        isinstance(v, list) and all(isinstance(c, str) for c in v) for v in captions.values()
    ):
        raise DataError(f"{extra} is not of the layout {{file name: [caption, ...]}}")
    unknown = captions.keys() - {record.path.name for record in records}
    if unknown:
        raise DataError(f"{extra.name} names {min(unknown)}, which no record has; is it for another data set?")
    return [
        replace(r, captions=r.captions + tuple(c.strip() for c in captions.get(r.path.name, []) if c.strip()))
        for r in records
    ]
