"""Recipes: the choice of a picture's texts, and the weights of the two losses. JSON in `configs/recipes/`.

Two recipes differ in nothing else: data, fresh weights, budget of steps and seeds are those of the settings. Where a
paper leaves a number open, the number here is our own choice and is called so.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PositiveInt, Tag, model_validator

RECIPE_DIR = Path(__file__).parent / "configs" / "recipes"
Share = Annotated[float, Field(ge=0, le=1)]
ShortText = Literal["sentence", "subset"]


class Curriculum(BaseModel):
    """A weight that starts high, falls along half a cosine and stays low, over the course of all steps.

    DGTRS-CLIP weighs its losses by such a curriculum; its numbers are not published. The defaults (all steps' first
    fifth at 1, then down to 0.2 at four fifths) are our choice, after an independent reading of that paper.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: Share = 1.0
    end: Share = 0.2
    hold_until: Share = 0.2
    reach_at: Share = 0.8

    @model_validator(mode="after")
    def _falls_in_time(self) -> Curriculum:
        if self.hold_until >= self.reach_at:
            raise ValueError(f"hold_until {self.hold_until} must come before reach_at {self.reach_at}")
        return self

    def at(self, progress: float) -> float:
        """Return the weight at a share (0 to 1) of all steps."""
        behind = (progress - self.hold_until) / (self.reach_at - self.hold_until)
        falling = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, behind))))
        return self.end + (self.start - self.end) * falling


def _kind_of_weight(value: Any) -> str:
    return "curriculum" if isinstance(value, dict | Curriculum) else "number"


Weight = Annotated[
    Annotated[Share, Tag("number")] | Annotated[Curriculum, Tag("curriculum")], Discriminator(_kind_of_weight)
]


class Recipe(BaseModel):
    """Texts and loss weights of a run; data and budget are the settings'.

    Attributes:
        name: its name in tables.
        stretch: whether the stages go from 77 positions to 248 (KPS); without it all of them stay at 77.
        short_text: `sentence`, one sentence of the picture; `subset`, some of the sentences behind the long text's
            first one, in random order (DeBias-CLIP, arXiv 2602.22419).
        front_padding: share of the short text's padding that may stand before it instead of behind: a random part of
            up to this share (DeBias-CLIP). 0 leaves it behind.
        pca_components: the short loss sees the pictures rebuilt from so many principal components (Long-CLIP: 32), or
            from those that have this share of the batch's variance (below 1); None: it sees the same vectors as the
            long loss (LRSCLIP).
        long_weight: a in L = a * L_long + (1 - a) * L_short; None: each stage's own. A branch of weight 0 is not run.
        label_smoothing: of all cross-entropies (Long-CLIP: 0.1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    stretch: bool = True
    short_text: ShortText = "sentence"
    front_padding: Share = 0.0
    pca_components: PositiveInt | Annotated[float, Field(gt=0, lt=1)] | None = None
    long_weight: Weight | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def weight_at(self, progress: float, of_stage: float) -> float:
        """Return the long loss' weight a, 0 to 1.

        Args:
            progress: share of all steps done, 0 to 1.
            of_stage: the stage's weight, for a recipe that leaves it to the stages.
        """
        if isinstance(self.long_weight, Curriculum):
            return self.long_weight.at(progress)
        return of_stage if self.long_weight is None else self.long_weight

    @classmethod
    def named(cls, name: str) -> Recipe:
        """Read `train/configs/recipes/NAME.json`.

        Raises:
            ValueError: no recipe of that name; the message lists those there are.
        """
        path = RECIPE_DIR / f"{name}.json"
        if not path.is_file():
            raise ValueError(f"no recipe {name!r}; there are: {', '.join(recipe_names())}")
        return cls.model_validate(json.loads(path.read_text()))


def recipe_names() -> list[str]:
    """List the recipes in `train/configs/recipes/`, sorted."""
    return sorted(path.stem for path in RECIPE_DIR.glob("*.json"))
