"""A model that many visitors share: an LRSCLIP whose towers are run by one queue, large calls in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from unicodedata import normalize

import torch
from torch import Tensor

from app.server.encoder_queue import EncoderQueue, Work
from lrsclip import LRSCLIP, TokenReport
from lrsclip.clip import Embeddings
from lrsclip.errors import TextError
from lrsclip.models.tame_text import tame

MAX_CHARACTERS = 10_000
_URGENT_TOKENS = 512  # all of a search's two texts, of any length; class names and prompts by the hundred can wait
_TOKENS, _TOKENS_ON_CPU = 8192, 512  # at once: on two cores some 0.2 s, for which a search has to wait
_TEXTS = 1_000_000  # of a call: it is cut by tokens
_MAX_WRITTEN_OUT = 18  # letters that the tokenizer writes for one sign
_PICTURES_ON_CPU = 8  # at once: some 0.1 s on two cores, for which a search has to wait


def check_length(texts: Sequence[str], most: int) -> None:
    """Check the length of texts before they are taken apart.

    Raises:
        TextError: one has more than `most` characters.
    """
    for text in texts:
        if not isinstance(text, str):
            continue
        count = len(text)
        if _MAX_WRITTEN_OUT * count > most >= count and not text.isascii():
            count = len(normalize("NFKC", tame(text)))  # as the tokenizer writes it out
        if count > most:
            raise TextError(f"the text has {count:,} characters; {most:,} are the limit: shorten it")


def pieces_of(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Divide texts among pieces, texts of like length together, so that little is padded.

    Args:
        lengths: (N,) tokens of each text.
        most: tokens of a piece, each text padded to its longest; a longer text is a piece of its own.

    Returns:
        The texts' numbers by piece, in each the longest last.
    """
    pieces: list[list[int]] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if not pieces or (len(pieces[-1]) + 1) * lengths[number] > most:
            pieces.append([])
        pieces[-1].append(number)
    return pieces


@dataclass(frozen=True)
class SharedModel(LRSCLIP):
    """A checkpoint behind a queue.

    The caller's thread cuts texts into tokens and pictures into pixels, so one visitor's bad picture is no other's.

    Attributes:
        queue: runs the towers.
        max_characters: of one text; longer ones are refused before they are taken apart.
    """

    queue: EncoderQueue = field(default_factory=EncoderQueue, compare=False)
    max_characters: int = MAX_CHARACTERS

    @classmethod
    def of(cls, bundle: LRSCLIP, max_characters: int = MAX_CHARACTERS) -> SharedModel:
        """Share a loaded checkpoint out; return the same object if it is shared already."""
        if isinstance(bundle, cls):
            return bundle
        parts = {one.name: getattr(bundle, one.name) for one in fields(LRSCLIP)}
        return cls(**parts, max_characters=max_characters)

    def describe_tokens(self, text: str) -> TokenReport:
        """Count a text's tokens as the model does.

        Raises:
            TextError: also for a text that is too long to be looked at.
        """
        check_length([text], self.max_characters)
        return super().describe_tokens(text)

    def encode_text(self, texts: list[str], *, normalize: bool = True) -> Embeddings:
        """Encode N texts to (N, D) as the model does.

        Raises:
            TextError: also for a text that is too long to be looked at.
            Busy: too much waits for the model.
        """
        if isinstance(texts, list | tuple):
            check_length(texts, self.max_characters)
        return super().encode_text(texts, normalize=normalize)

    @property
    def texts_at_once(self) -> int:
        """Number of texts in one call of `encode_tokens`: all, since it makes pieces itself, by tokens."""
        return _TEXTS

    @property
    def tokens_at_once(self) -> int:
        """Number of tokens of a piece, padding included."""
        return _TOKENS_ON_CPU if self.device.type == "cpu" else _TOKENS

    @property
    def pictures_at_once(self) -> int:
        """Number of pictures of a piece."""
        return _PICTURES_ON_CPU if self.device.type == "cpu" else super().pictures_at_once

    def encode_tokens(self, tokens: Tensor, *, normalize: bool = True) -> Tensor:
        """Encode (N, L) token ids to (N, D) in the queue; short texts of several visitors together, many in pieces."""
        own, most = super().encode_tokens, self.tokens_at_once
        work = Work(("texts", normalize), lambda rows: own(rows, normalize=normalize), most, most)
        lengths = (tokens.argmax(dim=1) + 1).tolist()  # the end-of-text token has the highest id
        urgent = len(lengths) * max(lengths, default=0) <= _URGENT_TOKENS
        pieces = pieces_of(lengths, most)
        parts = [self.queue.do(work, tokens[piece, : lengths[piece[-1]]], urgent=urgent) for piece in pieces]
        return torch.cat(parts)[torch.tensor([row for piece in pieces for row in piece]).argsort()]

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Encode (N, 3, S, S) pictures to (N, D) in the queue; pictures of several visitors together."""
        return self.queue.do(Work("pictures", super().encode_pixels, self.pictures_at_once), pixels)

    def map_square(self, pixels: Tensor) -> Tensor:
        """Map (1, 3, H, W) pixels to the trunk's places in the queue."""
        return self.queue.do(Work(None, super().map_square), pixels)

    def pool_cells(self, features: Tensor, cells: Tensor) -> Tensor:
        """Pool windows, in cells of the map, to (N, D) in the queue."""
        own = super().pool_cells
        return self.queue.do(Work(None, lambda rows: own(features, rows)), cells)

    def encode_patch_pixels(self, pixels: Tensor) -> Tensor:
        """Encode (N, 3, S, S) pictures to (N, G, G, D) in the queue, few at once: a ViT's crops are large."""
        own, size = super().encode_patch_pixels, self.pictures_at_once
        return torch.cat([self.queue.do(Work(None, own), part) for part in pixels.split(size)])
