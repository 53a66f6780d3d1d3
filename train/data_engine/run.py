"""One run of the engine: its settings, and the places of its files.

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
    """Settings of a run's output.

    Attributes:
        sources: each source's settings, as JSON.
        writer: writer of the texts.
        llm: the language model's settings, for the writer "llm".
        variants: pairs of texts for each record.
        seed: another seed, another wording.
        chunk_records: records of a chunk, and so of a shard at most.
        duplicates: the search for near-duplicates: "embedding" (with the hash, the strictest), "hash" alone, "keep"
            (not at all; pictures are still read once to see that they can be).
        checkpoint: its image embedding makes the fingerprints.
        formats: output formats.
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
        """Return whether a run begun with `other` may go on: only the language model's settings may differ."""
        return self.model_dump(exclude={"llm"}) == other.model_dump(exclude={"llm"})


@dataclass(frozen=True)
class Run:
    """A run on disk.

    Attributes:
        out: its folder.
        settings: its settings.
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
        """Folder of the files that the steps leave for each other."""
        return self.out / "work"

    def source_done(self, source: str) -> Path:
        """Return the file that marks a source as read; it holds the records' counts and faults."""
        return self.work / "records" / f"{source}.json"

    def records(self, chunk: str) -> Path:
        """Return the file of a chunk's records, one on a line."""
        return self.work / "records" / f"{chunk}.jsonl"

    def looks(self, chunk: str) -> Path:
        """Return the file of a chunk's inspected pictures."""
        return self.work / "looks" / f"{chunk}.npz"

    @property
    def verdict(self) -> Path:
        """File of the records that stay, for all chunks."""
        return self.work / "verdict.npz"

    @property
    def joined(self) -> Path:
        """File of the captions that records take over from their duplicates."""
        return self.work / "joined.json"

    def texts(self, chunk: str) -> Path:
        """Return the file of a chunk's accepted texts, one record on a line."""
        return self.work / "texts" / f"{chunk}.jsonl"

    def ledger(self, chunk: str) -> Path:
        """Return the file of a language model's answers for a chunk."""
        return self.work / "ledgers" / f"{chunk}.jsonl"

    def shard(self, chunk: str) -> Path:
        """Return the file of a chunk as a WebDataset shard."""
        return self.out / "shards" / f"{chunk}.tar"

    def parquet(self, chunk: str) -> Path:
        """Return the file of a chunk as Parquet."""
        return self.out / "data" / f"{chunk}.parquet"

    def chunks(self) -> list[str]:
        """List the names of all chunks, in the order of the sources."""
        names: list[str] = []
        for text in self.settings.sources:
            source = json.loads(text)["name"]
            names += json.loads(self.source_done(source).read_bytes())["chunks"]
        return names


def chunk_name(split: str, source: str, number: int) -> str:
    """Build a chunk's name; the split comes first, as the Hub wants it."""
    return f"{split}-{source}-{number:05d}"


def source_of(chunk: str) -> str:
    """Return the name of a chunk's source."""
    return chunk.rsplit("-", 1)[0].split("-", 1)[1]


def draft_of(path: Path) -> Path:
    """Return the path of a file's draft, written before it is whole; each try has the same, so none is left behind."""
    digest = hashlib.sha256(path.name.encode()).hexdigest()[:8]
    return path.with_name(f".{digest}.{path.name}.part")
