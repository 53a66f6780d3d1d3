"""What is said of a checkpoint beside its tensors: by its configuration, by open_clip's table, or by the user.

Two CLIPs of the same tensors may differ in the heads of their towers, in the activation (GELU, or OpenAI's QuickGELU)
and in how pictures are normalized; taken wrong, the vectors are wrong and nothing else shows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from lrsclip.checkpoints.shapes import CLIP_VOCAB
from lrsclip.errors import CheckpointError
from lrsclip.io.plain_file import open_plain
from lrsclip.models.config import PreprocessConfig

Activation = Literal["gelu", "quick_gelu"]
MAX_CONFIG_BYTES = 4 * 2**20
NORMALIZATIONS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "openai": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
OPENAI_PREPROCESS = PreprocessConfig(
    mean=NORMALIZATIONS["openai"][0], std=NORMALIZATIONS["openai"][1], interpolation="bicubic"
)
_MAX_OPTIONS = 16
_PLAIN: tuple[object, ...] = (None, False, "", (), [], {})
# Fields of open_clip's configurations that change nothing in a finished model, and values that are CLIP's own.
_READ_VISION = {"layers", "width", "head_width", "mlp_ratio", "patch_size", "image_size"}
_READ_TEXT = {"layers", "width", "heads", "mlp_ratio", "context_length", "vocab_size"}
_TRAINING = {
    *("patch_dropout", "output_tokens", "attn_pooler_queries", "attn_pooler_heads", "timm_model_pretrained"),
    *("timm_pool", "timm_proj", "timm_drop", "timm_drop_path", "hf_model_pretrained", "hf_proj_type"),
    *("hf_pooler_type", "hf_tokenizer_name", "pad_id", "eos_id"),
}
_OWN = {
    "pool_type": ("tok", "argmax"),
    "pos_embed_type": ("learnable",),
    "proj_type": ("linear",),
    "block_type": ("default",),
    "tokenizer_kwargs": ({"clean": "lower"},),
}
_TOP = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "custom_text", "init_logit_scale", "init_logit_bias"}
_TOP |= {"nonscalar_logit_scale", "cast_dtype", "output_dict", "preprocess_cfg", "version"}
_VISION_DEFAULTS = {"layers": 12, "width": 768, "head_width": 64, "mlp_ratio": 4.0, "patch_size": 16, "image_size": 224}
_TEXT_DEFAULTS = {"layers": 12, "width": 512, "heads": 8, "mlp_ratio": 4.0, "context_length": 77, "vocab_size": 49408}


class Told(BaseModel):
    """What the user says of a checkpoint behind its name, as in `clip.pt?activation=gelu&image_heads=16`.

    Attributes:
        activation: of both towers.
        image_heads: attention heads of the image tower.
        text_heads: of the text tower.
        normalization: mean and standard deviation of the pictures.
        file: which file of weights of a folder or repository, by its path there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    activation: Activation | None = None
    image_heads: PositiveInt | None = None
    text_heads: PositiveInt | None = None
    normalization: Literal["openai", "imagenet", "inception"] | None = None
    file: str | None = None

    @classmethod
    def parse(cls, text: str, *, name: str) -> Told:
        """Read `key=value&key=value`.

        Raises:
            CheckpointError: an unknown key, or a value that it does not take.
        """
        known = "activation=gelu or quick_gelu, image_heads=N, text_heads=N, normalization=openai, imagenet or "
        try:
            pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=_MAX_OPTIONS)
            if len(dict(pairs)) < len(pairs):
                raise ValueError("an option is given twice")
            return cls.model_validate(dict(pairs))
        except ValidationError as error:
            first = error.errors()[0]
            reason = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        except ValueError as error:
            reason = str(error)
        raise CheckpointError(f"{name}?{text}: {reason}; there are {known}inception, file=PATH")


