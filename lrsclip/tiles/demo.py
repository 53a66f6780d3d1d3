"""Demo tiles, the scenes: a handful of places from above, painted by the project itself.

They let a fresh clone show a working search without a download and without anybody's copyright. The file name
says the class (`airport_01.jpg`), in the words that scene classification data sets use.
"""

from __future__ import annotations

import math
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lrsclip.errors import TileSourceError
from lrsclip.tiles import demo_canvas
from lrsclip.tiles.demo_canvas import SIDE, Canvas, apart, arc, box, place
from lrsclip.user_cache import user_cache

_MID = SIDE / 2
_GRASS = ("#5d6a3c", "#6d7747", "#7d8153")
_Paint = Callable[[Canvas], None]
_SCENES: dict[str, _Paint] = {}


def _scene(*names: str) -> Callable[[_Paint], _Paint]:
    """Registers a scene under its file names; under a second name chance makes it another place."""

    def register(paint: _Paint) -> _Paint:
        _SCENES.update(dict.fromkeys(names, paint))
        return paint

    return register


@_scene("airport_01")
def _airport(c: Canvas) -> None:
    c.ground(*_GRASS)
    c.shape(box(_MID, 80, 270, 170), "#a9a8a3")
    c.shape(box(_MID, 16, 210, 34), "#c9ccce", 12)
    c.shape(box(_MID, 16, 194, 8), "#8fa0aa", 14)
    for x in (40, 128, 216):
        c.shape(box(x, 50, 13, 46), "#d5d7d8", 10)
        c.shape(box(x, 50, 3, 42), "#93a3ad", 11)
        for side in (-1, 1):
            c.plane(x + side * 23, 56, 39, -math.pi / 2)
    c.line([(0, 122), (SIDE, 122)], 1.2, "#d0b24a")
    c.plane(150, 122, 44, math.pi)
    c.shape(box(_MID, 218, 270, 38), "#5e6063")
    c.shape(box(40, 180, 26, 60, 0.3), "#a3a29d")
    c.dashes((0, 218), (SIDE, 218), 1.8, "#f0f0ec", 18, 12)
    c.frame(box(_MID, 218, 270, 32), 1.2, "#e8e8e4")


@_scene("runway_01")
def _runway(c: Canvas) -> None:
    c.ground("#6f7a48", "#838654", "#948f60")
    c.shape(box(52, _MID, 18, 270), "#83827d")
    c.line([(52, 0), (52, SIDE)], 1, "#d0b24a")
    c.shape(box(90, 150, 80, 20, -0.6), "#83827d")
    c.shape(box(150, 160, 64, 290), "#4c4e52")
    c.frame(box(150, 170, 56, 290), 1.4, "#ecece8")
    for x in (-21, -15, -9, 9, 15, 21):
        c.shape(box(150 + x, 46, 3.6, 30), "#f2f2ee")
        c.shape(box(150 + x, 112, 3.6, 20), "#f2f2ee" if abs(x) == 15 else "#4c4e52")
    c.dashes((150, 72), (150, SIDE), 1.8, "#f2f2ee", 16, 11)
    c.plane(150, 186, 54, -math.pi / 2)


@_scene("storage_tanks_01")
def _storage_tanks(c: Canvas) -> None:
    c.ground("#8b8471", "#9a917c", "#a59c88")
    for at in (87, 172):
        c.line([(0, at), (SIDE, at)], 9, "#77756f")
        c.line([(at, 0), (at, SIDE)], 9, "#77756f")
    for column, x in enumerate((44, 130, 214)):
        for row, y in enumerate((44, 130, 214)):
            c.shape(box(x, y, 70, 70), "#8f8a7c", 3)
            c.shape(box(x, y, 65, 65), "#a29b8a", 0)
            large = (column + row) % 3  # every third place holds four small tanks
            for dx, dy in ((0, 0),) if large else ((-16, -16), (16, -16), (-16, 16), (16, 16)):
                radius, top = (27, 16) if large else (13, 12)
                c.disc(x + dx, y + dy, radius, "#c5c6c4", top + 1)
                c.disc(x + dx, y + dy, radius - 1.6, ("#efefec", "#f2f1ec", "#dcdedd")[large], top)
                c.line([(x + dx, y + dy), (x + dx + radius * 0.9, y + dy - radius * 0.3)], 0.9, "#a8abac")


