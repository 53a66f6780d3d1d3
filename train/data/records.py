"""One picture with what is known of it: as every source is read, and as training and evaluation see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from lrsclip.errors import DataError

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class PictureRef:
    """Where a picture's encoded bytes lie.

    Attributes:
        path: the file; of a picture inside another file, that file.
        offset, size: the bytes in the file (a member of an uncompressed tar); None for the whole file.
        row, column: the row of a Parquet file and the column that holds the picture; None and "" otherwise.
    """

    path: str
    offset: int | None = None
    size: int | None = None
    row: int | None = None
    column: str = ""


@dataclass(frozen=True)
class Thing:
    """One thing in a picture.

    Attributes:
        kind: what it is, in plain words, singular ("storage tank").
        box: left, top, right, bottom as fractions of the picture, 0 to 1, y downwards, left < right, top < bottom.
        bearing_deg: of its long side, from up (north) clockwise, 0 to 180; None where not known.
        color: a color word, or "".
        cut: whether the picture's edge cuts it.
    """

    kind: str
    box: tuple[float, float, float, float]
    bearing_deg: float | None = None
    color: str = ""
    cut: bool = False


@dataclass(frozen=True)
class Share:
    """How much of a picture a land cover takes.

    Attributes:
        kind: what it is, in plain words, singular ("water", "road", "building").
        share: of the whole picture, 0 to 1.
        cells: of each of the nine thirds by thirds, row by row from the upper left, 0 to 1; () where not known.
    """

    kind: str
    share: float
    cells: tuple[float, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What is known of a picture.

    Attributes:
        scene: the class of the whole scene in plain words ("dense residential area"), or None.
        captions: sentences that people wrote, as given, duplicates included.
        things: what a detection set marks.
        things_complete: whether every thing of the source's classes is among `things`, so that counting them is right.
        shares: what a segmentation mask shows, the largest first.
        tags: (key, value) of OpenStreetMap or the like, ("landuse", "farmland").
    """

    scene: str | None = None
    captions: tuple[str, ...] = ()
    things: tuple[Thing, ...] = ()
    things_complete: bool = False
    shares: tuple[Share, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is known."""
        return not (self.scene or self.captions or self.things or self.shares or self.tags)


@dataclass(frozen=True)
class SourceRecord:
    """One picture of a source.

    Attributes:
        key: name that is unique within the data set: `<source>/<name within the source>`.
        source: the source's name.
        license: of the picture, as the source's description says.
        split: as the source says, or a hash of the name where it has none.
        picture: where it lies; None for a record of text alone (a generated one).
        width_px, height_px: 0 where they are not known before decoding.
        gsd_m: ground size of a pixel in meters, or None.
        lon_deg, lat_deg: of its middle, WGS 84, or None.
        facts: what is known of it.
        texts: (short, long) pairs that the data engine wrote for it.
    """

    key: str
    source: str
    license: str
    split: Split
    picture: PictureRef | None
    width_px: int = 0
    height_px: int = 0
    gsd_m: float | None = None
    lon_deg: float | None = None
    lat_deg: float | None = None
    facts: Facts = field(default_factory=Facts)
    texts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Record:
    """One picture as training and evaluation see it.

    Attributes:
        source: the data set's name.
        path: the picture file.
        split: `train`, `val` or `test`.
        captions: human captions as given, duplicates included (evaluation protocols count them); may be empty.
        label: scene class in plain words, or None.
        exact: the captions count things and name their places, so no crop of the picture is described by them; the
            first is a caption, the others are the sentences of one description.
        false: (number of a caption, the same sentence with one false claim).
        texts: (short, long) pairs that were written for the picture; training shows these and not the captions.
        span: offset and size in bytes of the picture in its file, which holds others too; None for a file of its own.
        name: within the source, where the file's name does not tell it.
    """

    source: str
    path: Path
    split: str
    captions: tuple[str, ...] = ()
    label: str | None = None
    exact: bool = False
    false: tuple[tuple[int, str], ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    span: tuple[int, int] | None = None
    name: str = ""

    @property
    def key(self) -> str:
        """Name that is unique among all records: source and file."""
        return f"{self.source}/{self.name or f'{self.path.parent.name}/{self.path.name}'}"

    @property
    def described(self) -> bool:
        """Whether there is more than a label."""
        return bool(self.captions or self.texts)

    @property
    def size_bytes(self) -> int:
        """Of the encoded picture."""
        return self.span[1] if self.span else self.path.stat().st_size


def training_record(found: SourceRecord) -> Record:
    """Return a source's record as training and evaluation see it.

    Its key is made of the last two parts of the file's path wherever these tell the picture, as features on disk are
    kept under it.

    Raises:
        DataError: it has no picture, or one in a Parquet file, which training does not open.
    """
    at = found.picture
    if at is None or at.row is not None:
        raise DataError(f"{found.key} has no picture in a file or a tar; let the data engine make a set of it first")
    path, within = Path(at.path), found.key.removeprefix(f"{found.source}/")
    span = None if at.offset is None or at.size is None else (at.offset, at.size)
    told = span is None and within in (path.name, f"{path.parent.name}/{path.name}")
    return Record(
        source=found.source,
        path=path,
        split=found.split,
        captions=found.facts.captions,
        label=found.facts.scene,
        texts=found.texts,
        span=span,
        name="" if told else within,
    )


_RECORD = TypeAdapter(SourceRecord)


def to_line(record: SourceRecord) -> bytes:
    """Return a record as a line of JSON, without the line's end."""
    return _RECORD.dump_json(record, exclude_defaults=True)


def from_line(line: bytes, where: str = "a record") -> SourceRecord:
    """Read a record from its line.

    Raises:
        DataError: it is no record.
    """
    try:
        return _RECORD.validate_json(line)
    except ValidationError as error:
        raise DataError(
            f"{where} cannot be read ({error.errors()[0]['msg']}); remove the file and run again"
        ) from error


def read_lines(path: Path) -> Iterator[SourceRecord]:
    """Read the records of a file of lines.

    Raises:
        DataError: a line is no record.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield from_line(line, f"line {number} of {path}")
