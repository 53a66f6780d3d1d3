"""The engine from end to end: gather, look, judge, write, pack, report.

Each step goes on where an earlier run was stopped; a step that is finished costs nothing.
"""

from __future__ import annotations

import logging
import time

from lrsclip.errors import DataError
from lrsclip.io.atomic import write_json
from train.data.sources.engine_output import FINISHED
from train.data_engine.card import write_card
from train.data_engine.executors import Engine, EngineName
from train.data_engine.report import Report, report_of
from train.data_engine.run import Run, source_of
from train.data_engine.steps.deduplicate import judge
from train.data_engine.steps.ingest import gather, sources_of
from train.data_engine.steps.inspect import look
from train.data_engine.steps.pack import pack
from train.data_engine.steps.write_texts import write_llm, write_rules

log = logging.getLogger(__name__)
VERSION = 1
"""Of the layout that `train.data.sources.engine_output` reads."""


def build(run: Run, engine: EngineName = "local", workers: int = 1) -> Report:
    """Make the data set, or its missing parts.

    Args:
        run: settings and folder.
        engine: executor of the steps; with any of them, this process asks the language model.
        workers: processes of the local engine.

    Returns:
        The counts of the run; they are also in `report.json`, and in words in `README.md`.

    Raises:
        DataError: a source has no record, or a file of the run is damaged.
        BudgetSpent, EndpointError: of the language model; running again goes on.
        OSError: the disk is full, or a path cannot be written; running again goes on.
    """
    began = time.perf_counter()
    gather(run)
    chunks = run.chunks()
    if not chunks:  # another source, which was left out, gives all the pictures
        raise DataError("no source has a record of its own; name the source that has the pictures as well")
    with Engine(engine, workers) as running:
        running.for_every_chunk(look, run, chunks, "looking at pictures")
        judge(run)
        held_out = {source.name for source in sources_of(run) if source.held_out}
        written = [chunk for chunk in chunks if source_of(chunk) not in held_out]
        if run.settings.writer == "llm":
            write_llm(run, written)
        else:
            running.for_every_chunk(write_rules, run, written, "writing texts")
        running.for_every_chunk(pack, run, written, "packing")
    report = report_of(run, chunks, written)
    write_json(run.out / "report.json", report.as_dict())
    write_card(run, report, written)
    write_json(
        run.out / FINISHED,
        {"version": VERSION, "shards": [run.shard(c).name for c in written if run.shard(c).is_file()]},
    )
    for draft in run.out.rglob("*.tmp"):  # of a process that was killed while it wrote
        draft.unlink(missing_ok=True)
    log.info("%d records written in %.0f s", report.written_total, time.perf_counter() - began)
    return report
