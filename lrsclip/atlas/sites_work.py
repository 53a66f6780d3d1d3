"""Painters of places of work and travel: factories, tanks, ports, stations, airports, interchanges."""

from __future__ import annotations

import math

from lrsclip.atlas.site import Plot, site


@site("industrial")
def industrial(p: Plot) -> None:
    """Paint halls with long flat or sawtooth roofs, yards with trucks, sometimes tanks."""
    p.cover("yard")
    columns = max(2, round(p.width / 95))
    wide, deep = p.width / columns, p.depth / 2
    colors = (p.any("white", "grey", "blue", "red"), p.any("white", "grey", "blue"))
    for column in range(columns):
        for row in range(2):
            u, v = -p.width / 2 + (column + 0.5) * wide, -p.depth / 2 + (row + 0.5) * deep
            luck = p.between(0, 1)
            if luck < 0.72:
                kind = p.any("factory hall", "warehouse")
                high = wide > deep
                p.block(
                    kind,
                    u,
                    v - 6 + row * 12,
                    wide * p.between(0.62, 0.8),
                    deep * p.between(0.5, 0.68),
                    p.any(*colors),
                    height=p.between(8, 13),
                    form="sawtooth" if kind == "factory hall" and high else "ribbed",
                )
            elif luck < 0.86:
                for number in range(int(p.between(2, 4.9))):
                    p.disc("storage tank", u - wide * 0.3 + number * 19, v, 8, "white", height=9)
            else:
                p.parking(u, v, wide * 0.8, deep * 0.6, 0.6)
    for _ in range(int(p.between(3, 12))):
        u, turn = p.between(-0.45, 0.45) * p.width, p.any("0", "1") == "1"
        p.loose(
            "truck", u, p.between(-6, 6), 12, 2.7, p.any("white", "red", "blue", "grey"), math.pi / 2 if turn else 0.0
        )
    p.trees(16, (2.4, 4), 0.25)


@site("storage tanks")
def storage_tanks(p: Plot) -> None:
    """Paint round tanks in rows within low walls, lanes between them."""
    p.cover("yard", form="earth")
    columns, rows = int(p.rng.choice([2, 3, 4])), int(p.rng.choice([2, 3]))
    wide, deep = p.width / columns, p.depth / rows
    color = p.any("white", "white", "white", "grey", "brown")
    for row in range(1, rows):
        p.way(
            "street", [(-p.width / 2 - 6, -p.depth / 2 + row * deep), (p.width / 2 + 6, -p.depth / 2 + row * deep)], 6
        )
    for column in range(columns):
        for row in range(rows):
            u, v = -p.width / 2 + (column + 0.5) * wide, -p.depth / 2 + (row + 0.5) * deep
            luck = p.between(0, 1)
            room = min(wide, deep) / 2 - 9
            if luck < 0.62:
                p.put("pavement", p.rect(u, v, wide - 10, deep - 12), form="bund")
                p.disc("storage tank", u, v, room * p.between(0.75, 1), color, height=14)
            elif luck < 0.88:
                p.put("pavement", p.rect(u, v, wide - 10, deep - 12), form="bund")
                for a in (-1, 1):
                    for b in (-1, 1):
                        p.disc("storage tank", u + a * room * 0.48, v + b * room * 0.48, room * 0.4, color, height=10)
            elif p.chance(0.5):
                p.block("warehouse", u, v, wide * 0.6, deep * 0.4, p.any("grey", "blue"), height=7, form="ribbed")


