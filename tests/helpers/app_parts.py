"""Real parts for the tests of the page: rendered tiles, a small model with a vocabulary, an index, a running server."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from PIL import Image, ImageDraw
from rasterio.transform import Affine

import lrsclip
from app.build import build, serve
from app.collections import AppState
from app.localize.service import Answer, Finding, Ground, Question, regions_of
from app.media.upload_route import take_in
from app.search.service import Found, Query, search
from app.server.request_log import CURRENT, Call
from app.server.upload_folder import Upload, own_folder
from lrsclip.index import build_index
from lrsclip.localize import CellMap, GeoReference, Heatmap, ScoredWindow
from lrsclip.tiles import open_tiles

KINDS = ("field", "harbour", "road", "tanks")
PER_KIND = 4
SEEN_WORDS = ("a", "of", "the", "and", "white", "boats", "harbour", "road", "field", "with", "water", "long", "in")


def draw_tile(kind: str, seed: int, px: int = 128) -> Image.Image:
    """A picture that differs by kind: stripes, boats on water, a road, round tanks."""
    rng = np.random.default_rng((seed, KINDS.index(kind)))
    ground = {"field": (120, 130, 70), "harbour": (40, 70, 100), "road": (110, 120, 90), "tanks": (150, 140, 120)}[kind]
    noise = rng.integers(-12, 12, (px, px, 3))
    picture = Image.fromarray(np.clip(np.array(ground) + noise, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(14):
        x, y, size = (int(value) for value in rng.integers(0, px, 3))
        if kind == "field":
            pen.line([(0, y), (px, y + size // 8)], fill=(90, 100, 50), width=2)
        elif kind == "harbour":
            pen.rectangle([x, y, x + 4, y + 12], fill=(240, 240, 240))
        elif kind == "tanks":
            pen.ellipse([x, y, x + 18, y + 18], fill=(235, 235, 230), outline=(90, 90, 90))
    if kind == "road":
        pen.line([(0, px // 3), (px, px // 2)], fill=(70, 70, 75), width=12)
    return picture


def write_geotiff(path: Path, picture: Image.Image) -> Path:
    """A picture as GeoTIFF in UTM 14 north: Nebraska, two meters a pixel."""
    place = {"crs": "EPSG:26914", "transform": Affine(2, 0, 500_123, 0, -2, 4_430_456)}
    with rasterio.open(
        path, "w", driver="GTiff", width=picture.width, height=picture.height, count=3, dtype="uint8", **place
    ) as data:
        data.write(np.array(picture.convert("RGB")).transpose(2, 0, 1))
    return path


def write_tiles(folder: Path) -> None:
    """Write `PER_KIND` tiles of each kind, one of them with a name that is HTML."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        for seed in range(PER_KIND):
            name = "<b>field_0<b>.png" if (kind, seed) == ("field", 0) else f"{kind}_{seed}.png"
            draw_tile(kind, seed).save(folder / name)


def make_state(folder: Path) -> AppState:
    """The app's state over freshly drawn tiles, with random weights and a small vocabulary."""
    write_tiles(folder / "tiles")
    bundle = dataclasses.replace(lrsclip.random_model(), vocabulary=dict.fromkeys(SEEN_WORDS, 1))
    source = open_tiles(str(folder / "tiles"))
    return AppState(bundle, build_index(source, bundle, folder / "index"), source)


def landscape_state(folder: Path, tiles: int, seed: int = 4) -> AppState:
    """The app's state over tiles of the rendered landscape, whose place is known, with random weights."""
    source, bundle = open_tiles(f"atlas:?seed={seed}&tiles={tiles}&px_m=0.5"), lrsclip.random_model()
    return AppState(bundle, build_index(source, bundle, folder / "index"), source)


@contextmanager
def running(state: AppState, *, untrusted: bool = True) -> Iterator[str]:
    """A server on this machine's loopback; gives its address."""
    demo = build(state, untrusted=untrusted)
    try:
        yield serve(demo, host="127.0.0.1", port=None, block=False)
    finally:
        demo.close(verbose=False)


def as_sent(file: Path) -> Upload:
    """A file as an event gets it that was uploaded; the file itself stays as it is."""
    draft = own_folder().incoming() / file.name
    shutil.copyfile(file, draft)
    kept = take_in(draft, own_folder())
    shutil.rmtree(draft.parent)
    return own_folder().admit(str(kept), file.name)


WIDE, HIGH = 360, 240  # px of the scene of `made_heatmap`
NASTY = "</script><script>window.ran = 1</script><img src=x onerror='window.ran=1'>\"'&{{7*7}}"
TRUTH = {
    "size_m": 360.0,
    "features": [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[10, 20], [60, 20], [60, 80], [10, 80], [10, 20]]]},
            "properties": {"class": NASTY, "color": NASTY, "material": "", "length_m": 60.0, "breadth_m": 50.0},
        },
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [350, 0], [350, 100], [0, 100], [0, 0]]]},
            "properties": {"land_use": "field"},
        },
    ],
}


def made_heatmap(georeference: GeoReference | None = None, text: str = "a field", holes: bool = True) -> Heatmap:
    """A map of 3 x 4 cells whose upper left one is the best; the lower right one holds no data."""
    values = np.linspace(0.4, -0.1, 12, dtype=np.float32).reshape(3, 4)
    if holes:
        values[2, 3] = np.nan
    cells = CellMap(values, np.arange(0, HIGH + 1, 80), np.arange(0, WIDE + 1, 90))
    return Heatmap(
        text=text,
        exclude="",
        cells=cells,
        width_px=WIDE,
        height_px=HIGH,
        georeference=georeference,
        method="dense",
        scales_px=(60,),
        windows=12,
        best=ScoredWindow(30, 20, 60, 0.41),
        presence=None,
        seconds=0.1,
        reused=False,
    )


def answer_of(*maps: Heatmap, clauses: tuple[Heatmap, ...] = (), question: Question | None = None) -> Answer:
    """An answer of maps made by hand."""
    asked = question or Question(maps[0].text)
    return Answer(asked, tuple(Finding(shown, regions_of(shown, None)) for shown in maps), clauses, "")


def ground_with(truth: Any = None) -> Ground:
    """What they lie on."""
    return Ground(draw_tile("field", 3, WIDE).crop((0, 0, WIDE, HIGH)), truth)


def find(state: AppState, text: str, k: int) -> Found:
    """Search for a description; near-duplicates stay, because to random weights all tiles look nearly the same."""
    return search(state, Query(text, k=k, hide_duplicates=False))


@contextmanager
def calling(client: str) -> Iterator[None]:
    """As inside a call of a client."""
    token = CURRENT.set(Call("/call", client=client))
    try:
        yield
    finally:
        CURRENT.reset(token)
