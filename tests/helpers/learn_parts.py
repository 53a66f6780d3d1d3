"""A few tiles of the built-in landscape, those of the lessons among them, for the tests of the Learn page."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import lrsclip
from app.collections import AppState
from app.learn.lessons import LESSONS
from app.shipped_collection import unpack
from lrsclip import LRSCLIP
from lrsclip.index import build_index
from lrsclip.tiles.atlas import AtlasTiles
from tests.helpers.app_parts import SEEN_WORDS


class FewTiles(AtlasTiles):
    """The landscape's own tiles, but for each lesson only four, of the one block that is drawn at once."""

    def tile_ids(self) -> list[str]:
        rows = [(int(lesson.tile_id[1:4]) // 4 * 4, lesson.tile_id) for lesson in LESSONS]
        return sorted({f"r{row + n:03d}{tile_id[4:]}" for row, tile_id in rows for n in range(4)})

    def __len__(self) -> int:
        return len(self.tile_ids())

    def prepare(self, progress: Callable[[int, int], None] | None = None, stop: threading.Event | None = None) -> None:
        """Draw the blocks of the lessons alone; the others would take a minute."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for row, column in {(int(name[1:4]) // 4, int(name[5:]) // 4) for name in self.tile_ids()}:
            if not self.kept_file(f"r{4 * row:03d}c{4 * column:03d}").exists():
                self.keep_block(row, column)


def landscape(folder: Path, bundle: LRSCLIP | None = None) -> AppState:
    """The app's state over those tiles, with random weights unless a model is given."""
    model = bundle or dataclasses.replace(lrsclip.random_model(), vocabulary=dict.fromkeys(SEEN_WORDS, 1))
    source = FewTiles()
    unpack(source, model)  # or they are drawn, for half a minute
    return AppState(model, build_index(source, model, folder / "index"), source)
