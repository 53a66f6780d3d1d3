"""What the data engine wrote: shards of pictures with the texts that were written for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from lrsclip.errors import DataError
from lrsclip.io.caption_json import read_json
from train.data.faults import Faults
from train.data.records import Facts, SourceRecord, Split
from train.data.sources.base import Source
from train.data.sources.webdataset import Sample, ShardError, read_samples

FINISHED = "lrs2m.json"
"""File that says that a data set is whole, and which shards it has."""


class _Facts(BaseModel):
    scene: str | None = None
    captions: tuple[str, ...] = ()


class _Row(BaseModel):
    """What training needs of a picture's JSON."""

    key: str
    source: str
    license: str = "unknown"
    split: Split
    short: list[str]
    long: list[str]
    facts: _Facts


class EngineSource(Source):
    """A folder that the data engine made; records keep the names of the sources that they came from.

    It is no layout of a settings file: the engine does not read its own texts as facts.

    Attributes:
        root: the folder, with `lrs2m.json` and `shards/`.
    """

    layout: Literal["lrs2m"] = "lrs2m"
    root: Path

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        for shard in self._shards():
            try:
                for sample in read_samples(shard, faults):
                    record = _record(sample, f"{sample.stem!r} in {shard}", faults)
                    if record:
                        yield record
            except ShardError as error:  # the engine said that the set is whole
                raise DataError(f"{error}; remove {shard.name} and build the data set again") from error

    def _shards(self) -> list[Path]:
        finished = read_json(self.root / FINISHED)
        names = finished.get("shards") if isinstance(finished, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) and Path(name).name == name for name in names):
            raise DataError(
                f"{self.root} holds no finished data set ({FINISHED} names no shards); "
                "run python -m train.data_engine build again"
            )
        if not names:
            raise DataError(f"{self.root} has no shards to train on; build it with --formats webdataset,parquet")
        return [self.root / "shards" / name for name in names]


def _record(sample: Sample, where: str, faults: Faults) -> SourceRecord | None:
    """Make the record of a sample; None (and a fault) where it is not whole."""
    if sample.picture is None:
        faults.add("picture missing", f"{where} has no picture; build the data set again")
        return None
    try:
        row = _Row.model_validate(sample.fields)
        texts = tuple(zip(row.short, row.long, strict=True))
    except ValueError as error:  # of another layout, or more texts of one kind than of the other
        faults.add("broken row", f"{where} is no row of the data engine ({error}); build the data set again")
        return None
    facts = Facts(scene=row.facts.scene, captions=row.facts.captions)
    return SourceRecord(row.key, row.source, row.license, row.split, sample.picture, facts=facts, texts=texts)
