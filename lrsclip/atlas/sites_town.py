"""Painters of towns: housing, shops, squares, churches, schools, parking."""

from __future__ import annotations

import math

from lrsclip.atlas.site import Plot, site

ROOFS = ("red", "red", "brown", "brown", "grey", "grey", "orange", "white")


def house(p: Plot, u: float, v: float, width: float, depth: float, turn: float = 0.0, roof: str = "") -> bool:
    """Put up a house, its roof in one of the usual colors unless one is given."""
    form = "gabled" if p.chance(0.45) else "hipped"
    return p.block("house", u, v, width, depth, roof or p.any(*ROOFS), height=p.between(4, 6.5), turn=turn, form=form)


def _roofs_of_quarter(p: Plot) -> tuple[str, ...]:
    """Choose one or two roof colors that dominate: a quarter was built in one time."""
    main = p.any("red", "brown", "grey", "orange", "white")
    return (main, main, main, p.any("red", "brown", "grey", "white"))


@site("dense residential")
def dense_residential(p: Plot) -> None:
    """Paint rows of houses, roof beside roof, between narrow streets; some quarters have apartment blocks."""
    p.cover("town ground", form="garden")
    if p.chance(0.3):
        return _apartments(p)
    rows = 3 if p.chance(0.6) else 4
    roofs, pitch = _roofs_of_quarter(p), p.depth / rows
    size = p.between(10, 14)
    for row in range(rows):
        v0 = -p.depth / 2 + (row + 0.5) * pitch
        if row:
            p.way("street", [(-p.width / 2 - 8, v0 - pitch / 2), (p.width / 2 + 8, v0 - pitch / 2)], 6.5)
        for side in (-1, 1):
            v = v0 + side * (pitch / 2 - 6 - size / 2 - 2)
            u = -p.width / 2 + size / 2 + 2
            while u < p.width / 2 - size / 2:
                wide = size * p.between(0.85, 1.2)
                house(p, u, v + p.between(-1, 1), wide, size * p.between(0.8, 1.05), 0.0, p.any(*roofs))
                if p.chance(0.25):
                    p.car(u + wide / 2 + 1.2, v + side * (size / 2 + 2), math.pi / 2)
                u += wide + p.between(1.5, 4)
    p.trees(11, (1.8, 3.4), 0.45)


def _apartments(p: Plot) -> None:
    rows = 3
    color = p.any("white", "grey", "brown", "red")
    pitch = p.depth / rows
    for row in range(rows):
        v = -p.depth / 2 + (row + 0.5) * pitch
        for u in (-p.width / 3, 0, p.width / 3):
            p.block("apartment block", u, v - 8, p.between(46, 58), 14, color, height=p.between(14, 22), form="flat")
        p.parking(0, v + pitch / 2 - 13, p.width * 0.8, 17, 0.6)
    p.trees(10, (2, 4), 0.5)


