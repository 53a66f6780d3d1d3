"""Counts of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from lrsclip.models.tokenizer import words
from train.data.faults import Faults
from train.data_engine.gate.gate import tokens_of
from train.data_engine.run import Run, source_of
from train.data_engine.steps.deduplicate import verdict_report
from train.data_engine.steps.ingest import gathered, sources_of
from train.data_engine.steps.inspect import read_looks
from train.data_engine.steps.write_texts import read_texts, write_stats

BIN_TOKENS = 10


@dataclass
class Report:
    """Counts of a run.

    Attributes:
        read: source -> split -> records read.
        written: source -> split -> records written.
        licenses: source -> license.
        held_out: sources that are only measured on.
        faults: kind -> count and examples, of every step.
        duplicates: verdict of `judge`, see `verdict_report`.
        writers: writer -> texts.
        rejected: findings of the gate on a language model's texts, by kind.
        fell_back: texts that the rules wrote in place of the language model, by reason.
        llm: sums over the language model's requests.
        short_tokens, long_tokens: histograms, tokens in bins of ten -> texts.
        words: word -> occurrences.
    """

    read: dict[str, dict[str, int]] = field(default_factory=dict)
    written: dict[str, dict[str, int]] = field(default_factory=dict)
    licenses: dict[str, str] = field(default_factory=dict)
    held_out: list[str] = field(default_factory=list)
    faults: dict[str, Any] = field(default_factory=dict)
    duplicates: dict[str, Any] = field(default_factory=dict)
    writers: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    fell_back: Counter[str] = field(default_factory=Counter)
    llm: dict[str, Any] = field(default_factory=dict)
    short_tokens: Counter[int] = field(default_factory=Counter)
    long_tokens: Counter[int] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)

    @property
    def written_total(self) -> int:
        """Number of records written."""
        return sum(sum(splits.values()) for splits in self.written.values())

    @property
    def read_total(self) -> int:
        """Number of records read."""
        return sum(sum(splits.values()) for splits in self.read.values())

    def as_dict(self) -> dict[str, Any]:
        """Convert to a dict for JSON, with the most frequent words alone."""
        out = {name: value for name, value in vars(self).items() if name not in ("words",)}
        for name in ("short_tokens", "long_tokens"):
            out[name] = {str(at): count for at, count in sorted(out[name].items())}
        return out | {
            "read_total": self.read_total,
            "written_total": self.written_total,
            "vocabulary": len(self.words),
            "frequent_words": dict(self.words.most_common(200)),
        }


def report_of(run: Run, chunks: list[str], written: list[str]) -> Report:
    """Count everything, one chunk at a time: memory stays small."""
    report, faults = Report(), Faults()
    for source in sources_of(run):
        found: dict[str, Any] = gathered(run, source.name)
        report.read[source.name] = found["counts"]
        report.licenses[source.name] = found["license"]
        if found["held_out"]:
            report.held_out.append(source.name)
        faults.merge(found["faults"])
    for chunk in chunks:
        faults.merge(read_looks(run.looks(chunk)).faults)
    report.duplicates = verdict_report(run)
    for chunk in written:
        stats = write_stats(run, chunk)
        faults.merge(stats["faults"])
        _add_llm(report.llm, stats["llm"])
        _count_texts(report, run, chunk, chunk.split("-", 1)[0], source_of(chunk))
    report.faults = faults.as_dict()
    return report


def _count_texts(report: Report, run: Run, chunk: str, split: str, source: str) -> None:
    splits = report.written.setdefault(source, {})
    for record in read_texts(run, chunk):
        splits[split] = splits.get(split, 0) + 1
        for one in record.variants:
            report.writers[one.writer] += 1
            report.rejected.update(f.kind for f in one.rejected)
            if one.fell_back:
                report.fell_back[one.fell_back] += 1
            report.short_tokens[_bin(one.texts.short)] += 1
            report.long_tokens[_bin(one.texts.long)] += 1
            report.words.update(words(one.texts.long))


def _bin(text: str) -> int:
    return tokens_of(text) // BIN_TOKENS * BIN_TOKENS


def _add_llm(total: dict[str, Any], stats: dict[str, Any]) -> None:
    for name, value in stats.items():
        if isinstance(value, dict):
            total[name] = dict(Counter(total.get(name, {})) + Counter(value))
        else:
            total[name] = total.get(name, 0) + value