@_scene("bridge_01")
def _bridge(c: Canvas) -> None:
    c.ground("#566339", "#69734a", "#7c7d58")
    shore = np.abs(c.x - 0.25 * c.y - 98 - 12 * np.sin(c.y / 60) + 3 * c.noise(30)) - 62 + 1.5 * c.noise(8)
    c.ramp(shore, [(-50, "#3c5a5e"), (-8, "#4b6a66"), (-2, "#6f7d68"), (0, "#9b917a"), (7, "#7a7a54")], shore < 7)
    for x, y in ((20, 60), (24, 200), (228, 50), (232, 92), (240, 190), (18, 95)):
        c.house(x, y, 26, 15, 0.2, wall=6)
    c.plant(9, (3.5, 6), lambda x, y: c.at(shore, x, y) > 8 and abs(y - _MID) > 18, 0.55)
    c.shape(box(_MID, _MID, 270, 20), "#8c8b88")
    c.shape(box(_MID, _MID, 190, 23), "#b9b7b0", 13)
    c.shape(box(_MID, _MID, 270, 18), "#66676a")
    c.shape(box(_MID, _MID, 190, 18), "#66676a", 12)
    c.dashes((0, _MID), (SIDE, _MID), 1, "#e8e8e2", 6, 6)
    c.traffic((0, _MID), (SIDE, _MID), 16, 6.6, 6)


@_scene("dense_residential_01")
def _dense_residential(c: Canvas) -> None:
    c.ground(*_GRASS, feature=25)
    streets = (22, 92, 162, 232)
    c.frame(box(140, _MID, 140, 300), 8, "#6d6d6d")
    for y in streets:
        c.line([(0, y), (SIDE, y)], 11, "#a9a69c")
        c.line([(0, y), (SIDE, y)], 8, "#6d6d6d")
        for side, x in ((side, x) for side in (-1, 1) for x in (8, 28, 48, 91, 111, 131, 151, 171, 191, 229, 249)):
            at = y + side * (19 + float(c.rng.uniform(-1, 1)))
            c.line([(x + 7, y + side * 5), (x + 7, at)], 3.4, "#b5b1a7")
            c.house(x, at, float(c.rng.uniform(14.5, 16.5)), float(c.rng.uniform(13, 16)), 0)
            if c.rng.random() < 0.5:
                c.car(x + 7, y + side * 9.5, math.pi / 2, 4.8)
        c.traffic((0, y), (SIDE, y), 55, 2, 4.8)
    c.plant(10, (2, 3.8), lambda _x, y: min(abs(abs(y - street) - 32) for street in streets) < 7, 0.8)
    c.plant(13, (1.8, 2.8), lambda _x, y: min(abs(abs(y - street) - 8) for street in streets) < 3, 0.4)


@_scene("sparse_residential_01")
def _sparse_residential(c: Canvas) -> None:
    c.ground("#4d5a33", "#5d6a3c", "#6d7747")
    road = [(-10, 196), (50, 176), (110, 168), (170, 138), (200, 90), (214, 30), (218, -10)]
    homes = [(62, 112, 0.2), (126, 98, -0.4), (150, 214, -0.5), (56, 226, 0.15), (234, 150, 1.1), (150, 36, 1.2)]
    for x, y, angle in homes:
        lawn = np.hypot(c.x - x, c.y - y) + 4 * c.noise(20) < 31
        c.ramp(c.noise(20), [(-1, "#75824a"), (1, "#8b9058")], lawn)
        joint = min(road, key=lambda p: math.dist(p, (x, y)))
        c.line([(x, y), ((x + joint[0]) / 2 + 6, (y + joint[1]) / 2), joint], 3.5, "#b0a894")
        c.house(x, y, 25, 15, angle, wall=5)
    c.line(road, 8, "#77756f")
    c.line(road, 0.6, "#d0cba8")
    c.plant(8.5, (4, 7.5), lambda x, y: apart((x, y), road) > 10 and min(math.dist((x, y), h[:2]) for h in homes) > 27)


