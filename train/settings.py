"""Training settings: JSON files in `train/configs/`, checked on the way in."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from lrsclip.errors import TrainingError
from lrsclip.models.kps import stretched_length
from train.data.text_pairs import Wording
from train.recipes import Recipe

Config = TypeVar("Config", bound=BaseModel)
CONFIG_DIR = Path(__file__).parent / "configs"
# changes with which a run may go on: the cure for a loss that is not finite, and for too little memory
MAY_CHANGE = ("learning_rate", "trunk_learning_rate", "text_learning_rate", "micro_batch", "hold_on_device")


Rate = Annotated[float, Field(gt=0, le=0.1)]  # above, a few of AdamW's steps would destroy the learned weights


class Stage(BaseModel):
    """A stretch of training at one context length; going from 77 to 248 stretches the positions by KPS."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    context_length: int = Field(ge=77, le=248)  # CLIP's 77, or KPS's stretched length
    epochs: int = Field(ge=1)
    long_weight: float = Field(ge=0, le=1)  # a in L = a * L_long + (1 - a) * L_short


class Settings(BaseModel):
    """Settings of a run: model, stages, rates, augmentation and data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    trunk: Literal["frozen", "trained"]  # frozen: its features are computed once and kept (CPU); trained: pixels (GPU)
    stages: tuple[Stage, ...] = Field(min_length=1)
    batch_size: int = Field(ge=2)
    learning_rate: Rate
    trunk_learning_rate: Rate = 1e-4
    trunk_frozen_stages: int = Field(default=0, ge=0, le=3)  # of a trained trunk, from the stem on; they cost most
    text_learning_rate: Rate | None = None  # of a tower that knows words already; its token table stays
    text_frozen_layers: int = Field(default=0, ge=0)  # of a sentence tower, from the bottom, with all below them
    weight_decay: float = Field(ge=0, le=1)
    warmup_steps: int = Field(ge=0)
    class_folder_share: float = Field(ge=0, le=1)  # part of the pictures without captions that an epoch shows
    flips: bool = True  # quarter turns and mirrors, unless a text names a direction
    crop_scale_min: float = Field(default=1.0, gt=0, le=1)  # smallest part of a picture's area that a showing keeps
    feature_dropout: float = Field(default=0.0, ge=0, lt=1)
    word_drop: float = Field(default=0.0, ge=0, lt=1)  # chance for each word of a text to be left out
    class_sentence: float = Field(default=0.0, ge=0, le=1)  # chance that a captioned picture's class is named as well
    class_text: float = Field(default=0.0, ge=0, le=1)  # chance that its short text is a wording of its class
    paraphrase: float = Field(default=0.0, ge=0, le=1)  # chance for each word with synonyms to be replaced by one
    teach_weight: float = Field(default=0.0, ge=0, le=10)  # of the teacher's loss; needs --teach
    teach_texts: PositiveInt = 64  # that a step asks the teacher of
    average_decay: float = Field(default=0.0, ge=0, lt=1)  # measured and kept is a running average of the weights
    seed: int = Field(default=0, ge=0, lt=2**63)
    recipe: Recipe = Recipe(name="lrsclip")  # in JSON: a name in configs/recipes/, or the recipe itself
    atlas_seeds: tuple[int, ...] = ()  # worlds of the atlas to learn from as well; drawn where they are not yet
    atlas_tiles: PositiveInt = 1024  # of each of them
    atlas_showings: PositiveInt = 1  # of each tile in an epoch, each time with another part of its description
    sources: tuple[str, ...] | None = None  # train on these data sets alone
    micro_batch: PositiveInt | None = None  # pictures that a process encodes at once (gradient caching); None: all
    hold_on_device: bool | None = None  # prepared pictures in the device's memory; None: on a GPU where they fit
    views: int = Field(default=0, ge=0, le=16)  # of each picture as other sensors would have taken it, kept beside it
    color_jitter: float = Field(default=0.0, ge=0, lt=1)  # brightness, contrast, saturation change by up to this
    false_twins: bool = True  # an exact text's twin with one false claim is a counterexample of its picture

    @field_validator("recipe", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return Recipe.named(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _recipe_fits(self) -> Settings:
        components, lengths = self.recipe.pca_components, {stage.context_length for stage in self.stages}
        if components is not None and components >= self.batch_size:
            raise ValueError(f"{components} pca_components keep all of a batch of {self.batch_size}; take fewer")
        if not self.recipe.stretch and len(lengths) > 1:
            raise ValueError(f"recipe {self.recipe.name} does not stretch; give every stage the same context_length")
        if self.trunk == "frozen" and self.color_jitter:
            raise ValueError('color_jitter changes pixels; it needs "trunk": "trained"')
        return self

    @model_validator(mode="after")
    def _stages_follow(self) -> Settings:
        for one, other in pairwise(stage.context_length for stage in self.stages):
            if other not in (one, stretched_length(one)):
                raise ValueError(f"KPS makes {stretched_length(one)} positions of {one}, not {other}")
        return self

    @property
    def wording(self) -> Wording:
        """How the texts of a showing vary."""
        return Wording(self.word_drop, self.class_sentence, self.class_text, self.paraphrase, self.recipe.short_text)

    @property
    def epochs(self) -> int:
        """Number of epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def stage_at(self, epoch: int) -> Stage:
        """Return the stage of an epoch (from 0)."""
        behind = 0
        for stage in self.stages:
            if epoch < stage.epochs + behind:
                return stage
            behind += stage.epochs
        raise TrainingError(f"epoch {epoch} is behind the last stage")

    def with_recipe(self, name: str) -> Settings:
        """Return the same settings under another recipe: same data, seed and number of epochs.

        A recipe that does not stretch spends them all at the first stage's positions.

        Raises:
            TrainingError: no recipe of that name, or it does not fit.
        """
        fields = self.model_dump() | {"recipe": name}
        try:
            if not Recipe.named(name).stretch:
                fields["stages"] = [self.stages[0].model_copy(update={"epochs": self.epochs})]
            return Settings.model_validate(fields)
        except ValidationError as error:
            raise TrainingError(f"recipe {name}: {error.errors()[0]['msg']}") from error
        except ValueError as error:
            raise TrainingError(str(error)) from error

    def continues(self, written: str) -> bool:
        """Return whether a run that was begun with `written` (settings as JSON text) may go on with these."""
        try:
            begun = Settings.model_validate_json(written)
        except ValidationError:
            return False
        return begun.model_dump(exclude=set(MAY_CHANGE)) == self.model_dump(exclude=set(MAY_CHANGE))

    @classmethod
    def read(cls, name_or_path: str) -> Settings:
        """Read `train/configs/NAME.json` or any JSON file.

        Raises:
            TrainingError: no such file, or a field is wrong; the message names it.
        """
        return read_named(cls, CONFIG_DIR, name_or_path, "training settings")


def read_named(kind: type[Config], folder: Path, name_or_path: str, what: str) -> Config:
    """Read `folder/NAME.json` or any JSON file as a configuration.

    Args:
        kind: of the configuration.
        folder: of those that have a name.
        name_or_path: the name or the file.
        what: the configuration in words, for messages.

    Raises:
        TrainingError: no such file, or a field is wrong; the message names it.
    """
    path = folder / f"{name_or_path}.json"
    if not path.is_file():
        path = Path(name_or_path)
    try:
        return kind.model_validate(json.loads(path.read_text()))
    except OSError as error:
        known = ", ".join(sorted(p.stem for p in folder.glob("*.json")))
        raise TrainingError(f"no {what} {name_or_path!r}: say one of {known}, or a JSON file") from error
    except ValidationError as error:
        raise TrainingError(f"{path}:{first_fault(error)}; change it there") from error
    except (ValueError, RecursionError) as error:  # ValueError: neither UTF-8 nor JSON
        raise TrainingError(f"{path} is not JSON: {error}") from error


def first_fault(error: ValidationError) -> str:
    """Say where the first fault of a configuration is, and which."""
    first = error.errors()[0]
    return "".join(f" {part}:" for part in first["loc"]) + f" {first['msg']}"