@site("medium residential")
def medium_residential(p: Plot) -> None:
    """Paint single houses with gardens along streets, drives and some pools."""
    p.cover("town ground", form="garden")
    roofs, rows = _roofs_of_quarter(p), 2
    pitch = p.depth / rows
    pools = p.between(0, 0.35)
    for row in range(rows):
        v0 = -p.depth / 2 + (row + 0.5) * pitch
        p.way("street", [(-p.width / 2 - 8, v0), (p.width / 2 + 8, v0)], 7)
        count = int(p.width // p.between(23, 29))
        for side in (-1, 1):
            for number in range(count):
                u = -p.width / 2 + (number + 0.5) * p.width / count + p.between(-2, 2)
                v = v0 + side * p.between(18, 22)
                p.strip("pavement", [(u + 5, v0 + side * 3), (u + 5, v)], 3.2)
                house(p, u, v, p.between(13, 18), p.between(9, 12), p.between(-0.06, 0.06), p.any(*roofs))
                if p.chance(pools):
                    p.block("pool", u - 4, v + side * 15, p.between(7, 10), 4.5)
                if p.chance(0.4):
                    p.car(u + 5, v0 + side * 9, math.pi / 2)
    p.trees(9, (2, 4.6), 0.5)


@site("sparse residential")
def sparse_residential(p: Plot) -> None:
    """Paint a few houses far apart among trees and lawns."""
    p.cover("grass")
    bow = p.between(-50, 50)
    lane = [(-p.width / 2 - 8, p.between(-20, 20)), (-p.width / 5, bow / 2), (p.width / 5, bow), (p.width / 2 + 8, 0.0)]
    p.way("street", lane, 5.5)
    for _ in range(int(p.between(4, 9))):
        u, v = p.between(-0.42, 0.42) * p.width, p.between(-0.42, 0.42) * p.depth
        if not p.away(lane, 16)(u, v) or not p.is_free(u, v, 24):
            continue
        p.put("lawn", p.ring(u, v, p.between(20, 28), 0.15))
        turn = p.between(0, 1.5)
        house(p, u, v, p.between(16, 22), p.between(10, 14), turn)
        if p.chance(0.4):
            p.block("pool", u + 16 * math.cos(turn), v + 16 * math.sin(turn), 10, 5, turn=turn)
    p.trees(9.5, (2.6, 5.6), 0.75, p.away(lane, 6))


@site("commercial")
def commercial(p: Plot) -> None:
    """Paint large flat roofs and office towers between wide pavements."""
    p.cover("town ground", form="paved")
    columns, rows = (3, 3) if p.chance(0.6) else (4, 3)
    wide, deep = p.width / columns, p.depth / rows
    for row in range(rows):
        for column in range(columns):
            u, v = -p.width / 2 + (column + 0.5) * wide, -p.depth / 2 + (row + 0.5) * deep
            luck = p.between(0, 1)
            if luck < 0.14:
                p.parking(u, v, wide - 8, deep - 8, 0.75)
            elif luck < 0.42:
                color = p.any("white", "grey", "blue", "brown", "black")
                side = p.between(22, 34)
                p.block("tower", u, v, side, side * p.between(0.7, 1), color, height=p.between(35, 75), form="flat")
                p.trees_around(u, v, wide / 2 - 5, deep / 2 - 5, 9, 2.6)
            else:
                color = p.any("white", "grey", "grey", "brown", "red", "blue")
                p.block(
                    "shop",
                    u,
                    v,
                    wide * p.between(0.66, 0.84),
                    deep * p.between(0.6, 0.8),
                    color,
                    height=p.between(8, 18),
                    form="flat",
                )
    for column in range(1, columns):
        u = -p.width / 2 + column * wide
        p.tree_row((u, -p.depth / 2), (u, p.depth / 2), 11, 2.4)


@site("center")
def center(p: Plot) -> None:
    """Paint one large hall of unusual form in the middle of a square of its own."""
    p.cover("town ground", form="paved")
    p.put("square", p.ring(0, 0, min(p.width, p.depth) * 0.43, 0))
    p.keep_clear(0, 0, 120, 120)
    p.disc("centre hall", 0, 0, p.between(32, 44), p.any("white", "blue", "grey"), height=p.between(18, 26))
    for side in (-1, 1):
        p.parking(side * (p.width / 2 - 18), 0, 34, p.depth * 0.55, 0.6)
        p.block(
            "shop",
            0,
            side * (p.depth / 2 - 14),
            p.width * 0.5,
            18,
            p.any("white", "grey", "brown"),
            height=9,
            form="flat",
        )
    p.trees(10, (2.2, 3.6), 0.5, lambda u, v: math.hypot(u, v) > 62)


@site("square")
def square(p: Plot) -> None:
    """Paint an open paved place with lawns and a fountain, houses around it."""
    p.cover("town ground", form="paved")
    half = min(p.width, p.depth) * 0.27
    p.block("square", 0, 0, 2 * half, 2 * half)
    for a in (-1, 1):
        for b in (-1, 1):
            p.put("lawn", p.rect(a * half * 0.53, b * half * 0.53, half * 0.7, half * 0.7))
            p.tree_row((a * half * 0.9, b * half * 0.2), (a * half * 0.9, b * half * 0.9), 9, 2.8, force=True)
    p.disc("fountain", 0, 0, p.between(7, 11), height=0.8)
    color = _roofs_of_quarter(p)
    for side in (-1, 1):
        for number in range(4):
            t = (number + 0.5) / 4 - 0.5
            p.block(
                "shop",
                t * p.width,
                side * (p.depth / 2 - 17),
                p.width / 4 - 6,
                26,
                p.any(*color),
                height=p.between(9, 15),
            )
            if abs(t) < 0.3:
                p.block(
                    "shop",
                    side * (p.width / 2 - 17),
                    t * p.depth,
                    26,
                    p.depth / 4 - 6,
                    p.any(*color),
                    height=p.between(9, 15),
                )


@site("church")
def church(p: Plot) -> None:
    """Paint a church with a cross-shaped roof on a green, houses nearby."""
    p.cover("town ground", form="garden")
    turn = p.any("0", "1") == "1"
    roof = p.any("red", "grey", "brown", "green")
    angle = math.pi / 2 if turn else 0.0
    p.put("lawn", p.rect(0, 0, 110, 100))
    length = p.between(44, 58)
    p.block("church", 0, 0, length, length * 0.36, roof, height=14, turn=angle, form="cross")
    p.keep_clear(0, 0, length * 0.8, length * 0.8)
    p.way("path", [(0, length * 0.3), (0, p.depth / 2)], 4)
    p.parking(-p.width / 2 + 24, p.depth / 2 - 20, 44, 34, 0.5)
    for u in (-84, -56, 56, 84):
        for v in (-p.depth / 2 + 18, -p.depth / 2 + 44, p.depth / 2 - 18):
            if not (u < 0 and v > 0):
                house(p, u + p.between(-3, 3), v, p.between(13, 17), p.between(9, 12))
    p.trees(10, (2.4, 4.6), 0.55)


@site("school")
def school(p: Plot) -> None:
    """Paint long school buildings in an L or U, a running track around a football pitch, courts, a car park."""
    p.cover("grass")
    color = p.any("red", "white", "grey", "brown", "blue")
    v = -p.depth / 2 + 22
    p.block("school building", -20, v, p.width * 0.6, 18, color, height=11, form="flat")
    p.block("school building", -p.width * 0.32 - 10, v + 44, 18, 56, color, height=11, form="flat")
    if p.chance(0.6):
        p.block("school building", p.width * 0.18, v + 44, 18, 56, color, height=11, form="flat")
    p.put("square", p.rect(-14, v + 36, p.width * 0.38, 40))
    track(p, p.width * 0.02 - 14, p.depth / 2 - 46, 84, 36)
    for number in range(int(p.between(1, 3.9))):
        p.block(
            "basketball court", p.width / 2 - 16, p.depth / 2 - 30 - number * 36, 17, 30, p.any("green", "blue", "red")
        )
    p.parking(p.width / 2 - 24, -p.depth / 2 + 40, 40, 60, 0.7)
    p.trees(10, (2.4, 4.2), 0.5)


def track(p: Plot, u: float, v: float, straight: float, radius: float, turn: float = 0.0) -> None:
    """Lay a running track around a football pitch."""
    p.put("running track", p.oval(u, v, straight, radius, turn), p.any("red", "red", "red", "blue"), turn=turn)
    p.keep_clear(u, v, straight + 2 * radius, 2 * radius, turn)
    p.put("football pitch", p.rect(u, v, straight * 1.04, radius * 1.25, turn), "green", turn=turn)


@site("playground")
def playground(p: Plot) -> None:
    """Paint a sports ground: running track and pitch, courts beside it, trees around."""
    p.cover("grass")
    long = p.width > 190
    track(p, 0, p.between(-20, 0), 88 if long else 70, 40)
    count = int(p.between(2, 5.9))
    kind = p.any("tennis court", "basketball court")
    color = p.any("green", "blue", "red")
    for number in range(count):
        wide = 18 if kind == "tennis court" else 20
        p.block(kind, (number - (count - 1) / 2) * (wide + 6), p.depth / 2 - 26, wide, 34, color)
    if p.chance(0.6):
        p.parking(0, -p.depth / 2 + 18, p.width * 0.5, 18, 0.5)
    p.trees(9, (2.4, 4.6), 0.7)


@site("baseball field")
def baseball_field(p: Plot) -> None:
    """Paint one, two or four baseball diamonds."""
    p.cover("grass")
    count = int(p.rng.choice([1, 2, 4]))
    places = {
        1: [(0, 50, -math.pi / 2)],
        2: [(-52, 52, -math.pi / 2), (52, -52, math.pi / 2)],
        4: [(-14, -14, -2.356), (14, -14, -0.785), (-14, 14, 2.356), (14, 14, 0.785)],
    }[count]
    reach = {1: 104, 2: 84, 4: 74}[count]
    for u, v, heading in places:
        p.put("baseball field", p.fan(u, v, reach, heading), "brown", turn=heading)
        p.keep_clear(u + math.cos(heading) * reach / 2, v + math.sin(heading) * reach / 2, reach * 1.1, reach * 1.1)
    if count < 4:
        p.parking(p.width / 2 - 20, p.depth / 2 - 24, 36, 40, 0.6)
    p.trees(10, (2.6, 5), 0.7)


@site("parking")
def parking(p: Plot) -> None:
    """Paint a large car park in rows, with a building beside it."""
    p.cover("town ground", form="paved")
    share = p.between(0.3, 0.95)
    p.parking(0, 14, p.width - 10, p.depth - 44, share)
    p.block("shop", 0, -p.depth / 2 + 15, p.width * 0.8, 24, p.any("white", "grey", "blue"), height=8, form="flat")
    p.tree_row((-p.width / 2 + 4, p.depth / 2 - 3), (p.width / 2 - 4, p.depth / 2 - 3), 10, 2.6)


@site("stadium")
def stadium(p: Plot) -> None:
    """Paint an oval of stands around a pitch, car parks at its sides."""
    p.cover("town ground", form="paved")
    color = p.any("white", "grey", "blue", "red")
    turn = math.pi / 2 if p.chance(0.5) else 0.0
    p.put("stadium", p.oval(0, 0, 70, 66, turn), color, height=18, turn=turn)
    p.keep_clear(0, 0, 150, 150)
    p.put("running track", p.oval(0, 0, 72, 40, turn), "red", turn=turn)
    p.put("football pitch", p.rect(0, 0, 84, 52, turn), "green", turn=turn)
    for side in (-1, 1):
        spot = (
            (side * (p.width / 2 - 20), 0.0, 34.0, p.depth * 0.8)
            if turn
            else (0.0, side * (p.depth / 2 - 20), p.width * 0.8, 34.0)
        )
        p.parking(*spot, p.between(0.1, 0.9))
    p.trees(11, (2.4, 4), 0.4, lambda u, v: math.hypot(u, v) > 104)


@site("park")
def park(p: Plot) -> None:
    """Paint lawns, winding paths, trees in groups and a pond."""
    p.cover("grass", form="park")
    w, d = p.width / 2, p.depth / 2
    pond_u, pond_v = p.between(-0.4, 0.4) * p.width, p.between(-0.2, 0.2) * p.depth
    radius = p.between(26, 44)
    p.put("pond", p.ring(pond_u, pond_v, radius, 0.25))
    p.keep_clear(pond_u, pond_v, radius * 1.9, radius * 1.9)
    ways = [
        [(-w - 6, -d * 0.4), (-w * 0.3, -d * 0.75), (w * 0.3, -d * 0.55), (w + 6, -d * 0.2)],
        [(-w * 0.5, d + 6), (-w * 0.65, 0), (-w * 0.3, -d * 0.75)],
        [(-w * 0.5, d * 0.85), (w * 0.2, d * 0.8), (w * 0.75, d * 0.5), (w * 0.65, -d * 0.35)],
    ]
    for way in ways:
        p.way("path", p.bent(way), 3.5)
    if p.chance(0.5):
        p.put("square", p.ring(w * 0.6, -d * 0.35, 14, 0))
        p.disc("fountain", w * 0.6, -d * 0.35, 6, height=0.8)
    p.trees(9, (2.6, 5.4), 0.55, lambda u, v: all(p.away(way, 5)(u, v) for way in ways) and p.grove(u, v))
