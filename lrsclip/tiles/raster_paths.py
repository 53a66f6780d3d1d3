"""Paths of rasters: from a pattern to the files that it means, whatever signs their names have."""

from __future__ import annotations

import glob
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from lrsclip.errors import TileSourceError

# Files that lie beside a raster and tell of it: never rasters of their own, though some are TIFFs inside.
_SIDECARS = frozenset(
    ".aux .ovr .msk .rrd .xml .tfw .tifw .tiffw .tfwx .jgw .jpgw .jpegw .jgwx .pgw .pngw .pgwx .j2w .jp2w .wpw .webpw "
    ".wld .prj .qpj .tab .map .imd .rpb .rpc .pvl .hdr .dim .json .geojson .txt .md5 .sha256 .qml .qmd .qgz .sld .lyr "
    ".lyrx .vrt .csv .kml .html .pdf .cpg .dbf .shp .shx .sbn .sbx .gpkg .log .db .ini".split()
)
_MAGIC = re.compile(r"[*?\[]")


def raster_paths(pattern: str) -> list[Path]:
    """List the files that a path or a pattern means, in order; sidecars of rasters are left out of patterns.

    A path that is a file is that file, and a folder that is there is that folder, also where its name has signs of a
    pattern: `[2024] scenes/*.tif` looks into it. A pattern of which nothing fits is tried with its brackets as letters.

    Args:
        pattern: absolute.

    Raises:
        TileSourceError: the path is a folder.
    """
    for form in _forms(pattern):
        if os.path.isfile(form):
            return [Path(form)]
        if os.path.isdir(form):
            raise TileSourceError(f"{form} is a folder; give the rasters in it, as in geotiff:{form}/*.tif")
        found = [Path(path) for path in sorted(glob.glob(form, recursive=True)) if os.path.isfile(path)]
        if found:
            return [path for path in found if not is_sidecar(path)]
    return []


def is_sidecar(path: Path) -> bool:
    """Tell by its name whether a file tells of a raster and is none."""
    return path.suffix.lower() in _SIDECARS


def _forms(pattern: str) -> Iterator[str]:
    """Yield the ways to read a pattern: as it stands, then with brackets as letters, and in the other Unicode forms."""
    for spelled in dict.fromkeys((pattern, *(unicodedata.normalize(form, pattern) for form in ("NFC", "NFD")))):
        folder, rest = _literal_folder(spelled)
        yield spelled if os.path.exists(spelled) else glob.escape(folder) + rest
        yield glob.escape(folder) + rest.replace("[", "[[]")


def _literal_folder(pattern: str) -> tuple[str, str]:
    """Split a pattern after the longest folder that is there by that very name."""
    parts = re.split(r"(?<=[/\\])" if os.sep == "\\" else r"(?<=/)", pattern)
    folder = ""
    for part in parts[:-1]:
        if _MAGIC.search(part) and not os.path.isdir(folder + part):
            break
        folder += part
    return folder, pattern[len(folder) :]
