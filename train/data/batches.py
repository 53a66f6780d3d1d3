"""Batches: which pictures an epoch shows in which order, with which texts, turned how.

All that is random here follows from (seed, epoch, step) alone, so a run that was killed and resumed sees the same
batches as one that was not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lrsclip.models.tokenizer import Tokenizer
from train.data.augment import Changes, draw_changes, turn
from train.data.feature_cache import Prepared
from train.data.records import Record
from train.data.rows import Rows
from train.data.text_pairs import TextPair, compose, compose_exact
from train.data.truth import Truth, truth_of
from train.distributed import World
from train.settings import Settings

# An exact batch's longest texts: most steps cost less, and one false claim among few is where much is to be learned.
_SENTENCES = (2, 3, 5, 8, 16)
_ORDER, _DRAW, _CHANGE, _VIEW = 0, 1, 2, 3  # keeps the uses of (seed, epoch) apart


@dataclass(frozen=True)
class Batch:
    """One process' input of a training step: n rows of the N that all processes have together.

    Attributes:
        rows: (n, G * G, 1024) float16 features or (n, 3, P, P) uint8 pixels, already turned.
        long: (n, L) token ids.
        short: (n, S) token ids.
        true_long: which long texts of the whole batch are true of which of its pictures.
        true_short: the same of the short texts.
        changes: crops and colors of the n rows, still to be made; None for none.
        false: (n, L) token ids of the long texts with one false claim; None where the batch knows none.
        has_false: (N,) bool, which of the whole batch have one.
        false_rows: as `rows`, turned so that the long texts are false of them; None where the batch knows none.
        has_false_rows: (N,) bool, which of the whole batch have one.
    """

    rows: Tensor
    long: Tensor
    short: Tensor
    true_long: Truth
    true_short: Truth
    changes: Changes | None = None
    false: Tensor | None = None
    has_false: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    false_rows: Tensor | None = None
    has_false_rows: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))


class BatchMaker:
    """Draws the batches of any epoch."""

    def __init__(
        self,
        records: list[Record],
        row_of: Sequence[int] | Sequence[tuple[int, ...]],
        prepared: Prepared,
        settings: Settings,
        world: World | None = None,
    ) -> None:
        """Take the records; `row_of[i]` is the row of `prepared` for `records[i]`, or the rows of its views.

        Each process has its part.
        """
        self.records, self.prepared, self.settings = records, prepared, settings
        self.world = world or World()
        views = [rows if isinstance(rows, tuple) else (rows,) for rows in row_of]
        self.rows = Rows(prepared, views, self.world.device, settings.hold_on_device)
        self._captioned = np.array([i for i, r in enumerate(records) if r.described], dtype=np.int64)
        self._exact = np.array([r.exact for r in records], dtype=np.bool_)
        self._plain = np.array([i for i, r in enumerate(records) if not r.described], dtype=np.int64)

    @property
    def steps(self) -> int:
        """Steps of an epoch (a last batch that is not full is left out: it would have fewer negatives)."""
        exact = int(self._exact.sum())
        mixed = len(self._captioned) - exact + self._plain_shown
        once = exact // self.settings.batch_size
        return mixed // self.settings.batch_size + once * self.settings.atlas_showings

    @property
    def _plain_shown(self) -> int:
        return round(len(self._plain) * self.settings.class_folder_share)

    def epoch(self, epoch: int, first_step: int, tokenizer: Tokenizer) -> Iterator[Batch]:
        """Yield the batches of an epoch from `first_step` on, each made while the one before it is learned from."""
        random = np.random.default_rng([self.settings.seed, _ORDER, epoch])
        shown = np.concatenate([self._captioned, random.permutation(self._plain)[: self._plain_shown]])
        size = self.settings.batch_size
        order = self._ordered(shown, size, random)

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

    def _ordered(self, shown: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
        """Return an epoch's order; records with exact texts share batches, because only each other tells them apart."""
        if not self._exact.any():
            return random.permutation(shown)
        batches = []
        for kind in (False, *[True] * self.settings.atlas_showings):
            own = random.permutation(shown[self._exact[shown] == kind])
            batches += list(own[: len(own) // size * size].reshape(-1, size))
        return np.concatenate([batches[i] for i in random.permutation(len(batches))])

    def _make(self, chosen: np.ndarray, epoch: int, step: int, tokenizer: Tokenizer) -> Batch:
        random = np.random.default_rng([self.settings.seed, _DRAW, epoch, step])
        recipe, own = self.settings.recipe, self.world.own(len(chosen))
        wording = self.settings.wording
        most = int(random.choice(_SENTENCES)) if self._exact[chosen].any() else 0
        pairs = [
            compose_exact(self.records[i], random, most, wording.word_drop, twins=self.settings.false_twins)
            if self.records[i].exact
            else compose(self.records[i], random, wording)
            for i in chosen
        ]
        seen = np.random.default_rng([self.settings.seed, _VIEW, epoch, step, self.world.rank])
        rows = self.rows.take(chosen[own], seen)
        false_turns = np.array([0 if p.false_turn is None else p.false_turn for p in pairs])
        has_false_rows = torch.tensor([p.false_turn is not None for p in pairs])
        false_rows = self._turned(rows, false_turns[own]) if has_false_rows.any() else None
        turns = _turns(pairs, random, self.settings.flips)
        if turns.any():
            rows = self._turned(rows, turns[own])
        long, short, known = [p.long for p in pairs], [p.short for p in pairs], [p.known for p in pairs]
        short_ids = tokenizer(short)
        if recipe.front_padding:
            short_ids = pad_in_front(short_ids, tokenizer.context_length, recipe.front_padding, random)
        change = np.random.default_rng([self.settings.seed, _CHANGE, epoch, step])
        changes = draw_changes(len(chosen), change, self.settings.crop_scale_min, self.settings.color_jitter)
        if changes is not None and self._exact[chosen].any():
            changes.crops[torch.from_numpy(self._exact[chosen])] = torch.tensor([1.0, 0.0, 0.0])
            if self._exact[chosen].all() and self.prepared.is_features:
                changes = None  # a feature map has no colors, and these are not cropped
        has_false = torch.tensor([bool(p.false) for p in pairs])
        return Batch(
            rows,
            tokenizer(long)[own],
            short_ids[own],
            truth_of([p.long_says for p in pairs], known),
            truth_of([p.short_says for p in pairs], known),
            None if changes is None else changes[own],
            tokenizer([p.false or p.long for p in pairs])[own] if has_false.any() else None,
            has_false,
            false_rows,
            has_false_rows,
        )

    def _turned(self, rows: Tensor, turns: np.ndarray) -> Tensor:
        if self.prepared.is_features:
            side = int(rows.shape[1] ** 0.5)
            grid = rows.unflatten(1, (side, side)).permute(0, 3, 1, 2)
            grid = turn(grid, turns)
            return grid.flatten(2).transpose(1, 2).contiguous()
        return turn(rows, turns)


def _turns(pairs: list[TextPair], random: np.random.Generator, flips: bool) -> np.ndarray:
    """Draw for each picture one of the eight symmetries of the square, by number.

    It is that which its texts were drawn for; else 0 where they name a direction or `flips` is off, else any.
    """
    turns = random.integers(8, size=len(pairs)) if flips else np.zeros(len(pairs), np.int64)
    for number, pair in enumerate(pairs):
        if pair.turn is not None:
            turns[number] = pair.turn
        elif pair.names_direction:
            turns[number] = 0
    return turns


def pad_in_front(tokens: Tensor, context_length: int, share: float, random: np.random.Generator) -> Tensor:
    """Move a random part of each text's padding in front of it (DeBias-CLIP), so that late positions learn too.

    The end-of-text token still has the highest id of its row, so whatever looks for it finds it where it now stands.

    Args:
        tokens: (N, L) ids, zeros behind each text.
        context_length: positions that the model reads; a text with its padding never goes beyond.
        share: the largest part of the padding that may move, 0 to 1.
        random: decides how much does.

    Returns:
        (N, L') ids, cut behind the text that ends last.
    """
    lengths = tokens.argmax(dim=1).numpy() + 1
    most = np.floor(share * (context_length - lengths)).astype(np.int64)
    front = random.integers(0, most, endpoint=True)
    out = tokens.new_zeros(len(tokens), int((front + lengths).max()))
    for row, ids, start, length in zip(out, tokens, front.tolist(), lengths.tolist(), strict=True):
        row[start : start + length] = ids[:length]
    return out
