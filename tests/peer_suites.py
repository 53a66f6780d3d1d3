"""Open every file of a folder through every door, and report: `python -m tests.peer_suites DIR...`.

A file is *read*, or *refused* in our own words; anything else is a fault, and so are doors that show other pixels of
one file, or of which some read it and others do not. `--make 300` first writes so many files of many kinds: every kind
of the tests, rasters of drawn depths, bands, layouts, masks and compressions, and damaged copies. Point it at the
picture folders of any test suite. It exits with 1 if there is a fault.
"""

from __future__ import annotations

import argparse
import io
import logging
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError

from app.media.images import uploaded
from app.media.scene_input import opened_upload
from lrsclip.errors import LRSCLIPError
from lrsclip.io.decode import open_image
from lrsclip.localize import open_scene
from lrsclip.tiles import TileSource, open_tiles
from tests.helpers.app_parts import as_sent
from tests.helpers.picture_kinds import HIGH, NAMES, PLACE, WIDE, X, Y, make, write
from tests.helpers.scene_parts import whole

Pixels = NDArray[np.uint8]
_TOLERANCE = 1  # of 255: an upload may have been written anew
_GDALS = ("nodata", "mask", "alpha")


@dataclass
class Verdict:
    """What all doors said of one file.

    Attributes:
        path: the file.
        shown: what the doors that read it show.
        refused: the sentence of each door that refused it.
        faults: what is neither, and doors that do not agree.
    """

    path: Path
    shown: dict[str, Pixels] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def word(self) -> str:
        """`fault`, `read` or `refused`."""
        return "fault" if self.faults else "read" if self.shown else "refused"


def tile_of(source: TileSource) -> Pixels:
    return np.asarray(source.picture(source.tile_ids()[0]))


def through_a_folder(path: Path) -> Pixels:
    with TemporaryDirectory() as folder:
        beside = [other for other in path.parent.glob(f"{path.name}.*") if other.is_file()]  # masks and world files
        for file in (path, *beside):
            shutil.copy(file, folder)
        return tile_of(open_tiles(folder))


def through_a_scene(path: Path) -> Pixels:
    with open_scene(path) as scene:
        return whole(scene)


def through_a_strangers_scene(path: Path) -> Pixels:
    with open_scene(path, untrusted=True) as scene:
        return whole(scene)


def through_the_scene_box(path: Path) -> Pixels:
    with opened_upload(as_sent(path)) as opened:
        return whole(opened.scene)


DOORS: dict[str, Callable[[Path], Pixels]] = {
    "open_image": lambda path: np.asarray(open_image(path)),
    "bytes": lambda path: np.asarray(open_image(io.BytesIO(path.read_bytes()))),
    "folder": through_a_folder,
    "geotiff": lambda path: tile_of(open_tiles(f"geotiff:{path}?tile_px=8192")),
    "scene": through_a_scene,
    "stranger's scene": through_a_strangers_scene,
    "upload": lambda path: np.asarray(uploaded(as_sent(path))),
    "uploaded scene": through_the_scene_box,
}
STRICTER = frozenset({"stranger's scene", "upload", "uploaded scene"})
"""Doors that may refuse what others read: they have limits of their own, and lose what lies beside a file."""


def judged(path: Path) -> Verdict:
    """Open a file through every door."""
    verdict = Verdict(path)
    for door, opening in DOORS.items():
        try:
            pixels = opening(path)
        except LRSCLIPError as error:
            verdict.refused[door] = str(error)
            if not str(error).strip():
                verdict.faults.append(f"{door} refuses it without a word")
        except Exception as error:  # whatever it is, it is no refusal
            verdict.faults.append(f"{door}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
        else:
            if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
                verdict.faults.append(f"{door} shows {pixels.dtype} of shape {pixels.shape}")
            verdict.shown[door] = pixels
    verdict.faults += _apart(verdict)
    return verdict


def _apart(verdict: Verdict) -> Iterator[str]:
    """Tell where doors do not agree."""
    if not verdict.shown:
        return
    beside = any(verdict.path.parent.glob(f"{verdict.path.name}.*"))
    first_door, first = next(iter(verdict.shown.items()))
    for door, pixels in verdict.shown.items():
        if beside and door in ("bytes", "upload", "uploaded scene", "stranger's scene"):
            continue
        if pixels.shape != first.shape:
            yield f"{door} shows {pixels.shape[1::-1]} px, {first_door} {first.shape[1::-1]}"
        elif (apart := int(np.abs(pixels.astype(int) - first).max(initial=0))) > _TOLERANCE:
            yield f"{door} and {first_door} are {apart} of 255 apart"
    for door, told in verdict.refused.items():
        if door not in STRICTER:
            yield f"{door} refuses what {first_door} reads: {told[:160]}"


def make_files(folder: Path, count: int, seed: int) -> None:
    """Write files of many kinds into a folder: all kinds of the tests, drawn rasters, and damaged copies."""
    random = np.random.default_rng(seed)
    for name in NAMES:
        make(name, folder)
    whole_ones = [path for path in sorted(folder.iterdir()) if path.is_file()]
    number = 0
    while sum(path.suffix != ".msk" for path in folder.iterdir()) < count:
        number += 1
        if number % 3 == 0:
            source = whole_ones[random.integers(len(whole_ones))]
            (folder / f"damaged{number:04d}{source.suffix}").write_bytes(_damaged(source.read_bytes(), random))
            continue
        path = folder / f"drawn{number:04d}.tif"
        try:
            _draw_raster(path, random)
        except (RasterioError, ValueError, OSError):  # not all that was drawn goes together
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}.msk").unlink(missing_ok=True)


