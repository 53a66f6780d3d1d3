"""WebDataset: tar shards in which a picture and its texts stand side by side under one name."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from train.data.faults import Faults
from train.data.readers import PICTURE_SUFFIXES
from train.data.records import Facts, PictureRef, SourceRecord
from train.data.sources.base import Source
from train.data.sources.files import (
    Pattern,
    Place,
    clean,
    gsd_in,
    lonlat_in,
    matching_files,
    not_empty,
    split_in_name,
    texts_in,
)

_BLOCK = tarfile.BLOCKSIZE
_MOST_TEXT_BYTES = 2**20
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
# ValueError and the rest: numbers in headers that are none, names that are no text.
_TAR_FAULTS = (tarfile.TarError, OSError, EOFError, ValueError, LookupError, ArithmeticError, RecursionError)


@dataclass
class _Sample:
    stem: str
    picture: PictureRef | None = None
    captions: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


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

    def records(self, faults: Faults) -> Iterator[SourceRecord]:
        """Every record, shard by shard, in the order of the members.

        Raises:
            DataError: there is no shard, or none holds a picture.
        """
        return not_empty(self._read(faults), self.name, self.root)

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        for shard in matching_files(self.root, self.shards, self.name):
            seen: set[str] = set()
            for sample in _samples(shard, faults):
                where = f"{sample.stem!r} in {shard}"
                if sample.picture is None:
                    faults.add("picture missing", f"{where} has no jpg, png or webp; add it or remove the sample")
                elif sample.stem in seen:
                    faults.add("picture named twice", f"{where} comes a second time; put its members side by side")
                else:
                    seen.add(sample.stem)
                    yield self._one(shard, sample, where, faults)

    def _one(self, shard: Path, sample: _Sample, where: str, faults: Faults) -> SourceRecord:
        fields = sample.facts
        captions = sample.captions + tuple(t for name in self.caption_fields for t in texts_in(fields.get(name)))
        named = next((fields[name] for name in self.scene_fields if isinstance(fields.get(name), (str, int))), None)
        scene = self.words_of(clean(str(named)), faults, where) if named not in (None, "") else None
        within = shard.relative_to(self.root).as_posix()
        return self.record(
            f"{within.removesuffix('.tar')}/{sample.stem}",
            sample.picture,
            Facts(scene=scene or None, captions=tuple(dict.fromkeys(captions))),
            split_in_name(within),
            lonlat=lonlat_in(fields.get(self.lon_field), fields.get(self.lat_field), where, faults),
            gsd_m=gsd_in(fields.get(self.gsd_field), where, faults),
        )


def _samples(shard: Path, faults: Faults) -> Iterator[_Sample]:
    """The samples of a shard, up to where it breaks."""
    sample: _Sample | None = None
    for stem, suffix, at, content in _members(shard, faults):
        if sample is None or sample.stem != stem:
            if sample is not None:
                yield sample
            sample = _Sample(stem)
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
                sample.facts = read
    if sample is not None:
        yield sample


def _members(shard: Path, faults: Faults) -> Iterator[tuple[str, str, PictureRef, bytes]]:
    """Stem, suffix, place and, for texts, content of the members that matter; a break is a fault."""
    with shard.open("rb") as file:
        start = file.read(6)
        kind = next((name for magic, name in _COMPRESSED.items() if start.startswith(magic)), None)
        if kind:
            faults.add(
                "compressed shard",
                f"{shard} is {kind}-compressed, so that no picture can be read by its place; unpack it",
            )
            return
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
            faults.add("broken shard", f"{shard} breaks off after {file.tell():,} bytes ({error}); fetch it again")


def _member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, shard: Path, faults: Faults
) -> tuple[str, str, PictureRef, bytes] | None:
    path = PurePosixPath(clean(member.name))
    suffix = path.suffix.lower()
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or path.name.startswith("."):
        return None
    stem = path.with_suffix("").as_posix().removeprefix("./")
    at = PictureRef(str(shard), member.offset_data, member.size)
    if suffix in PICTURE_SUFFIXES:
        return stem, suffix, at, b""
    if suffix not in (".txt", ".json"):
        return None
    if member.size > _MOST_TEXT_BYTES:
        faults.add(
            "annotation unreadable", f"{path} in {shard} has {member.size:,} bytes, too many for a text; mend it"
        )
        return None
    stored = tar.extractfile(member)
    return stem, suffix, at, stored.read() if stored else b""
