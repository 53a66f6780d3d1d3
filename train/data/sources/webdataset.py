"""WebDataset: tar shards in which a picture and its texts stand side by side under one name."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

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
_TOLD_MEMBERS = 12
_PLAIN_PICTURES = tuple(sorted(suffix.removeprefix(".") for suffix in PICTURE_SUFFIXES))
_SHOWN = ("rgb", "image", "img", "picture", "photo", "tile")  # of several pictures of a sample, the one to look at
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


Members = Annotated[tuple[str, ...], Field(min_length=1)]
Kind = Literal["picture", "other picture", "caption", "fields", "scene"]


@dataclass(frozen=True)
class MemberNames:
    """Which members of a sample are what, by patterns of what stands after the first dot of their names.

    Attributes:
        pictures: the first one that a sample has gives its picture.
        captions: texts.
        fields: JSON.
        scenes: a class, as a number or a name.
    """

    pictures: tuple[str, ...] = (*_PLAIN_PICTURES, *(f"{word}.{s}" for word in _SHOWN for s in _PLAIN_PICTURES))
    captions: tuple[str, ...] = (
        "txt",
        "text",
        "caption",
        "captions",
        "*caption*.txt",
        "*text*.txt",
        "*description*.txt",
    )
    fields: tuple[str, ...] = ("json", "*.json")
    scenes: tuple[str, ...] = ("cls",)

    def kind_of(self, ending: str) -> Kind | None:
        """Return what a member is, by the end of its name; None for one that is not read."""
        kinds: dict[Kind, tuple[str, ...]] = {
            "picture": self.pictures, "caption": self.captions, "scene": self.scenes, "fields": self.fields,
        }  # fmt: skip
        found = next((kind for kind, names in kinds.items() if any(fnmatchcase(ending, name) for name in names)), None)
        is_other = self.pictures == MemberNames.pictures and ending.rpartition(".")[2] in _PLAIN_PICTURES
        return found or ("other picture" if is_other else None)

    def rank_of(self, ending: str) -> int:
        """Return which pattern of pictures a member has; more than any for none."""
        return next(
            (number for number, name in enumerate(self.pictures) if fnmatchcase(ending, name)), len(self.pictures)
        )


@dataclass
class Sample:
    """What stands in a shard under one name.

    Attributes:
        stem: the name up to the first dot of its last part.
        picture: where its bytes lie; None where there is none.
        captions: of the members that are texts.
        fields: of those that are JSON.
        scene: of the member that names the class.
        endings: what stands after the first dot of the names of its members, in their order.
    """

    stem: str
    picture: PictureRef | None = None
    captions: tuple[str, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    scene: str = ""
    endings: tuple[str, ...] = ()


class WebDatasetSource(Source):
    """Members of a key that follow each other are one sample: a picture, a caption, fields as JSON.

    The key is what stands before the first dot of a member's file name, as WebDataset has it: `0002.rgb.jpg` and
    `0002.caption.txt` are one sample. A shard's split is the word in its path (`train/0001.tar`, `rs-val-03.tar`).

    Attributes:
        root: the folder of the shards.
        shards: pattern of their names.
        picture_members: what stands after the key of a picture, as patterns, the wanted one first ("img_content").
        caption_members: likewise of texts ("caption").
        field_members: likewise of JSON.
        scene_members: likewise of a class, as a name or a number that `classes` names.
        caption_fields: of the JSON; a string or a list of them.
        scene_fields: of the JSON; the first that is there gives the class.
        lon_field, lat_field, gsd_field: of the JSON.
    """

    layout: Literal["webdataset"] = "webdataset"
    root: Place
    shards: Pattern = "**/*.tar"
    picture_members: Members = MemberNames.pictures
    caption_members: Members = MemberNames.captions
    field_members: Members = MemberNames.fields
    scene_members: Members = MemberNames.scenes
    caption_fields: tuple[str, ...] = ("caption", "captions")
    scene_fields: tuple[str, ...] = ("class", "label")
    lon_field: str = "lon"
    lat_field: str = "lat"
    gsd_field: str = "gsd"

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        seen: Counter[str] = Counter()
        records = described = 0
        for shard in matching_files(self.root, self.shards, self.name):
            try:
                for record in self._shard(shard, seen, faults):
                    records += 1
                    described += not record.facts.empty
                    yield record
            except ShardError as error:
                faults.add(error.kind, str(error))
        if seen and not records:
            raise DataError(
                f"the source {self.name} gives no record from {self.root}: its members are {_listed(seen)}, and no "
                "picture among them is known; name the members with picture_members and caption_members"
            )
        if records and not described:
            faults.add(
                "no captions",
                f"no sample of {self.root} has a caption or a class; its members are {_listed(seen)}: name those that "
                "are texts with caption_members",
            )

    def _shard(self, shard: Path, counted: Counter[str], faults: Faults) -> Iterator[SourceRecord]:
        names = MemberNames(self.picture_members, self.caption_members, self.field_members, self.scene_members)
        seen: set[str] = set()
        for sample in read_samples(shard, faults, names):
            where = f"{sample.stem!r} in {shard}"
            counted.update(sample.endings)
            if sample.picture is None:
                faults.add(
                    "picture missing",
                    f"{where} has no picture, only {', '.join(sample.endings)[:200]}; add one, or name it with "
                    "picture_members",
                )
            elif sample.stem in seen:
                faults.add("picture named twice", f"{where} comes a second time; put its members side by side")
            else:
                seen.add(sample.stem)
                yield self._one(shard, sample, where, faults)

    def _one(self, shard: Path, sample: Sample, where: str, faults: Faults) -> SourceRecord:
        fields = sample.fields
        captions = sample.captions + tuple(t for name in self.caption_fields for t in texts_in(fields.get(name)))
        within = shard.relative_to(self.root).as_posix()
        return self.record(
            f"{within.removesuffix('.tar')}/{sample.stem}",
            sample.picture,
            Facts(scene=self._scene_of(sample, where, faults), captions=tuple(dict.fromkeys(captions))),
            split_in_name(within),
            lonlat=lonlat_in(fields.get(self.lon_field), fields.get(self.lat_field), where, faults),
            gsd_m=gsd_in(fields.get(self.gsd_field), where, faults),
        )

    def _scene_of(self, sample: Sample, where: str, faults: Faults) -> str | None:
        fields = sample.fields
        named = next((fields[name] for name in self.scene_fields if isinstance(fields.get(name), (str, int))), None)
        text = one_line(str(sample.scene if named in (None, "") else named))
        if text.isdecimal() and text not in self.classes and named in (None, ""):
            faults.add("class not in the map", f"{where}: class {text} has no name; add it to classes of {self.name}")
            return None
        return (self.words_of(text, faults, where) or None) if text else None


def _listed(seen: Mapping[str, int]) -> str:
    """List the ends of members' names, the most frequent first."""
    most = sorted(seen.items(), key=lambda pair: (-pair[1], pair[0]))
    more = f" and {len(most) - _TOLD_MEMBERS} more" if len(most) > _TOLD_MEMBERS else ""
    return ", ".join(f".{ending[:80]} ({count:,})" for ending, count in most[:_TOLD_MEMBERS]) + more


