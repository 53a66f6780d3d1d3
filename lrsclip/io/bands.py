"""Which band of a raster is red, green and blue, as far as its file says so: in names, wavelengths or colors."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

import rasterio
from rasterio.enums import ColorInterp

from lrsclip.errors import PictureError
from lrsclip.numbers import clipped

Bands = tuple[int, ...]
COLORS = ("red", "green", "blue")
_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_CMYK = (ColorInterp.cyan, ColorInterp.magenta, ColorInterp.yellow, ColorInterp.black)
_WORD = re.compile(r"[a-z]+|\d+")
_TOKEN = re.compile(r"[a-z0-9]+")
_NUMBERED = re.compile(r"b0*(\d{1,2})")
_NOT_VISIBLE = frozenset(
    "edge rededge infrared infra nir vnir swir mwir lwir tir thermal coastal aerosol ndvi index ratio mask quality "
    "yellow cyan magenta pan panchromatic cloud".split()
)
_TRANSPARENCY = frozenset("alpha opacity transparency".split())  # no "mask", which may be one of clouds
_SAYS_NOTHING = frozenset("mask valid band layer".split())
_NEAR_INFRARED = frozenset("nir nir1 nir2 infrared nearinfrared b5 b8 b8a b08".split())
# Band numbers of red, green and blue: Sentinel-2 and Landsat 8 and 9; Landsat 4 to 7; MODIS.
_PADDED = re.compile(r"(?<![a-z0-9])b(?:0\d|8a)")
_AMBIGUOUS = 5  # bands of which numbers alone tell nothing
_OF_SENTINEL, _OF_THEMATIC_MAPPER, _OF_MODIS = (4, 3, 2), (3, 2, 1), (1, 4, 3)
_THEMATIC_MAPPER = frozenset({1, 2, 3, 4, 5, 7})  # all that it has in visible and infrared light: no band 6
_NAME_TAGS = ("name", "bandname", "band_name", "common_name", "commonname", "long_name", "standard_name")
# Nanometers: where the color lies, and the middle that the nearest band is chosen by.
_LIGHT_NM = {"red": (610.0, 700.0, 660.0), "green": (510.0, 595.0, 560.0), "blue": (430.0, 515.0, 480.0)}
_WAVELENGTH = re.compile(r"(\d{1,5}(?:\.\d+)?)\s*(nm|nanom|µm|μm|um\b|microm)")
_PLAIN_NUMBER = re.compile(r"\d{1,5}(?:\.\d+)?")
_MICROMETERS_BELOW = 100.0  # a number of micrometers; light of 100 nm reaches no satellite
_OPTICAL_NM = (350.0, 15_000.0)


def bands_of(text: str) -> Bands | None:
    """Parse band numbers as people write them, "4, 3, 2" or "1"; None for the usual ones, where nothing is written.

    Raises:
        PictureError: they are no numbers, or not three or one.
    """
    parts = [part for part in re.split(r"[\s,;]+", text.strip()) if part]
    if not parts or parts == ["automatic"]:
        return None
    if len(parts) not in (1, 3) or not all(re.fullmatch(r"[0-9]{1,5}", part) for part in parts):
        raise PictureError(
            f"bands are {clipped(text)}; give three numbers, such as 4,3,2 for red, green and blue, or one"
        )
    return tuple(int(part) for part in parts)


def bands_argument(text: str) -> Bands | None:
    """Parse band numbers of a command line, as `bands_of`.

    Raises:
        ArgumentTypeError: they are not three numbers or one.
    """
    try:
        return bands_of(text)
    except PictureError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def named_colors(data: rasterio.DatasetReader) -> Bands | None:
    """Find the bands that a file says are red, green and blue.

    Names come first: a writer must set them, while every program calls the first three of 8 bits red, green and blue.

    Args:
        data: the raster.

    Returns:
        Three band numbers from 1, in the order red, green, blue; None where the file does not say.
    """
    names = band_names(data)
    found = _by_word(names) or _by_number(names) or _by_wavelength(_wavelengths(data, names))
    if found is not None:
        return found
    kinds = {kind: number for number, kind in reversed(list(enumerate(data.colorinterp, 1)))}
    return tuple(kinds[kind] for kind in _RGB) if all(kind in kinds for kind in _RGB) else None


def inks(data: rasterio.DatasetReader) -> Bands | None:
    """Find the bands of cyan, magenta, yellow and black in a picture made for printing; None where there are none."""
    kinds = {kind: number for number, kind in reversed(list(enumerate(data.colorinterp, 1)))}
    return tuple(kinds[kind] for kind in _CMYK) if all(kind in kinds for kind in _CMYK) else None


def band_names(data: rasterio.DatasetReader) -> list[str]:
    """Read what the file calls each band, in lower case; "" where it has no name for one."""
    try:
        descriptions = data.descriptions
    except UnicodeDecodeError:  # of a writer who knew no UTF-8: rasterio gives all or none
        descriptions = (None,) * data.count
    names = []
    for number, description in enumerate(descriptions, 1):
        tags = {key.lower(): value for key, value in _tags(data, number).items()}
        told = description or next((tags[key] for key in _NAME_TAGS if tags.get(key)), "")
        names.append(str(told).strip().lower())
    return names


def is_transparency_by_name(name: str) -> bool | None:
    """Tell from a band's name whether it is transparency; None where the name does not say.

    Args:
        name: as from `band_names`.
    """
    words = set(_TOKEN.findall(name))
    if words & _TRANSPARENCY:
        return True
    if words & _SAYS_NOTHING:
        return None
    named = words & (_NEAR_INFRARED | _NOT_VISIBLE | set(COLORS)) or "infrared" in name
    return False if named or _NUMBERED.search(name) or _WAVELENGTH.search(name) else None


def _by_word(names: Sequence[str]) -> Bands | None:
    """Find red, green and blue by these words; a name that is nothing else comes before one that only holds it."""
    found = []
    for color in COLORS:
        exact = [number for number, name in enumerate(names, 1) if name in (color, color[0])]
        among = [number for number, name in enumerate(names, 1) if _is_color(name, color)]
        if not exact and not among:
            return None
        found.append((exact or among)[0])
    return tuple(found) if len(set(found)) == len(COLORS) else None


def _is_color(name: str, color: str) -> bool:
    words = set(_WORD.findall(name))
    return color in words and not words & (_NOT_VISIBLE | (set(COLORS) - {color}))


def _by_number(names: Sequence[str]) -> Bands | None:
    """Find red, green and blue by the numbers that a satellite's bands have."""
    numbers: dict[int, int] = {}
    generic = True  # "Band 1", "Band 2", ... in their places: what programs write where they know nothing
    for place, name in enumerate(names, 1):
        tokens = _TOKEN.findall(re.sub(r"\bband[ _-]*(?=\d)", "b", name))
        told = {int(match[1]) for token in tokens if (match := _NUMBERED.fullmatch(token))}
        if len(told) == 1:
            numbers.setdefault(number := told.pop(), place)
            # B1 to B4 are blue to near-infrared of one maker, and coastal blue to red of another
            generic = (
                generic
                and number == place
                and ("band" in name or (len(names) <= _AMBIGUOUS and not _PADDED.search(name)))
            )
    if generic:
        return None
    order = _OF_SENTINEL
    if any("refl" in name for name in names) and set(numbers) <= set(range(1, 8)) and any("sur" in n for n in names):
        order = _OF_MODIS
    elif set(numbers) == _THEMATIC_MAPPER:
        order = _OF_THEMATIC_MAPPER
    return tuple(numbers[number] for number in order) if all(number in numbers for number in order) else None