@site("port")
def port(p: Plot) -> None:
    """Paint quays, a basin with ships or boats, cranes, stacks of containers. The water lies at positive v."""
    w, d = p.width / 2 + 8, p.depth / 2 + 8
    quay = -d * 0.12
    p.cover("yard", form="paved")
    # The quay is firm ground, whatever shore was there.
    p.put("pavement", [(-w, -d), (w, -d), (w, quay), (-w, quay)], form="quay", wet=True)
    p.put("basin", [(-w, quay), (w, quay), (w, d), (-w, d)], wet=True)
    if p.chance(0.5):
        for number in range(5):
            u = -w + 24 + number * (2 * w - 40) / 4.2
            p.put("pier", p.rect(u, quay + d * 0.42, 4, d * 0.8), "white", height=1.2, wet=True)
            for side in (-1, 1):
                for slot in range(int(d * 0.8 // 10)):
                    if p.chance(0.72):
                        size = p.between(9, 14)
                        v = quay + 14 + slot * 10
                        p.loose(
                            "boat",
                            u + side * (4 + size / 2),
                            v,
                            size,
                            size * 0.3,
                            "white",
                            0 if side > 0 else math.pi,
                            wet=True,
                        )
        p.parking(-w * 0.4, quay - 26, w * 0.9, 34, 0.7)
        p.block("warehouse", w * 0.5, quay - 30, 60, 26, p.any("white", "blue"), height=7, form="ribbed")
        return
    for number in range(int(p.between(1, 3.4))):
        length = p.between(85, 125)
        u = -w + 75 + number * 120
        if u + length / 2 < w:
            p.loose(
                "ship",
                u,
                quay + 14,
                length,
                17,
                p.any("red", "blue", "black", "grey"),
                0.0 if p.chance(0.5) else math.pi,
                wet=True,
            )
    for number in range(int(p.between(2, 4.9))):
        p.block(
            "crane", -w * 0.7 + number * w * 0.44, quay + 2, 12, 34, p.any("red", "blue", "orange"), height=26, wet=True
        )
    for column in range(int(2 * w // 34)):
        u = -w + 22 + column * 34
        for row in range(3):
            for lane in range(4):
                if p.chance(0.8):
                    color = p.any("red", "blue", "green", "orange", "white", "brown")
                    p.put(
                        "container",
                        p.rect(u, quay - 22 - row * 24 - lane * 3.2, 26, 2.7),
                        color,
                        height=p.between(2.5, 8),
                    )
    p.block("warehouse", 0, -d + 22, w * 1.3, 26, p.any("white", "grey", "blue"), height=9, form="ribbed")


@site("sea")
def sea(p: Plot) -> None:
    """Paint open water, now and then a boat."""
    p.cover("grass")
    for _ in range(int(p.rng.choice([0, 0, 1, 2]))):
        size = p.between(10, 24)
        u, v = p.between(-0.45, 0.45) * p.width, p.between(-0.45, 0.45) * p.depth
        if not p.dry(*p.at(u, v)):
            p.loose("boat", u, v, size, size * 0.3, "white", p.between(0, 6.28), wet=True)


@site("beach")
def beach(p: Plot) -> None:
    """Paint a shore: sand with parasols in rows, dunes and trees behind."""
    p.cover("grass", form="dune")
    p.shore_rows("parasol", (8, 22), 7.0, ("red", "blue", "white", "orange"), p.between(0, 0.5))
    for _ in range(int(p.between(0, 4))):
        u, v = p.between(-0.4, 0.4) * p.width, -p.depth * p.between(0.1, 0.4)
        p.block(
            "hotel", u, v, p.between(26, 44), 14, p.any("white", "orange", "red"), height=p.between(9, 20), form="flat"
        )
    p.trees(9, (2.2, 4.6), 0.5, lambda u, v: p.inland(u, v) > 45)


@site("resort")
def resort(p: Plot) -> None:
    """Paint hotels with pools, gardens, bungalows and courts."""
    p.cover("grass", form="park")
    roof = p.any("white", "orange", "red", "brown")
    p.block("hotel", -p.width * 0.2, -p.depth / 2 + 24, 84, 18, roof, height=16)
    p.block("hotel", -p.width * 0.2 - 33, -p.depth / 2 + 58, 18, 50, roof, height=16)
    u, v = -p.width * 0.08, -6.0
    p.put("square", p.ring(u, v, 28, 0.1))
    p.put("pool", p.ring(u, v, p.between(13, 18), 0.22))
    p.keep_clear(u, v, 56, 56)
    if p.chance(0.6):
        p.block("pool", u + 46, v, 24, 10)
    for number in range(int(p.between(1, 3.9))):
        p.block(
            "tennis court", p.width / 2 - 22 - number * 24, -p.depth / 2 + 26, 18, 34, p.any("green", "blue", "red")
        )
    for number in range(int(p.width // 26)):
        for row in (0, 1):
            p.block(
                "house",
                -p.width / 2 + 16 + number * 26,
                p.depth / 2 - 18 - row * 32,
                13,
                11,
                roof,
                height=4.5,
                form="hipped",
            )
    p.way("path", p.bent([(-p.width / 2, 26), (-20, 34), (p.width / 4, 20), (p.width / 2, 30)]), 3.5)
    p.parking(p.width / 2 - 32, 2, 52, 34, 0.7)
    p.trees(8.5, (2.2, 4.4), 0.55, lambda _u, v: abs(v - 28) > 9)


@site("railway station")
def railway_station(p: Plot) -> None:
    """Paint parallel tracks and platforms below the line, trains, a station hall and its forecourt."""
    p.cover("town ground", form="paved")
    w, d = p.width / 2 + 8, p.depth / 2
    lines = int(p.rng.choice([3, 4, 5]))
    for number in range(lines):
        v = -d + 8 + number * 17
        p.way("railway", [(-w, v), (w, v)], 9)
        p.put("platform", p.rect(0, v + 8.2, w * 1.5, 6.5), "grey", height=1.2)
        if p.chance(0.6):
            wagons = int(p.between(4, 7.9))
            u = p.between(-0.3, 0.3) * p.width
            p.put("train", p.rect(u, v, wagons * 22, 3.1), p.any("red", "blue", "white", "green"), height=4)
    v = -d + lines * 17 + 22
    p.block("station", 0, v, p.width * 0.55, 22, p.any("red", "grey", "white", "brown"), height=13, form="hipped")
    p.put("square", p.rect(0, v + 34, p.width * 0.5, 40))
    for side in (-1, 1):
        p.parking(side * p.width * 0.37, d - 34, p.width * 0.22, 52, 0.7)
    p.trees(11, (2.2, 3.8), 0.4, lambda _u, tv: tv > v + 14)


@site("airport")
def airport(p: Plot) -> None:
    """Paint a runway, a taxiway, an apron with planes at a terminal, hangars."""
    p.cover("grass", form="airfield")
    w, d = p.width / 2, p.depth / 2
    runway = d - 62
    p.put("runway", p.rect(0, runway, 2 * w - 24, 45), "grey")
    p.way("taxiway", [(-w + 30, runway - 88), (w - 30, runway - 88)], 20)
    for u in (-w + 40, -w * 0.3, w * 0.3, w - 40):
        p.way("taxiway", [(u, runway - 88), (u, runway - 20)], 20)
    apron = runway - 160
    p.put("apron", p.rect(0, apron, w * 1.5, 126))
    for u in (-w * 0.5, w * 0.5):
        p.way("taxiway", [(u, apron + 50), (u, runway - 88)], 20)
    terminal = -d + 76
    p.put("terminal", p.rect(0, terminal, w * 1.1, 34), p.any("white", "grey"), height=14, form="flat")
    for number in range(int(w * 1.1 // 62)):
        u = -w * 0.55 + 34 + number * 62
        p.put("terminal", p.rect(u, terminal + 26, 6, 22), "grey", height=6, form="gate")
        if p.chance(0.75):
            p.plane(u, terminal + 62, p.between(36, 46), -math.pi / 2)
    for number in range(int(w * 1.3 // 80)):
        if p.chance(0.35):
            p.plane(-w * 0.62 + number * 80, apron + 42, p.between(32, 44), (p.any("0", "1") == "1" and 0.0) or math.pi)
    if p.chance(0.7):
        p.plane(p.between(-0.7, 0.7) * w, runway - 88, 40, 0.0 if p.chance(0.5) else math.pi)
    for number in range(3):
        p.put(
            "hangar",
            p.rect(-w + 44 + number * 2, apron - 60 + number * 56, 62, 46),
            p.any("white", "grey", "blue"),
            height=15,
            form="ribbed",
        )
    p.parking(w * 0.1, -d + 30, w * 1.0, 44, 0.75)
    p.parking(w - 70, apron - 30, 100, 100, 0.6)


@site("viaduct")
def viaduct(p: Plot) -> None:
    """Paint two wide roads crossing at different heights, with ramps in loops."""
    p.cover("grass", form="park")
    w, d = p.width / 2 + 8, p.depth / 2 + 8
    for a in (-1, 1):
        for b in (-1, 1):
            loop = [(a * 10.0, b * 66.0), *p.arc_points(a * 42, b * 42, 30, a, b), (a * 66.0, b * 10.0)]
            p.way("street", loop, 7)
            ramp = [(a * 14.0, b * d), (a * 22.0, b * 84.0), (a * 84.0, b * 22.0), (a * w, b * 14.0)]
            p.way("street", p.bent(ramp), 7)
    p.way("road", [(-w, 0), (w, 0)], 22)
    p.put("viaduct", p.rect(0, 0, 22, 2 * d), "grey", height=9, turn=math.pi / 2)
    p.moving((-w, 0), (w, 0), (-7, -3.5, 3.5, 7), 45)
    p.moving((0, -d), (0, d), (-7, -3.5, 3.5, 7), 45)
    p.trees(12, (2.4, 4.4), 0.5, lambda u, v: abs(abs(u) - abs(v)) > 26 and min(abs(u), abs(v)) > 92)
