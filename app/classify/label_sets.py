"""The label sets that the Classify page offers, and which of them a text is."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

OWN = "Own"
"""Title of the set that a visitor typed."""


@dataclass(frozen=True)
class LabelSet:
    """The classes of a data set in plain words.

    Attributes:
        title: its name on the page.
        about: a description in a few words.
        labels: its class names.
    """

    title: str
    about: str
    labels: tuple[str, ...]

    @property
    def text(self) -> str:
        """The names as the box holds them, one a line."""
        return "\n".join(self.labels)


def read_label_sets(path: Path) -> dict[str, LabelSet]:
    """Read the label sets of a TOML file, by title."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["set"]
    return {row["title"]: LabelSet(row["title"], row["about"], tuple(row["labels"])) for row in rows}


LABEL_SETS = read_label_sets(Path(__file__).parent / "label_sets.toml")
FIRST_SET = next(iter(LABEL_SETS.values()))


def lines_of(text: str) -> tuple[str, ...]:
    """Split the text of a box into its lines, stripped and without empty ones."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def set_of(text: str) -> str:
    """Return the title of the set whose names a text holds, in any order; OWN if there is none."""
    names = sorted(lines_of(text))
    return next((title for title, given in LABEL_SETS.items() if sorted(given.labels) == names), OWN)


def about(title: str) -> str:
    """Describe a set in a sentence for the page."""
    return f"{LABEL_SETS[title].about}." if title in LABEL_SETS else "Your own: one name a line, in plain words."
