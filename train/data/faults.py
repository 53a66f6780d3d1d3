"""What was wrong with the input, counted by kind, with the first examples of each."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)
EXAMPLES = 5


class Faults:
    """Counts faults that one record or one file has, so that the rest can go on."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def add(self, kind: str, message: str) -> None:
        """Count one.

        Args:
            kind: a few words that are the same for all faults of a kind ("broken annotation line").
            message: names the thing and says how to mend it.
        """
        self.counts[kind] += 1
        kept = self.examples.setdefault(kind, [])
        if len(kept) < EXAMPLES:
            kept.append(message)
            log.warning("%s: %s", kind, message)

    def merge(self, other: Mapping[str, Any]) -> None:
        """Add what `as_dict` of other faults gave."""
        for kind, entry in other.items():
            self.counts[kind] += int(entry["count"])
            kept = self.examples.setdefault(kind, [])
            kept += entry["examples"][: EXAMPLES - len(kept)]

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """For JSON: kind to count and examples."""
        return {kind: {"count": count, "examples": self.examples[kind]} for kind, count in sorted(self.counts.items())}
