"""The recipe: what the atlas draws and says is the same as when its value was chosen, to the last pixel and letter."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import pytest

from lrsclip.atlas.tiles import RECIPE, AtlasTiles, recipe

MADE_BY = "7d62e75e"
"""The recipe under which the hashes below were taken."""
CHANGED = (
    "the atlas draws or says something else than it did under its recipe: if that is wanted, give RECIPE in "
    "lrsclip/atlas/tiles.py another value, run `python -m assets.make_collection`, and put the new hashes here"
)
# Blocks of sixteen tiles that hold nearly every kind of site between them: seed, row and column of the block, SHA-256
# of the pixels, and of the short, long and false texts.
BLOCKS = [
    (
        11,
        0,
        2,
        "2ac2aeb2e383da5384a51a84cfe249d6c78fc4e23b469129d8e7dca09bef59eb",
        "61af866a77a3272241d438aa271ff3def23a40e858563cf8e201c8357605ff5d",
    ),
    (
        11,
        6,
        0,
        "a0f828c7f22e1ae5e158f7683eb1aec309a6a2b1a18f873a0425163a4e715236",
        "d612ce9374f7346cff02511cf9e8a20c7f2791dd454b7b76ac3ff83d4d8acac0",
    ),
    (
        5,
        5,
        6,
        "01d573397bee7b310c4cabfabb6c3a6cbfcaf0d6b29db3ac55c298e922c68065",
        "adbc01bdf2275ee95804c1cc8e53db7c59704ac399dcae3f81e2c1466ba61ac5",
    ),
    (
        20,
        7,
        1,
        "8bbe599061553db17a0f68b337ba0e3b20dbe23b5a0e8c910c710f6f6dcfbd59",
        "e2dc46140018f47dae4e703e14730c6caa83cd860f9720b3ecaf1dfa63da1f3f",
    ),
]


@pytest.mark.parametrize(("seed", "row", "column", "pixels_sha256", "texts_sha256"), BLOCKS)
def test_reference_tiles_are_those_of_the_recipe(
    seed: int, row: int, column: int, pixels_sha256: str, texts_sha256: str
) -> None:
    source = AtlasTiles(seed)
    texts = [asdict(source._written(row * 4 + down, column * 4 + right)) for down in range(4) for right in range(4)]
    assert all(text["short"] and text["sentences"] for text in texts)
    assert any(text["false"] for text in texts)
    assert hashlib.sha256(json.dumps(texts).encode()).hexdigest() == texts_sha256, f"texts: {CHANGED}"
    pixels = source._render_block(row, column).tobytes()
    assert hashlib.sha256(pixels).hexdigest() == pixels_sha256, f"pixels: {CHANGED}"


def test_the_hashes_are_of_the_recipe_at_hand() -> None:
    assert recipe() == RECIPE == MADE_BY, "put the hashes of the new recipe's tiles here too"
