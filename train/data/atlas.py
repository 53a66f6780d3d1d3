"""The atlas as training data: rendered tiles of worlds that nothing is measured on, with their true descriptions."""

from __future__ import annotations

from functools import partial
from typing import Any

from tqdm import tqdm

from lrsclip.atlas.seeds import DEFAULT_SEED, GROUNDING_SEED
from lrsclip.errors import TrainingError
from lrsclip.tiles.atlas import AtlasTiles
from train.data.records import Record


def read_atlas(seeds: tuple[int, ...], tiles: int) -> list[Record]:
    """Draw what is missing, and read the records of some worlds, all of split `train`.

    Args:
        seeds: the worlds.
        tiles: of each world.

    Raises:
        TrainingError: a world is one that is measured on.
        TileSourceError: the user's cache cannot be written.
    """
    records = []
    for seed in seeds:
        if seed in (DEFAULT_SEED, GROUNDING_SEED):
            raise TrainingError(f"atlas seed {seed} is measured on; train on other worlds")
        source = AtlasTiles(seed, tiles)
        with tqdm(total=len(source), desc=f"drawing atlas {seed}", unit="tile", delay=2) as bar:
            source.prepare(partial(_show, bar))
        for tile_id in source.tile_ids():
            texts = source.texts(tile_id)
            captions = (texts.short, *texts.sentences)
            false = tuple((at + 1, text) for at, text in texts.false)
            records.append(Record("atlas", source.kept_file(tile_id), "train", captions, None, True, false))
    return records


def _show(bar: Any, done: int, _total: int) -> None:
    bar.update(done - bar.n)
