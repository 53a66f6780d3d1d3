"""Model configurations: plain JSON files in `lrsclip/models/configs/`, checked on the way in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, model_validator

from lrsclip.errors import CheckpointError, UnknownModelError

TRUNK_STRIDE_PX = 16  # a cell of the small tower's map, in px of its input
CONFIG_DIR = Path(__file__).parent / "configs"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Tower = TypeVar("Tower", "ImageConfig", "TextConfig")


def _checked_heads(tower: Tower) -> Tower:
    if tower.width % tower.heads:
        raise ValueError(f"width {tower.width} is no multiple of heads {tower.heads}")
    return tower


class ImageConfig(_Frozen):
    """The image tower: `vit` is CLIP's own; `resnetv2` is a convolutional trunk under an attention pool."""

    kind: Literal["vit", "resnetv2"]
    image_px: PositiveInt = 224
    width: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    mlp_ratio: PositiveFloat = 4.0
    patch_px: PositiveInt = 16  # vit only
    grid: PositiveInt = 7  # resnetv2 only: the trunk's map is averaged to grid x grid before pooling
    dropout: float = Field(default=0.0, ge=0, lt=1)  # resnetv2 only: on the trunk's features, in training

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ImageConfig:
        return _checked_heads(self)


class TextConfig(_Frozen):
    """The text tower over CLIP's byte-pair tokens: `clip` is CLIP's own, causal; `sentence` has the shape of BERT."""

    kind: Literal["clip", "sentence"] = "clip"
    context_length: PositiveInt = 248
    kept_positions: int = Field(default=20, ge=0)
    vocab_size: PositiveInt = 49408
    width: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    mlp_ratio: PositiveFloat = 4.0
    # a token table of this rank, projected up: so a small checkpoint keeps all of CLIP's tokens
    embed_rank: PositiveInt | None = None
    dropout: float = Field(default=0.0, ge=0, lt=1)  # sentence only: inside the layers, in training

    @model_validator(mode="after")
    def _kept_within_context(self) -> TextConfig:
        if self.kept_positions > self.context_length:
            raise ValueError(f"kept_positions {self.kept_positions} does not fit context_length {self.context_length}")
        return _checked_heads(self)


class PreprocessConfig(_Frozen):
    """The preprocessing of a picture for the image tower: shorter side to `image_px`, center crop, normalization."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"


class ModelConfig(_Frozen):
    """The whole configuration of a model, enough to build one with fresh weights."""

    embed_dim: PositiveInt
    image: ImageConfig
    text: TextConfig
    preprocess: PreprocessConfig
    quick_gelu: bool = False
    stored: Literal["float16", "int8"] = "float16"  # large matrices in a checkpoint; int8 with a scale for each row

    @classmethod
    def named(cls, name: str) -> ModelConfig:
        """Read `lrsclip/models/configs/NAME.json`.

        Raises:
            UnknownModelError: no configuration of that name; the message lists those there are.
        """
        path = CONFIG_DIR / f"{name}.json"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in CONFIG_DIR.glob("*.json")))
            raise UnknownModelError(f"no model configuration named {name!r}; there are: {known}")
        return cls.parse(json.loads(path.read_text()), origin=str(path))

    @classmethod
    def parse(cls, data: dict[str, Any], *, origin: str) -> ModelConfig:
        """Check a configuration read from JSON.

        Raises:
            CheckpointError: a field is missing, unknown or of the wrong kind; the message names it and `origin`.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "configuration"
            raise CheckpointError(
                f"{origin}: {where}: {first['msg']}; compare it with lrsclip/models/configs/tiny.json"
            ) from error

    def with_context(self, context_length: int) -> ModelConfig:
        """Copy the configuration with another number of text positions (training starts at 77)."""
        text = self.text.model_copy(update={"context_length": context_length})
        return self.model_copy(update={"text": text})
