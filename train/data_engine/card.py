"""The data card: contents, sources, making and samples of a set."""

from __future__ import annotations

import io
import itertools
import json
from itertools import islice
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from lrsclip.io.atomic import write_atomically
from lrsclip.io.decode import open_image
from train.data_engine.report import BIN_TOKENS, Report
from train.data_engine.run import Run, source_of
from train.data_engine.steps.pack import Packed, packed_of

_SAMPLES, _COLUMNS, _TILE_PX, _TEXT_PX = 12, 4, 224, 150
_BAR = 40


def write_card(run: Run, report: Report, chunks: list[str]) -> None:
    """Write `README.md` and `contact.jpg`."""
    samples = _samples(run, chunks)
    if sheet := _contact_sheet(samples):
        write_atomically(run.out / "contact.jpg", sheet)
    write_atomically(run.out / "README.md", _card(run, report, samples, bool(sheet)).encode())


def _samples(run: Run, chunks: list[str]) -> list[Packed]:
    """Draw samples of every source in turn, those of one source as far apart as its chunks."""
    by_source: dict[str, list[Packed]] = {}
    for chunk in chunks:
        if run.texts(chunk).stat().st_size:
            some = by_source.setdefault(source_of(chunk), [])
            some += islice(packed_of(run, chunk), _SAMPLES if not some else 1)
    for some in by_source.values():
        first_chunk = some[:_SAMPLES]
        some[:] = some[_SAMPLES:] + first_chunk
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*by_source.values()))
    return [one for one in in_turn if one is not None][:_SAMPLES]


def _contact_sheet(samples: list[Packed]) -> bytes:
    shown = [s for s in samples if s.picture]
    if not shown:
        return b""
    rows = -(-len(shown) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _TILE_PX, rows * (_TILE_PX + _TEXT_PX)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for number, sample in enumerate(shown):
        x, y = number % _COLUMNS * _TILE_PX, number // _COLUMNS * (_TILE_PX + _TEXT_PX)
        picture = open_image(io.BytesIO(sample.picture), name=sample.name)
        sheet.paste(picture.resize((_TILE_PX - 4, _TILE_PX - 4)), (x + 2, y + 2))
        text = f"{sample.record.key}\n{sample.texts.variants[0].texts.long}"
        draw.multiline_text((x + 4, y + _TILE_PX), _wrapped(draw, text, font), "black", font, spacing=1)
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _wrapped(draw: ImageDraw.ImageDraw, text: str, font: Any) -> str:
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.replace("/", "/ ").replace("_", "_ ").split():  # a long name may break there
            if line and draw.textlength(f"{line} {word}", font) > _TILE_PX - 10:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}".strip()
        lines.append(line)
    most = _TEXT_PX // 13
    return "\n".join(lines[:most] if len(lines) <= most else [*lines[: most - 1], lines[most - 1] + " ..."])


def _card(run: Run, report: Report, samples: list[Packed], sheet: bool) -> str:
    s = run.settings
    how = f"the language model {s.llm.model} (prompt {s.llm.prompt})" if s.llm and s.writer == "llm" else "rules"
    parts = [
        _front_matter(run),
        "# A training set of remote-sensing pictures with a short and a long text each",
        f"{report.written_total:,} pictures from {len(report.written)} sources, {s.variants} pair(s) of texts each, "
        f"written by {how} from facts, and each text checked against them. Made by the LRS2M engine of lrsclip "
        f"(`python -m train.data_engine`), seed {s.seed}.",
        "![Some of the pictures with their long texts](contact.jpg)" if sheet else "",
        "## Sources\n\n" + _sources(report),
        "## Text lengths in CLIP tokens\n\n" + _lengths(report),
        "## What was left out\n\n" + _left_out(report),
        "## The gate\n\n" + _gate(report),
        "## Words\n\n" + f"{len(report.words):,} different words in the long texts; the most frequent: "
        + ", ".join(word for word, _ in report.words.most_common(60)) + ".",
        "## Samples\n\n" + "\n".join(_sample(sample) for sample in samples[:6]),
        "## Layout\n\n" + _LAYOUT,
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


_LAYOUT = """`shards/` holds WebDataset tars (picture, `.txt` with the first long text, `.json` with everything),
`data/` the same as Parquet with an image column. `report.json` has every count of this page. `python -m train.fit
--data THIS_FOLDER` trains on it."""


def _front_matter(run: Run) -> str:
    configs = ""
    if "parquet" in run.settings.formats:
        splits = [s for s in ("train", "val", "test") if any((run.out / "data").glob(f"{s}-*.parquet"))]
        names = {"val": "validation"}
        files = "".join(f"\n  - split: {names.get(s, s)}\n    path: data/{s}-*.parquet" for s in splits)
        configs = f"\nconfigs:\n- config_name: default\n  data_files:{files}" if splits else ""
    return f"---\nlanguage: en\ntask_categories:\n- image-to-text\n- zero-shot-image-classification{configs}\n---"


def _sources(report: Report) -> str:
    lines = ["| source | license | read | written: train | val | test |", "|---|---|---|---|---|---|"]
    for name, read in report.read.items():
        written, total = report.written.get(name, {}), sum(read.values())
        numbers = " | ".join(f"{written.get(split, 0):,}" for split in ("train", "val", "test"))
        if name in report.held_out:
            numbers = "held out | | "
        lines.append(f"| {name} | {report.licenses[name]} | {total:,} | {numbers} |")
    return "\n".join(lines)


def _lengths(report: Report) -> str:
    lines = ["| tokens | short | long | |", "|---|---|---|---|"]
    most = max(report.long_tokens.values(), default=1)
    for at in sorted({*report.short_tokens, *report.long_tokens}):
        bar = "#" * round(_BAR * report.long_tokens[at] / most)
        lines.append(
            f"| {at} to {at + BIN_TOKENS - 1} | {report.short_tokens[at]:,} | {report.long_tokens[at]:,} | {bar} |"
        )
    return "\n".join(lines)


def _left_out(report: Report) -> str:
    lines = [f"- {why}: {count:,}" for why, count in report.duplicates.get("dropped", {}).items()]
    lines += [f"- {kind}: {entry['count']:,}, such as: {entry['examples'][0]}" for kind, entry in report.faults.items()]
    lines += [f"- {sentence}" for sentence in report.duplicates.get("sentences", [])]
    return "\n".join(lines) or "Nothing."


def _gate(report: Report) -> str:
    lines = [f"- written by {writer}: {count:,} texts" for writer, count in report.writers.items()]
    lines += [f"- rejected for {kind}: {count:,}" for kind, count in report.rejected.most_common()]
    lines += [f"- left to the rules ({why}): {count:,}" for why, count in report.fell_back.most_common()]
    if report.llm.get("requests"):
        lines.append(
            f"- {report.llm['requests']:,} requests, {report.llm['prompt_tokens']:,} tokens in, "
            f"{report.llm['completion_tokens']:,} out, {report.llm['cost_usd']:.2f} USD"
        )
    return "\n".join(lines)


def _sample(sample: Packed) -> str:
    texts = sample.texts.variants[0].texts
    facts = json.dumps(sample.sidecar["facts"], ensure_ascii=False)
    return f"- **{sample.record.key}**: {texts.short}\n  - {texts.long}\n  - facts: `{facts[:400]}`"