@_scene("farmland_01", "farmland_02")
def _farmland(c: Canvas) -> None:
    turn, crops = float(c.rng.uniform(-0.5, 0.5)), ("#8fa052", "#5f7a3a", "#b8a468", "#a58e62", "#7c6a4c", "#c3b27c")
    c.ground("#7b7a4c", "#8f8a5a")
    along, across = c.x * math.cos(turn) + c.y * math.sin(turn), c.y * math.cos(turn) - c.x * math.sin(turn)
    lumps, left = c.noise(50, 6), -130.0
    while left < 380:
        width, top = float(c.rng.uniform(45, 75)), -160 + float(c.rng.uniform(0, 40))
        while top < 420:
            deep = float(c.rng.uniform(30, 95))
            inside = (along > left) & (along < left + width - 2) & (across > top) & (across < top + deep - 2)
            c.ramp(lumps, [(-3, "#4c4a30"), (0, crops[c.rng.integers(len(crops))]), (4, "#d8cfa0")], inside)
            c.stripes(inside, float(c.rng.uniform(2.6, 6)), turn + (c.rng.random() < 0.5) * math.pi / 2)
            top += deep
        left += width
    path = place([(0, -200), (0, 200)], 150, _MID, 1, 1, turn)
    c.line(path, 4, "#b5a482")
    c.plant(7, (2, 3.6), lambda x, y: 8 < apart((x, y), path) < 13, 0.4)
    c.house(*place([(-16, -40)], 150, _MID, 1, 1, turn)[0], 26, 14, turn, wall=6)


@_scene("circular_farmland_01", "circular_farmland_02")
def _circular_farmland(c: Canvas) -> None:
    c.ground("#a08a68", "#b39b76", "#c0a985")
    crops = ("#5d7a3c", "#7a9149", "#4c6a38", "#b3a063", "#8a7a54", "#6c8644")
    c.frame(box(0, 0, SIDE, SIDE), 2.6, "#cdb893")
    c.frame(box(SIDE, SIDE, SIDE, SIDE), 2.6, "#cdb893")
    for x, y in ((64, 64), (192, 64), (64, 192), (192, 192)):
        away, bearing = np.hypot(c.x - x, c.y - y), np.arctan2(c.y - y, c.x - x)
        inside, start = away + 0.5 * c.noise(12) < 60, float(c.rng.uniform(0, 6))
        sown = np.mod(bearing + start, 2 * math.pi) < c.rng.choice((0, 0.8, 1.6, 3.1))
        for where, crop in zip((inside, inside & sown), c.rng.permutation(len(crops)), strict=False):
            c.ramp(c.noise(40, 6), [(-3, "#55553a"), (0, crops[crop]), (4, "#c5bb88")], where)
        c.colour[inside] *= (1 + 0.06 * np.sin(away * 1.15))[inside, None]
        c.line([(x, y), place([(58, 0)], x, y, 1, 1, start)[0]], 0.9, "#dcdcd4", 1.5)


@_scene("harbor_01")
def _harbor(c: Canvas) -> None:
    c.ground("#2c4a55", "#3a5b62")
    c.shape(box(_MID, 14, 270, 40), "#a09c92", 4)
    c.line([(0, 14), (SIDE, 14)], 11, "#6b6b6b")
    c.traffic((0, 14), (SIDE, 14), 20, 2.6, 6)
    for x in (38, 98, 158, 218):
        c.line([(x, 30), (x, 226)], 5, "#b7ae9c", 2)
        for y, side in ((y, side) for y in np.arange(46, 226, 10.5).tolist() for side in (-1, 1)):
            c.line([(x, y - 5), (x + side * 15, y - 5)], 1, "#b7ae9c", 1.5)
            if c.rng.random() < 0.84:
                length = float(c.rng.uniform(13, 19))
                c.boat(x + side * (4 + length / 2), y, length, 0 if side > 0 else math.pi)
    c.boat(200, 243, 24, math.pi)


