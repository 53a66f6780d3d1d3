"""The shipped checkpoint does its job on pictures that it never saw: a rendered world that it was not trained on."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import lrsclip
from lrsclip.atlas.geometry import middle
from lrsclip.atlas.land_use import World
from lrsclip.atlas.layout import Country
from lrsclip.atlas.rendering import render
from lrsclip.atlas.seeds import DEFAULT_SEED
from lrsclip.localize import localize
from lrsclip.tiles.atlas import TILE_PX

pytestmark = pytest.mark.slow

WANTED = {
    "airport": "an airport with several planes parked on a wide concrete apron",
    "baseball field": "a baseball field",
    "beach": "white waves at a beach with yellow sand",
    "church": "a church with trees around it",
    "commercial": "tall office towers and large flat roofs between parking lots",
    "dense residential": "dense residential area with many houses in rows",
    "desert": "desert",
    "farmland": "pieces of farmland",
    "forest": "a dense green forest",
    "industrial": "factory halls and trucks in an industrial area",
    "parking": "a parking lot with many cars",
    "playground": "a football pitch within a red running track and tennis courts",
    "port": "many boats docked at a harbor",
    "railway station": "a railway station with platforms and trains",
    "square": "a square with a fountain and lawns",
    "stadium": "a stadium",
    "storage tanks": "many storage tanks",
    "viaduct": "a viaduct and winding ramps of a road interchange",
}


@pytest.fixture(scope="module")
def bundle() -> lrsclip.LRSCLIP:
    return lrsclip.load("tiny")


@pytest.fixture(scope="module")
def tiles() -> dict[str, Image.Image]:
    """One tile of each kind of site."""
    country = Country(World(DEFAULT_SEED))
    first: dict[str, tuple[float, float]] = {}
    for site in country.sites(0, 0, 6144, 6144):
        first.setdefault(site.use, middle(site.outline))
    return {
        use: render(country, round(x - TILE_PX / 2), round(y - TILE_PX / 2), TILE_PX, TILE_PX)
        for use, (x, y) in first.items()
    }


def test_descriptions_find_their_sites(bundle: lrsclip.LRSCLIP, tiles: dict[str, Image.Image]) -> None:
    uses = list(tiles)
    scores = bundle.encode_text(list(WANTED.values())) @ bundle.encode_image(list(tiles.values())).T
    found = [use for use, row in zip(WANTED, scores, strict=True) if uses[int(np.argmax(row))] == use]
    assert len(found) >= 13, f"only {found}"  # by chance less than one


def test_a_sentence_lights_up_its_half_of_a_scene(bundle: lrsclip.LRSCLIP, tiles: dict[str, Image.Image]) -> None:
    scene = Image.new("RGB", (512, 256))
    for number, use in enumerate(("storage tanks", "farmland")):
        scene.paste(tiles[use].resize((256, 256)), (256 * number, 0))
    for sentence, side in {"many storage tanks": 0, "pieces of farmland": 1}.items():
        halves = localize(bundle, scene, sentence).scores_cos
        means = halves[:, :256].mean(), halves[:, 256:].mean()
        assert means[side] > means[1 - side] + 0.05