def read_samples(shard: Path, faults: Faults, names: MemberNames = MemberNames()) -> Iterator[Sample]:
    """Read the samples of a shard, up to where it breaks.

    Args:
        shard: the tar.
        faults: a member that cannot be read is counted in it.
        names: of the members.

    Raises:
        ShardError: after the last sample, where the shard cannot be read to its end.
    """
    sample: Sample | None = None
    rank, others = 0, 0
    broken: ShardError | None = None
    members = _members(shard, names, faults)
    while True:
        try:
            member = next(members)
        except StopIteration:
            break
        except ShardError as error:  # what came before it is whole
            broken = error
            break
        if sample is None or sample.stem != member.stem:
            if sample is not None:
                yield sample
            sample, rank, others = Sample(member.stem), len(names.pictures), 0
        sample.endings += (member.ending,)
        if member.kind == "picture":
            if names.rank_of(member.ending) < rank:
                sample.picture, rank = member.at, names.rank_of(member.ending)
        elif member.kind == "other picture":
            others += 1
            if rank == len(names.pictures):  # the only one of a sample is it, whatever it is called
                sample.picture = member.at if others == 1 else None
        elif member.kind is not None:
            _add_text(sample, member, shard, faults)
    if sample is not None:
        yield sample
    if broken is not None:
        raise broken


def _add_text(sample: Sample, member: _Member, shard: Path, faults: Faults) -> None:
    """Take what a member says into its sample."""
    if member.kind == "fields":
        try:
            read = json.loads(member.content)
        except (ValueError, RecursionError) as error:
            read = None
            faults.add("annotation unreadable", f"{member.name} in {shard} is not JSON ({error}); mend it")
        if isinstance(read, dict):
            sample.fields = read | sample.fields
        return
    text = member.content.decode("utf-8", errors="replace")
    if "\ufffd" in text and b"\xef\xbf\xbd" not in member.content:
        faults.add("text not UTF-8", f"{member.name} in {shard} is no UTF-8; write it anew")
        return
    if member.kind == "scene":
        sample.scene = sample.scene or one_line(text)
    else:
        sample.captions += _captions_in(text)


def _captions_in(text: str) -> tuple[str, ...]:
    """Return the captions of a text: itself, or the strings of the JSON that it is, as some sets write them."""
    if text.lstrip()[:1] in ("[", '"', "{"):
        try:
            return texts_in(json.loads(text)) or texts_in(text)
        except (ValueError, RecursionError):
            pass
    return texts_in(text)


@dataclass(frozen=True)
class _Member:
    name: str
    stem: str
    ending: str
    kind: Kind | None
    at: PictureRef
    content: bytes = b""


def _members(shard: Path, names: MemberNames, faults: Faults) -> Iterator[_Member]:
    """Yield the members of a shard, with the content of those that are texts.

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
                    found = _member(tar, member, shard, names, faults)
                    if found:
                        yield found
                file.seek(tar.offset)
                if file.read(_BLOCK) != bytes(_BLOCK):  # tarfile ends in silence at a header that is none
                    raise tarfile.ReadError("there is no mark of its end")
        except _TAR_FAULTS as error:
            told = f"{shard} breaks off after {file.tell():,} bytes ({error}); fetch it again"
            raise ShardError("broken shard", told) from error


def _member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, shard: Path, names: MemberNames, faults: Faults
) -> _Member | None:
    name = one_line(member.name).removeprefix("./")
    folder, slash, last = name.rpartition("/")
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or last.startswith("."):
        return None
    key, dot, ending = last.partition(".")  # at the first dot, as WebDataset does
    if not dot:
        return None
    ending = ending.lower()
    kind = names.kind_of(ending)
    at = PictureRef(str(shard), member.offset_data, member.size)
    found = _Member(name, folder + slash + key, ending, kind, at)
    if kind in (None, "picture", "other picture"):
        return found
    if member.size > _MAX_TEXT_BYTES:
        faults.add(
            "annotation unreadable", f"{name} in {shard} has {member.size:,} bytes, too many for a text; mend it"
        )
        return replace(found, kind=None)
    stored = tar.extractfile(member)
    return replace(found, content=stored.read() if stored else b"")