@_scene("beach_01")
def _beach(c: Canvas) -> None:
    inland = c.x * 0.94 + c.y * 0.34 - 128 + 7 * np.sin(c.y / 31) + 2.5 * c.noise(24)
    inland += np.where(inland < 0, 2.2 * c.noise(16, stretch=3), 0)
    water = [(-140, "#1f5f7c"), (-90, "#2c7d93"), (-60, "#3c97a2"), (-52, "#cfe3df"), (-47, "#5fb0b0")]
    surf = [(-30, "#55b0b2"), (-24, "#e8f1ec"), (-17, "#8cc8c2"), (-9, "#9bcbc0"), (-4, "#f6f8f3"), (0, "#e2e3d5")]
    sand = [(3, "#b29f7d"), (16, "#cdb68e"), (30, "#e3d0a8"), (66, "#e6d5b0"), (74, "#c0b284"), (80, "#6d7747")]
    c.ramp(inland, [*water, *surf, *sand])
    foam = (inland < -5) & (inland > -70) & (c.noise(9, stretch=4) + 0.9 * np.cos(inland * 0.36) > 1.75)
    c.colour[foam] = 0.35 * c.colour[foam] + 0.62
    for x, y in c.rng.uniform((120, 0), (256, 256), (70, 2)).tolist():
        if 22 < c.at(inland, x, y) < 58:
            c.disc(x, y, 2.6, ("#c8403a", "#2f6fb0", "#efefe6", "#e0b23c")[c.rng.integers(4)], 3)
    c.plant(8, (3.5, 6), lambda x, y: c.at(inland, x, y) > 86, 0.8)


@_scene("baseball_field_01")
def _baseball_field(c: Canvas) -> None:
    c.ground("#6b7a40", "#7b8650")
    x, y, quarter, clay = 128, 214, math.pi / 4, "#b48c5f"
    fence = arc(x, y, 177, -3 * quarter - 0.04, -quarter + 0.04)
    c.shape([(x, y + 12), *fence], clay)
    c.line(fence, 1.2, "#3f5a44", 4)
    c.shape([(x, y), *arc(x, y, 166, -3 * quarter, -quarter)], "#5d8a3c")
    c.stripes((np.hypot(c.x - x, c.y - y) < 166) & (np.abs(c.x - x) < y - c.y), 16, 0)
    c.shape([(x, y + 6), *arc(x, y - 36, 66, -math.pi - 0.25, 0.25)], clay)
    c.shape(box(x, y - 43, 56, 56, quarter), "#628f40")
    for bx, by in ((x, y - 3), (x - 41, y - 43), (x + 41, y - 43), (x, y - 84), (x, y - 42)):
        c.disc(bx, by, 7, clay)
        c.shape(box(bx, by, 2.6, 2.6, quarter), "#ffffff")
    for side in (-1, 1):
        c.line([(x, y), (x + side * 119, y - 119)], 1.1, "#f4f4f0")
        c.shape(box(x + side * 64, y + 18, 46, 14, -side * quarter), "#b9bcbd", 9)
    c.plant(10, (4, 6.5), lambda tx, ty: math.dist((tx, ty), (x, y)) > 192 or (ty > 226 and abs(tx - x) > 80), 0.75)


@_scene("ground_track_field_01")
def _ground_track_field(c: Canvas) -> None:
    c.ground(*_GRASS)
    c.track(_MID, 66, 96)
    c.plant(11, (4, 6.5), lambda _x, y: abs(y - _MID) > 80, 0.6)


@_scene("stadium_01")
def _stadium(c: Canvas) -> None:
    c.ground("#8d8c88", "#a3a19b")
    away = np.hypot((np.abs(c.x - _MID) - 36).clip(0), c.y - _MID)
    bowl, roof = (away > 62) & (away < 108), (away > 93) & (away < 118)
    c.ramp(away, [(62, "#5b6f94"), (84, "#44587f"), (85, "#c9cacb"), (87, "#51658d"), (108, "#7587a8")], bowl)
    aisle = np.mod(np.arctan2(c.y - _MID, c.x - _MID) * 14 / math.pi, 1) < 0.07
    c.colour[bowl & aisle] = 0.72
    c.height[bowl] = (3 + (away - 62) * 0.5)[bowl]
    c.ramp(away, [(93, "#eceded"), (118, "#cfd2d4")], roof)
    c.height[roof] = 30
    c.track(_MID, 60, 72)
    c.plant(13, (4, 6), lambda x, y: c.at(away, x, y) > 128, 0.5)


