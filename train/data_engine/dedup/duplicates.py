"""Near-duplicates among the pictures of all sources: found by their fingerprints, and kept out of training.

Two pictures are near-duplicates where their cosine is high for how far their hashes lie apart: `Limits`. A hash alone
says too little, because pictures with little texture (sea, desert, meadow) have hashes of noise. Limits were chosen on
23,694 pictures of six data sets and 7,000 changed copies; `benchmarks/lrs2m_duplicates.py` measures anew.

A dropped picture near-duplicates the very picture that it gives way to. Chains are not followed: where A is like B and
B like C, C need not be like A.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrsclip.errors import DataError
from lrsclip.io.atomic import write_atomically
from train.data_engine.dedup.fingerprints import Limits, Pairs, Prints, cosine, find_pairs, hamming

Rows = NDArray[np.int64]
Why = Literal["leak", "duplicate", "same key", "both evaluation"]
Reasons = dict[int, tuple[int, Why]]  # row -> the row it gives way to, and why
_AT_ONCE = 2**16


@dataclass(frozen=True, slots=True)
class Entry:
    """Key, source and split of a picture, which its verdict depends on beside its fingerprint.

    Attributes:
        key: unique within the data set.
        source: the source's name.
        split: "train", "val" or "test".
        held_out: whether its source is only measured on.
    """

    key: str
    source: str
    split: str
    held_out: bool = False

    @property
    def evaluation(self) -> bool:
        """Whether the picture is an evaluation picture, which training must not see."""
        return self.held_out or self.split != "train"


class Row(NamedTuple):
    """One line of the report: the fields of the CSV file.

    Attributes:
        key: of the picture that is dropped; with "both evaluation", of one that is kept all the same.
        because_key: of the picture that it near-duplicates.
        why: "leak" (a training picture near an evaluation one), "duplicate" (two training pictures), "same key", or
            "both evaluation".
        hamming: bits in which their hashes differ.
        cosine: of their vectors; NaN without vectors.
    """

    key: str
    because_key: str
    why: Why
    hamming: int
    cosine: float


Place = tuple[str, str]  # source, split


@dataclass(frozen=True)
class Verdict:
    """The pictures to keep, and the near-duplicates among them.

    Attributes:
        kept: (N,) bool.
        rows: the report, in the order of the entries.
        joined: the row of a kept training picture -> rows of its dropped duplicates, whose captions it may take.
        crossings: (source A, split A, source B, split B) -> near-duplicate pairs, of all that have some; A before B.
        overlap: (source A, source B) -> share of A's pictures that stand in B too, 0 to 1, of every two sources.
        groups: sets of pictures that near-duplicates link, if only by others.
    """

    kept: NDArray[np.bool_]
    rows: tuple[Row, ...]
    joined: dict[int, tuple[int, ...]]
    crossings: dict[tuple[str, str, str, str], int]
    overlap: dict[tuple[str, str], float]
    groups: int

    @property
    def dropped(self) -> dict[str, int]:
        """Number of dropped pictures by reason."""
        return dict(Counter(row.why for row in self.rows if row.why != "both evaluation"))

    def sentences(self, least: float = 0.001) -> list[str]:
        """Format every overlap of two sources of `least` or more for the data card, the largest first."""
        shares = sorted(self.overlap.items(), key=lambda item: (-item[1], item[0]))
        return [f"{100 * share:.1f} % of {a}'s pictures are {b}'s." for (a, b), share in shares if share >= least]

    def write_report(self, path: Path) -> None:
        """Write the rows as CSV, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(Row._fields)
        for row in self.rows:
            table.writerow([*row[:4], "" if np.isnan(row.cosine) else f"{row.cosine:.4f}"])
        write_atomically(path, text.getvalue().encode("utf-8"))


def find_duplicates(
    entries: Sequence[Entry], prints: Prints, sources: Sequence[str] = (), limits: Limits | None = None
) -> Verdict:
    """Find near-duplicates and decide which pictures stay.

    A training picture that near-duplicates an evaluation picture is dropped, and of training pictures the one of the
    first source, then the first entry, is kept. Evaluation pictures stay, unless a key stands there twice.

    Args:
        entries: of N pictures, in order; a record without a picture is not among them.
        prints: of the same pictures.
        sources: sources whose pictures are preferred, the best first; the others follow as they appear.
        limits: thresholds of a near-duplicate pair.

    Raises:
        DataError: there are not as many fingerprints as entries.
    """
    if len(entries) != len(prints):
        raise DataError(f"{len(entries)} entries have {len(prints)} fingerprints; give one for each picture")
    places = {source: n for n, source in enumerate(dict.fromkeys([*sources, *(e.source for e in entries)]))}
    order = sorted(range(len(entries)), key=lambda n: (not entries[n].evaluation, places[entries[n].source], n))
    firsts: dict[str, int] = {}
    reasons: Reasons = {
        n: (firsts[entries[n].key], "same key") for n in order if firsts.setdefault(entries[n].key, n) != n
    }
    rows, member_of = _classes(prints, np.array(list(firsts.values()), np.int64))
    leaders = rows[np.unique(member_of, return_index=True)[1]]
    pairs = find_pairs(Prints(prints.hashes[leaders], prints.vectors[leaders]), limits)
    reasons |= _reasons(entries, rows, member_of, leaders, pairs)
    kept = np.ones(len(entries), np.bool_)
    joined: dict[int, list[int]] = {}
    for row in sorted(reasons):
        because, why = reasons[row]
        kept[row] = why == "both evaluation"
        if why == "duplicate":
            joined.setdefault(because, []).append(row)
    crossings, overlap = _between(entries, rows, member_of, pairs)
    linked = _linked(len(leaders), pairs)[member_of]
    return Verdict(
        kept=kept,
        rows=_lines(entries, prints, reasons),
        joined={row: tuple(others) for row, others in sorted(joined.items())},
        crossings=crossings,
        overlap=overlap,
        groups=int((np.bincount(linked) > 1).sum()),
    )