def _draw_raster(path: Path, random: np.random.Generator) -> None:
    """Write a raster of drawn depth, bands, layout, compression, masks and names."""

    def one(*choices: Any) -> Any:
        return choices[random.integers(len(choices))]

    kind = one("uint8", "uint8", "uint16", "int16", "uint32", "int32", "float32", "float64")
    bands = int(one(1, 2, 3, 3, 4, 5, 8, 13))
    ramps = np.stack([(X * (band % 3 + 1) + Y * (band % 2 + 1)) % 250 for band in range(bands)]).astype(np.float64)
    scale = {"uint8": 1.0, "uint16": 40.0, "int16": 30.0, "uint32": 9e3, "int32": 9e3}.get(kind, 1e-3)
    values = (ramps * scale - (2000 if kind == "int16" else 0)).astype(kind)
    facts: dict[str, Any] = {"interleave": one("pixel", "band"), "ENDIANNESS": one("LITTLE", "BIG")}
    facts["compress"] = one(None, "deflate", "lzw", "packbits", "zstd", "lerc", "lzma", "webp", "jpeg")
    if one(True, False):
        facts |= {"tiled": True, "blockxsize": 16, "blockysize": 32}
    if one(True, False):
        facts |= PLACE
    if facts["compress"] in ("deflate", "lzw", "zstd") and one(True, False):
        facts["predictor"] = 3 if kind.startswith("float") else 2
    gap = one("", "", *_GDALS, "nan")
    if gap == "nodata":
        facts["nodata"] = 0
    elif gap == "nan" and kind.startswith("float"):
        values[:, :10] = np.nan
    mask = np.where(Y < 12, 0, 255).astype(np.uint8) if gap == "mask" else None
    colors: tuple[ColorInterp, ...] = ()
    if gap == "alpha" and bands in (2, 4, 5):
        told = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.nir)
        values[-1] = np.where(X < WIDE // 2, 0, np.iinfo(kind).max if np.issubdtype(kind, np.integer) else 1)
        colors = (*(told[: bands - 1] if bands > 2 else (ColorInterp.gray,)), ColorInterp.alpha)
    names = one((), (), ("B2", "B3", "B4"), ("blue", "green", "red"), ("nir", "red", "green"))
    names = (*names, *(f"extra {n}" for n in range(bands - len(names)))) if 0 < len(names) <= bands else ()
    facts = {name: value for name, value in facts.items() if value is not None}
    write(path, values, names=names, colors=colors, mask=mask, inside=bool(one(True, False)), **facts)
    assert values.shape[1:] == (HIGH, WIDE)


def _damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Cut a file off, empty it, or change some of its bytes."""
    what = random.integers(5)
    if what == 0:
        return content[: int(len(content) * random.random())]
    if what == 1:
        return b""
    if what == 2:
        return b"<!doctype html><title>404</title>" + content[:200]
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 9))):
        changed[random.integers(min(len(changed), 400 if what == 3 else len(changed)))] = random.integers(256)
    return bytes(changed)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def report(verdicts: list[Verdict], *, every: bool = False) -> str:
    """Put into lines what was found: the faults, or (`every`) all files, and the counts."""
    lines = []
    for verdict in verdicts:
        if every or verdict.faults:
            told = "; ".join(verdict.faults) or next(iter(verdict.refused.values()), "")
            lines.append(f"{verdict.word:8} {verdict.path.name}: {told}".rstrip(": "))
    counts = Counter(verdict.word for verdict in verdicts)
    lines.append(", ".join(f"{counts[word]} {word}" for word in ("read", "refused", "fault")))
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    p = argparse.ArgumentParser(prog="python -m tests.peer_suites", description="Open files through every door.")
    p.add_argument("folders", nargs="*", type=Path, metavar="DIR", help="looked through with all below them")
    p.add_argument(
        "--make", type=int, default=0, metavar="N", help="make so many files first, in a folder of their own"
    )
    p.add_argument("--seed", type=int, default=0, help="of the files that are made (default: 0)")
    p.add_argument("--all", action="store_true", help="list the files without a fault too")
    args = p.parse_args(argv)
    if not args.folders and not args.make:
        p.error("name a folder, or let files be made: --make 300")
    with TemporaryDirectory() as made, _quiet():
        if args.make:
            make_files(Path(made), args.make, args.seed)
        roots = [*args.folders, *([Path(made)] if args.make else [])]
        paths = [path for root in roots for path in sorted(root.rglob("*")) if path.is_file() and path.suffix != ".msk"]
        verdicts = [judged(path) for path in paths]
    print(report(verdicts, every=args.all))
    return int(any(verdict.faults for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
