"""Real parts for the tests of the page: rendered tiles, a small model with a vocabulary, an index, a running server."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image, ImageDraw
from rasterio.transform import Affine

import lrsclip
from app.pages import build, serve
from app.state import AppState
from lrsclip.index import build_index
from lrsclip.tiles import open_source

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
    """A picture as GeoTIFF in UTM 14 north: Nebraska, two metres a pixel."""
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
    source = open_source(str(folder / "tiles"))
    return AppState(bundle, build_index(source, bundle, folder / "index"), source)


@contextmanager
def running(state: AppState, *, guests: bool = True) -> Iterator[str]:
    """A server on this machine's loopback; gives its address."""
    demo = build(state, guests=guests)
    try:
        yield serve(demo, host="127.0.0.1", port=None, block=False)
    finally:
        demo.close(verbose=False)