def _by_wavelength(lengths_nm: Sequence[float | None]) -> Bands | None:
    """Find the bands nearest to red, green and blue light."""
    found = []
    for low, high, middle in _LIGHT_NM.values():
        near = [(abs(nm - middle), number) for number, nm in enumerate(lengths_nm, 1) if nm and low <= nm <= high]
        if not near:
            return None
        found.append(min(near)[1])
    return tuple(found) if len(set(found)) == len(COLORS) else None


def _wavelengths(data: rasterio.DatasetReader, names: Sequence[str]) -> list[float | None]:
    """Read the wavelength of each band in nanometers; None where the file does not say."""
    numbers = [float(name) if _PLAIN_NUMBER.fullmatch(name) else None for name in names]
    if all(number is not None for number in numbers) and len(set(numbers)) > len(COLORS):
        return [_optical(number) for number in numbers]  # names that are all wavelengths, as of spectrometers
    found = []
    for number, name in enumerate(names, 1):
        tags = _tags(data, number) | _tags(data, number, "IMAGERY")
        told = {key.lower(): value.strip() for key, value in tags.items() if "wavelength" in key.lower()}
        value = next((value for key, value in told.items() if "unit" not in key and _is_number(value)), None)
        if value is not None:
            found.append(_optical(float(value)))
        elif match := _WAVELENGTH.search(name):
            found.append(float(match[1]) * (1.0 if match[2].startswith("n") else 1000.0))
        else:
            found.append(None)
    return found


def _tags(data: rasterio.DatasetReader, number: int, domain: str | None = None) -> dict[str, str]:
    try:
        return {str(key): str(value) for key, value in data.tags(number, ns=domain).items()}
    except UnicodeDecodeError:
        return {}


def _is_number(text: str) -> bool:
    return bool(_PLAIN_NUMBER.fullmatch(text))


def _optical(number: float | None) -> float | None:
    """Take a number for nanometers, or for micrometers where it is small; None where it is no light."""
    if number is None:
        return None
    length_nm = number * 1000.0 if number < _MICROMETERS_BELOW else number
    return length_nm if _OPTICAL_NM[0] <= length_nm <= _OPTICAL_NM[1] else None
