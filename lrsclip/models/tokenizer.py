"""Text to tokens: CLIP's byte-pair tokenizer with nothing cut in silence.

A text over the limit keeps its start, loses its tail and still ends with the end-of-text token; `describe` says which
part was kept, which was cut, and which words no training picture was described with.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lrsclip.errors import TextError
from lrsclip.models.bpe import MAX_CHARACTERS, merged
from lrsclip.models.tame_text import tame

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer

_CACHED_TEXTS, _CACHED_WORDS = 4096, 50_000  # a server must not remember every text that was ever typed
_KEPT_LETTERS = 64  # of a word
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


@dataclass(frozen=True)
class TokenReport:
    """The fate of a text on its way into the model.

    Attributes:
        count: tokens of the whole text, start and end tokens included.
        limit: most tokens that the model reads.
        kept: the part that is read, in whole words.
        cut: the rest ("" if all is read); of the word it begins with, some tokens may still have been read.
        unseen_words: words that never stood in a training text, lower case, in order of appearance.
        spelled_words: words beyond ASCII that the tokenizer takes apart into single letters or bytes, as it has no
            pieces of their language, in order of appearance; a model of English texts hardly understands them.
    """

    count: int
    limit: int
    kept: str
    cut: str
    unseen_words: tuple[str, ...]
    spelled_words: tuple[str, ...] = ()

    @property
    def is_cut(self) -> bool:
        """Whether a part of the text is not read."""
        return self.count > self.limit


def words(text: str) -> list[str]:
    """Split a text into its words in lower case, without digits and punctuation."""
    return WORD.findall(text.lower())


def _whole_words(text: str) -> list[str]:
    """Split a text into words of any script; signs of vowels and accents, which are no letters, belong to them."""
    return "".join(letter if unicodedata.category(letter)[0] in "LM" else " " for letter in text).split()


@lru_cache(maxsize=1)
def _clip_tokenizer() -> SimpleTokenizer:
    """Load open_clip's tokenizer from its file alone: its package brings a zoo of models, which takes seconds."""
    package = find_spec("open_clip")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("open_clip is not installed; pip install open_clip_torch")
    file = Path(package.submodule_search_locations[0], "tokenizer.py")
    spec = spec_from_file_location("lrsclip._open_clip_tokenizer", file)
    assert spec is not None and spec.loader is not None, file
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    made: SimpleTokenizer = getattr(module, "_tokenizer", None) or module.SimpleTokenizer()  # it makes one on import

    def bpe(token: str) -> str:
        """Merge as open_clip does; long words are not kept, as nobody asks for them twice."""
        if (kept := made.cache.get(token)) is None:
            kept = " ".join(merged(token, made.bpe_ranks))
            if len(token) <= _KEPT_LETTERS:
                made.cache[token] = kept
        return str(kept)

    made.bpe = bpe
    return made


class Tokenizer:
    """CLIP's tokenizer at a given context length."""

    def __init__(self, context_length: int) -> None:
        self.context_length = context_length
        self._clip = _clip_tokenizer()
        self._encode = lru_cache(maxsize=_CACHED_TEXTS)(self._encoded)

    def __call__(self, texts: list[str]) -> Tensor:
        """Tokenize texts to (N, L) ids, zero-padded; L is the longest text's length, at most `context_length`.

        Raises:
            TextError: an entry is not text or has nothing to read in it.
        """
        rows = []
        for number, text in enumerate(texts):
            ids = [*self._ids(text, number)[: self.context_length - 2], self._clip.eot_token_id]
            rows.append([self._clip.sot_token_id, *ids])
        out = torch.zeros(len(rows), max(map(len, rows), default=2), dtype=torch.long)
        for row, ids in zip(out, rows, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        return out

    def describe(self, text: str, seen: Mapping[str, int] | None = None) -> TokenReport:
        """Report how `text` fits.

        Args:
            text: any text.
            seen: the training vocabulary with counts; None when it is not known, and then no word is called unseen.

        Raises:
            TextError: as in `__call__`.
        """
        count = self.count(text)
        kept = text if count <= self.context_length else text[: self._kept_characters(text)]
        unseen = dict.fromkeys(w for w in words(text) if seen is not None and w not in seen)
        return TokenReport(count, self.context_length, kept, text[len(kept) :], tuple(unseen), self.spelled_words(text))

    def count(self, text: str) -> int:
        """Count the tokens of a text, start and end included."""
        return len(self._ids(text, 0)) + 2

    def is_cut(self, text: str) -> bool:
        """Tell whether a part of the text is not read."""
        return self.count(text) > self.context_length

    def spelled_words(self, text: str) -> tuple[str, ...]:
        """List the words beyond ASCII that take as many tokens as they have letters, or more; each once, in order."""
        if text.isascii():
            return ()
        found = []
        for word in dict.fromkeys(_whole_words(text)):
            letters = sum(map(str.isalpha, word))
            if not word.isascii() and len(self._encoded(word)) >= max(letters, 2):
                found.append(word)
        return tuple(found)

    def _encoded(self, text: str) -> list[int]:
        return list(self._clip.encode(tame(text)))

    def _ids(self, text: str, number: int) -> list[int]:
        if not isinstance(text, str):
            raise TextError(f"text {number} is {type(text).__name__}, not a string; pass a list of strings")
        if len(text) > MAX_CHARACTERS:
            raise TextError(f"text {number} has {len(text):,} characters; {MAX_CHARACTERS:,} are the limit: shorten it")
        if len(self._clip.cache) > _CACHED_WORDS:  # open_clip's own, which never forgets
            self._clip.cache = {token: token for token in ("<start_of_text>", "<end_of_text>")}
        # a text that spells out a special token must not end itself: the feature is read at the end-of-text token
        ids = [i for i in self._encode(text) if i < self._clip.sot_token_id]
        if not ids:
            raise TextError(f"text {number} is empty; write at least one word")
        return ids

    def _kept_characters(self, text: str) -> int:
        """Count the leading characters of `text` that fit: whole words, or characters where no word does."""
        return self._fitting(text, [m.end() for m in re.finditer(r"\S+", text)]) or self._fitting(
            text, list(range(1, len(text) + 1))
        )

    def _fitting(self, text: str, ends: list[int]) -> int:
        """Return the last of some ends at which the text before it fits; 0 for none.

        A longer prefix never has fewer tokens. From the start in doubling steps, and bisection in the last of them: so
        what is looked at is not much longer than what fits, however long the text is.
        """

        def fits(number: int) -> bool:
            part = text[: ends[number - 1]]
            ids = self._encode(text) if len(part) == len(text) else self._encoded(part)  # all of it is known
            return len(ids) + 2 <= self.context_length

        low, step = 0, 1
        while low + step <= len(ends) and fits(low + step):
            low, step = low + step, 2 * step
        high = min(low + step, len(ends) + 1) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if fits(middle):
                low = middle
            else:
                high = middle - 1
        return ends[low - 1] if low else 0
