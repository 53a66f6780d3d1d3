"""The training corpus: every data set of the data folder, official splits, nothing of a held-out set in training."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from lrsclip.models.tokenizer import Tokenizer
from train.data.faults import Faults
from train.data.public_sets import PUBLIC_SETS, known_sources
from train.data.records import Record, training_record
from train.data.sources.base import Source
from train.data.sources.engine_output import FINISHED, EngineSource

_CONTEXT, _SHOWN = 248, 5
log = logging.getLogger(__name__)


def read_corpus(data: Path) -> list[Record]:
    """Read all records under a data folder, every split.

    RSITMD's captions join the RSICD picture that they describe, and so its split. RESISC45 pictures that NWPU-Captions
    describes are read once, with their captions; its validation split is trained on, since nothing is measured on it.
    Sets that are held out are never read here: they stay unseen. A folder that the data engine made is read as it is.

    Raises:
        DataError: the folder is missing or holds none of the sets, or a set cannot be read at all.
    """
    if (data / FINISHED).is_file():
        records = read_records([EngineSource(name="lrs2m", root=data)])
    else:
        records = read_records(source for source in known_sources(data) if not source.held_out)
    log.info("%d records from %s", len(records), data)
    return records


def read_rsicd(data: Path) -> list[Record]:
    """Read RSICD with its own captions only, as the retrieval protocol asks.

    Raises:
        DataError: it is missing or cannot be read at all.
    """
    return read_records([PUBLIC_SETS["rsicd"].source(data, alone=True)])


def read_records(sources: Iterable[Source]) -> list[Record]:
    """Read sources one after the other; what is wrong with single records is logged, with the total at the end.

    Raises:
        DataError: of one of them nothing can be read.
    """
    faults, chosen = Faults(), list(sources)
    records = [training_record(found) for source in chosen for found in source.records(faults)]
    _tell_spelled(records, faults)
    faults.log_total(", ".join(source.name for source in chosen))
    return records


def _tell_spelled(records: Iterable[Record], faults: Faults) -> None:
    """Count the records with captions in letters that the tokenizer hardly knows; they are learned from too."""
    tokenizer = Tokenizer(_CONTEXT)
    for record in records:
        texts = (*record.captions, *(text for pair in record.texts for text in pair))
        words = [word for text in texts if not text.isascii() for word in tokenizer.spelled_words(text)]
        if words:
            faults.add(
                "words read letter by letter",
                f"{record.key}: {', '.join(words[:_SHOWN])[:200]}; the tokenizer has no pieces of them: translate the "
                "captions to English",
            )
