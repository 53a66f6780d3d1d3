"""Rendering of windows of a world: land, then everything on it by level, then light."""

from __future__ import annotations

from PIL import Image

from lrsclip.atlas import draw_ground
from lrsclip.atlas.canvas import Canvas
from lrsclip.atlas.draw import DRAW
from lrsclip.atlas.features import KINDS
from lrsclip.atlas.land_use import World
from lrsclip.atlas.layout import Country
from lrsclip.atlas.terrain import field_axes, paint_ground

assert draw_ground  # importing it registers its drawing functions

MARGIN_M = 64.0
"""Margin in meters painted around a window, so that shadows fall into it from outside."""


def render(
    country: Country, west: float, north: float, width_m: float, height_m: float, px_m: float = 1.0
) -> Image.Image:
    """Paint a window of a world.

    Args:
        country: the world's features.
        west: x of its upper left corner, meters east of the world's origin.
        north: y of its upper left corner, meters south of the world's origin.
        width_m: its breadth in meters.
        height_m: its height in meters.
        px_m: ground size of a pixel in meters.

    Returns:
        The picture in mode RGB, width_m / px_m by height_m / px_m pixels.
    """
    world: World = country.world
    margin = MARGIN_M
    canvas = Canvas(west - margin, north - margin, width_m + 2 * margin, height_m + 2 * margin, px_m, world.light)
    features = country.features(west - margin, north - margin, west + width_m + margin, north + height_m + margin)
    features.sort(key=lambda f: KINDS[f.kind].level)  # stable: of one level, the first one put down lies below
    covers = [f for f in features if KINDS[f.kind].level <= 1]
    paint_ground(canvas, country.ground(*field_axes(canvas)), covers)
    for feature in features:
        if KINDS[feature.kind].level > 1:
            DRAW[feature.kind](canvas, feature)
    return canvas.finish(margin)
