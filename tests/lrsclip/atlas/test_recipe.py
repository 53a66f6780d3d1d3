"""The recipe: what the atlas draws and says is the same as when its value was chosen, to the last pixel and letter."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import lru_cache

import numpy as np
import pytest
from numpy._core._multiarray_umath import __cpu_features__  # type: ignore[import-not-found]
from numpy.typing import NDArray

from lrsclip.tiles.atlas import RECIPE, AtlasTiles, recipe

MADE_BY = "7d62e75e"
"""The recipe under which the hashes below were taken."""
CHANGED = (
    "the atlas draws or says something else than it did under its recipe: if that is wanted, give RECIPE in "
    "lrsclip/tiles/atlas.py another value, run `python -m assets.make_collection`, and put the new hashes here"
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

MEANS = {
    (11, 0, 2): (
        "7a7874807e799c978f98948b938f867b77707a766e746b5169676269656274716b9a968d716d6999958c98948c716c58"
        "706d68716e68776f637d756677705f776d5874685179735c6a645066604c786b53776b51776d55786a56736652746f5e"
        "69624d655d4b776c55786850776c54766a55786e5b736d57726c5b787363776f62817a6e807b72847f76857e75777262"
        "827c667b7a61787064857d7277736d807770867c72777264777155706d4f776f5b7a725e7d745f7b766378746075715c"
    ),
    (11, 6, 0): (
        "6f6b659e998f43575c3e5f642b4f5a2445512546532d525c6a635d8a867e5060635f6a647d8d815674755f79787a877a"
        "6b685b8a826a78725c71675369654c767055716c54666248706b5a7a76557673517869516d684c6862486b674f706a51"
        "716b567d7658857e5e8e83658b815f897d5c7366528a857a6a634a7b7357948969968a6b8e83618d7f5c8f815f8a857a"
        "696449746e5294896a958a6a7e7358786a52978b65847e6e5d5f50776e5f756f5678725977725d77725d78735c75715c"
    ),
    (5, 5, 6): (
        "4a5644636f51626f4f606b525960465a624a5a61576f73704f624b5a664d63705168705e53594b4c58415e645a737576"
        "565645535d4d66696b747676575e535260474d58466f7275515f434d5a428588898c8e90727675555a4c575c4c646a6f"
        "4c57404f57476c706b595e534f56495f61546263576569676b6e6a818383676c664d53494d5446595f535559475a6355"
        "7b7e7f9193926f72734c544650574b545d4f636c5d60685a696c706a6f6a565f52525b49505949535b4e666e625f685d"
    ),
    (20, 7, 1): (
        "72736b6c6a677a6e649591898b87808c8777a69b72a4996b78797265605d746d68908c84a29d94908d87816f687c7164"
        "6f767c7c79737f786f78766fa4a097706e6a8c87806a6d5e6d6d6b746d6c64674f636c4d61664e636751717262686c5a"
        "6f6d686f6f6c62634760664364684f5f654b5b5f45616a4a75786967695d837e727c75676f6e5c6a6b565f624966704d"
        "637754626b578d8a8288857d8e8a82908b818b867c8682765e664760664c6a6e5b737469918c80938e8487837b918d84"
    ),
}
"""Means of the same blocks in squares of 96 px, row by row, red, green and blue, as hexadecimal bytes."""


@lru_cache(maxsize=len(BLOCKS))
def drawn(seed: int, row: int, column: int) -> NDArray[np.uint8]:
    """Pixels of a block, (768, 768, 3); drawing one takes seconds."""
    return np.asarray(AtlasTiles(seed)._render_block(row, column))


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "row", "column", "pixels_sha256", "texts_sha256"), BLOCKS)
def test_reference_tiles_are_those_of_the_recipe(
    seed: int, row: int, column: int, pixels_sha256: str, texts_sha256: str
) -> None:
    source = AtlasTiles(seed)
    texts = [asdict(source._written(row * 4 + down, column * 4 + right)) for down in range(4) for right in range(4)]
    assert all(text["short"] and text["sentences"] for text in texts)
    assert any(text["false"] for text in texts)
    assert hashlib.sha256(json.dumps(texts).encode()).hexdigest() == texts_sha256, f"texts: {CHANGED}"
    block = drawn(seed, row, column)
    if __cpu_features__.get("AVX512F"):  # there numpy sums and rounds otherwise, so that a pixel may be one off
        means = block.astype(np.float64).reshape(8, 96, 8, 96, 3).mean((1, 3)).ravel()
        assert abs(means - np.frombuffer(bytes.fromhex(MEANS[seed, row, column]), np.uint8)).max() < 0.6, CHANGED
    else:
        assert hashlib.sha256(block.tobytes()).hexdigest() == pixels_sha256, f"pixels: {CHANGED}"


@pytest.mark.parametrize(("seed", "row", "column"), [block[:3] for block in BLOCKS])
def test_the_means_are_of_the_same_tiles(seed: int, row: int, column: int) -> None:
    """Also where the pixels themselves are compared, so that both are renewed together."""
    pixels = drawn(seed, row, column).astype(np.float64)
    means = pixels.reshape(8, 96, 8, 96, 3).mean((1, 3)).ravel()
    assert abs(means - np.frombuffer(bytes.fromhex(MEANS[seed, row, column]), np.uint8)).max() < 0.6, CHANGED


def test_the_hashes_are_of_the_recipe_at_hand() -> None:
    assert recipe() == RECIPE == MADE_BY, "put the hashes of the new recipe's tiles here too"