@_scene("parking_lot_01")
def _parking_lot(c: Canvas) -> None:
    c.ground("#56585b", "#66686a", "#707173", feature=90)
    for y in (30, 76, 122, 168, 214):
        c.line([(14, y), (242, y)], 0.8, "#dcdcd8")
        for x in np.arange(14, 243, 8.45).tolist():
            c.line([(x, y - 13), (x, y + 13)], 0.7, "#dcdcd8")
            for side in (-1, 1):
                if x < 240 and c.rng.random() < 0.72:
                    c.car(x + 4.2, y + side * 7, math.pi * (0.5 + c.rng.integers(2)), 11)
        c.tree(248, y, 6.5)


@_scene("roundabout_01")
def _roundabout(c: Canvas) -> None:
    c.ground(*_GRASS)
    arms = (0.15, 1.65, 3.3, 4.85)
    for turn in arms:
        end = place([(190, 0)], _MID, _MID, 1, 1, turn)[0]
        c.line([(_MID, _MID), end], 24, "#a7a49b")
        c.line([(_MID, _MID), end], 20, "#626467")
    for radius, paint in ((68, "#a7a49b"), (65, "#626467"), (38, "#b9b5aa"), (36, "#6f8148"), (15, "#9a6f5c")):
        c.disc(_MID, _MID, radius, paint)
    for turn in arms:
        near, far = place([(68, 0), (190, 0)], _MID, _MID, 1, 1, turn)
        c.dashes(near, far, 0.8, "#e8e8e2", 7, 6)
        c.shape(place([(62, -7), (62, 7), (96, 0)], _MID, _MID, 1, 1, turn), "#7a824f", 0.4)
        c.traffic(near, far, 34, 5.2, 7)
        c.car(*place([(52, 0)], _MID, _MID, 1, 1, turn + 0.8)[0], turn + 2.37, 7)
    for x, y in arc(_MID, _MID, 25, 0, 2 * math.pi)[::4]:
        c.tree(x, y, 5)
    c.plant(11, (4, 7), lambda x, y: min(abs(x - 128), abs(y - 128)) > 44 and math.dist((x, y), (128, 128)) > 84, 0.75)


@_scene("forest_01")
def _forest(c: Canvas) -> None:
    c.ground("#2c3a22", "#3a4a2a")
    path = [(-10, 70), (60, 90), (130, 150), (190, 170), (270, 240)]
    c.line(path, 9, "#a08f6e")
    c.plant(9.5, (5, 9.5), lambda x, y: apart((x, y), path) > 9)


@_scene("desert_01")
def _desert(c: Canvas) -> None:
    warp = 16 * c.noise(120, 3) + 1.5 * c.noise(20, 2)
    phase = np.mod((c.x * 0.9 + c.y * 0.45 + warp) / 50, 1)
    swell = np.where(phase < 0.7, phase / 0.7, (1 - phase) / 0.3) ** 1.3 * (1 + 0.4 * c.noise(80, 2)).clip(0.25)
    c.height = (8 * swell + 0.12 * np.sin((c.x * 0.8 - c.y * 0.5 + warp) * 1.2)).astype(np.float32)
    c.ramp(c.noise(60) + phase, [(-2, "#b98a58"), (0, "#cfa26c"), (2.5, "#e2bd88")])


@_scene("lake_01")
def _lake(c: Canvas) -> None:
    c.ground("#4d5a33", "#66713f", "#7d8153")
    shore = np.hypot((c.x - 122) / 1.15, (c.y - 132) * 1.12) + 13 * c.noise(80, 5) - 70
    c.ramp(shore, [(-60, "#1d3f48"), (-12, "#2c5657"), (-2, "#5a7a6a"), (0, "#b3a682"), (8, "#7d8153")], shore < 8)
    c.plant(9, (4, 7.5), lambda x, y: c.at(shore, x, y) > 12, 0.9)
    c.boat(110, 120, 11, 0.8)


