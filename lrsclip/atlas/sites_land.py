"""Painters of open country: fields, meadows, forest, bare land, desert, mountain, ponds."""

from __future__ import annotations

import itertools
import math

from lrsclip.atlas.site import Plot, site
from lrsclip.atlas.sites_town import house

CROPS = {
    "summer": ("green", "green", "dark green", "yellow", "brown", "light green"),
    "spring": ("green", "light green", "light green", "brown", "yellow"),
    "autumn": ("brown", "brown", "yellow", "green", "dark green"),
    "dry": ("yellow", "brown", "yellow", "green", "brown"),
}


@site("farmland")
def farmland(p: Plot) -> None:
    """Paint fields of several crops in strips, sometimes watered in circles, and a farm at times."""
    p.cover("grass", form="margin")
    crops = CROPS[p.season]
    if (p.season == "dry" and p.chance(0.7)) or p.chance(0.12):
        step = p.width / 2
        for a in (-0.5, 0.5):
            for b in (-0.5, 0.5):
                p.put(
                    "crop",
                    p.ring(a * step, b * p.depth / 2, min(step, p.depth / 2) / 2 - 3, 0),
                    p.any(*crops),
                    form="circular",
                )
        return
    turn = p.between(0, 1) < 0.5
    columns = int(p.rng.choice([2, 3, 4]))
    edges = [-0.5 + (k + (p.between(-0.18, 0.18) if 0 < k < columns else 0)) / columns for k in range(columns + 1)]
    w, d = p.width + 8, p.depth + 8
    farm = p.chance(0.3)
    for column in range(columns):
        cuts = [-0.5, *sorted(p.between(-0.3, 0.3) for _ in range(int(p.rng.choice([0, 0, 1, 2])))), 0.5]
        for low, high in itertools.pairwise(cuts):
            u, v = (edges[column] + edges[column + 1]) / 2, (low + high) / 2
            wide, deep = edges[column + 1] - edges[column], high - low
            if deep < 0.08:
                continue
            if turn:
                u, v, wide, deep = v, u, deep, wide
            heading = 0.0 if wide * w > deep * d else math.pi / 2
            p.crop(u * w, v * d, wide * w - 2.4, deep * d - 2.4, p.any(*crops), heading)
    if farm:
        u, v = p.between(-0.3, 0.3) * p.width, p.between(-0.3, 0.3) * p.depth
        p.put("yard", p.rect(u, v, 70, 56), form="earth")
        p.block("barn", u - 16, v - 12, 32, 15, p.any("red", "grey", "brown"), height=8, form="gabled")
        p.block("barn", u + 20, v + 4, 15, 30, p.any("red", "grey"), height=8, form="gabled")
        house(p, u - 18, v + 16, 15, 11)
        p.trees_around(u, v, 38, 32, 9, 3.2)
    elif p.chance(0.12):
        for number in range(int(p.between(3, 7.9))):
            p.block("greenhouse", -60 + number * 14, 0, 10, 60, "white", height=4, form="ribbed")


@site("meadow")
def meadow(p: Plot) -> None:
    """Paint open grassland with a few trees."""
    p.cover("meadow")
    if p.chance(0.6):
        w = p.width / 2 + 8
        p.way("path", p.bent([(-w, p.between(-60, 60)), (0, p.between(-40, 40)), (w, p.between(-60, 60))]), 2.6)
    p.trees(26, (2.6, 5), p.between(0.02, 0.3))


@site("forest")
def forest(p: Plot) -> None:
    """Paint closed forest, at times with a track or a clearing."""
    p.cover("forest", form=p.any("broad", "broad", "conifer"))
    if p.chance(0.5):
        w = p.width / 2 + 8
        p.way("path", p.bent([(-w, p.between(-60, 60)), (0, p.between(-50, 50)), (w, p.between(-60, 60))]), 4.5)
    if p.chance(0.3):
        p.put("lawn", p.ring(p.between(-50, 50), p.between(-50, 50), p.between(20, 36), 0.25), form="clearing")


@site("bare land")
def bare_land(p: Plot) -> None:
    """Paint bare earth with wheel tracks."""
    p.cover("bare land")
    w, d = p.width / 2 + 6, p.depth / 2 + 6
    for _ in range(int(p.between(1, 3.9))):
        p.way(
            "path", p.bent([(-w, p.between(-d, d)), (p.between(-30, 30), p.between(-30, 30)), (w, p.between(-d, d))]), 3
        )
    p.trees(30, (1.4, 2.8), 0.15)


@site("desert")
def desert(p: Plot) -> None:
    """Paint sand dunes."""
    p.cover("desert")


@site("mountain")
def mountain(p: Plot) -> None:
    """Paint steep rock and thin woods."""
    p.cover("mountain")


@site("pond")
def pond(p: Plot) -> None:
    """Paint a pond with trees in a meadow, or a fish farm of several in a grid."""
    if p.chance(0.3):
        p.cover("grass", form="margin")
        columns, rows = int(p.rng.choice([2, 3])), int(p.rng.choice([2, 3]))
        wide, deep = p.width / columns, p.depth / rows
        for column in range(columns):
            for row in range(rows):
                u, v = -p.width / 2 + (column + 0.5) * wide, -p.depth / 2 + (row + 0.5) * deep
                p.put("pond", p.rect(u, v, wide - 9, deep - 9), form="fish")
        return
    p.cover("meadow")
    radius = p.between(45, 82)
    u, v = p.between(-14, 14), p.between(-14, 14)
    p.put("pond", p.ring(u, v, radius, 0.22))
    p.keep_clear(u, v, radius * 1.9, radius * 1.9)
    p.trees(9.5, (2.6, 5), p.between(0.3, 0.85), lambda tu, tv: math.hypot(tu - u, tv - v) > radius * 1.2)
    if p.chance(0.4):
        p.block(
            "house",
            -p.width / 2 + 20,
            -p.depth / 2 + 18,
            15,
            11,
            p.any("red", "brown", "grey"),
            height=5,
            form="gabled",
        )
