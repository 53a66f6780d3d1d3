"""The data engine's pace and memory: `python -m benchmarks.lrs2m_engine [--records 1000000] [--workers 2]`.

First the `rules` writer alone, on facts of every kind (marked things, land covers, tags, captions, classes), from a
record's line to the line of its accepted texts, in one process. Then the whole engine on a generated source: WebDataset
shards of so many tiny pictures with captions, read, looked at, judged by hash, written, checked and packed; printed are
the time of each step and the most memory that any process took.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from train.data.records import Facts, Share, SourceRecord, Thing, from_line, to_line
from train.data.sources.webdataset import WebDatasetSource
from train.data_engine.gate.gate import Gate
from train.data_engine.lexicon.lexicon import shared_lexicon
from train.data_engine.pipeline import build
from train.data_engine.run import Run, RunSettings
from train.data_engine.writer.rules import RulesWriter
from train.provenance import provenance

_SHARD = 20_000
_KINDS = ("plane", "ship", "storage tank", "tennis court", "large vehicle", "small vehicle", "harbor", "bridge")
_COVERS = ("water", "forest", "building", "road", "agriculture")
_TAGS = (("landuse", "farmland"), ("natural", "water"), ("building", "warehouse"), ("highway", "primary"))
_SCENES = ("airport", "dense residential area", "forest", "parking lot", "river", "farmland")
_CAPTIONS = (
    "Many {color} buildings are in a dense residential area.",
    "Some {color} planes are parked near a terminal.",
    "A {color} river runs between two pieces of farmland.",
    "Several {color} storage tanks stand beside a road.",
    "There is a playground surrounded by {color} trees.",
)
_COLORS = ("white", "green", "brown", "grey", "dark", "large", "small", "long")


def facts_of(draw: random.Random, number: int) -> Facts:
    """Draw facts of one of five sorts."""
    sort = number % 5
    if sort == 0:
        things = []
        for _ in range(draw.randrange(1, 13)):
            x, y = draw.random() * 0.9, draw.random() * 0.9
            things.append(Thing(draw.choice(_KINDS[:3]), (x, y, x + 0.08, y + 0.06), draw.random() * 180))
        return Facts(things=tuple(things), things_complete=True)
    if sort == 1:
        cells = np.random.default_rng(number).dirichlet(np.ones(5), 9)
        shares = [Share(k, float(c.mean()), tuple(c.tolist())) for k, c in zip(_COVERS, cells.T, strict=True)]
        return Facts(shares=tuple(sorted(shares, key=lambda s: -s.share)))
    if sort == 2:
        return Facts(tags=tuple(draw.sample(_TAGS, 3)), scene=draw.choice(_SCENES))
    if sort == 3:
        return Facts(captions=captions_of(draw), scene=draw.choice(_SCENES))
    return Facts(scene=draw.choice(_SCENES))


def captions_of(draw: random.Random) -> tuple[str, ...]:
    """Draw three sentences as people write them."""
    return tuple(c.format(color=draw.choice(_COLORS)) for c in draw.sample(_CAPTIONS, 3))


def rules_pace(count: int) -> float:
    """Measure the pace of the `rules` writer, in records a second on one core."""
    draw = random.Random(0)
    lines = [
        to_line(SourceRecord(f"made/{n}", "made", "CC0", "train", None, facts=facts_of(draw, n))) for n in range(count)
    ]
    writer = RulesWriter(Gate(shared_lexicon().with_kinds(_KINDS)))
    writer(from_line(lines[0]), 0)  # the tables are read once
    began = time.perf_counter()
    for line in lines:
        record = from_line(line)
        texts = writer(record, 0)
        json.dumps([record.key, texts.short, texts.long])
    return count / (time.perf_counter() - began)


def tiny_pictures(count: int) -> Iterator[bytes]:
    """Yield JPEGs of 16 px, no two alike."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        small = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(small).resize((16, 16)).save(buffer, "JPEG", quality=50)
        yield buffer.getvalue()


def make_source(folder: Path, count: int) -> WebDatasetSource:
    """Write shards of tiny pictures with captions."""
    draw, pictures = random.Random(1), tiny_pictures(count)
    for start in range(0, count, _SHARD):
        with tarfile.open(folder / f"{start // _SHARD:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for number in range(start, min(count, start + _SHARD)):
                caption = json.dumps({"captions": list(captions_of(draw))}).encode()
                for suffix, content in (("jpg", next(pictures)), ("json", caption)):
                    member = tarfile.TarInfo(f"{number:09d}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
            tar.members.clear()  # type: ignore[attr-defined]
    return WebDatasetSource(name="made", root=folder)


def peak_mb() -> float:
    """Read the most memory in MB that this process, or any of its own, has taken."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000, help="of the generated source (default: 100,000)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    args = parser.parse_args()
    print(provenance())
    print(f"rules, one core, facts of five sorts: {rules_pace(10_000):,.0f} records/s")
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        (folder / "shards").mkdir()
        began = time.perf_counter()
        source = make_source(folder / "shards", args.records)
        print(f"generated source of {args.records:,} records: {time.perf_counter() - began:,.0f} s")
        settings = RunSettings(sources=(source.model_dump_json(),), duplicates="hash", formats=("webdataset",))
        began = time.perf_counter()
        report = build(Run.begin(folder / "out", settings), workers=args.workers)
        seconds = time.perf_counter() - began
        print(
            f"whole engine: {report.written_total:,} of {report.read_total:,} records in {seconds:,.0f} s "
            f"({report.read_total / seconds:,.0f}/s with {args.workers} processes), "
            f"at most {peak_mb():,.0f} MB a process"
        )


if __name__ == "__main__":
    main()
