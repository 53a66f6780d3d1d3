"""The shipped checkpoint does its job on pictures that it never saw: the tiles that the project paints itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import lrsclip
from lrsclip.index import build_index
from lrsclip.localize import localize
from lrsclip.tiles import open_source
from lrsclip.tiles.demo import demo_folder

WANTED = {
    "airport": "an airport with several planes parked beside a long terminal building and two runways in the grass",
    "harbor": "many boats docked at a harbor",
    "bridge": "a bridge over a river with trees",
    "beach": "white waves at a beach with yellow sand",
    "baseball": "a baseball field",
    "storage": "many storage tanks",
    "dense": "dense residential area with many houses in rows",
    "farmland": "pieces of farmland",
    "tennis": "tennis courts",
    "parking": "a parking lot with many cars",
    "desert": "desert",
    "railway": "railway with trains",
    "runway": "a plane on the runway",
    "stadium": "a stadium surrounded by trees",
}


@pytest.fixture(scope="module")
def bundle() -> lrsclip.LRSCLIP:
    return lrsclip.load("tiny")


def test_descriptions_find_their_painted_tiles(bundle: lrsclip.LRSCLIP, tmp_path: Path) -> None:
    index = build_index(open_source(str(demo_folder())), bundle, tmp_path / "index")
    hits = index.search(bundle.encode_text(list(WANTED.values())), 1)
    found = [kind for kind, best in zip(WANTED, hits, strict=True) if best[0].tile_id.startswith(kind)]
    assert len(found) >= 11, f"only {found}"  # chance is one of 22


def test_a_sentence_lights_up_its_half_of_a_scene(bundle: lrsclip.LRSCLIP) -> None:
    source = open_source(str(demo_folder()))
    tanks, fields = source.picture("storage_tanks_01.jpg"), source.picture("farmland_01.jpg")
    scene = tanks.resize((512, 256))
    scene.paste(tanks, (0, 0))
    scene.paste(fields, (256, 0))
    for sentence, side in {"many storage tanks": 0, "pieces of farmland": 1}.items():
        halves = localize(bundle, scene, sentence).scores_cos
        means = halves[:, :256].mean(), halves[:, 256:].mean()
        assert means[side] > means[1 - side] + 0.05
