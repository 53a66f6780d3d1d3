"""What the names of files and folders say: a picture, a class, a split."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from pathlib import Path

from lrsclip.io.caption_json import JOINERS
from train.data.records import Split

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"}
CLASS_NAMES = Path(__file__).parent / "class_names.json"
_WORD_STARTS = re.compile(r" +|(?<=[a-z0-9ß-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])|(?<=[A-Z])(?=[A-Z][a-z])")
_LETTERS = re.compile(r"[A-Za-z]+")
_SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def class_words(name: str) -> dict[str, str]:
    """Read the class names of a data set: folder (or start of a file's name) to words.

    Args:
        name: of an entry of `class_names.json`.
    """
    words: dict[str, str] = json.loads(CLASS_NAMES.read_text(encoding="utf-8"))[name]["words"]
    return words


def folder_words(name: str) -> str:
    """Return a class folder's name as words: `SeaLake`, `sea_lake` and `sea-lake` become `sea lake`."""
    # NFC, as macOS takes letters and accents apart; signs of vowels, as in Hindi, are no letters for a pattern.
    whole = unicodedata.normalize("NFC", name)
    apart = "".join(
        sign if sign.isalnum() or sign in JOINERS or unicodedata.category(sign)[0] == "M" else " " for sign in whole
    )
    return " ".join(word.lower() for word in _WORD_STARTS.split(apart) if word)


def hashed_split(name: str) -> Split:
    """Return a split that depends on nothing but the name: 80 % train, 10 % val, 10 % test."""
    bucket = int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:4], "big") % 10
    return "test" if bucket == 0 else "val" if bucket == 1 else "train"


def split_or_none(word: str) -> Split | None:
    """Return the split that a source's own word for it means, or None."""
    return _SPLITS.get(word.lower())


def split_in_name(name: str) -> Split | None:
    """Return the split that a path's words name last ("data/train-00000-of-2", "instances_val2017"), or None."""
    splits = [split for word in _LETTERS.findall(name) if (split := split_or_none(word))]
    return splits[-1] if splits else None
