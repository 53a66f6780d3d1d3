"""What the layouts share: places in settings, pictures in folders, numbers in fields."""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

from lrsclip.errors import DataError
from lrsclip.io.decode import DECODE_FAULTS, opened, unreadable, upright_size
from lrsclip.io.plain_file import leads_inside
from train.data.faults import Faults
from train.data.names import PICTURE_SUFFIXES

CONTEXT_FOLDER = "folder"
_MAX_DEPTH = 8  # of folders below a source's root


def _placed(path: Path, info: ValidationInfo) -> Path:
    """Return a path of a settings file: relative to that file, and there. Made in Python it is taken as it is."""
    if not info.context:
        return path
    placed: Path = info.context[CONTEXT_FOLDER] / path
    if not placed.exists():
        raise ValueError(f"{placed} is not there; paths are relative to the settings file")
    return placed


def _pattern(text: str) -> str:
    pure = PurePosixPath(text)
    if not text or pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"{text!r} is no pattern of files below the root; write one such as '*.tar'")
    return text


Place = Annotated[Path, AfterValidator(_placed)]
"""A file or folder in a source's settings."""
Pattern = Annotated[str, AfterValidator(_pattern)]
"""A name or glob pattern below the root."""


def need_folder(folder: Path, name: str) -> None:
    """Check that a folder is there.

    Raises:
        DataError: it is not.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} of the source {name} is not a folder; unpack the data set there or mend the path")


def matching_files(root: Path, pattern: str, name: str) -> list[Path]:
    """List the files below the root that a pattern names, in order.

    Raises:
        DataError: there is none.
    """
    need_folder(root, name)
    if (root / pattern).is_file():  # a name with the signs of a pattern
        return [root / pattern]
    found = sorted(path for path in root.glob(pattern) if path.is_file())
    if not found:
        raise DataError(f"{root} of the source {name} has no file {pattern}; mend the path or the pattern")
    return found


def picture_files(folder: Path, faults: Faults) -> list[Path]:
    """List the pictures right in a folder, in order; pipes, links out of it and names that are no text are faults."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PICTURE_SUFFIXES:
            if not path.is_file():
                if not path.is_dir():
                    faults.add("picture missing", f"{str(path)!r} is no regular file; put the picture itself there")
            elif path.is_symlink() and not leads_inside(path, folder.resolve()):
                faults.add("link out of the folder", f"{str(path)!r} leads out of its folder; put the picture there")
            elif is_text(str(path)):
                found.append(path)
            else:
                faults.add("name is no text", f"{str(path)!r} has a name that is not UTF-8; rename it")
    return found


def folders_below(root: Path, depth: int = _MAX_DEPTH) -> Iterator[Path]:
    """Yield the root and every folder below it, parents first, in order; hidden ones are left out."""
    yield root
    if depth > 0:
        for folder in sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")):
            yield from folders_below(folder, depth - 1)


def below(folder: Path, name: object) -> Path | None:
    """Return the file of that name below the folder, or None: no archive may point at files elsewhere.

    A name beyond ASCII may be written with its accents apart, as macOS does, on one side alone.
    """
    if not isinstance(name, str) or not name or not is_text(name):
        return None
    forms = (name,) if name.isascii() else (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))
    return next((found for form in dict.fromkeys(forms) if (found := _below(folder, form))), None)


def _below(folder: Path, name: str) -> Path | None:
    pure = PurePosixPath(name)
    inside = not pure.is_absolute() and ".." not in pure.parts and os.path.isfile(folder / name)  # False if too long
    if not inside:
        return None
    # Where no part is a link nothing can lead out; to resolve every path of a large set takes seconds.
    linked = any(os.path.islink(folder.joinpath(*pure.parts[:end])) for end in range(1, len(pure.parts) + 1))
    return folder / name if not linked or leads_inside(folder / name, folder.resolve()) else None


def picture_in(folder: Path, name: object, where: str, faults: Faults) -> Path | None:
    """Return the picture that an annotation names; None (and a fault) where it is not below the folder."""
    found = below(folder, name)
    if found is None:
        told = f"{where} names {str(name)[:200]!r}, which is not in {folder}"
        faults.add("picture missing", f"{told}; is the download whole?")
    return found


def header_size(picture: Path, faults: Faults) -> tuple[int, int] | None:
    """Read width and height in px of the upright picture from its header; None (and a fault) if it is unreadable."""
    try:
        with opened(picture) as stored:
            return upright_size(stored)
    except DECODE_FAULTS as error:
        faults.add("picture unreadable", str(unreadable(str(picture), error)))
        return None


def is_text(text: str) -> bool:
    """Return whether it can be written as UTF-8; names on disk and escapes in JSON may not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def number_in(cell: Any) -> float | None:
    """Return a number, or None for an empty value.

    Raises:
        ValueError: it is neither.
    """
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    if isinstance(cell, bool) or not isinstance(cell, (str, int, float)):
        raise ValueError(f"{str(cell)[:40]!r} is not a number")
    try:
        number = float(cell)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{str(cell)[:40]!r} is not a number")
    return number


def lonlat_in(lon: Any, lat: Any, where: str, faults: Faults) -> tuple[float, float] | None:
    """Return a place in degrees; None where it is empty, and a fault where it is none on Earth."""
    try:
        east, north = number_in(lon), number_in(lat)
        if east is None and north is None:
            return None
        if east is None or north is None or not (-180 <= east <= 180 and -90 <= north <= 90):
            raise ValueError(f"{east}, {north} is no longitude and latitude")
    except ValueError as error:
        faults.add("broken coordinates", f"{where}: {error}; mend or empty them")
        return None
    return east, north


def gsd_in(cell: Any, where: str, faults: Faults) -> float | None:
    """Return a ground size of a pixel in meters; None where it is empty, and a fault where it is none."""
    try:
        size = number_in(cell)
        if size is not None and not 0 < size < 10_000:
            raise ValueError(f"{size} m is no size of a pixel on the ground")
    except ValueError as error:
        faults.add("broken ground size", f"{where}: {error}; mend or empty it")
        return None
    return size