@_scene("railway_01")
def _railway(c: Canvas) -> None:
    c.ground("#867f74", "#968e80")
    for y in range(60, 240, 15):
        c.line([(0, y), (SIDE, y)], 10, "#75695c")
        c.dashes((0, y), (SIDE, y), 8, "#57493d", 1.5, 2.5)
        c.frame(box(_MID, y, 300, 4.6), 0.8, "#c3bfba")
    for y in (60, 90, 120, 135, 165, 195, 225):
        start = float(c.rng.uniform(-60, 60))
        for wagon in range(int(c.rng.integers(3, 8))):
            paint = ("#8d3b2c", "#4a5f7c", "#a9743a", "#5d6b55", "#b3b5b5")[c.rng.integers(5)]
            c.shape(box(start + wagon * 32.5, y, 30, 8.5), paint, 7)
            c.shape(box(start + wagon * 32.5, y, 26, 4), paint, 7.6)
    c.plant(11, (4, 6.5), lambda _x, y: y < 36, 0.7)


@_scene("tennis_court_01")
def _tennis_court(c: Canvas) -> None:
    c.ground(*_GRASS)
    c.shape(box(_MID, _MID, 216, 208), "#3f6b52")
    for x, y in ((x, y) for x in (62, 128, 194) for y in (78, 178)):
        c.shape(box(x, y, 36, 78), "#3d6ba3")
        for width, depth in ((36, 78), (27, 78), (27, 42)):
            c.frame(box(x, y, width, depth), 0.9, "#f4f6f6")
        c.frame(box(x, y, 0, 42), 0.9, "#f4f6f6")
        c.line([(x - 20, y), (x + 20, y)], 0.8, "#22262a", 2.5)
        c.line([(x + 33, 26), (x + 33, 230)], 0.7, "#5d6b66", 5)
    c.plant(11, (4.5, 7), lambda x, y: max(abs(x - _MID) - 4, abs(y - _MID)) > 112, 0.9)


def render_demo_tiles(directory: Path, *, seed: int = 0, tile_px: int = 256) -> list[Path]:
    """Paints the demo tiles as JPEG files.

    Args:
        directory: Folder for the tiles; made if it does not exist.
        seed: The same seed gives the same pictures.
        tile_px: Side of every tile in pixels, 64 to 1024.

    Returns:
        The files written, in the order of their names.

    Raises:
        TileSourceError: The size is out of range, or the folder cannot be written.
    """
    if not 64 <= tile_px <= 1024:
        raise TileSourceError(f"tile_px is {tile_px}; choose a size from 64 to 1024 pixels")
    written = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, paint in sorted(_SCENES.items()):
            canvas = Canvas(np.random.default_rng((seed, zlib.crc32(name.encode()))), tile_px)
            paint(canvas)
            half_written = directory / f".{name}.part"
            canvas.finish().save(half_written, "JPEG", quality=86)
            written.append(half_written.replace(directory / f"{name}.jpg"))
    except OSError as error:
        raise TileSourceError(f"cannot write demo tiles to {directory} ({error}); choose another folder") from error
    return written


def demo_folder() -> Path:
    """Returns the folder of the demo tiles, painted on first use (some seconds) and kept from then on.

    See `lrsclip.user_cache` for where it lies.

    Raises:
        TileSourceError: The cache cannot be written.
    """
    cache = user_cache()
    # The name carries the recipe, so that changed scenes are painted anew and never mixed with older ones.
    recipe = zlib.crc32(Path(__file__).read_bytes() + Path(demo_canvas.__file__).read_bytes())
    folder = cache / f"demo-tiles-{recipe:08x}"
    if folder.is_dir():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".demo-tiles-", dir=cache) as scratch:
            painted = Path(scratch) / "tiles"
            render_demo_tiles(painted)
            try:
                painted.rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process has painted the same tiles meanwhile
                    raise
    except OSError as error:
        raise TileSourceError(f"cannot write to {cache} ({error}); set LRSCLIP_CACHE to a folder of yours") from error
    return folder
