"""Splitting of a description into its clauses, so that users can see where each of them pulls a map.

Sentences end at full stops, semicolons and line ends; a sentence is cut further before a comma, a conjunction or a word
that places one thing by another ("beside", "next to", "with"), if both sides are more than a bare word.
"""

from __future__ import annotations

import re

MAX_CLAUSES = 8
_MIN_WORDS = 2
_SENTENCE_ENDS = re.compile(r"(?<=[.!?;])\s+|;|\n+")
_PLACING = r"with|beside|next to|near|surrounded by|between|along|around|behind|in front of|on both sides of"
_ARTICLES = r"a|an|the|some|many|several|two|three|four|five|six|there"
_JOINTS = re.compile(
    r",\s+(?:and\s+|while\s+|where\s+|which\s+)?"
    rf"|\s+(?=(?:{_PLACING})\b)"
    rf"|\s+(?:and|while)\s+(?=(?:{_ARTICLES})\b)",
    re.IGNORECASE,
)
_ENDS = " \t.,;:!?"
_BLANKS = re.compile(r"[^\S\n]+")  # made one before all else: the joints look at a run of blanks from each of them


def split_clauses(text: str, most: int = MAX_CLAUSES) -> tuple[str, ...]:
    """Split a text into its clauses, in order; return a text of one clause as it is.

    Args:
        text: of any length.
        most: most clauses; the rest of the text goes into the last one, so that nothing is lost.

    Returns:
        Clauses without the punctuation around them, each of two words or more, unless the whole text has fewer.
    """
    if most < 1:
        raise ValueError(f"most is {most}; ask for one clause or more")
    clauses: list[str] = []
    for sentence in _SENTENCE_ENDS.split(_BLANKS.sub(" ", text)):
        begun = len(clauses)
        for piece in _JOINTS.split(sentence):
            words = piece.strip(_ENDS)
            if not words:
                continue
            if len(clauses) > begun and len(words.split()) < _MIN_WORDS:
                clauses[-1] += f", {words}"  # a bare word says nothing alone: "trees, houses"
            else:
                clauses.append(words)
    merged = _without_bare_starts(clauses)
    if len(merged) > most:
        merged = [*merged[: most - 1], ". ".join(merged[most - 1 :])]
    return tuple(merged) or ((text.strip(),) if text.strip() else ())


def _without_bare_starts(clauses: list[str]) -> list[str]:
    """Join clauses of a single word to the one behind them."""
    merged: list[str] = []
    for clause in clauses:
        if merged and len(merged[-1].split()) < _MIN_WORDS:
            merged[-1] += f", {clause}"
        else:
            merged.append(clause)
    return merged
