"""Two true texts of different wording about one place: how much hangs on the words that people choose."""

from __future__ import annotations

from dataclasses import dataclass

from app.collections import AppState
from app.learn.service import Reading, check_text, ranked, reading_of, standings
from app.learn.subject import Subject, atlas_of, name_of
from lrsclip.errors import TextError
from lrsclip.models.tokenizer import Tokenizer

CLOSE_FACTOR = 2
"""Ranks that differ by less than this factor are called alike."""


@dataclass(frozen=True, eq=False)
class Reworded:
    """Two texts of one place, each with its rank.

    Attributes:
        spec: the collection.
        subject: of both texts.
        tiles: how many are ranked.
        texts: as they were written.
        readings: what the model reads of each, and how well it finds the place.
        alike_cos: cosine of the two texts' vectors.
    """

    spec: str
    subject: Subject
    tiles: int
    texts: tuple[str, str]
    readings: tuple[Reading, Reading]
    alike_cos: float

    @property
    def name(self) -> str:
        """What the texts speak of."""
        return name_of(self.subject)

    @property
    def better(self) -> int | None:
        """Index of the text that finds the place clearly better; None where they are alike."""
        first, second = (reading.standing.best for reading in self.readings)
        if max(first, second) < CLOSE_FACTOR * min(first, second):
            return None
        return int(second < first)


def other_wording(state: AppState, subject: Subject) -> str:
    """Tell a tile of the atlas in other words than its description does; "" where nothing is known of it.

    Raises:
        TileSourceError: there is no such tile.
    """
    source = atlas_of(state, subject)
    return source.reworded(str(subject)) if source is not None else ""


def reword(state: AppState, subject: Subject, text: str, again: str) -> Reworded:
    """Rank a place by two texts that say the same.

    Args:
        state: the collection.
        subject: the tile, or a picture of one's own.
        text: the one.
        again: the other.

    Raises:
        TextError: a text is empty, or both are the same.
        TileSourceError: there is no such tile.
    """
    text, again = text.strip(), again.strip()
    check_text(state, text)
    if not again:
        raise TextError("there is no second text; write the same in other words")
    check_text(state, again)
    if text == again:
        raise TextError("the two texts are the same; write the second in other words")
    limit = state.bundle.context_length
    reports = [Tokenizer(limit).describe(one) for one in (text, again)]
    vectors = state.bundle.encode_text([report.kept for report in reports])
    first, second = (
        reading_of(state, report, standing)
        for report, standing in zip(reports, standings(state, subject, vectors), strict=True)
    )
    alike_cos = float(vectors[0] @ vectors[1])
    return Reworded(state.source.spec, subject, ranked(state, subject), (text, again), (first, second), alike_cos)
