"""Metadata of a picture file: the place where it was taken, and its captions."""

from __future__ import annotations

import logging
import math
import re
import unicodedata
from pathlib import Path, PurePosixPath

from PIL import Image
from PIL.ExifTags import GPS, IFD

from lrsclip.errors import DataError
from lrsclip.io.caption_json import one_line, read_caption_rows
from lrsclip.io.decode import DECODE_FAULTS

log = logging.getLogger(__name__)
LonLat = tuple[float, float]
# Decimals are asked for, so that a mere number with an underscore is no place.
_NAMED = re.compile(r"(-?[0-9]{1,3}\.[0-9]{1,20})_(-?[0-9]{1,2}\.[0-9]{1,20})")
_MAX_BYTES = 256 * 2**20


def place_in_name(path: Path) -> LonLat | None:
    """Parse longitude and latitude in degrees from a file name `<lon>_<lat>`, else None."""
    match = _NAMED.fullmatch(path.stem)
    return _checked(float(match[1]), float(match[2])) if match else None


def place_in_exif(picture: Image.Image) -> LonLat | None:
    """Read longitude and latitude in degrees from a picture's EXIF; None where it has none or a garbled one."""
    try:
        facts = picture.getexif().get_ifd(IFD.GPSInfo)
        longitude, latitude = (_degrees(facts[tag]) for tag in (GPS.GPSLongitude, GPS.GPSLatitude))
        west, south = facts.get(GPS.GPSLongitudeRef, "E"), facts.get(GPS.GPSLatitudeRef, "N")
    except (*DECODE_FAULTS, KeyError):
        return None
    return _checked(-longitude if west == "W" else longitude, -latitude if south == "S" else latitude)


def read_captions(folder: Path) -> dict[str, str]:
    """Read captions from files `dataset*.json` in or beside the folder, in the layout of Karpathy's splits.

    They stand under the path that the file gives, and under the mere name where only one path ends in it.

    Such a file is an extra: one that is broken or of another layout is left out with a note in the log.
    """
    captions: dict[str, str] = {}
    of_name: dict[str, set[str]] = {}
    for path in sorted([*folder.parent.glob("dataset*.json"), *folder.glob("dataset*.json")]):
        try:
            rows = read_caption_rows(path, _MAX_BYTES)
        except DataError as error:
            log.warning("the captions of %s are left out: %s", path, error)
            continue
        for row in rows:
            if row and row.captions:
                file = PurePosixPath(one_form(row.file))
                captions[str(file)] = one_line(row.captions[0])
                of_name.setdefault(file.name, set()).add(str(file))
    alone = {name: captions[min(files)] for name, files in of_name.items() if len(files) == 1}
    return alone | captions


def one_form(name: str) -> str:
    """Return a name with its letters and accents together: macOS takes them apart, and JSON may not."""
    return unicodedata.normalize("NFC", name)


def _degrees(parts: tuple[float, float, float]) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    return degrees + minutes / 60 + seconds / 3600


def _checked(longitude: float, latitude: float) -> LonLat | None:
    sound = math.isfinite(longitude) and math.isfinite(latitude) and abs(longitude) <= 180 and abs(latitude) <= 90
    return (longitude, latitude) if sound else None
