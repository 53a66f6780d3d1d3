"""Caption JSON in the layout of Karpathy's splits: `images[].{filename, split, sentences[].raw}`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrsclip.errors import DataError
from lrsclip.io.plain_file import open_plain

JOINERS = "\u200c\u200d"
"""Signs that nobody sees and that tell letters how to join."""
_DEPTH = 4  # of lists in lists; who nests deeper means no captions


@dataclass(frozen=True)
class CaptionRow:
    """What one entry of the JSON says of a picture.

    Attributes:
        file: its path below the folder of pictures.
        split: the word as it stands, "" where there is none.
        captions: as given, duplicates included; those without a letter or a digit say nothing and are left out.
    """

    file: str
    split: str
    captions: tuple[str, ...]


def read_caption_rows(path: Path, max_bytes: int | None = None) -> list[CaptionRow | None]:
    """Read the rows of a caption JSON in their order.

    Args:
        path: the file.
        max_bytes: a larger file is refused unread; None: any size.

    Returns:
        One entry for each of `images`; None for one that names no file.

    Raises:
        DataError: the file is missing, too large, not JSON or of another layout.
    """
    read = read_json(path, max_bytes)
    rows = read.get("images") if isinstance(read, dict) else None
    if not isinstance(rows, list):
        raise DataError(f"{path} is not of the layout images[].filename, split, sentences[].raw; mend it")
    return [_row(row) for row in rows]


def _row(row: Any) -> CaptionRow | None:
    name = row.get("filename") if isinstance(row, dict) else None
    if not isinstance(name, str) or not name:
        return None
    split = row.get("split")
    return CaptionRow(name, split if isinstance(split, str) else "", texts_in(row.get("sentences"), as_given))


def read_json(path: Path, max_bytes: int | None = None) -> Any:
    """Read a JSON file, whatever it holds.

    Args:
        path: the file.
        max_bytes: a larger file is refused unread; None: any size.

    Raises:
        DataError: it is missing, too large or not JSON.
    """
    try:
        with open_plain(path) as file:
            if max_bytes is not None and os.fstat(file.fileno()).st_size > max_bytes:
                raise DataError(f"{path} is larger than {max_bytes:,} bytes; make it smaller")
            return json.loads(file.read())
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there; fetch the data set's JSON or mend the path") from error
    except (OSError, ValueError, RecursionError) as error:  # ValueError: neither UTF-8 nor JSON
        raise DataError(f"{path} cannot be read as JSON ({error}); fetch it again") from error


def one_line(text: str) -> str:
    """Return the text in one line, without what UTF-8 cannot hold and without marks that nobody sees.

    Joiners inside a word stay: Persian, the scripts of India and emoji are written with them.
    """
    words = text.encode(errors="replace").decode().split()
    return " ".join(filter(None, ("".join(filter(_stays, word)).strip(JOINERS) for word in words)))


def _stays(letter: str) -> bool:
    return letter.isprintable() or letter in JOINERS


def as_given(text: str) -> str:
    """Return the text with its inner spaces, but without lone surrogates: UTF-8 cannot hold them."""
    return text.strip().encode(errors="replace").decode()


def texts_in(cell: Any, tidy: Callable[[str], str] = one_line, depth: int = _DEPTH) -> tuple[str, ...]:
    """Return the captions in a value; those without a letter or a digit are dropped.

    Args:
        cell: a string, a dict with `raw`, or a list of such; anything else holds no caption.
        tidy: what is done to each.
        depth: of lists in lists that are looked into.
    """
    if isinstance(cell, str):
        text = tidy(cell)
        return (text,) if any(letter.isalnum() for letter in text) else ()
    if isinstance(cell, dict):
        cell = [cell.get("raw")]
    if isinstance(cell, (list, tuple)) and depth:
        return tuple(text for part in cell for text in texts_in(part, tidy, depth - 1))
    return ()
