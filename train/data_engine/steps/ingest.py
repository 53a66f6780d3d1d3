"""First step: every source into chunks of records."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

from pydantic import TypeAdapter
from tqdm import tqdm

from lrsclip.io.atomic import write_atomically, write_json
from lrsclip.io.caption_json import one_line
from train.data.faults import Faults
from train.data.records import SourceRecord, to_line
from train.data.sources.base import Source
from train.data.sources.settings import AnySource
from train.data_engine.run import Run, chunk_name

log = logging.getLogger(__name__)
_SOURCE: TypeAdapter[Source] = TypeAdapter(AnySource)


def sources_of(run: Run) -> list[Source]:
    """Parse the run's sources, in order."""
    return [_SOURCE.validate_json(text) for text in run.settings.sources]


def gather(run: Run) -> None:
    """Read every source that has not been read yet."""
    for source in sources_of(run):
        if not run.source_done(source.name).is_file():
            gather_source(run, source)


def gather_source(run: Run, source: Source) -> None:
    """Write a source's records as chunks.

    Raises:
        DataError: nothing of it can be read; once that is mended, the same command goes on.
    """
    faults, writer = Faults(), _Chunks(run, source.name)
    kinds: Counter[str] = Counter()
    with tqdm(desc=f"reading {source.name}", unit="record", delay=2) as bar:
        for record in islice(source.records(faults), run.settings.limit):
            writer.add(_tidied(record))
            kinds.update(_kinds(record))
            bar.update()
    faults.log_total(source.name)
    writer.close()
    write_json(
        run.source_done(source.name),
        {
            "chunks": writer.names,
            "counts": dict(writer.counts),
            "held_out": source.held_out,
            "license": source.license,
            "kinds": sorted(kinds),
            "faults": faults.as_dict(),
        },
    )


def _tidied(record: SourceRecord) -> SourceRecord:
    """Return the record with each caption in one line: they become parts of texts."""
    captions = tuple(map(one_line, record.facts.captions))
    return replace(record, facts=replace(record.facts, captions=captions))


def _kinds(record: SourceRecord) -> set[str]:
    """Return the kinds of a record's things and land covers; the gate looks for them in every text."""
    return {thing.kind for thing in record.facts.things} | {share.kind for share in record.facts.shares}


class _Chunks:
    """A collector of records by split that writes each chunk when it is full."""

    def __init__(self, run: Run, source: str) -> None:
        self._run, self._source = run, source
        self._open: dict[str, list[bytes]] = {}
        self._numbers: Counter[str] = Counter()
        self.names: list[str] = []
        self.counts: Counter[str] = Counter()

    def add(self, record: SourceRecord) -> None:
        """Take a record in."""
        self.counts[record.split] += 1
        lines = self._open.setdefault(record.split, [])
        lines.append(to_line(record))
        if len(lines) == self._run.settings.chunk_records:
            self._write(record.split)

    def close(self) -> None:
        """Write the chunks that are not full."""
        for split in sorted(self._open):
            self._write(split)

    def _write(self, split: str) -> None:
        lines = self._open.pop(split)
        name = chunk_name(split, self._source, self._numbers[split])
        self._numbers[split] += 1
        _write_lines(self._run.records(name), lines)
        self.names.append(name)


def _write_lines(path: Path, lines: list[bytes]) -> None:
    write_atomically(path, b"".join(line + b"\n" for line in lines))


def gathered(run: Run, source: str) -> dict[str, object]:
    """Read a source's chunks, counts and faults."""
    found: dict[str, object] = json.loads(run.source_done(source).read_bytes())
    return found