@dataclass(frozen=True)
class Facts:
    """What a configuration says.

    Attributes:
        origin: whose words they are, for messages.
        activation: of both towers; None where it is not said, or said twice and differently.
        image_heads: of the image tower.
        text_heads: of the text tower.
        preprocess: None where it is not said.
        stated: fields of `Shapes` with the values that the tensors must have.
    """

    origin: str
    activation: Activation | None = None
    image_heads: int | None = None
    text_heads: int | None = None
    preprocess: PreprocessConfig | None = None
    stated: Mapping[str, int] = field(default_factory=dict)


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON object.

    Raises:
        CheckpointError: not there, not JSON, no object, or too large for a configuration.
    """
    try:
        with open_plain(path) as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
        data = json.loads(text) if len(text) <= MAX_CONFIG_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} is not JSON ({error}); fetch the checkpoint again") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path.name} is no JSON object of a configuration's size; fetch the checkpoint again")
    return data


@contextmanager
def readable(origin: str) -> Iterator[None]:
    """Refuse a configuration whose values are of another kind than their names say.

    Raises:
        CheckpointError: something inside asked a value for what it is not.
    """
    try:
        yield
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{origin} cannot be understood ({reason}); fetch the checkpoint again") from error


def open_clip_facts(data: Mapping[str, Any], *, origin: str) -> Facts:
    """Read open_clip's `open_clip_config.json`, or a file of its table of architectures.

    Raises:
        CheckpointError: a model of another kind than CLIP's own ViT, or with parts that CLIP does not have.
    """
    with readable(origin):
        model = data.get("model_cfg", data)
        vision, text = {**model["vision_cfg"]}, {**model["text_cfg"]}
        _refuse_other_kinds(model, vision, text, origin)
        vision, text = _VISION_DEFAULTS | vision, _TEXT_DEFAULTS | text
        px, patch = _one(vision["image_size"]), _one(vision["patch_size"])
        return Facts(
            origin=origin,
            activation="quick_gelu" if model.get("quick_gelu") else "gelu",
            image_heads=int(vision["width"]) // int(vision["head_width"]),
            text_heads=int(text["heads"]),
            preprocess=_open_clip_preprocess(data["preprocess_cfg"], origin) if "preprocess_cfg" in data else None,
            stated={
                "embed_dim": int(model["embed_dim"]),
                "image_px": px,
                "patch_px": patch,
                "image_width": int(vision["width"]),
                "image_layers": int(vision["layers"]),
                "image_inner": int(vision["width"] * vision["mlp_ratio"]),
                "context_length": int(text["context_length"]),
                "text_width": int(text["width"]),
                "text_layers": int(text["layers"]),
                "text_inner": int(text["width"] * text["mlp_ratio"]),
            },
        )


@cache
def table() -> tuple[Facts, ...]:
    """Read open_clip's table of architectures: its CLIP ViTs that read CLIP's tokens.

    From its files alone: importing open_clip takes seconds.
    """
    package = find_spec("open_clip")
    if package is None or not package.submodule_search_locations:
        return ()
    found = []
    for path in sorted(Path(package.submodule_search_locations[0], "model_configs").glob("*.json")):
        try:
            found.append(open_clip_facts(read_json(path), origin=path.stem))
        except CheckpointError:
            continue  # of another kind
    return tuple(found)


def preprocess_of(mean: Any, std: Any, interpolation: Any, origin: str) -> PreprocessConfig:
    """Check a normalization.

    Raises:
        CheckpointError: not three numbers each, or another way to resize than bicubic or bilinear.
    """
    if interpolation not in ("bicubic", "bilinear"):
        raise CheckpointError(f"{origin} resizes pictures by {interpolation!r}; bicubic and bilinear are known")
    try:
        (mean_r, mean_g, mean_b), (std_r, std_g, std_b) = map(float, mean), map(float, std)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{origin}: mean and std are not three numbers each; fetch it again") from error
    numbers = (mean_r, mean_g, mean_b, std_r, std_g, std_b)
    if not all(map(isfinite, numbers)) or min(std_r, std_g, std_b) <= 0:
        raise CheckpointError(f"{origin}: mean and std are no numbers to divide by; fetch the checkpoint again")
    return PreprocessConfig(mean=(mean_r, mean_g, mean_b), std=(std_r, std_g, std_b), interpolation=interpolation)


def refuse_resizing(origin: str, how: str) -> CheckpointError:
    """Make the error for pictures that are not resized as CLIP does it."""
    return CheckpointError(
        f"{origin} prepares pictures by {how}; CLIP's way is read: the shorter side resized, the center cut out"
    )


def _refuse_other_kinds(model: Mapping[str, Any], vision: dict[str, Any], text: dict[str, Any], origin: str) -> None:
    if vision.get("timm_model_name"):
        raise CheckpointError(
            f"{origin}: the image tower is timm's {vision['timm_model_name']}, not a ViT of CLIP's own kind"
        )
    if text.get("hf_model_name"):
        raise CheckpointError(f"{origin}: the text tower is {text['hf_model_name']}, not CLIP's own")
    if model.get("multimodal_cfg"):
        raise CheckpointError(f"{origin} is a CoCa, which also writes text; CLIPs are read")
    if isinstance(vision.get("layers"), list | tuple):
        raise CheckpointError(f"{origin}: the image tower is a ResNet; CLIPs with a ViT are read")
    if text.get("vocab_size", CLIP_VOCAB) != CLIP_VOCAB:
        other = text.get("hf_tokenizer_name") or f"one of {text['vocab_size']} tokens"
        raise CheckpointError(f"{origin} reads with another tokenizer than CLIP's, {other}")
    for name, part, read in (("vision_cfg", vision, _READ_VISION), ("text_cfg", text, _READ_TEXT)):
        for key, value in part.items():
            if key not in read | _TRAINING and value not in (*_PLAIN, *_OWN.get(key, ())):
                raise CheckpointError(f"{origin}: {name}.{key} = {value!r} is not CLIP's own; plain CLIP ViTs are read")
    for key in sorted(model.keys() - _TOP):
        if model[key] not in _PLAIN:
            raise CheckpointError(f"{origin}: {key} = {model[key]!r} is not CLIP's own; plain CLIP ViTs are read")


def _open_clip_preprocess(data: Mapping[str, Any], origin: str) -> PreprocessConfig:
    if (how := data.get("resize_mode") or "shortest") != "shortest":
        raise refuse_resizing(origin, f"resize_mode {how!r}")
    mean, std = NORMALIZATIONS["openai"]
    return preprocess_of(
        data.get("mean") or mean, data.get("std") or std, data.get("interpolation") or "bicubic", origin
    )


def _one(side: Any) -> int:
    """Return the side of a square, given as a number or as height and width."""
    if isinstance(side, list | tuple):
        sides = side[-2:]  # some write the number of bands first
        if len(set(sides)) != 1:
            raise ValueError(f"{side} is not square")
        return int(sides[0])
    return int(side)
