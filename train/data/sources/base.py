"""What every source is: a few settings, and records one after the other."""

from __future__ import annotations

import unicodedata
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lrsclip.errors import DataError
from train.data.faults import Faults
from train.data.names import folder_words, hashed_split
from train.data.records import Facts, PictureRef, SourceRecord, Split

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class Source(BaseModel):
    """Settings that all sources have; a layout adds its own and gives `_read`.

    Attributes:
        name: what its records are called after; lower case, digits, hyphens.
        license: of its pictures.
        gsd_m: ground size of a pixel in meters, where one number holds for all.
        split: puts every record into this split, whatever the source says; None: as it says, else a hash of the name.
        held_out: a set to be measured on: nothing of it is written, and what looks like it leaves the training split.
        classes: annotation class to plain words, singular; a class that is not here reads as its own name in words.
        strict_classes: a class that is not in `classes` is a fault (counted, left out) instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    license: str = "unknown"
    gsd_m: float | None = Field(default=None, gt=0)
    split: Split | None = None
    held_out: bool = False
    classes: Mapping[str, str] = Field(default_factory=dict)
    strict_classes: bool = False

    def records(self, faults: Faults) -> Iterator[SourceRecord]:
        """Read every record, in an order that depends on nothing but what lies on disk.

        Args:
            faults: what is wrong with one record is counted in it, and the rest goes on.

        Raises:
            DataError: a folder or the annotation file is missing or cannot be read, or there is no record.
        """
        empty = True
        for record in self._read(faults):
            empty = False
            yield record
        if empty and not self._may_be_empty():
            place = next((f" from {value}" for _, value in self if isinstance(value, Path)), "")
            raise DataError(f"the source {self.name} gives no record{place}; see its faults, and check path and layout")

    @abstractmethod
    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        """Read every record; `records` sees to it that there is one.

        Args:
            faults: what is wrong with one record is counted in it.

        Raises:
            DataError: a folder or the annotation file is missing or cannot be read.
        """

    def _may_be_empty(self) -> bool:
        """Return whether a set without any record is sound."""
        return False

    def record(
        self,
        within: str,
        picture: Path | PictureRef | None,
        facts: Facts,
        split: Split | None = None,
        size_px: tuple[int, int] = (0, 0),
        lonlat: tuple[float, float] | None = None,
        gsd_m: float | None = None,
    ) -> SourceRecord:
        """Make a record of this source.

        Args:
            within: its name within the source; unique, and it does not change when the archive is moved.
            picture: its file, or where in a file it lies.
            facts: what is known of it.
            split: as the source says; None: by a hash of the name.
            size_px: width and height.
            lonlat: of its middle.
            gsd_m: where it is the picture's own.
        """
        lon, lat = lonlat or (None, None)
        return SourceRecord(
            key=f"{self.name}/{within}",
            source=self.name,
            license=self.license,
            split=self.split or split or hashed_split(within),
            picture=PictureRef(str(picture)) if isinstance(picture, Path) else picture,
            width_px=size_px[0],
            height_px=size_px[1],
            gsd_m=gsd_m or self.gsd_m,
            lon_deg=lon,
            lat_deg=lat,
            facts=facts,
        )

    def words_of(self, name: str, faults: Faults, where: str) -> str | None:
        """Return a class in plain words; None (and a fault) where the map must have it and has not."""
        for form in (name, unicodedata.normalize("NFC", name)):  # macOS takes letters and accents apart
            if form in self.classes:
                return self.classes[form]
        if self.strict_classes:
            faults.add("class not in the map", f"{where}: class {name!r} is not in the map of {self.name}; add it")
            return None
        return folder_words(name)


LayoutName = Literal["captions", "folders", "dota", "voc", "coco", "masks", "tags", "webdataset", "parquet", "atlas"]
