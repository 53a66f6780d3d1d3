"""Class folders: AID, RESISC45, EuroSAT, PatternNet, and the like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from lrsclip.io.caption_json import read_caption_rows
from train.data.faults import Faults
from train.data.names import split_or_none
from train.data.records import Facts, SourceRecord, Split
from train.data.sources.base import Source
from train.data.sources.files import Place, below, folders_below, need_folder, picture_files


class FolderSource(Source):
    """`<class>/*.jpg`, or `train/<class>/*.jpg` and so on where every top folder is a word for a split.

    Attributes:
        root: the folder of class folders.
        scene: whether a folder's name is the class; "none" takes every picture below the root without one.
        without: a caption JSON whose pictures another source gives, so that they are left out here.
    """

    layout: Literal["folders"] = "folders"
    root: Place
    scene: Literal["none", "folder"] = "folder"
    without: Place | None = None

    def _read(self, faults: Faults) -> Iterator[SourceRecord]:
        need_folder(self.root, self.name)
        elsewhere = {row.file for row in read_caption_rows(self.without) if row} if self.without else set[str]()
        if self.scene == "none":
            for folder in folders_below(self.root):
                yield from self._pictures(folder, None, None, elsewhere, faults)
            return
        for top, split in self._tops():
            for folder in _folders(top):
                scene = self.words_of(folder.name, faults, str(folder))
                if scene:
                    yield from self._pictures(folder, scene, split, elsewhere, faults)

    def _may_be_empty(self) -> bool:
        """Return whether another source gives the pictures: the whole of NWPU-Captions describes all of RESISC45."""
        rows = read_caption_rows(self.without) if self.without else []
        return any(row is not None and below(self.root, row.file) for row in rows)

    def _tops(self) -> list[tuple[Path, Split | None]]:
        folders = _folders(self.root)
        splits = [split_or_none(folder.name) for folder in folders]
        if folders and all(splits):
            return list(zip(folders, splits, strict=True))
        return [(self.root, None)]

    def _pictures(
        self, folder: Path, scene: str | None, split: Split | None, elsewhere: set[str], faults: Faults
    ) -> Iterator[SourceRecord]:
        pictures = picture_files(folder, faults)
        if scene and not pictures:
            faults.add("empty class folder", f"{folder} holds no picture; remove the folder or fill it")
        for picture in pictures:
            within = picture.relative_to(self.root).as_posix()
            if within not in elsewhere:
                yield self.record(within, picture, Facts(scene=scene), split)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
