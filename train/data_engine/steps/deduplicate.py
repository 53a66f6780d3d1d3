"""Third step: the choice of the records that stay, now that every picture has been read."""

from __future__ import annotations

import io
import json
import sys
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lrsclip.errors import DataError
from lrsclip.io.atomic import write_atomically, write_json
from train.data.records import read_lines
from train.data_engine.dedup.duplicates import Entry, Verdict, find_duplicates
from train.data_engine.dedup.fingerprints import Prints, merged
from train.data_engine.run import Run
from train.data_engine.steps.ingest import gathered, sources_of
from train.data_engine.steps.inspect import Looks, read_looks

REPORT = "duplicates.csv"


def judge(run: Run) -> None:
    """Decide which records stay, unless that was done before.

    A picture that cannot be read goes, and so do those of held-out sources, near-duplicates of evaluation pictures,
    and of two alike in training the second. The captions of a dropped duplicate go to the one that stays, if both are
    of the training split.

    Raises:
        DataError: a chunk's file of inspected pictures is damaged.
    """
    if run.verdict.is_file():
        return
    chunks = run.chunks()
    held_out = {s.name for s in sources_of(run) if gathered(run, s.name)["held_out"]}
    looks = [read_looks(run.looks(chunk)) for chunk in chunks]
    entries = [
        # interned, because a million names of the same source would take as much as all else
        Entry(record.key, sys.intern(record.source), record.split, record.source in held_out)
        for chunk in chunks
        for record in read_lines(run.records(chunk))
    ]
    kept = np.concatenate([one.usable for one in looks])
    told: dict[str, Any] = {"dropped": {}, "sentences": [], "crossings": []}
    if run.settings.duplicates != "keep":
        at = np.flatnonzero(np.concatenate([one.seen for one in looks]))
        verdict = find_duplicates([entries[i] for i in at.tolist()], _prints(looks))
        kept[at] &= verdict.kept
        verdict.write_report(run.out / REPORT)
        told = _told(verdict)
        write_json(run.joined, _joined(run, chunks, [entries[i].key for i in at.tolist()], verdict))
    else:
        kept &= _first_of_each_key(entries)
        write_json(run.joined, {})
    kept &= np.array([not e.held_out for e in entries], np.bool_)
    ends = np.cumsum([len(one.usable) for one in looks])
    buffer = io.BytesIO()
    parts = dict(zip(chunks, np.split(kept, ends[:-1]), strict=True))
    np.savez(buffer, told=np.array(json.dumps(told)), **parts)  # type: ignore[arg-type]
    write_atomically(run.verdict, buffer.getbuffer())


def _prints(looks: list[Looks]) -> Prints:
    """Merge the fingerprints of all pictures; a chunk of which none could be read has vectors of length 0."""
    wide = max(one.vectors.shape[1] for one in looks)
    return merged(
        [
            Prints(one.hashes[one.seen], one.vectors[one.seen])
            if one.vectors.shape[1] == wide
            else Prints(one.hashes[one.seen], np.zeros((int(one.seen.sum()), wide), np.float16))
            for one in looks
        ]
    )


def _first_of_each_key(entries: list[Entry]) -> npt.NDArray[np.bool_]:
    seen: set[str] = set()
    return np.array([not (e.key in seen or seen.add(e.key)) for e in entries], np.bool_)  # type: ignore[func-returns-value]


def _told(verdict: Verdict) -> dict[str, Any]:
    """Convert the verdict to numbers and sentences for the report."""
    reasons = {"leak": "near-duplicates of pictures that are measured on", "duplicate": "near-duplicates in training"}
    crossings = [[*places, pairs] for places, pairs in sorted(verdict.crossings.items())]
    between = [
        f"{pairs:,} near-duplicate pairs between {a} {split_a} and {b} {split_b}."
        for a, split_a, b, split_b, pairs in crossings
        if (a, split_a) != (b, split_b)
    ]
    return {
        "dropped": {reasons.get(why, why): count for why, count in verdict.dropped.items()},
        "sentences": [*verdict.sentences(), *between],
        "crossings": crossings,
    }


def _joined(run: Run, chunks: list[str], keys: list[str], verdict: Verdict) -> dict[str, list[str]]:
    """Map the key of a record that stays to the captions of its duplicates."""
    wanted = {keys[other]: keys[stays] for stays, others in verdict.joined.items() for other in others}
    joined: dict[str, list[str]] = {}
    for chunk in chunks if wanted else ():
        for record in read_lines(run.records(chunk)):
            if record.key in wanted and record.facts.captions:
                joined.setdefault(wanted[record.key], []).extend(record.facts.captions)
    return joined


def kept_of(run: Run, chunk: str) -> npt.NDArray[np.bool_]:
    """Read which records of a chunk stay, (N,) bool.

    Raises:
        DataError: the verdict is damaged.
    """
    try:
        with np.load(run.verdict, allow_pickle=False) as stored:
            kept: npt.NDArray[np.bool_] = stored[chunk]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"{run.verdict} is damaged ({error}); remove it and run again") from error
    return kept


def verdict_report(run: Run) -> dict[str, Any]:
    """Read the counts of dropped records, and the sources that share pictures."""
    with np.load(run.verdict, allow_pickle=False) as stored:
        told: dict[str, Any] = json.loads(str(stored["told"]))
    return told


def joined_captions(run: Run) -> dict[str, list[str]]:
    """Read the captions that records take over from their duplicates, by key."""
    return _read_joined(str(run.joined), run.joined.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _read_joined(path: str, _changed_ns: int) -> dict[str, list[str]]:
    with open(path, "rb") as file:
        joined: dict[str, list[str]] = json.load(file)
    return joined
