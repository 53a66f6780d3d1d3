"""Byte-pair merges of one word in n log n steps.

open_clip's own loop looks at the whole word for each merge, so that a word of 10,000 letters takes ten seconds. The
merges are the same: a rule that uses a merged pair always ranks after the rule that made it.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from itertools import pairwise

END = "</w>"

MAX_CHARACTERS = 100_000  # of one text; far beyond 248 tokens, short enough to be read in no time


def merged(word: str, ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """Merge a word's letters by the rules.

    Args:
        word: at least one letter, as the byte encoder writes them.
        ranks: rank of each pair that is merged; the lowest first.

    Returns:
        The parts, the last with the sign of a word's end.
    """
    parts: list[str] = [*word[:-1], word[-1] + END]
    after, before = list(range(1, len(parts) + 1)), list(range(-1, len(parts) - 1))
    waiting = [(ranks[pair], at, *pair) for at, pair in enumerate(pairwise(parts)) if pair in ranks]
    heapq.heapify(waiting)

    def offer(at: int) -> None:
        if at >= 0 and after[at] < len(parts):
            pair = parts[at], parts[after[at]]
            if pair in ranks:
                heapq.heappush(waiting, (ranks[pair], at, *pair))

    while waiting:
        _, at, left, right = heapq.heappop(waiting)
        other = after[at]
        if not left or parts[at] != left or other >= len(parts) or parts[other] != right:
            continue  # one of the two has been merged meanwhile
        parts[at], parts[other] = left + right, ""
        after[at] = after[other]
        if after[at] < len(parts):
            before[after[at]] = at
        offer(before[at])
        offer(at)
    return [part for part in parts if part]
