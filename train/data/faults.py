"""What was wrong with the input, counted by kind, with the first examples of each.

One rule holds wherever data sets are read. What is wrong with one record (a broken row, a picture that is missing, a
class that has no name) is a fault: it is counted here, the first of a kind are logged, and the rest goes on. What
leaves nothing to read (a folder that is missing, an annotation file that cannot be read, a set without any record)
ends the run with a `DataError`.
"""

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

    @property
    def total(self) -> int:
        """How many there are of all kinds."""
        return self.counts.total()

    def log_total(self, what: str) -> None:
        """Log in one line how many there were of each kind; nothing where there was none.

        Args:
            what: was read.
        """
        if self.total:
            kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(self.counts.items()))
            log.warning("%s: %d fault%s (%s)", what, self.total, "s" if self.total > 1 else "", kinds)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return the kinds with count and examples, for JSON."""
        return {kind: {"count": count, "examples": self.examples[kind]} for kind, count in sorted(self.counts.items())}
