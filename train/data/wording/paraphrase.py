"""Paraphrases of captions by word: the same statement in words that another person would have used."""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from train.data.wording.bank import toml


@cache
def _groups() -> tuple[re.Pattern[str], dict[str, tuple[str, ...]]]:
    other = {
        member: tuple(one for one in group if one != member) for group in toml("synonyms")["groups"] for member in group
    }
    longest_first = sorted(other, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b", re.IGNORECASE), other


def paraphrased(text: str, random: np.random.Generator, share: float) -> str:
    """Say a caption with other words.

    Args:
        text: the caption.
        random: decides which words change, and into which.
        share: chance for each word or phrase that has synonyms to be replaced by one.
    """
    if not share:
        return text
    pattern, others = _groups()

    def other(found: re.Match[str]) -> str:
        word = found[0]
        if random.random() >= share:
            return word
        choices = others[word.lower()]
        new = choices[int(random.integers(len(choices)))]
        return new[:1].upper() + new[1:] if word[0].isupper() else new

    return pattern.sub(other, text)
