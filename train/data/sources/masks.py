"""Segmentation masks: LoveDA, ISPRS, and the like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from lrsclip.io.decode import DECODE_FAULTS, opened, unreadable, upright
from train.data.faults import Faults
from train.data.names import folder_words, split_or_none
from train.data.records import Facts, Share, SourceRecord, Split
from train.data.sources.base import Source
from train.data.sources.files import (
    Pattern,
    Place,
    folders_below,
    header_size,
    need_folder,
    picture_files,
)

_UNKNOWN = 255  # number of "not in the palette" among the class numbers
_INDEX_VALUES, _COLORS = 1 << 16, 1 << 24
_DIGITS = 4

Codes = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.uint8]


class MaskSource(Source):
    """Folders of pictures beside folders of masks, at any depth; a folder `train`, `val` or `test` above them splits.

    Attributes:
        root: the folder.
        pictures, masks: names that the two folders may have.
        picture_suffix, mask_suffix: what the names have after the stem that a picture and its mask share.
        palette: a mask's value ("3") or its color ("255,255,255") to the class.
        ignore: classes that are nothing to speak of ("background").
    """

    layout: Literal["masks"] = "masks"
    root: Place
    pictures: tuple[Pattern, ...] = ("images", "images_png")
    masks: tuple[Pattern, ...] = ("masks", "masks_png")
    picture_suffix: str = ""
    mask_suffix: str = ""
    palette: Mapping[str, str] = Field(min_length=1, max_length=_UNKNOWN)
    ignore: tuple[str, ...] = ()

    @field_validator("palette")
    @classmethod
    def _of_one_kind(cls, palette: Mapping[str, str]) -> Mapping[str, str]:
        colored = {"," in key for key in palette}
        if len(colored) > 1:
            raise ValueError("palette mixes values and colors; write all keys as '3' or all as '255,255,255'")
        for key in palette:
            _code(key)
        return palette

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        need_folder(self.root, self.name)
        table = _Table(self)
        for folder in folders_below(self.root):
            pictures = next((folder / name for name in self.pictures if (folder / name).is_dir()), None)
            if pictures is None:
                continue
            masks = next((folder / name for name in self.masks if (folder / name).is_dir()), None)
            if masks is None:
                faults.add("annotation missing", f"{folder} has no folder {' or '.join(self.masks)}; it is left out")
                continue
            parts = [split_or_none(part) for part in folder.relative_to(self.root).parts]
            split = next((part for part in parts if part), None)
            by_stem = {mask.stem: mask for mask in picture_files(masks, faults)}
            for picture in picture_files(pictures, faults):
                if not picture.stem.endswith(self.picture_suffix):
                    continue
                stem = picture.stem.removesuffix(self.picture_suffix) + self.mask_suffix
                if stem not in by_stem:
                    faults.add("annotation missing", f"{picture} has no mask {stem} in {masks}; add it or remove it")
                    continue
                record = self._one(picture, by_stem[stem], split, table, faults)
                if record:
                    yield record

    def _one(
        self, picture: Path, mask: Path, split: Split | None, table: _Table, faults: Faults
    ) -> SourceRecord | None:
        size = header_size(picture, faults)
        if size is None:
            return None
        try:
            codes = _codes(mask, table.colored)
        except DECODE_FAULTS as error:
            faults.add("annotation unreadable", str(unreadable(str(mask), error)))
            return None
        if codes.shape != (size[1], size[0]):
            told = f"{mask} has {codes.shape[1]} x {codes.shape[0]} px, its picture {size[0]} x {size[1]} px"
            faults.add("mask of another size", f"{told}; fetch both again")
            return None
        numbers = table.numbers(codes)
        if (numbers == _UNKNOWN).any():
            code = int(codes[numbers == _UNKNOWN][0])
            value = ",".join(str(code >> shift & 255) for shift in (16, 8, 0)) if table.colored else str(code)
            faults.add("class not in the map", f"{mask} has the value {value}, which palette lacks; add it")
        within = picture.relative_to(self.root).as_posix()
        return self.record(within, picture, Facts(shares=_shares(numbers, table.kinds)), split, size)


class _Table:
    """From what a mask holds to the number of a kind, in one look-up for each pixel."""

    def __init__(self, source: MaskSource) -> None:
        self.colored = any("," in key for key in source.palette)
        words = {name: source.classes.get(name) or folder_words(name) for name in source.palette.values()}
        # Two classes may read alike, and then they are one kind.
        self.kinds: list[str | None] = [None, *dict.fromkeys(words[n] for n in words if n not in source.ignore)]
        self._table: Numbers = np.full(_COLORS if self.colored else _INDEX_VALUES, _UNKNOWN, np.uint8)
        for key, name in source.palette.items():
            self._table[_code(key)] = 0 if name in source.ignore else self.kinds.index(words[name])

    def numbers(self, codes: Codes) -> Numbers:
        """Return the number of the kind of each pixel, (H, W)."""
        return self._table[codes]


def _code(key: str) -> int:
    """Return a palette key as a number.

    Raises:
        ValueError: it is neither a value nor a color.
    """
    parts = [int(part) if part.strip().isdecimal() else -1 for part in key.split(",")]
    if len(parts) == 1 and 0 <= parts[0] < _INDEX_VALUES:
        return parts[0]
    if len(parts) == 3 and all(0 <= part < 256 for part in parts):
        return parts[0] << 16 | parts[1] << 8 | parts[2]
    raise ValueError(f"palette key {key!r} is neither a value such as '3' nor a color such as '255,255,255'")


def _codes(mask: Path, colored: bool) -> Codes:
    """Read what a mask holds, one number for each pixel: its value, or its color as red, green, blue in 24 bits."""
    with opened(mask) as stored:
        stored.load()
        turned = upright(stored)
        if colored:
            rgb = np.asarray(turned.convert("RGB"), np.uint32)
            return (rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]).astype(np.uint32)
        values: npt.NDArray[Any] = np.asarray(turned)
    if values.ndim != 2:
        raise ValueError("it is colored, but palette has values instead of colors")
    if values.dtype.kind == "f":
        raise ValueError("it holds fractions; save it with whole numbers")
    # What no palette can hold becomes the largest value.
    whole = values.astype(np.int32)
    return np.where((whole >= 0) & (whole < _INDEX_VALUES), whole, _INDEX_VALUES - 1).astype(np.uint32)


def _shares(numbers: Numbers, kinds: list[str | None]) -> tuple[Share, ...]:
    """Return the shares of the whole picture and of its nine thirds by thirds, the largest first."""
    height, width = numbers.shape
    rows, columns = ([round(side * part / 3) for part in range(4)] for side in (height, width))
    cells = [numbers[rows[y] : rows[y + 1], columns[x] : columns[x + 1]].ravel() for y in range(3) for x in range(3)]
    counts = np.stack([np.bincount(cell, minlength=_UNKNOWN + 1) for cell in cells])  # (9, 256)
    pixels = np.array([max(1, cell.size) for cell in cells])
    found = [
        Share(
            kind,
            round(float(counts[:, number].sum() / numbers.size), _DIGITS),
            tuple(np.round(counts[:, number] / pixels, _DIGITS).tolist()),
        )
        for number, kind in enumerate(kinds)
        if kind and counts[:, number].any()
    ]
    return tuple(sorted(found, key=lambda share: (-share.share, share.kind)))
