"""Hugging Face's configuration of a `CLIPModel`: `config.json`, and `preprocessor_config.json` beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lrsclip.checkpoints.facts import NORMALIZATIONS, Activation, Facts, preprocess_of, readable, refuse_resizing
from lrsclip.checkpoints.shapes import CLIP_VOCAB
from lrsclip.errors import CheckpointError
from lrsclip.models.config import PreprocessConfig

_TEXT = {
    "vocab_size": CLIP_VOCAB,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "eos_token_id": CLIP_VOCAB - 1,
}
_VISION = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
_ACTIVATIONS: dict[str, Activation] = {"gelu": "gelu", "gelu_python": "gelu", "quick_gelu": "quick_gelu"}
_EPS = 1e-5
_END_TOKENS = (2, CLIP_VOCAB - 1)  # 2 stood in early configurations, and is read as "the token of the highest number"
_FILTERS = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_EARLY = "CLIPFeatureExtractor"


def transformers_facts(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None, *, origin: str) -> Facts:
    """Read the configuration of a `CLIPModel`.

    Args:
        config: `config.json`.
        preprocessor: `preprocessor_config.json`, where there is one.
        origin: where they lie, for messages.

    Raises:
        CheckpointError: another model, another tokenizer, or parts that CLIP does not have.
    """
    with readable(origin):
        if (kind := config.get("model_type")) != "clip":
            raise CheckpointError(f"{origin} is a model of type {kind!r}, not a CLIP")
        text, vision = _section(config, "text", _TEXT, origin), _section(config, "vision", _VISION, origin)
        if text["vocab_size"] != CLIP_VOCAB or text["eos_token_id"] not in _END_TOKENS:
            raise CheckpointError(f"{origin} reads with another tokenizer than CLIP's ({CLIP_VOCAB:,} tokens)")
        for section in (text, vision):
            if section["layer_norm_eps"] != _EPS:
                raise CheckpointError(f"{origin}: layer_norm_eps {section['layer_norm_eps']} is not CLIP's {_EPS}")
        px = int(vision["image_size"])
        return Facts(
            origin=origin,
            activation=_activation(text["hidden_act"], vision["hidden_act"], origin),
            image_heads=int(vision["num_attention_heads"]),
            text_heads=int(text["num_attention_heads"]),
            preprocess=None if preprocessor is None else _preprocess(preprocessor, px, origin),
            stated={
                "embed_dim": int(config.get("projection_dim", 512)),
                "image_px": px,
                "patch_px": int(vision["patch_size"]),
                "image_width": int(vision["hidden_size"]),
                "image_layers": int(vision["num_hidden_layers"]),
                "image_inner": int(vision["intermediate_size"]),
                "context_length": int(text["max_position_embeddings"]),
                "text_width": int(text["hidden_size"]),
                "text_layers": int(text["num_hidden_layers"]),
                "text_inner": int(text["intermediate_size"]),
            },
        )


def _section(config: Mapping[str, Any], name: str, defaults: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Merge the two places that a tower's configuration may have; some early files fill in both."""
    plain, early = config.get(f"{name}_config") or {}, config.get(f"{name}_config_dict") or {}
    merged = {**defaults, **plain}
    if early:
        for key, value in {**defaults, **early}.items():
            if key in defaults and value != merged[key]:
                if key in plain and key in early:
                    raise CheckpointError(
                        f"{origin}: {name}_config says {key} = {plain[key]!r}, {name}_config_dict {early[key]!r}; "
                        "take the wrong one out"
                    )
                if key in early:
                    merged[key] = value
                elif key == "hidden_act":  # transformers takes the default, and the author probably meant the other
                    merged[key] = None
                elif key in plain:
                    raise CheckpointError(
                        f"{origin}: {name}_config_dict lacks the {key} of {name}_config; add it there"
                    )
    return merged


def _activation(text: Any, vision: Any, origin: str) -> Activation | None:
    if text is None or vision is None:
        return None
    if text not in _ACTIVATIONS or vision not in _ACTIVATIONS:
        odd = vision if text in _ACTIVATIONS else text
        raise CheckpointError(f"{origin}: the activation {odd!r} is not known here; gelu and quick_gelu are")
    if _ACTIVATIONS[text] != _ACTIVATIONS[vision]:
        raise CheckpointError(f"{origin}: the towers' activations differ, {vision} and {text}; CLIPs with one are read")
    return _ACTIVATIONS[text]


def _preprocess(data: Mapping[str, Any], image_px: int, origin: str) -> PreprocessConfig:
    kind = data.get("image_processor_type") or data.get("feature_extractor_type") or _EARLY
    if "CLIP" not in kind:
        raise refuse_resizing(origin, f"a {kind}")
    if off := [key for key in ("do_resize", "do_center_crop", "do_normalize") if not data.get(key, True)]:
        raise refuse_resizing(origin, f"{off[0]} = false")
    if data.get("rescale_factor") and abs(data["rescale_factor"] * 255 - 1) > 1e-6:
        raise refuse_resizing(origin, f"rescale_factor {data['rescale_factor']}")
    for key in ("size", "crop_size"):
        size = data.get(key, image_px)
        if isinstance(size, Mapping):
            if key == "size" and "shortest_edge" not in size:
                raise refuse_resizing(origin, f"size {dict(size)}")
            sides = set(size.values())
            size = sides.pop() if len(sides) == 1 else dict(size)
        if size != image_px:
            raise CheckpointError(f"{origin}: {key} {size} contradicts image_size {image_px}")
    mean, std = NORMALIZATIONS["openai"]
    mean, std = data.get("image_mean") or mean, data.get("image_std") or std
    resample = data.get("resample", 3)
    return preprocess_of(mean, std, _FILTERS.get(resample, resample), origin)
