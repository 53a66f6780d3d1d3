"""Batches: which pictures an epoch shows in which order, with which texts, turned how.

All that is random here follows from (seed, epoch, step) alone, so a run that was killed and resumed sees the same
batches as one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lrsclip.tokens import Tokenizer
from train.cache import Prepared
from train.losses import same_texts
from train.readers import Record
from train.settings import Settings
from train.texts import TextPair, compose

_ORDER, _DRAW = 0, 1  # keeps the two uses of (seed, epoch) apart


@dataclass(frozen=True)
class Batch:
    """One training step's input.

    Attributes:
        rows: (N, G * G, 1024) float16 features or (N, 3, P, P) uint8 pixels, already turned.
        long: (N, L) token ids; `same_long` (N, N) says which are the same text.
        short: (N, S) token ids; `same_short` likewise.
    """

    rows: Tensor
    long: Tensor
    short: Tensor
    same_long: Tensor
    same_short: Tensor


class BatchMaker:
    """Draws the batches of any epoch."""

    def __init__(self, records: list[Record], row_of: list[int], prepared: Prepared, settings: Settings) -> None:
        """`row_of[i]` is the row of `prepared` that belongs to `records[i]`."""
        self.records, self.row_of, self.prepared, self.settings = records, row_of, prepared, settings
        self._captioned = np.array([i for i, r in enumerate(records) if r.captions], dtype=np.int64)
        self._plain = np.array([i for i, r in enumerate(records) if not r.captions], dtype=np.int64)

    @property
    def steps(self) -> int:
        """Steps of an epoch (a last batch that is not full is left out: it would have fewer negatives)."""
        return (len(self._captioned) + self._plain_shown) // self.settings.batch_size

    @property
    def _plain_shown(self) -> int:
        return round(len(self._plain) * self.settings.class_folder_share)

    def epoch(self, epoch: int, first_step: int, tokenizer: Tokenizer) -> Iterator[Batch]:
        """The batches of an epoch from `first_step` on, each made while the one before it is learned from."""
        random = np.random.default_rng([self.settings.seed, _ORDER, epoch])
        shown = np.concatenate([self._captioned, random.permutation(self._plain)[: self._plain_shown]])
        order = random.permutation(shown)
        size = self.settings.batch_size

        def make(step: int) -> Batch:
            return self._make(order[step * size : (step + 1) * size], epoch, step, tokenizer)

        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(make, first_step) if first_step < self.steps else None
            for step in range(first_step, self.steps):
                assert ahead is not None
                batch = ahead.result()
                if step + 1 < self.steps:
                    ahead = pool.submit(make, step + 1)
                yield batch

    def _make(self, chosen: np.ndarray, epoch: int, step: int, tokenizer: Tokenizer) -> Batch:
        random = np.random.default_rng([self.settings.seed, _DRAW, epoch, step])
        drop, named = self.settings.word_drop, self.settings.class_sentence
        pairs = [compose(self.records[i], random, drop, named) for i in chosen]
        rows = torch.from_numpy(np.stack([self.prepared.rows[self.row_of[i]] for i in chosen]))
        if self.settings.flips:
            rows = self._turned(rows, pairs, random)
        long, short = [p.long for p in pairs], [p.short for p in pairs]
        return Batch(rows, tokenizer(long), tokenizer(short), same_texts(long), same_texts(short))

    def _turned(self, rows: Tensor, pairs: list[TextPair], random: np.random.Generator) -> Tensor:
        """Each picture by one of the eight symmetries of the square, unless its texts name a direction."""
        turns = random.integers(8, size=len(pairs))
        turns[[p.names_direction for p in pairs]] = 0
        if self.prepared.is_features:
            side = int(rows.shape[1] ** 0.5)
            grid = rows.unflatten(1, (side, side)).permute(0, 3, 1, 2)
            grid = turn(grid, turns)
            if self.settings.crop_scale_min < 1:
                fixed = np.array([p.names_direction for p in pairs])
                grid = crop_cells(grid, self.settings.crop_scale_min, fixed, random)
            return grid.flatten(2).transpose(1, 2).contiguous()
        return turn(rows, turns)


def turn(grids: Tensor, turns: np.ndarray) -> Tensor:
    """Turn square maps (N, C, S, S) by a quarter `turns % 4` times and mirror those with `turns >= 4`."""
    out = torch.empty_like(grids)
    for number in range(8):
        rows = torch.from_numpy(np.flatnonzero(turns == number))
        if len(rows):
            some = torch.rot90(grids[rows], number % 4, (2, 3))
            out[rows] = some.flip(3) if number >= 4 else some
    return out


def crop_cells(grids: Tensor, scale_min: float, fixed: np.ndarray, random: np.random.Generator) -> Tensor:
    """Crop feature maps (N, C, S, S) to a random square of whole cells and stretch it to S x S again.

    Nearly what a crop of the picture would give, without running the trunk on it.

    Args:
        grids: the maps.
        scale_min: smallest part of the area that is kept.
        fixed: (N,) bool, true for maps that stay whole.
        random: draws side and place.
    """
    side = grids.shape[-1]
    sides = random.integers(math.ceil(side * scale_min**0.5), side + 1, size=len(grids))
    sides[fixed] = side
    out = grids.clone()
    places = np.stack([sides, random.integers(side - sides + 1), random.integers(side - sides + 1)], axis=1)
    for kept, top, left in np.unique(places[sides < side], axis=0):
        rows = torch.from_numpy(np.flatnonzero((places == (kept, top, left)).all(axis=1)))
        window = grids[rows, :, top : top + kept, left : left + kept].float()
        out[rows] = F.interpolate(window, size=(side, side), mode="bilinear", align_corners=False).to(grids.dtype)
    return out
