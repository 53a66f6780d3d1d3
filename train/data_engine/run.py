"""One run of the engine: what was asked for, and where on disk everything of it lies.

A run goes chunk by chunk. A chunk is so many records of one source and split, in the source's own order, and every
step writes one file for a chunk: under a temporary name, then renamed. So a run that was killed at any moment goes on
with the chunks that have no file yet, and nothing is there twice.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from lrsclip.errors import DataError
from lrsclip.io.atomic import write_json
from train.data_engine.writer.llm_settings import LlmSettings

Duplicates = Literal["embedding", "hash", "keep"]
Format = Literal["webdataset", "parquet"]


class RunSettings(BaseModel):
    """All that decides what a run writes.

    Attributes:
        sources: each source's settings, as JSON.
        writer: who writes the texts.
        llm: whom to ask, for the writer "llm".
        variants: pairs of texts for each record.
        seed: another seed, another wording.
        chunk_records: records of a chunk, and so of a shard at most.
        duplicates: how near-duplicates are found: "embedding" (with the hash, the strictest), "hash" alone, "keep"
            (not at all; pictures are still read once to see that they can be).
        checkpoint: whose image embedding is used.
        formats: what is written.
        limit: records of each source at most; None for all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[str, ...] = Field(min_length=1)
    writer: Literal["rules", "llm"] = "rules"
    llm: LlmSettings | None = None
    variants: PositiveInt = 1
    seed: int = Field(default=0, ge=0, lt=2**31)
    chunk_records: PositiveInt = 1000
    duplicates: Duplicates = "embedding"
    checkpoint: str = "tiny"
    formats: tuple[Format, ...] = ("webdataset", "parquet")
    limit: PositiveInt | None = None

    def same_as(self, other: RunSettings) -> bool:
        """Whether a run that was begun with `other` may go on with these: only how a model is asked may differ."""
        return self.model_dump(exclude={"llm"}) == other.model_dump(exclude={"llm"})


@dataclass(frozen=True)
class Run:
    """A run on disk.

    Attributes:
        out: its folder.
        settings: what was asked for.
    """

    out: Path
    settings: RunSettings

    @classmethod
    def begin(cls, out: Path, settings: RunSettings) -> Run:
        """Begin a run, or go on with the one that lies there.

        Raises:
            DataError: the folder holds a run with other settings, or something else.
        """
        out.mkdir(parents=True, exist_ok=True)
        path = out / "run.json"
        if path.is_file():
            try:
                begun = RunSettings.model_validate_json(path.read_bytes())
            except ValidationError as error:
                raise DataError(f"{path} is damaged; take another --out, or remove the folder") from error
            if not settings.same_as(begun):
                changed = sorted(
                    name
                    for name in RunSettings.model_fields
                    if name != "llm" and getattr(begun, name) != getattr(settings, name)
                )
                raise DataError(f"{out} was begun with other {', '.join(changed)}; take another --out, or say the same")
        elif any(out.iterdir()):
            raise DataError(f"{out} holds something else; take an empty or a new folder for --out")
        write_json(path, settings.model_dump(mode="json"))
        run = cls(out, settings)
        for folder in ("records", "looks", "texts", "ledgers"):
            (run.work / folder).mkdir(parents=True, exist_ok=True)
        return run

    @property
    def work(self) -> Path:
        """What the steps leave for each other."""
        return self.out / "work"

    def source_done(self, source: str) -> Path:
        """Says that all records of a source are read; holds their counts and faults."""
        return self.work / "records" / f"{source}.json"

    def records(self, chunk: str) -> Path:
        """A chunk's records, one on a line."""
        return self.work / "records" / f"{chunk}.jsonl"

    def looks(self, chunk: str) -> Path:
        """What was seen of a chunk's pictures."""
        return self.work / "looks" / f"{chunk}.npz"

    @property
    def verdict(self) -> Path:
        """Which records stay, for all chunks."""
        return self.work / "verdict.npz"

    @property
    def joined(self) -> Path:
        """Captions that records take over from their duplicates."""
        return self.work / "joined.json"

    def texts(self, chunk: str) -> Path:
        """A chunk's accepted texts, one record on a line."""
        return self.work / "texts" / f"{chunk}.jsonl"

    def ledger(self, chunk: str) -> Path:
        """What a language model answered for a chunk."""
        return self.work / "ledgers" / f"{chunk}.jsonl"

    def shard(self, chunk: str) -> Path:
        """A chunk as a WebDataset shard."""
        return self.out / "shards" / f"{chunk}.tar"

    def parquet(self, chunk: str) -> Path:
        """A chunk as a Parquet file."""
        return self.out / "data" / f"{chunk}.parquet"

    def chunks(self) -> list[str]:
        """All chunks, in the order of the sources."""
        names: list[str] = []
        for text in self.settings.sources:
            source = json.loads(text)["name"]
            names += json.loads(self.source_done(source).read_bytes())["chunks"]
        return names


def chunk_name(split: str, source: str, number: int) -> str:
    """A chunk's name; the split comes first, as the Hub wants it."""
    return f"{split}-{source}-{number:05d}"


def source_of(chunk: str) -> str:
    """The source that a chunk is of."""
    return chunk.rsplit("-", 1)[0].split("-", 1)[1]


def draft_of(path: Path) -> Path:
    """Where a file is written before it is whole; the same for every try, so that nothing is left behind."""
    digest = hashlib.sha256(path.name.encode()).hexdigest()[:8]
    return path.with_name(f".{digest}.{path.name}.part")
