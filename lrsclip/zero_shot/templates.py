"""Template sets: the phrasings that a class name is put into, with the rule that makes one vector of them.

A set is a JSON file in `template_sets/`: `rs5m` (105 phrasings, averaged before normalizing) and `skyscript` (two,
averaged after), each as its authors evaluate with it. Figures of two sets are not comparable.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lrsclip.errors import TextError

TEMPLATE_DIR = Path(__file__).parent / "template_sets"
PLACEHOLDER = "{}"
_WITH_ARTICLE, _BARE = "{an image}", "{image}"


@dataclass(frozen=True)
class TemplateSet:
    """Phrasings, with the rule that makes one feature of theirs.

    Attributes:
        name: name of the set.
        source: authors of the set.
        averaged: whether features are averaged as the tower gives them and the mean is normalized, or each is
            normalized, then averaged, and the mean normalized again.
        templates: phrasings with {} where the class name goes.
    """

    name: str
    source: str
    averaged: Literal["before normalizing", "after normalizing"]
    templates: tuple[str, ...]

    @classmethod
    def named(cls, name: str) -> TemplateSet:
        """Load a set that came with this copy of the project.

        Raises:
            TextError: there is none of that name, or its file is broken.
        """
        path = TEMPLATE_DIR / f"{name}.json"
        if name not in template_set_names():
            raise TextError(f"there is no template set {name!r}; there are: {', '.join(template_set_names())}")
        try:
            given = _File.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, ValidationError) as error:
            raise TextError(f"{path.name} is no template set ({str(error).splitlines()[0]}); fetch it again") from error
        return cls(name, given.source, given.averaged, given.expanded())


def template_set_names() -> list[str]:
    """List the names of the sets that came with this copy of the project."""
    return sorted(path.stem for path in TEMPLATE_DIR.glob("*.json"))


class _File(BaseModel):
    """The layout of a file: every phrasing once for each of `images`, where it speaks of {image} or {an image}."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    source: str
    averaged: Literal["before normalizing", "after normalizing"]
    images: tuple[str, ...] = ("",)
    phrasings: tuple[str, ...]

    def expanded(self) -> tuple[str, ...]:
        return tuple(
            phrasing.replace(_WITH_ARTICLE, image).replace(_BARE, image.partition(" ")[2])
            for image in self.images
            for phrasing in self.phrasings
        )
