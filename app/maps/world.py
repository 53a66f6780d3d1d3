"""The ground of the map on which a place is chosen: the cities of the world as lights, the large ones with their names.

It needs no tile service, and shows where people live, which is where one looks.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lrsclip.errors import IndexArgumentError
from lrsclip.tiles.gazetteer import cities

SQUARE_PX = 256
MAX_ZOOM = 14
_GROUND, _LINE, _LIGHT, _NAME = (20, 24, 31), (34, 41, 52), (255, 214, 138), (205, 213, 224)
_LABEL_PX, _HIGH_PX, _FONT_PX = 110, 30, 11  # room that a name takes; of its letters
_FEWEST = 8_000_000  # inhabitants of a city that is named on the map of the whole world
_LAST_LATITUDE = 85.05


def draw_square(zoom: int, x: int, y: int) -> Image.Image:
    """Draw a square of the map, RGB.

    Raises:
        IndexArgumentError: there is no such square.
    """
    if not 0 <= zoom <= MAX_ZOOM or not (0 <= x < 2**zoom and 0 <= y < 2**zoom):
        raise IndexArgumentError(f"the map has no square {zoom}/{x}/{y}; zoom levels go from 0 to {MAX_ZOOM}")
    picture = Image.new("RGB", (SQUARE_PX, SQUARE_PX), _GROUND)
    pen = ImageDraw.Draw(picture)
    _draw_graticule(pen, zoom, x, y)
    at_px = _places() * 2.0**zoom * SQUARE_PX - np.array([x, y]) * SQUARE_PX
    near = np.flatnonzero(((at_px > -_LABEL_PX) & (at_px < SQUARE_PX + _LABEL_PX)).all(axis=1))
    size = _sizes() * 2.0 ** (max(0, zoom - 3) / 3)
    for number in near[::-1]:  # the largest last, on top
        (left, top), radius = at_px[number], min(7.0, max(0.5, float(size[number])))
        shade = tuple(round(g + (v - g) * min(1.0, 0.45 + radius / 4)) for g, v in zip(_GROUND, _LIGHT, strict=True))
        pen.ellipse((left - radius, top - radius, left + radius, top + radius), fill=shade)
    named, font = _named(zoom), _font()
    for number in near:
        if number in named:
            left, top = at_px[number]
            pen.text((left + 6, top - 8), cities()[number].name, fill=_NAME, font=font)
    return picture


def _draw_graticule(pen: ImageDraw.ImageDraw, zoom: int, x: int, y: int) -> None:
    """Draw meridians and parallels, at steps that halve with each zoom level."""
    step = 30 / 2 ** min(zoom, 8)
    for number in range(-math.ceil(180 / step), math.ceil(180 / step) + 1) if zoom <= 8 else ():
        degrees = number * step
        across = (degrees / 360 + 0.5) * 2**zoom * SQUARE_PX - x * SQUARE_PX
        if 0 <= across < SQUARE_PX:
            pen.line((across, 0, across, SQUARE_PX), fill=_LINE)
        if abs(degrees) < _LAST_LATITUDE:
            down = _down(degrees) * 2**zoom * SQUARE_PX - y * SQUARE_PX
            if 0 <= down < SQUARE_PX:
                pen.line((0, down, SQUARE_PX, down), fill=_LINE)


def _down(latitude: float) -> float:
    return 0.5 - math.asinh(math.tan(math.radians(latitude))) / (2 * math.pi)


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    """Load a font that has the letters of all names: Pillow's own has none with accents."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")), _FONT_PX)


@lru_cache(maxsize=1)
def _places() -> NDArray[np.float64]:
    """Compute the cities' places on the square map of the web, (N, 2) from 0 to 1."""
    return np.array([(city.longitude / 360 + 0.5, _down(city.latitude)) for city in cities()])


@lru_cache(maxsize=1)
def _sizes() -> NDArray[np.float64]:
    """Compute the radii of their lights on the map of the whole world, (N,) px."""
    return 0.0009 * np.sqrt([max(1, city.population) for city in cities()])


@lru_cache(maxsize=MAX_ZOOM + 1)
def _named(zoom: int) -> frozenset[int]:
    """Choose the cities that are named at a zoom level: the largest, none over another one's name."""
    fewest = _FEWEST / 4**zoom
    taken: set[tuple[int, int]] = set()
    named = []
    for number, (city, place) in enumerate(zip(cities(), _places(), strict=True)):
        if city.population < fewest:
            break
        column, row = (place * 2.0**zoom * SQUARE_PX / (_LABEL_PX, _HIGH_PX)).astype(int)
        around = {(column + dx, row + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)}
        if not around & taken:
            taken.add((column, row))
            named.append(number)
    return frozenset(named)
