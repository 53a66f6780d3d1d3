"""What the data engine wrote, as records for training."""

from __future__ import annotations

import json
import logging
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrsclip.errors import DataError
from train.data.readers import PICTURE_SUFFIXES, Record

FINISHED = "lrs2m.json"
"""File that says that a data set is whole, and which shards it has."""
log = logging.getLogger(__name__)


def read_lrs2m(folder: Path) -> list[Record]:
    """All records of a data set; their pictures stay in the shards and are read from there.

    Raises:
        DataError: the data set is not finished, has no shards, or one of them is missing or damaged.
    """
    try:
        finished: dict[str, Any] = json.loads((folder / FINISHED).read_bytes())
        shards = [folder / "shards" / name for name in finished["shards"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} holds no finished data set ({error}); run python -m train.data_engine build again"
        ) from error
    if not shards:
        raise DataError(f"{folder} has no shards to train on; build it with --formats webdataset,parquet")
    records = [record for shard in shards for record in _read_shard(shard)]
    log.info("%d records from %s", len(records), folder)
    return records


def _read_shard(path: Path) -> Iterator[Record]:
    try:
        with tarfile.open(path, "r:") as tar:
            span = None
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # it would remember all of them
                if Path(member.name).suffix in PICTURE_SUFFIXES:
                    span = (member.offset_data, member.size)
                elif member.name.endswith(".json"):
                    file = tar.extractfile(member)
                    assert file is not None
                    if span is not None:
                        yield _record(json.load(file), path, span)
                    span = None
    except (OSError, tarfile.TarError, ValueError, KeyError, AssertionError) as error:
        raise DataError(f"{path} cannot be read ({error}); remove it and build the data set again") from error


def _record(row: dict[str, Any], shard: Path, span: tuple[int, int]) -> Record:
    texts = tuple(zip(row["short"], row["long"], strict=True))
    captions = tuple(row["facts"].get("captions", ()))
    name = row["key"].removeprefix(f"{row['source']}/")
    return Record(
        row["source"], shard, row["split"], captions, row["facts"].get("scene"), texts=texts, span=span, name=name
    )
