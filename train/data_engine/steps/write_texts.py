"""Fourth step: the texts of every record that stays, each accepted by the gate."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter

from lrsclip.io.atomic import write_atomically, write_json
from train.data.faults import Faults
from train.data.pictures import read_bytes
from train.data.records import SourceRecord, read_lines
from train.data_engine.gate.gate import Gate
from train.data_engine.lexicon.lexicon import shared_lexicon
from train.data_engine.run import Run
from train.data_engine.steps.deduplicate import joined_captions, kept_of
from train.data_engine.steps.ingest import gathered, sources_of
from train.data_engine.steps.inspect import read_looks
from train.data_engine.texts import Texts, Written
from train.data_engine.writer.ledger import Ledger, Spent
from train.data_engine.writer.llm import LlmWriter
from train.data_engine.writer.rules import RulesFailed, RulesWriter, brief


@dataclass(frozen=True)
class RecordTexts:
    """All variants of one record.

    Attributes:
        key: the record's.
        variants: in order.
    """

    key: str
    variants: tuple[Written, ...]


_LINE = TypeAdapter(RecordTexts)


def staying(run: Run, chunk: str) -> Iterator[SourceRecord]:
    """Yield the records of a chunk that stay, with the captions of their duplicates and the size in px as read."""
    kept, joined = kept_of(run, chunk), joined_captions(run)
    looks = read_looks(run.looks(chunk))
    for record, stays, size in zip(read_lines(run.records(chunk)), kept, looks.size_px.tolist(), strict=True):
        if not stays:
            continue
        if size[0]:
            record = replace(record, width_px=size[0], height_px=size[1])
        if more := joined.get(record.key):
            captions = tuple(dict.fromkeys((*record.facts.captions, *more)))
            record = replace(record, facts=replace(record.facts, captions=captions))
        yield record


def write_rules(run: Run, chunk: str) -> None:
    """Let the rules write a chunk's texts, unless that was done before."""
    if run.texts(chunk).is_file():
        return
    rules, faults, done = rules_of(run), Faults(), list[RecordTexts]()
    for record in staying(run, chunk):
        try:
            variants = range(run.settings.variants)
            done.append(
                RecordTexts(record.key, tuple(Written(record.key, v, rules(record, v), "rules") for v in variants))
            )
        except RulesFailed as error:
            faults.add("nothing can be said", str(error))
    _keep(run, chunk, done, faults, {})


def write_llm(run: Run, chunks: list[str]) -> None:
    """Let a language model write the texts of all chunks that have none yet.

    Raises:
        BudgetSpent, EndpointError: see `LlmWriter.write`; all answers so far are kept.
    """
    assert run.settings.llm is not None
    settings = run.settings.llm.model_copy(update={"variants": run.settings.variants})
    rules = rules_of(run)

    def cautious(record: SourceRecord, variant: int) -> Texts:
        try:
            return rules(record, variant)
        except RulesFailed:
            return Texts("", "")

    ledgers = sorted((run.work / "ledgers").glob("*.jsonl"))
    spent = Spent.from_ledgers(ledgers)
    writer = LlmWriter(settings, rules.gate, cautious, brief, read_bytes, spent)
    for chunk in chunks:
        if run.texts(chunk).is_file():
            continue
        records, before = list(staying(run, chunk)), writer.stats
        with Ledger(run.ledger(chunk)) as ledger:
            written = asyncio.run(writer.write(records, ledger))
        _keep_written(run, chunk, records, written, _difference(writer, before))


def _keep_written(
    run: Run, chunk: str, records: list[SourceRecord], written: list[Written], stats: dict[str, Any]
) -> None:
    faults, by_key = Faults(), dict[str, list[Written]]()
    for one in written:
        by_key.setdefault(one.key, []).append(one)
    done = []
    for record in records:
        if all(one.texts.short for one in by_key[record.key]):
            done.append(RecordTexts(record.key, tuple(by_key[record.key])))
        else:
            faults.add(
                "nothing can be said", f"{record.key}: neither the model nor the rules found anything true to say"
            )
    _keep(run, chunk, done, faults, stats)


def _difference(writer: LlmWriter, before: Any) -> dict[str, Any]:
    """Subtract an earlier count from a writer's statistics."""
    out: dict[str, Any] = {}
    for name, value in vars(writer.stats).items():
        earlier = getattr(before, name)
        if isinstance(value, int | float):
            out[name] = value - earlier
        else:
            out[name] = dict(Counter(value) - Counter(earlier))
    return out


def _keep(run: Run, chunk: str, done: list[RecordTexts], faults: Faults, stats: dict[str, Any]) -> None:
    # The statistics first: the texts' file says that the chunk is done.
    write_json(run.texts(chunk).with_suffix(".json"), {"faults": faults.as_dict(), "llm": stats})
    lines = b"".join(_LINE.dump_json(one, exclude_defaults=True) + b"\n" for one in done)
    write_atomically(run.texts(chunk), lines)


def read_texts(run: Run, chunk: str) -> Iterator[RecordTexts]:
    """Yield the accepted texts of a chunk."""
    with run.texts(chunk).open("rb") as file:
        for line in file:
            yield _LINE.validate_json(line)


def write_stats(run: Run, chunk: str) -> dict[str, Any]:
    """Read the faults of a chunk's texts and the language model's statistics."""
    found: dict[str, Any] = json.loads(run.texts(chunk).with_suffix(".json").read_bytes())
    return found


def rules_of(run: Run) -> RulesWriter:
    """Build the rules' writer with the run's own names."""
    return _rules(run)


@lru_cache(maxsize=1)
def _rules(run: Run) -> RulesWriter:
    kinds: list[str] = []
    for source in sources_of(run):
        kinds += gathered(run, source.name)["kinds"]  # type: ignore[arg-type]
    return RulesWriter(Gate(shared_lexicon().with_kinds(dict.fromkeys(kinds))), run.settings.seed)