def _classes(prints: Prints, rows: Rows) -> tuple[Rows, Rows]:
    """Group pictures with the same fingerprint: empty tiles may stand in a source by the thousand.

    Returns:
        The (N,) rows given, and the (N,) number of each one's class; classes are numbered by their first rows.
    """
    _, first, of_hash = np.unique(prints.hashes[rows], return_index=True, return_inverse=True)
    leader = first[of_hash]
    doubtful = np.flatnonzero(leader != np.arange(len(rows)))
    for some in np.array_split(doubtful, 1 + len(doubtful) // _AT_ONCE):
        same = (prints.vectors[rows[some]] == prints.vectors[rows[leader[some]]]).all(axis=1)
        leader[some[~same]] = some[~same]
    return rows, np.unique(leader, return_inverse=True)[1]


def _reasons(entries: Sequence[Entry], rows: Rows, member_of: Rows, leaders: Rows, pairs: Pairs) -> Reasons:
    """Map each picture to the one that it gives way to; "both evaluation" is reported and dropped nowhere."""
    reasons: Reasons = {}
    dropped = np.zeros(len(leaders), np.bool_)
    closest_first = np.lexsort((pairs.first, pairs.hamming, -pairs.cosine, pairs.second))
    for second, group in itertools.groupby(closest_first.tolist(), key=lambda n: int(pairs.second[n])):
        row = int(leaders[second])
        partners = [int(pairs.first[n]) for n in group]
        measured = [p for p in partners if entries[leaders[p]].evaluation]
        if entries[row].evaluation:
            reasons[row] = int(leaders[measured[0]]), "both evaluation"
            continue
        trained = [p for p in partners if not entries[leaders[p]].evaluation and not dropped[p]]
        if measured or trained:
            dropped[second] = True
            reasons[row] = int(leaders[(measured or trained)[0]]), "leak" if measured else "duplicate"
    for row, number in zip(rows.tolist(), member_of.tolist(), strict=True):
        leader = int(leaders[number])
        if row == leader:
            continue
        if dropped[number]:  # such a class holds training pictures alone
            reasons[row] = reasons[leader]
        elif entries[row].evaluation:
            reasons[row] = leader, "both evaluation"
        else:
            reasons[row] = leader, "leak" if entries[leader].evaluation else "duplicate"
    return reasons


def _lines(entries: Sequence[Entry], prints: Prints, reasons: Reasons) -> tuple[Row, ...]:
    rows = np.array(sorted(reasons), np.int64)
    others = np.array([reasons[row][0] for row in rows.tolist()], np.int64)
    bits, cosines = hamming(prints, rows, others).tolist(), cosine(prints, rows, others).tolist()
    return tuple(
        Row(entries[row].key, entries[other].key, reasons[row][1], bit, cosine)
        for row, other, bit, cosine in zip(rows.tolist(), others.tolist(), bits, cosines, strict=True)
    )


def _between(
    entries: Sequence[Entry], rows: Rows, member_of: Rows, pairs: Pairs
) -> tuple[dict[tuple[str, str, str, str], int], dict[tuple[str, str], float]]:
    """Count near-duplicate pairs between splits of sources, and the share of each source in each other one."""
    sizes = np.bincount(member_of)
    linked = np.zeros(len(sizes), np.bool_)
    linked[pairs.first] = linked[pairs.second] = True
    total: Counter[str] = Counter(entries[row].source for row in rows.tolist())
    made_of: dict[int, Counter[Place]] = {}  # only of pictures that are not alone: of a million nearly all are
    for at in np.flatnonzero((linked | (sizes > 1))[member_of]).tolist():
        entry = entries[int(rows[at])]
        made_of.setdefault(int(member_of[at]), Counter())[entry.source, entry.split] += 1
    met = {number: {source for source, _ in places} for number, places in made_of.items()}
    near = {number: set(sources) for number, sources in met.items()}
    crossings: Counter[tuple[str, str, str, str]] = Counter()
    for places in made_of.values():
        for (a, n), (b, m) in itertools.combinations_with_replacement(sorted(places.items()), 2):
            crossings[*a, *b] += n * (n - 1) // 2 if a == b else n * m
    for first, second in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        near[first] |= met[second]
        near[second] |= met[first]
        for (a, n), (b, m) in itertools.product(made_of[first].items(), made_of[second].items()):
            crossings[*min(a, b), *max(a, b)] += n * m
    found: Counter[tuple[str, str]] = Counter()
    for number, places in made_of.items():
        for (source, _), count in places.items():
            for other in near[number]:
                found[source, other] += count
    shares = {(a, b): found[a, b] / total[a] for a, b in itertools.permutations(total, 2)}
    return {key: count for key, count in sorted(crossings.items()) if count}, shares


def _linked(count: int, pairs: Pairs) -> Rows:
    """Return the (count,) first row of each one's group, by union-find."""
    parent = list(range(count))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for first, second in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        a, b = root(first), root(second)
        parent[max(a, b)] = min(a, b)
    return np.array([root(row) for row in range(count)], np.int64)
