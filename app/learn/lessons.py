"""Three lessons for a class, prepared on tiles of the built-in landscape; their texts are in `lessons.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.collections import Collections
from app.learn.subject import text_of_tile
from lrsclip.errors import TileSourceError

Mode = Literal["grow", "order", "swap", "reword"]
LANDSCAPE = "atlas"
"""Address of the collection that the lessons speak of."""


@dataclass(frozen=True)
class LessonStep:
    """A part of a lesson: how long it takes, what to ask before the click, what to click, what to watch for."""

    minutes: int
    ask: str
    do: str
    watch: str


@dataclass(frozen=True)
class Lesson:
    """A lesson of ten minutes.

    Attributes:
        title: its name on the page.
        aim: what the class should learn, in a sentence.
        tile_id: of the landscape.
        mode: the experiment of the page.
        text: the description; "" for the tile's own.
        kind: of the first swap.
        steps: in order.
        questions: for the hand-out.
        answers: to them, for the teacher's sheet.
    """

    title: str
    aim: str
    tile_id: str
    mode: Mode
    text: str
    kind: str
    steps: tuple[LessonStep, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]

    @property
    def minutes(self) -> int:
        """Length of the lesson in minutes."""
        return sum(step.minutes for step in self.steps)


def spec_of_landscape(collections: Collections) -> str:
    """Return the address of the open collection with the lessons' tiles.

    Raises:
        TileSourceError: it is not open.
    """
    if LANDSCAPE not in collections.specs():
        raise TileSourceError(
            f"the lessons need the built-in landscape; open {LANDSCAPE} under Places, or take a tile of your own"
        )
    return LANDSCAPE


def text_of(collections: Collections, lesson: Lesson) -> str:
    """Return the description that a lesson works with.

    Raises:
        TileSourceError: the landscape is not open, or its tile is not in the index.
    """
    return lesson.text or text_of_tile(collections.of(spec_of_landscape(collections)), lesson.tile_id)


def _read_lessons() -> tuple[Lesson, ...]:
    listed = tomllib.loads((Path(__file__).parent / "lessons.toml").read_text(encoding="utf-8"))["lesson"]
    return tuple(
        Lesson(
            title=one["title"],
            aim=one["aim"],
            tile_id=one["tile"],
            mode=one["mode"],
            text=" ".join(one.get("text", "").split()),
            kind=one.get("kind", "count"),
            steps=tuple(LessonStep(**step) for step in one["step"]),
            questions=tuple(one["questions"]),
            answers=tuple(one["answers"]),
        )
        for one in listed
    )


LESSONS = _read_lessons()
