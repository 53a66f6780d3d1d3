"""Training settings: JSON files in `train/configs/`, checked on the way in."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, model_validator

from lrsclip.errors import TrainingError
from lrsclip.kps import stretched_length

CONFIG_DIR = Path(__file__).parent / "configs"


class Stage(BaseModel):
    """A stretch of training at one context length; going from 77 to 248 stretches the positions by KPS."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    context_length: int
    epochs: int = Field(ge=1)
    long_weight: float = Field(ge=0, le=1)  # a in L = a * L_long + (1 - a) * L_short


class Settings(BaseModel):
    """One recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    trunk: Literal["frozen", "trained"]  # frozen: its features are computed once and kept (CPU); trained: pixels (GPU)
    stages: tuple[Stage, ...] = Field(min_length=1)
    batch_size: int = Field(ge=2)
    learning_rate: PositiveFloat
    trunk_learning_rate: PositiveFloat = 1e-4
    text_learning_rate: PositiveFloat | None = None  # of a tower that knows words already; its token table stays
    weight_decay: float = Field(ge=0)
    warmup_steps: int = Field(ge=0)
    class_folder_share: float = Field(ge=0, le=1)  # part of the pictures without captions that an epoch shows
    flips: bool = True  # quarter turns and mirrors, unless a text names a direction
    crop_scale_min: float = Field(default=1.0, gt=0, le=1)  # smallest part of a picture's area that a showing keeps
    feature_dropout: float = Field(default=0.0, ge=0, lt=1)
    word_drop: float = Field(default=0.0, ge=0, lt=1)  # chance for each word of a text to be left out
    class_sentence: float = Field(default=0.0, ge=0, le=1)  # chance that a captioned picture's class is named as well
    seed: int = 0

    @model_validator(mode="after")
    def _stages_follow(self) -> Settings:
        for one, other in pairwise(stage.context_length for stage in self.stages):
            if other not in (one, stretched_length(one)):
                raise ValueError(f"KPS makes {stretched_length(one)} positions of {one}, not {other}")
        return self

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def stage_at(self, epoch: int) -> Stage:
        """The stage that an epoch (from 0) belongs to."""
        behind = 0
        for stage in self.stages:
            if epoch < stage.epochs + behind:
                return stage
            behind += stage.epochs
        raise TrainingError(f"epoch {epoch} is behind the last stage")

    @classmethod
    def read(cls, name_or_path: str) -> Settings:
        """Read `train/configs/NAME.json` or any JSON file.

        Raises:
            TrainingError: no such file, or a field is wrong; the message names it.
        """
        path = CONFIG_DIR / f"{name_or_path}.json"
        if not path.is_file():
            path = Path(name_or_path)
        try:
            return cls.model_validate(json.loads(path.read_text()))
        except OSError as error:
            known = ", ".join(sorted(p.stem for p in CONFIG_DIR.glob("*.json")))
            raise TrainingError(f"no training settings {name_or_path!r}: say one of {known}, or a JSON file") from error
        except json.JSONDecodeError as error:
            raise TrainingError(f"{path} is not JSON: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise TrainingError(f"{path}: {where}: {first['msg']}") from error
