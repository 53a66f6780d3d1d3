"""Fifth step: chunks as WebDataset shards and as Parquet files, the same bytes on every machine."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrsclip.errors import PictureError
from lrsclip.io.decode import opened
from train.data.pictures import open_ref, read_bytes
from train.data.records import SourceRecord
from train.data_engine.run import Run, draft_of
from train.data_engine.steps.write_texts import RecordTexts, read_texts, staying

# Decoders of WebDataset know these by their suffix; other formats are written anew as PNG.
_SUFFIXES = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png", b"RIFF": "webp"}
_ROWS = 200  # of a row group: pictures are read by groups
_FEATURES = {
    "info": {
        "features": {
            "image": {"_type": "Image"},
            **{name: {"_type": "Value", "dtype": "string"} for name in ("key", "source", "license", "split", "facts")},
            **{name: {"_type": "Value", "dtype": "int32"} for name in ("width_px", "height_px")},
            **{name: {"_type": "Value", "dtype": "float64"} for name in ("gsd_m", "lon_deg", "lat_deg")},
            **{name: {"_type": "List", "feature": {"_type": "Value", "dtype": "string"}}
               for name in ("short", "long", "writer")},
        }
    }
}  # fmt: skip
SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("key", pa.string()),
        ("source", pa.string()),
        ("license", pa.string()),
        ("split", pa.string()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("gsd_m", pa.float64()),
        ("lon_deg", pa.float64()),
        ("lat_deg", pa.float64()),
        ("facts", pa.string()),
        ("short", pa.list_(pa.string())),
        ("long", pa.list_(pa.string())),
        ("writer", pa.list_(pa.string())),
    ],
    metadata={"huggingface": json.dumps(_FEATURES)},
)


@dataclass(frozen=True)
class Packed:
    """A record as it is written.

    Attributes:
        name: within the shard, without a suffix.
        record, texts: its facts and its accepted texts.
        picture: encoded, b"" where there is none.
        suffix: of the picture's format.
    """

    name: str
    record: SourceRecord
    texts: RecordTexts
    picture: bytes
    suffix: str

    @property
    def sidecar(self) -> dict[str, Any]:
        """Fields of the record but the picture, for JSON; without the places of files on this machine."""
        r = self.record
        return {
            "key": r.key,
            "source": r.source,
            "license": r.license,
            "split": r.split,
            "width_px": r.width_px,
            "height_px": r.height_px,
            "gsd_m": r.gsd_m,
            "lon_deg": r.lon_deg,
            "lat_deg": r.lat_deg,
            "short": [v.texts.short for v in self.texts.variants],
            "long": [v.texts.long for v in self.texts.variants],
            "writer": [f"{v.writer} {v.model} {v.prompt}".strip() for v in self.texts.variants],
            "facts": _facts(r),
        }


def _facts(record: SourceRecord) -> dict[str, Any]:
    facts = asdict(record.facts)
    return {name: value for name, value in facts.items() if value not in (None, (), "", False)}


def pack(run: Run, chunk: str) -> None:
    """Write a chunk in the formats of the settings, unless that was done before; an empty one writes nothing."""
    wanted = [
        (path, write)
        for name, path, write in (
            ("webdataset", run.shard(chunk), _write_shard),
            ("parquet", run.parquet(chunk), _write_parquet),
        )
        if name in run.settings.formats and not path.is_file()
    ]
    if not wanted or not run.texts(chunk).stat().st_size:
        return
    for path, write in wanted:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = draft_of(path)
        try:
            with draft.open("wb") as file:
                write(file, packed_of(run, chunk))
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def packed_of(run: Run, chunk: str) -> Iterator[Packed]:
    """Yield a chunk's records as they are written, one at a time."""
    records = staying(run, chunk)
    for number, texts in enumerate(read_texts(run, chunk)):
        record = next(r for r in records if r.key == texts.key)  # both are in the same order
        picture, suffix = _picture(record)
        yield Packed(f"{chunk}-{number:06d}", record, texts, picture, suffix)


def _picture(record: SourceRecord) -> tuple[bytes, str]:
    if record.picture is None:
        return b"", ""
    content = read_bytes(record.picture)
    for start, suffix in _SUFFIXES.items():
        if content.startswith(start) and not _turned(content):
            return content, suffix
    buffer = io.BytesIO()
    open_ref(record.picture).save(buffer, "PNG")
    return buffer.getvalue(), "png"


def _turned(content: bytes) -> bool:
    """Return whether a picture's Exif asks to turn it before it is shown; many readers do not."""
    if b"Exif" not in content[:4096]:
        return False
    try:
        with opened(io.BytesIO(content)) as picture:
            return picture.getexif().get(0x0112, 1) not in (0, 1)
    except (OSError, SyntaxError, ValueError) as error:
        raise PictureError(f"the picture cannot be read ({error}); fetch it again") from error


def _write_shard(file: Any, rows: Iterator[Packed]) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for row in rows:
            parts = {
                row.suffix: row.picture,
                "txt": row.texts.variants[0].texts.long.encode(),
                "json": json.dumps(row.sidecar, ensure_ascii=False, sort_keys=True).encode(),
            }
            for suffix, content in parts.items():
                if suffix:
                    member = tarfile.TarInfo(f"{row.name}.{suffix}")  # no time, no owner: the same bytes every time
                    member.size, member.mode = len(content), 0o644
                    tar.addfile(member, io.BytesIO(content))
            tar.members.clear()  # type: ignore[attr-defined]  # it would remember every name


def _write_parquet(file: Any, rows: Iterator[Packed]) -> None:
    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        group: list[dict[str, Any]] = []
        for row in rows:
            image = {"bytes": row.picture, "path": f"{row.name}.{row.suffix}"} if row.suffix else None
            facts = json.dumps(row.sidecar["facts"], ensure_ascii=False, sort_keys=True)
            group.append(row.sidecar | {"image": image, "facts": facts})
            if len(group) == _ROWS:
                writer.write_table(pa.Table.from_pylist(group, SCHEMA))
                group = []
        if group:
            writer.write_table(pa.Table.from_pylist(group, SCHEMA))
