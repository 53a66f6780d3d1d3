"""WebDataset: tar shards in which a picture and its texts stand side by side under one name."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from lrsclip.errors import DataError
from lrsclip.io.caption_json import one_line, texts_in
from train.data.faults import Faults
from train.data.names import PICTURE_SUFFIXES, split_in_name
from train.data.records import Facts, PictureRef, SourceRecord
from train.data.sources.base import Source
from train.data.sources.files import (
    Pattern,
    Place,
    gsd_in,
    lonlat_in,
    matching_files,
)

_BLOCK = tarfile.BLOCKSIZE
_MAX_TEXT_BYTES = 2**20
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
# ValueError and the rest: numbers in headers that are none, names that are no text.
_TAR_FAULTS = (tarfile.TarError, OSError, EOFError, ValueError, LookupError, ArithmeticError, RecursionError)


class ShardError(DataError):
    """A shard cannot be read, or not to its end.

    Attributes:
        kind: the kind of fault that it is where other shards can be read.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass
class Sample:
    """What stands in a shard under one name.

    Attributes:
        stem: the name, without a suffix.
        picture: where its bytes lie; None where there is none.
        captions: of the `.txt` members.
        fields: of the `.json` member.
    """

    stem: str
    picture: PictureRef | None = None
    captions: tuple[str, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)


class WebDatasetSource(Source):
    """Members of a name that follow each other are one sample: a picture, `.txt` (a caption), `.json` (fields).

    A shard's split is the word in its path (`train/0001.tar`, `rs-val-03.tar`).

    Attributes:
        root: the folder of the shards.
        shards: pattern of their names.
        caption_fields: of the JSON; a string or a list of them.
        scene_fields: of the JSON; the first that is there gives the class.
        lon_field, lat_field, gsd_field: of the JSON.
    """

    layout: Literal["webdataset"] = "webdataset"
    root: Place
    shards: Pattern = "**/*.tar"
    caption_fields: tuple[str, ...] = ("caption", "captions")
    scene_fields: tuple[str, ...] = ("class", "label")
    lon_field: str = "lon"
    lat_field: str = "lat"
    gsd_field: str = "gsd"

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        for shard in matching_files(self.root, self.shards, self.name):
            try:
                yield from self._shard(shard, faults)
            except ShardError as error:
                faults.add(error.kind, str(error))

    def _shard(self, shard: Path, faults: Faults) -> Iterator[SourceRecord]:
        seen: set[str] = set()
        for sample in read_samples(shard, faults):
            where = f"{sample.stem!r} in {shard}"
            if sample.picture is None:
                faults.add("picture missing", f"{where} has no jpg, png or webp; add it or remove the sample")
            elif sample.stem in seen:
                faults.add("picture named twice", f"{where} comes a second time; put its members side by side")
            else:
                seen.add(sample.stem)
                yield self._one(shard, sample, where, faults)

    def _one(self, shard: Path, sample: Sample, where: str, faults: Faults) -> SourceRecord:
        fields = sample.fields
        captions = sample.captions + tuple(t for name in self.caption_fields for t in texts_in(fields.get(name)))
        named = next((fields[name] for name in self.scene_fields if isinstance(fields.get(name), (str, int))), None)
        scene = self.words_of(one_line(str(named)), faults, where) if named not in (None, "") else None
        within = shard.relative_to(self.root).as_posix()
        return self.record(
            f"{within.removesuffix('.tar')}/{sample.stem}",
            sample.picture,
            Facts(scene=scene or None, captions=tuple(dict.fromkeys(captions))),
            split_in_name(within),
            lonlat=lonlat_in(fields.get(self.lon_field), fields.get(self.lat_field), where, faults),
            gsd_m=gsd_in(fields.get(self.gsd_field), where, faults),
        )


def read_samples(shard: Path, faults: Faults) -> Iterator[Sample]:
    """Read the samples of a shard, up to where it breaks.

    Args:
        shard: the tar.
        faults: a member that cannot be read is counted in it.

    Raises:
        ShardError: after the last sample, where the shard cannot be read to its end.
    """
    sample: Sample | None = None
    broken: ShardError | None = None
    members = _members(shard, faults)
    while True:
        try:
            stem, suffix, at, content = next(members)
        except StopIteration:
            break
        except ShardError as error:  # what came before it is whole
            broken = error
            break
        if sample is None or sample.stem != stem:
            if sample is not None:
                yield sample
            sample = Sample(stem)
        if suffix in PICTURE_SUFFIXES:
            sample.picture = sample.picture or at
        elif suffix == ".txt":
            sample.captions += texts_in(content.decode("utf-8", errors="replace"))
        else:
            try:
                read = json.loads(content)
            except (ValueError, RecursionError) as error:
                read = None
                faults.add("annotation unreadable", f"{stem}.json in {shard} is not JSON ({error}); mend it")
            if isinstance(read, dict):
                sample.fields = read
    if sample is not None:
        yield sample
    if broken is not None:
        raise broken


def _members(shard: Path, faults: Faults) -> Iterator[tuple[str, str, PictureRef, bytes]]:
    """Yield stem, suffix, place and, for texts, content of the members that matter.

    Raises:
        ShardError: the shard is missing, compressed, or breaks off.
    """
    try:
        file = shard.open("rb")
    except OSError as error:
        raise ShardError("broken shard", f"{shard} cannot be read ({error.strerror}); fetch it again") from error
    with file:
        start = file.read(6)
        kind = next((name for magic, name in _COMPRESSED.items() if start.startswith(magic)), None)
        if kind:
            raise ShardError(
                "compressed shard",
                f"{shard} is {kind}-compressed, so that no picture can be read by its place; unpack it",
            )
        length = file.seek(0, 2)
        file.seek(0)
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                while (member := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]  # it keeps every one otherwise
                    if member.offset_data + member.size > length:
                        raise tarfile.ReadError(f"{member.name!r} ends after the file")
                    found = _member(tar, member, shard, faults)
                    if found:
                        yield found
                file.seek(tar.offset)
                if file.read(_BLOCK) != bytes(_BLOCK):  # tarfile ends in silence at a header that is none
                    raise tarfile.ReadError("there is no mark of its end")
        except _TAR_FAULTS as error:
            told = f"{shard} breaks off after {file.tell():,} bytes ({error}); fetch it again"
            raise ShardError("broken shard", told) from error


def _member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, shard: Path, faults: Faults
) -> tuple[str, str, PictureRef, bytes] | None:
    path = PurePosixPath(one_line(member.name))
    suffix = path.suffix.lower()
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or path.name.startswith("."):
        return None
    stem = path.with_suffix("").as_posix().removeprefix("./")
    at = PictureRef(str(shard), member.offset_data, member.size)
    if suffix in PICTURE_SUFFIXES:
        return stem, suffix, at, b""
    if suffix not in (".txt", ".json"):
        return None
    if member.size > _MAX_TEXT_BYTES:
        faults.add(
            "annotation unreadable", f"{path} in {shard} has {member.size:,} bytes, too many for a text; mend it"
        )
        return None
    stored = tar.extractfile(member)
    return stem, suffix, at, stored.read() if stored else b""
